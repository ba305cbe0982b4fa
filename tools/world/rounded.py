"""Training with weights as the engine holds them: rounded to int8 rows, gradients passed straight through.

The grid is the quantizer's (a scale for each row; engine/offline/balance.py: frame_proj's columns balanced first),
so that quantizing the exported weights finds them where they are.
"""

from __future__ import annotations

import torch
from model import FrameStackMamba2
from torch import Tensor
from torch.func import functional_call

from awm_crank.engine.encoding import Encoding
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import balance


class Rounded:
    """A model, called with its matrices rounded. `update` after each step of the optimizer."""

    def __init__(self, model: FrameStackMamba2) -> None:
        self.model = model
        self.update()

    def update(self) -> None:
        """Round the weights as they are now."""
        self.weights = rounded(self.model, dict(self.model.named_parameters()))

    def __call__(self, *arguments: object) -> tuple[dict[str, Tensor], list[tuple[Tensor, Tensor]]]:
        return functional_call(self.model, self.weights, arguments)


def rounded(model: FrameStackMamba2, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """All weights, those of matrices rounded; gradients go to the given ones."""
    return {name: _round(w, columns) for name, (w, columns) in _gains(model, weights, weights).items()}


def settled(model: FrameStackMamba2) -> dict[str, Tensor]:
    """Returns weights that quantizing leaves unchanged: the column gains are computed from the rounded weights
    themselves.
    """
    given = {name: w.detach() for name, w in model.named_parameters()}
    now = given
    for _ in range(20):
        following = {name: _round(w, columns) for name, (w, columns) in _gains(model, given, now).items()}
        if all(torch.equal(following[name], now[name]) for name in now):
            break
        now = following
    return now


def _gains(
    model: FrameStackMamba2, weights: dict[str, Tensor], like: dict[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Name to its weight and, where that is a matrix, its columns' gains, as `like` asks for them."""
    s = model.shape
    shape = Shape(s.d_model, s.d_inner, s.d_state, s.headdim, s.layers, encoding=Encoding(state_age_as_embed=True))
    numbers = {name: w.detach().double().numpy() for name, w in like.items()}
    out: dict[str, tuple[Tensor, Tensor | None]] = {}
    for name, w in weights.items():
        columns = None
        if name == "frame_proj.weight":
            columns = balance.frame_columns(balance.frame_gains(numbers[name], shape), shape)
        elif name.endswith(("_head.weight", "in_proj.weight", "out_proj.weight", "ctrl_proj.weight")):
            columns = numbers[name][0] * 0 + 1
        out[name] = (w, None if columns is None else torch.from_numpy(columns).float())
    return out


def _round(weight: Tensor, columns: Tensor | None) -> Tensor:
    if columns is None:
        return weight
    stretched = weight.detach() / columns
    scale = stretched.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
    return weight + ((stretched / scale).round() * scale * columns - weight).detach()
