"""PolicyMLP: a small network that plays, from the last K frames to a controller.

A checkpoint is a dict of `model_state_dict`, `encoding_config` (as the world model's) and `context_len` (K). State-dict
keys, shapes as PyTorch holds them: the world model's embeddings (`action_embed` … `stage_embed`, each `.weight`),
`trunk.0.{weight,bias}` (hidden × K·frame_dim), `trunk.3.{weight,bias}` (trunk × hidden), `analog_head.{weight,bias}`
(5: main x, main y, C x, C y, shoulder) and `button_head.{weight,bias}` (8: A, B, X, Y, Z, L, R, D-up). One forward
pass takes frame vectors in the world model's order, oldest first. A ReLU follows each trunk layer, and a sigmoid the
analog outputs. A button is pressed when its logit is above 0. Player 1 sees itself as player 0.

Two kinds of file hold the same: PyTorch's `.pt`, which only torch can read, and `.npz` (`Policy.encode`).

A policy sees what a player on chain sees: both PlayerStates. The Feedback (invulnerable, combo) and the controllers
of its frames are zero and neutral, on chain and offline alike, so that the same match results.

Players are not part of the world, so this is floating point: results repeat on one machine only.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..engine import frame
from ..engine.layout import EMBEDDINGS
from ..engine.offline import checkpoint, files
from ..errors import CheckpointError
from ..wire import frame_records
from .arrays import read_arrays
from .players import FULL_TILT, Agent, controller

Floats = NDArray[np.float32]

ANALOG = 5
BUTTONS = ((6, 1), (6, 2), (6, 4), (6, 8), (6, 16), (7, 4), (7, 8), (7, 1))
"""The button head's rows as (byte of the ControllerInput, bit)."""
_BYTES = 255
_CENTRE = 128
# A stick this near its centre rests, and a shoulder this light is not pressed: a sigmoid never gives exactly 0.
_DEAD_STICK = 6
_DEAD_SHOULDER = 20
_NO_INPUTS = bytes(16)
_NO_FEEDBACK = bytes(16)
MAX_CONTEXT = 600
# Frames that are remembered beyond K, for a match that steps back.
_BACK = 64


class Policy:
    """A checkpoint that can play.

    Args:
        weights: state-dict name to array; exactly the names and shapes above.
        encoding: the encoding_config.
        context_len: K, 1..600 frames.

    Raises:
        CheckpointError: a tensor is missing, left over, of another shape or not finite; a flag or K is not known.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.floating]], encoding: object, context_len: object) -> None:
        scales, self._encoding = checkpoint.parse_encoding(encoding)
        if self._encoding.extra_size:
            raise CheckpointError(
                "policy encoding_config", expected="no state_flags, hitstun or projectiles", found="one of them",
                hint="a player sees only both PlayerStates, which hold none of these",
            )  # fmt: skip
        if not isinstance(context_len, int) or isinstance(context_len, bool) or not 1 <= context_len <= MAX_CONTEXT:
            raise CheckpointError("policy context_len", expected=f"1..{MAX_CONTEXT}", found=context_len)
        self.context_len = context_len
        self.encoding = encoding
        self._player_tables = self._encoding.player_embeddings
        embeddings = {n: EMBEDDINGS[n] for n in [*self._player_tables, "stage_embed"]}
        self.frame_dim = self._encoding.frame_dim
        tables = {f"{name}.weight": size for name, size in embeddings.items()}
        self.weights = _checked(weights, tables, self.frame_dim * context_len)
        self._units = checkpoint.float_units(scales, self._encoding).astype(np.float32)

    @classmethod
    def read(cls, data: bytes) -> Policy:
        """A policy from a file's bytes, `.pt` or `.npz`.

        Raises:
            CheckpointError: this is neither, it is damaged or too large, or it is not a policy; or it is a `.pt` and
                torch is not installed.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                arrays = any(name.endswith(".npy") for name in archive.namelist())
        except Exception as error:
            # On damaged files zipfile also raises NotImplementedError, struct.error and others.
            raise CheckpointError(
                "policy file", expected="a .pt or .npz file", found=f"{type(error).__name__}: {error}"[:120],
                hint="train one with tools/policy/imitate.py",
            ) from None  # fmt: skip
        if not arrays:
            content = files.read(data)
            return cls(content.weights, content.encoding, content.context_len)
        loaded = read_arrays(data)
        try:
            encoding = msgspec.json.decode(loaded.pop("encoding_config").tobytes())
            context_len = int(loaded.pop("context_len"))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(
                "policy file (.npz)", expected="encoding_config (JSON) and context_len (a number) among its arrays",
                found=f"{type(error).__name__}: {error}"[:120], hint="write it with Policy.encode",
            ) from None  # fmt: skip
        return cls(loaded, encoding, context_len)

    def encode(self, dtype: type[np.floating] = np.float32) -> bytes:
        """The policy as an `.npz` file.

        It holds the arrays under their state-dict names, `encoding_config` (JSON, uint8) and `context_len`. `dtype`
        float16 halves the file.
        """
        out = io.BytesIO()
        arrays = {name: value.astype(dtype) for name, value in self.weights.items()}
        arrays["encoding_config"] = np.frombuffer(msgspec.json.encode(self.encoding), np.uint8)
        arrays["context_len"] = np.array(self.context_len)
        np.savez_compressed(out, allow_pickle=False, **arrays)
        return out.getvalue()

    def frame_vector(self, players: bytes, stage: int, player: int) -> Floats:
        """The `frame_dim` numbers of one frame, as `player` (0 or 1) sees it.

        Args:
            players: both PlayerStates, 64 bytes.

        Raises:
            StateError: a field is out of range.
        """
        if player == 1:
            players = players[32:] + players[:32]
        first, second, at = frame.unpack(frame_records.block(players, _NO_FEEDBACK, _NO_INPUTS, stage))
        neutral = frame.controls(bytes(8))
        raws = [[*frame.player_raws(each, self._encoding), *neutral] for each in (first, second)]
        parts = [np.array(each, np.float32) * self._units for each in raws]
        for each in (first, second):
            rows = frame.embedding_rows(each, self._encoding)
            parts += [self.weights[f"{n}.weight"][row] for n, row in zip(self._player_tables, rows, strict=True)]
        return np.concatenate([*parts, self.weights["stage_embed.weight"][at]])

    def forward(self, context: Floats) -> tuple[Floats, Floats]:
        """Analog outputs (5, in 0..1) and button logits (8) of K frame vectors, (K, frame_dim), oldest first."""
        w = self.weights
        hidden = np.maximum(w["trunk.0.weight"] @ context.ravel() + w["trunk.0.bias"], 0)
        hidden = np.maximum(w["trunk.3.weight"] @ hidden + w["trunk.3.bias"], 0)
        analog = w["analog_head.weight"] @ hidden + w["analog_head.bias"]
        # tanh, because exp overflows when a network is very sure
        return 0.5 + 0.5 * np.tanh(0.5 * analog), w["button_head.weight"] @ hidden + w["button_head.bias"]

    def agent(self, stage: int) -> Agent:
        """A scripted player (match/players.py) that asks the policy.

        It keeps the last K frames that each player saw. Missing ones before the first are copies of the first, as in
        the model's own warm-up.
        """
        seen: tuple[list[tuple[int, Floats]], ...] = ([], [])

        def act(seed: int, player: int, coming: int, players: bytes) -> bytes:  # noqa: ARG001
            history = seen[player]
            # A frame that was asked about before: the match stepped back, or another one began.
            while history and history[-1][0] >= coming:
                history.pop()
            history.append((coming, self.frame_vector(players, stage, player)))
            del history[: -(self.context_len + _BACK)]
            vectors = [vector for _, vector in history[-self.context_len :]]
            return pressed(*self.forward(np.stack([vectors[0]] * (self.context_len - len(vectors)) + vectors)))

        return act


