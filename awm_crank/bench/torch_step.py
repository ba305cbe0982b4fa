"""The off-the-shelf model step: the same layers as FP32 PyTorch modules, one frame at a time, state carried.

It is the straightforward implementation: `nn.Linear`, `nn.Embedding`, tensor operations. Shapes and order follow
reference/system.md, "The model". Weights are random; time does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

_CONV_WIDTH = 4
_FLOATS = 29
_CONTROLLER_FLOATS = 26
_PLAYER_EMBEDDINGS = ((400, 32), (8, 4), (33, 8), (3, 2), (3, 2), (32, 4), (64, 8))
_STAGE_EMBEDDING = (33, 4)
_PLAYER_HEADS = (400, 8, 3, 3, 32, 64)
_SHARED_HEADS = (8, 10, 6, 6)


class TorchSizes(NamedTuple):
    """The sizes that define the model. A head has d_inner / heads values."""

    layers: int
    d_model: int
    d_inner: int
    d_state: int
    heads: int


class _TorchLayer(nn.Module):
    def __init__(self, shape: TorchSizes) -> None:
        super().__init__()
        self.shape = shape
        self.channels = shape.d_inner + 2 * shape.d_state
        self.norm = nn.RMSNorm(shape.d_model, eps=1e-5)
        self.in_proj = nn.Linear(shape.d_model, shape.d_inner + self.channels + shape.heads, bias=False)
        self.conv_weight = nn.Parameter(torch.randn(self.channels, _CONV_WIDTH) * 0.1)
        self.conv_bias = nn.Parameter(torch.zeros(self.channels))
        self.dt_bias = nn.Parameter(torch.zeros(shape.heads))
        self.a_log = nn.Parameter(torch.zeros(shape.heads))
        self.d = nn.Parameter(torch.ones(shape.heads))
        self.gated_norm = nn.RMSNorm(shape.d_inner, eps=1e-5)
        self.out_proj = nn.Linear(shape.d_inner, shape.d_model, bias=False)
        self.conv = torch.zeros(self.channels, _CONV_WIDTH)
        self.h = torch.zeros(shape.heads, shape.d_inner // shape.heads, shape.d_state)

    def forward(self, residual: torch.Tensor) -> torch.Tensor:
        s = self.shape
        z, xbc, dt = torch.split(self.in_proj(self.norm(residual)), [s.d_inner, self.channels, s.heads])
        self.conv = torch.cat([self.conv[:, 1:], xbc[:, None]], dim=1)
        xbc = functional.silu((self.conv * self.conv_weight).sum(dim=1) + self.conv_bias)
        x, b, c = torch.split(xbc, [s.d_inner, s.d_state, s.d_state])
        dt = functional.softplus(dt + self.dt_bias)
        decay = torch.exp(dt * -torch.exp(self.a_log))
        x = x.view(s.heads, -1)
        self.h = self.h * decay[:, None, None] + (dt[:, None] * x)[:, :, None] * b
        y = (self.h * c).sum(dim=2) + self.d[:, None] * x
        out: torch.Tensor = residual + self.out_proj(self.gated_norm(y.reshape(-1) * functional.silu(z)))
        return out


class _Model(nn.Module):
    def __init__(self, shape: TorchSizes) -> None:
        super().__init__()
        embeddings = (*_PLAYER_EMBEDDINGS, *_PLAYER_EMBEDDINGS, _STAGE_EMBEDDING)
        self.embeddings = nn.ModuleList(nn.Embedding(*size) for size in embeddings)
        self.frame_proj = nn.Linear(2 * _FLOATS + sum(width for _, width in embeddings), shape.d_model)
        self.layers = nn.ModuleList(_TorchLayer(shape) for _ in range(shape.layers))
        self.final_norm = nn.RMSNorm(shape.d_model, eps=1e-5)
        self.ctrl_proj = nn.Linear(_CONTROLLER_FLOATS, shape.d_model)
        heads = (*_SHARED_HEADS, *_PLAYER_HEADS, *_PLAYER_HEADS)
        self.heads = nn.ModuleList(nn.Linear(shape.d_model, size) for size in heads)

    def forward(self, floats: torch.Tensor, categories: torch.Tensor, controllers: torch.Tensor) -> list[float]:
        parts = [embedding(categories[n]) for n, embedding in enumerate(self.embeddings)]
        residual = self.frame_proj(torch.cat([floats, *parts]))
        for layer in self.layers:
            residual = layer(residual)
        hidden = self.final_norm(residual) + self.ctrl_proj(controllers)
        out = [head(hidden) for head in self.heads]
        shared = torch.cat(out[: len(_SHARED_HEADS)]).tolist()
        return shared + [float(logits.argmax()) for logits in out[len(_SHARED_HEADS) :]]


def step(shape: TorchSizes) -> Callable[[], list[float]]:
    """A call that steps a random model of this shape by one frame and returns the decoded heads as numbers.

    PyTorch keeps one thread: for one session, more threads only add overhead.
    """
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = _Model(shape).eval()
    floats = torch.rand(2 * _FLOATS)
    categories = torch.zeros(2 * len(_PLAYER_EMBEDDINGS) + 1, dtype=torch.long)
    controllers = torch.rand(_CONTROLLER_FLOATS)

    def run() -> list[float]:
        with torch.inference_mode():
            return model(floats, categories, controllers)  # type: ignore[no-any-return]

    return run
