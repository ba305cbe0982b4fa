"""The live view: a page that reads the chain itself, the server of its files, and the plain frame feed."""

from __future__ import annotations

from .feed import FEED_PORT, Feed
from .server import PAGE_PORT, PageServer

__all__ = ["FEED_PORT", "PAGE_PORT", "Feed", "PageServer"]
