"""Settings that all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# CI always runs the same examples; at a desk every run tries new ones.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
