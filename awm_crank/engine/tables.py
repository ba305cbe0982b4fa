"""The four function tables of format version 1 (docs/numerics.md, section 3).

A cartridge carries them, so that no engine ever fills them from floats; this module pins their hash and can compute
them again in decimal arithmetic, which has no libm in it.
"""

from __future__ import annotations

import struct
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

LUT_SIZE = 1024
LUTS_SHA256 = "6e338ae1777df593e5fa922b0a595d5d42b289f3cdb51f51d366e20907b74d0c"
"""SHA-256 of the 1,024 bytes; a cartridge with others is refused."""


def build() -> bytes:
    """Compute the tables: `SIG`, `LOG`, `RSQ` (128 x u16 each), `EXP` (64 x u32), little-endian, 1,024 bytes."""
    with localcontext(Context(prec=40)):
        one = Decimal(1)

        def nearest(value: Decimal) -> int:
            return int(value.to_integral_value(ROUND_HALF_EVEN))

        sig = [nearest(32768 / (one + (-Decimal(i) / 16).exp())) for i in range(127)] + [32767]
        log = [32768] + [nearest(32768 * (one + Decimal(i) / 127).ln() * 127 / i) for i in range(1, 128)]
        rsq = [min(65535, nearest(65536 / (one + (Decimal(i) + one / 2) / 32).sqrt())) for i in range(96)] + [0] * 32
        exp = [nearest(2**31 * (-Decimal(i) / 64 * Decimal(2).ln()).exp()) for i in range(64)]
    return struct.pack("<384H64I", *sig, *log, *rsq, *exp)