def pressed(analog: Floats, logits: Floats) -> bytes:
    """The ControllerInput (8 bytes) of a policy's outputs. Each axis of a stick is within ±80."""
    sticks = [int(v) for v in np.rint(analog[:4] * _BYTES) - _CENTRE]
    sticks = [0 if abs(v) < _DEAD_STICK else max(-FULL_TILT, min(FULL_TILT, v)) for v in sticks]
    shoulder = int(np.rint(analog[4] * _BYTES))
    bits = [0, 0]
    for (byte, bit), logit in zip(BUTTONS, logits, strict=True):
        bits[byte - 6] |= bit if logit > 0 else 0
    return controller(
        sticks[0], sticks[1], c_stick_x=sticks[2], c_stick_y=sticks[3],
        trigger_l=shoulder if shoulder >= _DEAD_SHOULDER else 0, buttons=bits[0], buttons_ext=bits[1],
    )  # fmt: skip


def _checked(
    weights: Mapping[str, NDArray[np.floating]], embeddings: dict[str, tuple[int, int]], inputs: int
) -> dict[str, Floats]:
    def rows(name: str) -> int:
        if name not in weights or weights[name].ndim != 2:
            found = weights[name].shape if name in weights else "none"
            raise CheckpointError(f"policy tensor {name}", expected="2 dimensions", found=found)
        return int(weights[name].shape[0])

    hidden, trunk = rows("trunk.0.weight"), rows("trunk.3.weight")
    expected: dict[str, tuple[int, ...]] = {
        **embeddings,
        "trunk.0.weight": (hidden, inputs), "trunk.0.bias": (hidden,),
        "trunk.3.weight": (trunk, hidden), "trunk.3.bias": (trunk,),
        "analog_head.weight": (ANALOG, trunk), "analog_head.bias": (ANALOG,),
        "button_head.weight": (len(BUTTONS), trunk), "button_head.bias": (len(BUTTONS),),
    }  # fmt: skip
    left_over = sorted(set(weights) - set(expected))
    if left_over:
        raise CheckpointError(
            f"policy tensor {left_over[0]}", expected="only the tensors of PolicyMLP",
            found=f"{len(left_over)} more", hint="this network has parts that are not known",
        )  # fmt: skip
    for name, shape in expected.items():
        found = weights[name].shape if name in weights else "none"
        if found != shape:
            raise CheckpointError(f"policy tensor {name}", expected=shape, found=found)
        if weights[name].dtype.kind != "f" or not np.isfinite(weights[name]).all():
            raise CheckpointError(f"policy tensor {name}", expected="finite numbers", found=str(weights[name].dtype))
    return {name: np.ascontiguousarray(weights[name], np.float32) for name in expected}
