"""Rounds a matrix to whole numbers so that its *products* are as exact as possible, and not each weight by itself.

After a column is rounded, the columns that are not rounded yet are adjusted: they compensate the error of the products,
as far as the inputs are correlated (optimal brain quantization in the order of GPTQ, arXiv:2210.17323, section 3).
Offline.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LIMIT = 127
DAMPING = 0.003
"""Share of the inputs' mean power that is added to each column's own: keeps unseen columns at plain rounding."""
BLOCK = 64


def compensated(weight: Floats, scale: Floats, moment: Floats, bias: Floats | None = None) -> tuple[Floats, Floats]:
    """Whole numbers q within ±127 with `q·scale` acting as `weight` on inputs of these second moments.

    Args:
        weight: (rows, k).
        scale: (rows,), what one step of a row weighs.
        moment: (k, k), the mean of x·xᵀ over inputs x; with a bias (k + 1, k + 1), the last input being 1.
        bias: (rows,), adjusted but not rounded.

    Returns: q (rows, k), and the adjusted bias (empty without one).
    """
    work = torch.from_numpy(weight / scale[:, None])
    if bias is not None:
        work = torch.cat([work, torch.from_numpy(bias / scale)[:, None]], 1)
    count = weight.shape[1]
    hessian = torch.from_numpy(np.asarray(moment, np.float64))
    power = hessian.diagonal()[:count]
    # The strongest inputs come first, so that the weaker ones can compensate the rest.
    order = torch.cat([power.argsort(descending=True, stable=True), torch.arange(count, work.shape[1])])
    hessian = hessian[order][:, order] + torch.eye(work.shape[1], dtype=torch.float64) * (
        DAMPING * float(power.mean()) + 1e-12
    )
    upper = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    work = work[:, order]
    whole = torch.zeros_like(work[:, :count])
    for begin in range(0, count, BLOCK):
        end = min(begin + BLOCK, count)
        errors = torch.zeros(work.shape[0], end - begin, dtype=torch.float64)
        for j in range(begin, end):
            whole[:, j] = work[:, j].round().clamp(-LIMIT, LIMIT)
            error = (work[:, j] - whole[:, j]) / upper[j, j]
            work[:, j + 1 : end] -= error[:, None] * upper[j, j + 1 : end]
            errors[:, j - begin] = error
        work[:, end:] -= errors @ upper[begin:end, end:]
    q = torch.empty_like(whole)
    q[:, order[:count]] = whole
    moved = work[:, count].numpy() * scale if bias is not None else np.zeros(0)
    return q.numpy(), moved
