"""Where the tests find their validators. A missing validator fails the tests that need it."""

from __future__ import annotations

from pathlib import Path

from awm_crank.localnet.kinds.cache import default_folder

CACHE = default_folder()
"""A cache that all tests share and that is kept: MagicBlock's binaries are fetched once."""
SOLANA = Path(__file__).resolve().parents[4] / "shared" / "bin" / "solana-test-validator"
"""A tool for tests, next to the repository (reference/validators.md)."""
