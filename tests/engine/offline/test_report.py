"""The report over a folder of checkpoints."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine import golden

from awm_crank.engine.encoding import FLAGS
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import checkpoint, report


def saved(content: object) -> bytes:
    """The bytes of a .pt file."""
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def fresh(shape: Shape, seed: int) -> dict[str, Any]:
    """A checkpoint of random weights as PyTorch and the prototype initialise them."""
    draw = np.random.default_rng(seed)
    weights = {}
    for name, dims in checkpoint.names(shape).items():
        if name.endswith("embed.weight"):
            value = draw.normal(size=dims)
        elif name.endswith(("norm.weight", ".D")):
            value = np.ones(dims)
        elif name.endswith("A_log"):
            value = np.log(np.linspace(1, dims[0], dims[0]))
        elif name.endswith("dt_bias"):
            value = draw.uniform(-1, 1, dims)
        else:
            inputs = {"frame_proj": shape.frame_dim, "ctrl_proj": shape.encoding.ctrl_dim, "conv1d": 4}
            fan = next((size for part, size in inputs.items() if part in name), shape.d_model)
            fan = shape.d_inner if "out_proj" in name else fan
            value = draw.uniform(-1, 1, dims) / np.sqrt(fan)
        weights[name] = torch.from_numpy(value.astype(np.float32))
    flags = {name: getattr(shape.encoding, name) for name in FLAGS}
    return {"model_state_dict": weights, "encoding_config": flags, "context_len": 10}


@pytest.mark.parametrize("name", [name for name in golden.ENCODINGS if name != "stick range"])
def test_every_flag_set_is_quantized_and_agrees(name: str) -> None:
    """For every flag set the integers agree with the PyTorch model over 600 teacher-forced frames: numbers are at most
    3 % off, and of choices by random weights all that are clear are the same, and 98.5 % of those that hardly prefer
    one class."""
    shape = Shape(64, 128, 16, 32, 2, encoding=replace(golden.ENCODINGS[name], stick_range=0))
    found = report.line("world.pt", saved(fresh(shape, 3)), calibration=60)
    assert found.refused == ""
    assert found.agreement is not None and found.agreement.frames == 600
    assert found.agreement.regression <= 0.03
    assert found.agreement.clear >= 0.999 and found.agreement.mean >= 0.985
    assert found.context_len == 10 and found.window is not None and found.window.frames == report.WINDOWS
    assert "quantized" in report.text(found) and "windows of 10 frames" in report.text(found)


def test_refusals_are_lines_of_their_own() -> None:
    """A refused checkpoint has its sentence, whatever is wrong with it."""
    content = fresh(Shape(64, 64, 4, 16, 1), 1)
    content["encoding_config"]["lookahead"] = 2
    ahead = report.line("ahead.pt", saved(content), calibration=5)
    assert "live match" in ahead.refused and report.text(ahead).startswith("ahead.pt: REFUSED: ")
    assert report.line("empty.pt", b"", calibration=5).refused
