"""Reading a checkpoint file's bytes: which tensors and settings it holds, or one sentence that says why it is refused.

Three kinds of file are read: the zip archive that `torch.save` writes today, its legacy format, and safetensors. A
safetensors file has no settings inside, so its configuration comes as a separate JSON document. Nothing in a file is
ever executed, and nothing is allocated before its size is known to be plausible. Needs torch (the extra `model`).
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from awm_crank.errors import CheckpointError

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]

WEIGHTS = "model_state_dict"
ENCODING = "encoding_config"
MAX_PARAMETERS = 1 << 27
"""A cartridge holds 40 MB of int8 weights, so a model of more than 134 million numbers cannot become one."""
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name of a state dict."""
_NUMPY = {"multiarray.scalar": "a NumPy number", "multiarray._reconstruct": "a NumPy array"}
"""How a pickle names what NumPy makes, and what people call it."""
_AVERAGING = "n_averaged"
"""A counter that torch.optim.swa_utils.AveragedModel keeps among the weights."""


@dataclass(frozen=True)
class Content:
    """What a checkpoint file holds.

    Attributes:
        weights: state-dict name, without wrappers' prefixes, to float64 array.
        encoding: the encoding_config as the file has it, unchecked; None when there is none.
        context_len: the length of the window that the model was trained on, unchecked; None when there is none.
        notes: sentences on what was changed while reading, for the person who started the command.
    """

    weights: dict[str, Floats]
    encoding: object
    context_len: object
    notes: tuple[str, ...] = ()


def read(data: bytes, *, key: str = WEIGHTS, config: bytes = b"") -> Content:
    """Reads a checkpoint file.

    Args:
        data: the file's bytes.
        key: where the state dict is in the file, as keys joined by dots. Example: `ema.shadow`.
        config: a JSON document with `encoding_config` and `context_len`, for files that hold tensors alone.

    Raises:
        CheckpointError: the file is empty, damaged, of another kind, or holds what cannot become an array of numbers.
    """
    if not data:
        raise CheckpointError("the checkpoint file is empty", expected="a .pt or .safetensors file", found="0 bytes")
    content = _unpickled(data) if data.startswith((_ZIP, _PICKLE)) else {WEIGHTS: _safetensors(data)}
    if not isinstance(content, dict):
        raise CheckpointError("checkpoint file", expected=f"a dict with {WEIGHTS}", found=type(content).__name__)
    settings = _settings(content, config)
    state, stripped = _unwrapped(_state_dict(content, key))
    notes = (f"The prefix {stripped} was removed from the names of the tensors.",) if stripped else ()
    return Content(_arrays(state), settings.get(ENCODING), settings.get("context_len"), notes)


