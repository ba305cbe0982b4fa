"""The integer functions, compared with Python's unbounded integers and with the real functions they approximate."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.engine import tables
from awm_crank.engine.arith import Tables, requantize, rounded

TABLES = Tables(tables.build())


def plain_rs(v: int, s: int) -> int:
    """The function `RS` (rounding shift right) of docs/numerics.md."""
    return (v + (1 << s - 1)) >> s if s else v


@given(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(1, 32))
def test_requantize_rounds_half_up(acc: int, m: int, shift: int) -> None:
    """`RQ` is the floor of the exact product plus one half, for every accumulator and multiplier."""
    found = requantize(np.array([acc], np.int32), np.array([m], np.int64), shift)
    assert int(found[0]) == (acc * m + 2 ** (shift - 1)) // 2**shift


@given(st.integers(-(2**29), 2**29), st.integers(1, 29))
def test_rounded_is_floor_of_half_more(value: int, shift: int) -> None:
    """`RS` (rounding shift right) rounds halves up, towards positive infinity for negative values too."""
    assert int(rounded(np.array([value], np.int32), shift)[0]) == math.floor(value / 2**shift + 0.5)


@pytest.mark.parametrize("frac", range(5, 16))
def test_silu_follows_the_written_steps_and_the_function(frac: int) -> None:
    """silu equals section 3's formula, and is within 0.1 % of the range and 2 units of the real silu on every int16."""
    x = np.arange(-32768, 32768, dtype=np.int32)
    found = TABLES.silu(x, frac)
    sig = np.frombuffer(tables.build(), "<u2", 128)
    g = frac - 4
    for value in [-32768, -32767, -1, 0, 1, 32767, *range(-32768, 32768, 997)]:
        a = min(abs(value), 32767)
        i, f = a >> g, a & (2**g - 1)
        v = int(sig[127]) if i >= 127 else plain_rs(int(sig[i]) * (2**g - f) + int(sig[i + 1]) * f, g)
        s = v if value >= 0 else 32768 - v
        assert int(found[value + 32768]) == plain_rs(value * s, 15)
    real = x / 2.0**frac
    expected = real * np.exp(-np.logaddexp(0, -real))
    assert np.abs(found / 2.0**frac - expected).max() <= 2 * 2.0**-frac + 1e-3 * np.abs(real).max()
    assert found.min() >= -32767 and found.max() <= 32767


@given(st.integers(0, 2**31 - 1))
def test_exp2neg_is_close_and_exact_at_whole_numbers(t: int) -> None:
    """2^-t is right to 2 units of Q31, and whole numbers of t give powers of two."""
    found = int(TABLES.exp2neg(np.array([t], np.uint64))[0])
    assert abs(found - 2**31 * 2.0 ** (-t / 2**26)) <= 3
    whole = t >> 26
    assert int(TABLES.exp2neg(np.array([whole << 26], np.uint64))[0]) == (2**31 >> whole if whole < 31 else 0)


@given(st.integers(-(2**27), 2**27))
def test_softplus_keeps_relative_precision(x: int) -> None:
    """ln(1+e^x) is right to 0.01 % or 2 units of Q26, however small it is, and ends at 8."""
    found = int(TABLES.softplus(np.array([x], np.int64))[0])
    real = x / 2**20
    expected = min(2**29 - 1, 2**26 * (max(real, 0) + math.log1p(math.exp(-abs(real)))))
    assert abs(found - expected) <= max(2, expected * 1e-4)


@given(st.integers(1, 2**60))
def test_rsqrt_is_within_a_millionth(x: int) -> None:
    """1/sqrt(x) is returned as a 31-bit mantissa and an exponent, right to about 1e-8."""
    r, j = TABLES.rsqrt(x)
    assert r < 2**31
    assert r * 2.0 ** (-46 - j) == pytest.approx(x**-0.5, rel=1e-7)


def plain_norm(v: list[int], w: list[int], eps: int, f_w: int, f_out: int) -> list[int]:
    """Section 4's norm in Python's integers."""
    k = max(0, max(abs(x) for x in v).bit_length() - 14)
    scaled = [plain_rs(x, k) for x in v]
    r, j = TABLES.rsqrt(max(1, sum(x * x for x in scaled) + (eps >> 2 * k)))
    s = 46 + j + f_w - f_out
    return [max(-16383, min(16383, plain_rs(x * g * r, s))) for x, g in zip(scaled, w, strict=True)]


@given(st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=40), st.integers(0, 2**40), st.data())
def test_norm_equals_the_written_steps(v: list[int], eps: int, data: st.DataObject) -> None:
    """norm never wraps around: it equals the formula in unbounded integers, even for extreme values."""
    w = data.draw(st.lists(st.integers(-32767, 32767), min_size=len(v), max_size=len(v)))
    found = TABLES.norm(np.array(v, np.int32), np.array(w, np.int64), eps, 9, 10)
    assert found.tolist() == plain_norm(v, w, eps, 9, 10)


def test_norm_is_rms_norm() -> None:
    """norm is RMSNorm: with unit weights, the output has RMS one."""
    v = np.array([5, -3, 800, 1000, -77, 12, 0, 450], np.int32) * 4096
    found = TABLES.norm(v, np.full(8, round(8**0.5 * 512)), 0, 9, 10)
    assert np.abs(found / 1024 - v / np.sqrt((v.astype(float) ** 2).mean())).max() < 2e-3


def test_norm_of_nothing_is_nothing() -> None:
    """A zero vector normalizes to zero, whatever eps is."""
    assert not TABLES.norm(np.zeros(8, np.int32), np.full(8, 30000), 0, 9, 10).any()
