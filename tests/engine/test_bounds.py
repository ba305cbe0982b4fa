"""The loader's proofs; test_cartridge.py tests its refusals field by field."""

import numpy as np
import pytest

from awm_crank.engine import bounds
from awm_crank.errors import CartridgeError


def test_matrix_bound_is_tight() -> None:
    """A row that can just reach 2^31 - 1 passes, and one more unit of bias does not."""
    w = np.full((1, 1000), 127, np.int8)
    m = np.ones(1, np.int32)
    room = 2**31 - 1 - 127 * 1000 * 16383
    bounds.check_matrix("w", w, m, np.array([room]), 32, bounds.INT32_MAX)
    with pytest.raises(CartridgeError, match="row 0 accumulator bound"):
        bounds.check_matrix("w", w, m, np.array([room + 1]), 32, bounds.INT32_MAX)


@pytest.mark.parametrize(("f_w", "f_out"), [(-30, 2), (20, 5)])
def test_norm_shift_limits(f_w: int, f_out: int) -> None:
    """A norm whose last shift could be 0 or 63 is refused."""
    with pytest.raises(CartridgeError, match="shift"):
        bounds.check_norm("norm", np.ones(512, np.int16), 0, f_w, f_out)


def test_altered_tables_are_refused() -> None:
    """One changed bit of a table is enough for a refusal."""
    with pytest.raises(CartridgeError, match="function tables"):
        bounds.check_luts(bytes(1024))