def _unpickled(data: bytes) -> object:
    """What `torch.save` stored, with no more than tensors, numbers, text, lists and dicts allowed."""
    torch = _torch()
    if data.startswith(_ZIP):
        _check_archive(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickle protocols and storage classes of its own files
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        # torch's unpickler lets any exception through that a file's bytes provoke: struct.error, TypeError, KeyError, …
        raise _refused(str(error)) from None


def _refused(reason: str) -> CheckpointError:
    """Why torch would not load a file. Torch's own text is not repeated, because it advises to turn its safety check
    off.
    """
    named = re.search(r"GLOBAL ([\w.]+)", reason)
    if named and "blocked" in reason:
        return CheckpointError(
            f"the checkpoint file would run {named[1]} when it is read",
            expected="only tensors, numbers, text, lists and dicts",
            hint="do not use this file, and ask whoever sent it",
        )
    if named:
        plain = next((kind for name, kind in _NUMPY.items() if named[1].endswith(name)), "an object")
        kind = f"{plain} of type {named[1]}" if plain == "an object" else f"{plain} ({named[1]})"
        return CheckpointError(
            f"the checkpoint file holds {kind}",
            expected="only tensors, numbers, text, lists and dicts",
            hint="convert it before torch.save, for example with float(…), str(…) or .tolist()",
        )
    return CheckpointError(
        "the checkpoint file cannot be read",
        expected="a file of torch.save or of safetensors",
        hint=f"save it again with torch.save({{'{WEIGHTS}': …, '{ENCODING}': …, 'context_len': 10}}, FILE)",
    )


def _check_archive(data: bytes) -> None:
    """Compares every entry of a zip archive with its checksum, because torch itself does not notice a flipped bit."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            packed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
            damaged = None if packed else archive.testzip()
    except Exception:
        # zipfile lets NotImplementedError, struct.error and more through on damaged archives
        raise CheckpointError(
            "the checkpoint file is cut off or damaged: its archive has no readable directory",
            hint="copy the file again and compare its size and SHA-256 with the original",
        ) from None
    if packed:
        raise CheckpointError(
            f"checkpoint archive entry {packed[0]}", expected="stored as torch.save writes it", found="compressed"
        )
    if damaged:
        raise CheckpointError(
            f"the checkpoint file is damaged: {damaged} does not match its checksum",
            hint="copy the file again and compare its SHA-256 with the original",
        )


def _safetensors(data: bytes) -> dict[str, torch.Tensor]:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 10 or size > len(data) - 8 or data[8:9] != b"{":
        raise _refused("")
    _torch()
    try:
        from safetensors.torch import load
    except ModuleNotFoundError as error:
        raise CheckpointError("reading safetensors needs its library", hint="pip install 'awm-crank[model]'") from error
    try:
        return load(data)
    except Exception as error:
        # safetensors raises one exception for the header; torch has its own for the tensors
        raise CheckpointError(
            "the safetensors file is damaged", found=str(error).split("\n")[0][:120], hint="copy the file again"
        ) from None


def _settings(content: Mapping[object, object], config: bytes) -> Mapping[str, object]:
    """encoding_config and context_len: of the JSON document if there is one, else of the file.

    A file whose `config` has neither an `encoding_config` nor encoding settings means the defaults; what they imply for
    the shapes of the tensors is checked like any other encoding.
    """
    if config:
        try:
            document = json.loads(config)
        except (ValueError, RecursionError) as error:
            raise CheckpointError("the checkpoint's configuration is no JSON", found=str(error)[:120]) from None
        if not isinstance(document, dict):
            raise CheckpointError("the checkpoint's configuration", expected="an object", found=type(document).__name__)
        return document if ENCODING in document else {ENCODING: document}
    older = content.get("config")
    if ENCODING in content or not isinstance(older, dict):
        return {name: content.get(name) for name in (ENCODING, "context_len")}
    # older trainers, and the trainer of policies, keep encoding and window length in one dict
    encoding = {name: value for name, value in older.items() if name not in ("context_len", "model_type")}
    return {
        ENCODING: older.get(ENCODING, encoding),
        "context_len": content.get("context_len", older.get("context_len")),
    }


def _state_dict(content: Mapping[object, object], key: str) -> dict[str, torch.Tensor]:
    torch = _torch()
    found: object = content
    # a file with nothing but tensors is itself a state dict
    bare = key == WEIGHTS and all(isinstance(value, torch.Tensor) for value in content.values())
    for part in [] if bare else key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        names = ", ".join(sorted(str(name) for name in content)[:12])
        raise CheckpointError(
            "checkpoint file",
            expected=f"a state dict under {key}",
            found=f"the keys {names}" if names else "an empty dict",
            hint="name the state dict with --key, for example --key ema_state_dict",
        )
    other = next((name for name, value in found.items() if not isinstance(value, torch.Tensor)), None)
    if other is not None:
        raise CheckpointError(f"checkpoint tensor {other}", expected="a tensor", found=type(found[other]).__name__)
    return {str(name): value for name, value in found.items()}


def _unwrapped(state: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], str]:
    """Removes the prefixes that all names of the state dict share. Returns it, and what was removed."""
    if any(name.startswith(_WRAPPERS) for name in state):
        state = {name: value for name, value in state.items() if name != _AVERAGING}
    removed = ""
    while prefix := next((p for p in _WRAPPERS if state and all(name.startswith(p) for name in state)), ""):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
        removed += prefix
    return state, removed


def _arrays(state: Mapping[str, torch.Tensor]) -> dict[str, Floats]:
    total = 0
    for name, tensor in state.items():
        problem = next((text for text, is_so in _UNUSABLE.items() if is_so(tensor)), None)
        if problem:
            raise CheckpointError(f"checkpoint tensor {name}", expected="stored floating-point numbers", found=problem)
        total += tensor.numel()
        if total > MAX_PARAMETERS:
            raise CheckpointError(
                f"checkpoint tensor {name}",
                expected=f"a model of at most {MAX_PARAMETERS:,} numbers",
                found=f"{total:,} so far",
            )
    torch = _torch()
    return {name: tensor.detach().to(torch.float64).numpy() for name, tensor in state.items()}


def _repeats(tensor: torch.Tensor) -> bool:
    """Whether a tensor claims more numbers than the file stores, as `torch.zeros(1).expand(10**9)` does."""
    return tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()


_UNUSABLE: dict[str, Callable[[torch.Tensor], bool]] = {
    "a nested tensor": lambda tensor: bool(tensor.is_nested),
    "a meta tensor, which has no numbers": lambda tensor: bool(tensor.is_meta),
    "a sparse tensor": lambda tensor: str(tensor.layout) != "torch.strided",
    "a quantized tensor": lambda tensor: bool(tensor.is_quantized),
    "complex numbers": lambda tensor: bool(tensor.is_complex()),
    "integers": lambda tensor: not tensor.is_floating_point(),
    "fewer numbers in the file than its shape has": _repeats,
}
"""What a tensor may not be. The first that holds is named, so the order matters: a nested tensor has no strides."""


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise CheckpointError("reading a checkpoint needs torch", hint="pip install 'awm-crank[model]'") from error
    return torch
