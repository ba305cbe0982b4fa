"""The function tables that are shipped."""

import hashlib
import math
import struct

from awm_crank.engine import tables


def test_build_gives_the_pinned_bytes() -> None:
    """Computing the tables again gives the 1,024 bytes that every cartridge must carry."""
    luts = tables.build()
    assert len(luts) == tables.LUT_SIZE
    assert hashlib.sha256(luts).hexdigest() == tables.LUTS_SHA256


def test_entries_are_the_functions_they_are_named_for() -> None:
    """Each table is within half a unit of its function in docs/numerics.md, computed in a different way."""
    values = struct.unpack("<384H64I", tables.build())
    for i in range(127):
        assert abs(values[i] - 32768 / (1 + math.exp(-i / 16))) < 0.51
    for i in range(1, 128):
        assert abs(values[128 + i] - 32768 * math.log1p(i / 127) * 127 / i) < 0.51
    for i in range(96):
        assert abs(values[256 + i] - 65536 / math.sqrt(1 + (i + 0.5) / 32)) < 0.51
    for i in range(64):
        assert abs(values[384 + i] - 2**31 * 2 ** (-i / 64)) < 0.51
