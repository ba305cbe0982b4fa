"""Checkpoint files of all common kinds are read, and any other file is refused with one sentence."""

from __future__ import annotations

import datetime
import io
import json
import os
import pathlib
import resource
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import checkpoint, files, seeded_checkpoint
from awm_crank.errors import CheckpointError

FILE = seeded_checkpoint.checkpoint(Shape(64, 96, 8, 24, 1), 1)
CONTENT: dict[str, Any] = torch.load(io.BytesIO(FILE), weights_only=True)
STATE: dict[str, torch.Tensor] = CONTENT["model_state_dict"]
EXPECTED = files.read(FILE).weights


def saved(content: object, **options: Any) -> bytes:
    """A file as torch.save writes it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, buffer, **options)
    return buffer.getvalue()


def with_state(change: Callable[[dict[str, torch.Tensor]], object]) -> bytes:
    """The good file with another state dict."""
    return saved({**CONTENT, "model_state_dict": change(dict(STATE))})


def frame_proj(tensor: torch.Tensor) -> bytes:
    """The good file with another tensor for frame_proj's weights."""
    return with_state(lambda state: {**state, "frame_proj.weight": tensor})


@pytest.mark.parametrize(
    "data",
    [
        saved(CONTENT, _use_new_zipfile_serialization=False),
        with_state(lambda state: {k: torch.nn.Parameter(v.clone()) for k, v in state.items()}),
        with_state(lambda state: {k: v.double() for k, v in state.items()}),
        with_state(lambda state: {k: v.t().contiguous().t() if v.ndim == 2 else v for k, v in state.items()}),
        saved({**CONTENT, "ema_state_dict": {}, "epoch": 3, "lr": 1e-3, "note": "x"}),
    ],
    ids=["legacy", "parameters", "double", "strided", "other keys"],
)
def test_the_same_weights_come_out_of_every_kind_of_file(data: bytes) -> None:
    """However a file stores its tensors, the same weights are read."""
    weights = files.read(data).weights
    assert weights.keys() == EXPECTED.keys()
    assert all(np.array_equal(weights[name], EXPECTED[name]) for name in EXPECTED)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_narrow_floats_are_widened_exactly(dtype: torch.dtype) -> None:
    """A half-precision number becomes the same number in float64."""
    weights = files.read(with_state(lambda state: {k: v.to(dtype) for k, v in state.items()})).weights
    assert all(np.array_equal(weights[name], value.to(dtype).double().numpy()) for name, value in STATE.items())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrappers_prefixes_are_removed_and_said(prefix: str) -> None:
    """DataParallel and torch.compile rename every tensor; their prefixes are removed, and the reader says so."""
    content = files.read(with_state(lambda state: {prefix + k: v for k, v in state.items()}))
    assert content.weights.keys() == EXPECTED.keys()
    assert content.notes == (f"The prefix {prefix} was removed from the names of the tensors.",)
    assert files.read(FILE).notes == ()


def test_an_averaged_model_is_read() -> None:
    """AveragedModel keeps a counter among the weights, which is ignored."""
    data = with_state(lambda state: {"n_averaged": torch.tensor(5), **{"module." + k: v for k, v in state.items()}})
    assert files.read(data).weights.keys() == EXPECTED.keys()


def test_a_state_dict_is_named_by_its_key() -> None:
    """The averaged weights of a training run, one dict deeper, are selected by their key."""
    data = saved({**CONTENT, "ema": {"shadow": {k: v * 2 for k, v in STATE.items()}}})
    assert np.array_equal(
        files.read(data, key="ema.shadow").weights["final_norm.weight"], EXPECTED["final_norm.weight"] * 2
    )
    with pytest.raises(CheckpointError, match=r"a state dict under ema\.other, found the keys context_len, ema,"):
        files.read(data, key="ema.other")


def test_files_of_tensors_alone_take_their_settings_from_json() -> None:
    """A safetensors file or a bare state dict has no encoding_config inside, so the settings come from JSON."""
    config = json.dumps({"encoding_config": {"xy_scale": 0.1}, "context_len": 30}).encode()
    for data in (save(dict(STATE)), saved(STATE)):
        content = files.read(data, config=config)
        assert (content.encoding, content.context_len) == ({"xy_scale": 0.1}, 30)
        assert all(np.array_equal(content.weights[name], EXPECTED[name]) for name in EXPECTED)
        assert files.read(data, config=b'{"xy_scale": 0.1}').encoding == {"xy_scale": 0.1}
        with pytest.raises(CheckpointError, match="--config"):
            checkpoint.read(data)
    for bad in (b"{", b"[1]", b"\xff", b"[" * 100_000):
        with pytest.raises(CheckpointError, match="configuration"):
            files.read(FILE, config=bad)


