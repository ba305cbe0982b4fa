"""The crank's configuration: a TOML file, the environment, and the Solana CLI's endpoint where the file asks for it."""

from __future__ import annotations

from .load import load, parse
from .schema import (
    Chain,
    Checkpoints,
    Config,
    Crank,
    Engine,
    LatePolicy,
    Log,
    LogLevel,
    Mqtt,
    Telemetry,
    View,
    websocket_url,
)
from .text import Setting, dump, page, settings

__all__ = [
    "Chain",
    "Checkpoints",
    "Config",
    "Crank",
    "Engine",
    "LatePolicy",
    "Log",
    "LogLevel",
    "Mqtt",
    "Setting",
    "Telemetry",
    "View",
    "dump",
    "load",
    "page",
    "parse",
    "settings",
    "websocket_url",
]
