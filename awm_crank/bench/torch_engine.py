"""The ways PyTorch offers to make the off-the-shelf step (torch_step.py) of one session."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from awm_crank.bench import torch_step
from awm_crank.engine.layout import Shape

WINDOW = 10


def _sizes(shape: Shape) -> torch_step.TorchSizes:
    return torch_step.TorchSizes(shape.num_layers, shape.d_model, shape.d_inner, shape.d_state, shape.num_heads)


class _OneRow(nn.Module):
    """Gives a quantized linear layer, which takes only matrices, a single row."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, row: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(row[None])[0]
        return out


def _take_rows(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, torch.ao.nn.quantized.dynamic.Linear):
            setattr(module, name, _OneRow(child))
        else:
            _take_rows(child)


def ways(shape: Shape) -> dict[str, Callable[[], Callable[[], object]]]:
    """Maps each way's name to a function that returns a call that computes one frame. Weights are random; they do not
    affect the time.
    """

    def backbone(quantized: bool, compiled: bool) -> Callable[[], object]:
        torch.set_num_threads(1)
        torch.manual_seed(1)
        model: nn.Module = torch_step._Model(_sizes(shape)).eval()
        if quantized:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                quantize: Callable[..., nn.Module] = torch.ao.quantization.quantize_dynamic
                model = quantize(model, {nn.Linear}, dtype=torch.qint8)
            _take_rows(model)
        if compiled:
            layers = model.layers
            assert isinstance(layers, nn.ModuleList)
            for n, layer in enumerate(layers):
                compiled_layer: Any = torch.compile(layer)
                layers[n] = compiled_layer
        floats, controllers = torch.rand(58), torch.rand(26)
        categories = torch.zeros(15, dtype=torch.long)

        def run() -> object:
            with torch.inference_mode():
                return model(floats, categories, controllers)

        return run

    return {
        f"FP32, window of {WINDOW}": lambda: _window(shape),
        "FP32": lambda: torch_step.step(_sizes(shape)),
        "FP32, torch.compile": lambda: backbone(quantized=False, compiled=True),
        "dynamic INT8 (linears)": lambda: backbone(quantized=True, compiled=False),
    }


def _window(shape: Shape) -> Callable[[], object]:
    """The prototype's way: it keeps no state and runs the last ten frames through the layers for every frame."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    inner, n, heads = shape.d_inner, shape.d_state, shape.num_heads
    channels = shape.conv_dim
    model = torch_step._Model(_sizes(shape)).eval()
    frames = torch.rand(WINDOW, model.frame_proj.in_features)
    controllers = torch.rand(26)

    def layer(module: nn.Module, residual: torch.Tensor) -> torch.Tensor:
        assert isinstance(module, torch_step._TorchLayer)
        z, xbc, dt = torch.split(module.in_proj(module.norm(residual)), [inner, channels, heads], dim=1)
        padded = functional.pad(xbc.T[None], (3, 0))
        conv = functional.conv1d(padded, module.conv_weight[:, None], module.conv_bias, groups=channels)[0].T
        x, b, c = torch.split(functional.silu(conv), [inner, n, n], dim=1)
        dt = functional.softplus(dt + module.dt_bias)
        decay = torch.exp(dt * -torch.exp(module.a_log))
        x = x.reshape(WINDOW, heads, -1)
        h = torch.zeros(heads, inner // heads, n)
        rows = []
        for t in range(WINDOW):
            h = h * decay[t, :, None, None] + (dt[t, :, None] * x[t])[:, :, None] * b[t]
            rows.append(((h * c[t]).sum(dim=2) + module.d[:, None] * x[t]).reshape(-1))
        out: torch.Tensor = residual + module.out_proj(module.gated_norm(torch.stack(rows) * functional.silu(z)))
        return out

    def run() -> object:
        with torch.inference_mode():
            residual = model.frame_proj(frames)
            for module in model.layers:
                residual = layer(module, residual)
            hidden = model.final_norm(residual[-1]) + model.ctrl_proj(controllers)
            return [head(hidden).tolist() for head in model.heads]

    return run
