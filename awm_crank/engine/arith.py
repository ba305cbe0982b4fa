"""The integer functions of docs/numerics.md, sections 1 to 4, in NumPy: rounding, tables, norm. No floats anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

LN2_Q31 = np.uint64(1488522236)
LOG2E_Q30 = 1549082005
THIRD_Q33 = np.uint64(2863311531)


def rounded(value: I32, shift: int) -> I32:
    """`RS` of docs/numerics.md, for a shift of at least 1."""
    return (value + np.int32(1 << shift - 1)) >> np.int32(shift)


def requantize(acc: I32 | I64, m: I64, shift: int) -> I64:
    """`RQ` of docs/numerics.md. The result stays int64; the loader has proven that it fits into int32."""
    product: I64 = acc * m
    product += 1 << shift - 1
    product >>= shift
    return product


class Tables:
    """The four function tables of a cartridge, widened once, and the functions that use them."""

    def __init__(self, luts: bytes) -> None:
        halves = np.frombuffer(luts, "<u2", 384)
        self.sig = halves[:128].astype(np.int32)
        self.log = halves[128:256].astype(np.uint64)
        self.rsq = [int(v) for v in halves[256:352]]
        self.exp = np.frombuffer(luts, "<u4", 64, 768).astype(np.uint64)
        self.sig_step = np.append(np.diff(self.sig), np.int32(0))
        self.log_next = np.append(self.log[1:], self.log[-1:])

    def silu(self, x: I32, frac: int) -> I32:
        """Section 3.2: SiLU of int16 values in Q(frac)."""
        g = frac - 4
        a = np.minimum(np.abs(x), 32767)
        i = a >> g
        inside = np.minimum(i, 127)
        f = a & (1 << g) - 1
        # SIG[i]·(2^g - f) + SIG[i+1]·f = SIG[i]·2^g + (SIG[i+1] - SIG[i])·f; the step behind the last entry is 0.
        v = self.sig[inside] + ((self.sig_step[inside] * f + (1 << g - 1)) >> g)
        v = np.where(x >= 0, v, 32768 - v)
        gated: I32 = (x * v + 16384) >> 15
        return gated

    def exp2neg(self, t: U64) -> U64:
        """Section 3.3: 2^-t in Q31, for t in Q26."""
        n = np.minimum(t >> np.uint64(26), np.uint64(63))
        y = ((t & np.uint64(0xFFFFF)) * LN2_Q31) >> np.uint64(25)
        y2 = (y * y) >> np.uint64(32)
        y3 = (y2 * y) >> np.uint64(32)
        p = np.uint64(1 << 32) - y + (y2 >> np.uint64(1)) - ((y3 * THIRD_Q33) >> np.uint64(34))
        value = (self.exp[(t >> np.uint64(20)) & np.uint64(63)] * p) >> np.uint64(32)
        return np.where(n >= 31, np.uint64(0), value >> n)

    def softplus(self, x: I64) -> I64:
        """Section 3.4: ln(1 + e^x) in Q26, for x in Q20, |x| ≤ 2^27."""
        e = self.exp2neg(((np.abs(x) * LOG2E_Q30) >> 24).astype(np.uint64))
        j = e * np.uint64(127)
        i = j >> np.uint64(31)
        f = (j >> np.uint64(16)) & np.uint64(32767)
        g = (self.log[i] * (np.uint64(32768) - f) + self.log_next[i] * f) >> np.uint64(15)
        total: I64 = (np.maximum(x, 0) << 6) + ((e * g) >> np.uint64(20)).astype(np.int64)
        return np.minimum(total, 2**29 - 1)

    def rsqrt(self, x: int) -> tuple[int, int]:
        """Section 4: (r, j) such that 1/√x = r·2^(-46-j), r in Q31 below 2^31."""
        bits = x.bit_length()
        j = (bits - 31) // 2
        m = x << -2 * j if j < 0 else x >> 2 * j
        r = self.rsq[(m >> 25) - 32]
        q = (((m * r) >> 16) * r) >> 16
        r = (r * (3 * 2**30 - q)) >> 16
        q = (((m * r) >> 31) * r) >> 31
        return min(2**31 - 1, (r * (3 * 2**30 - q)) >> 31), j

    def norm(self, v: I32, w: I64, eps: int, f_w: int, f_out: int) -> I32:
        """Section 4: RMSNorm of int32 values below 2^30 in magnitude, to ±16383 in Q(f_out)."""
        k = max(0, max(int(v.max()), -int(v.min())).bit_length() - 14)
        scaled = v.astype(np.int64)
        if k:
            scaled = (scaled + (1 << k - 1)) >> k
        x = max(1, int(scaled @ scaled) + (eps >> 2 * k))
        r, j = self.rsqrt(x)
        s = 46 + j + f_w - f_out
        scaled *= w
        scaled *= r
        scaled += 1 << s - 1
        scaled >>= s
        return np.minimum(np.maximum(scaled, -16383), 16383).astype(np.int32)