def test_the_older_config_dict_is_read() -> None:
    """The dict `config`, which older trainers and the trainer of policies write, is read."""
    rest = {k: v for k, v in CONTENT.items() if k not in ("encoding_config", "context_len")}
    content = files.read(saved({**rest, "config": {"context_len": 30, "model_type": "x", "xy_scale": 0.1}}))
    assert (content.encoding, content.context_len) == ({"xy_scale": 0.1}, 30)


REFUSED = {
    "a sparse tensor": lambda: frame_proj(STATE["frame_proj.weight"].to_sparse()),
    "a meta tensor": lambda: frame_proj(torch.empty(3, 3, device="meta")),
    "a quantized tensor": lambda: frame_proj(torch.quantize_per_tensor(torch.ones(3, 3), 0.01, 0, torch.qint8)),
    "a nested tensor": lambda: frame_proj(torch.nested.nested_tensor([torch.ones(3, 3)])),
    "complex numbers": lambda: frame_proj(torch.ones(3, 3, dtype=torch.complex64)),
    "integers": lambda: frame_proj(torch.ones(3, 3, dtype=torch.int8)),
    "fewer numbers in the file": lambda: frame_proj(torch.zeros(1).expand(1 << 36)),
    "numpy._core.multiarray.scalar": lambda: saved({**CONTENT, "loss": np.float64(1.5)}),
    "type pathlib.PosixPath": lambda: saved({**CONTENT, "folder": pathlib.PosixPath("/x")}),
    "type datetime.datetime": lambda: saved({**CONTENT, "when": datetime.datetime(2026, 1, 1)}),
    "is empty": lambda: b"",
    "cut off or damaged": lambda: FILE[: len(FILE) // 2],
    "found list": lambda: saved([1, 2]),
    "found the keys 1, a": lambda: saved({1: 2, "a": 3}),
    "expected a tensor, found int": lambda: with_state(lambda state: {**state, "step": 3}),
    "cannot be read": lambda: b"GIF89a and so on",
    "would run": lambda: saved({**CONTENT, "x": Trap()}),
}


class Trap:
    """Runs code when it is unpickled by a reader that trusts its file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("/tmp/awm-unpickled",))


@pytest.mark.parametrize("reason", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_model_is_refused_in_one_sentence(reason: str) -> None:
    """The sentence names the tensor or the type, and never repeats torch's advice to switch its safety off."""
    with pytest.raises(CheckpointError, match=reason) as caught:
        files.read(REFUSED[reason]())
    assert "weights_only" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert not pathlib.Path("/tmp/awm-unpickled").exists()


def test_a_claim_of_512_gb_allocates_nothing() -> None:
    """A file of a few kilobytes that claims a tensor of 512 GB is refused without allocating it."""
    data = frame_proj(torch.zeros(1).expand(1 << 37))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=r"frame_proj\.weight"):
        files.read(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_every_flipped_bit_of_the_weights_is_found() -> None:
    """The archive has a checksum for each tensor, which torch ignores; the reader checks it."""
    for at in range(len(FILE) // 4, len(FILE) - len(FILE) // 4, len(FILE) // 40):
        damaged = bytearray(FILE)
        damaged[at] ^= 0x10
        try:
            weights = files.read(bytes(damaged)).weights
        except CheckpointError:
            continue
        # the bytes that align two entries belong to neither
        assert all(np.array_equal(weights[name], EXPECTED[name]) for name in EXPECTED)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["trunk.0.weight", "trunk.3.weight"], "FrameStackMLP"),
        (["encoder.0.weight", "predictor.0.weight"], "JEPA"),
        (["conv.weight"], "no Mamba2 layer"),
    ],
)
def test_other_models_are_named(names: list[str], kind: str) -> None:
    """For a model of another architecture, the error names the architecture, and does not report a damaged file."""
    with pytest.raises(CheckpointError, match=kind):
        checkpoint.from_weights({name: np.zeros((3, 3)) for name in names}, {})


@pytest.mark.parametrize(
    "encoding", [{1: 2}, {"novel": torch.ones(2)}, {"xy_scale": True}, {"xy_scale": float("nan")}, {"x": {}}, None, []]
)
def test_settings_that_are_none_are_refused(encoding: object) -> None:
    """Settings of any wrong type are refused with one sentence."""
    with pytest.raises(CheckpointError, match="encoding_config"):
        checkpoint.from_weights(EXPECTED, encoding)


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=300), st.integers(0, 2**64 - 1))
def test_noise_as_safetensors_raises_only_checkpoint_errors(noise: bytes, size: int) -> None:
    """A header of any claimed length over any bytes raises CheckpointError and nothing else."""
    for data in (noise, size.to_bytes(8, "little") + b"{" + noise, len(noise).to_bytes(8, "little") + noise):
        with pytest.raises(CheckpointError):
            files.read(data)
