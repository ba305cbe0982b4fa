"""PolicyMLP: a small network that plays, from the last K frames to a controller.

A checkpoint is a dict of `model_state_dict` and either `encoding_config` (as the world model's) and `context_len` (K),
or what the prototype's trainer writes: `config` with `context_len` and `model_type`. Flags and sizes that the dict does
not name follow from the tensors' shapes.

State-dict keys, shapes as PyTorch holds them: the world model's embeddings (`action_embed` … `stage_embed`, each
`.weight`), `trunk.0.{weight,bias}` (hidden × K·frame_dim), `trunk.3.{weight,bias}` (trunk × hidden),
`analog_head.{weight,bias}` (5: main x, main y, C x, C y, shoulder) and `button_head.{weight,bias}` (8: A, B, X, Y, Z,
L, R, D-up). One forward pass takes frame vectors in the world model's order, oldest first. A ReLU follows each trunk
layer, and a sigmoid the analog outputs. Player 1 sees itself as player 0.

Two kinds of file hold the same: PyTorch's `.pt`, which only torch can read, and `.npz` (`Policy.encode`).

Players are not part of the world, so this is floating point: results repeat on one machine only.
"""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..engine import frame
from ..engine.encoding import EMBEDDINGS, PLAIN, Encoding
from ..engine.offline import checkpoint, files
from ..engine.policy import seen
from ..errors import CheckpointError
from .arrays import read_arrays
from .players import controller, drawn

Floats = NDArray[np.float32]

ANALOG = 5
BUTTONS = ((6, 1), (6, 2), (6, 4), (6, 8), (6, 16), (7, 4), (7, 8), (7, 1))
"""The button head's rows as (byte of the ControllerInput, bit)."""
MAX_CONTEXT = 600
MAX_WIDTH = 64
"""The widest embedding that is read."""
_GUESSED = ("projectiles", "state_flags", "hitstun")
"""Flags whose columns show in the width of a frame vector only."""
DEAD_STICK = 6
"""A stick this near its centre (in 1/255) rests: a sigmoid never gives exactly 1/2."""
DEAD_SHOULDER = 20
"""A shoulder below this (in 1/255) is not pressed."""
_BYTES = 255
_CENTRE = 128


@dataclass(frozen=True)
class Rule:
    """How a policy sees frames, and how its button logits become buttons.

    Attributes:
        whole_frames: the policy reads whole frame blocks: what both players held, and the values that only the model
            feeds back. Otherwise the inputs are neutral and the other values zero, so that the policy sees no more than
            both PlayerStates.
        sampled: a button is pressed with probability sigmoid(logit + bias), drawn from the match's seed. Otherwise a
            button is pressed if logit + bias is above 0.
        bias: the number that is added to each button's logit.
    """

    whole_frames: bool = True
    sampled: bool = True
    bias: float = 4.0


TRAINED = Rule()
"""The rule of the prototype's policies, which hold for every `.pt` file."""
SIMPLE = Rule(whole_frames=False, sampled=False, bias=0.0)
"""The rule of an `.npz` file that names none."""


class Policy:
    """A checkpoint that can play.

    Args:
        weights: state-dict name to array; exactly the names above.
        encoding: the encoding_config; flags and sizes that it does not name follow from the weights.
        context_len: K, 1..600 frames; None if the weights must say.
        rule: which parts of a frame it sees, and how it presses buttons.

    Raises:
        CheckpointError: a tensor is missing, left over, of another shape or not finite; a flag or K is not known.
    """

    def __init__(
        self, weights: Mapping[str, NDArray[np.floating]], encoding: object, context_len: object, rule: Rule = TRAINED
    ) -> None:
        scales, named = checkpoint.parse_encoding(encoding)
        assert isinstance(encoding, dict)  # parse_encoding has seen to it
        if context_len is not None and (
            not isinstance(context_len, int) or isinstance(context_len, bool) or not 1 <= context_len <= MAX_CONTEXT
        ):
            raise CheckpointError("policy context_len", expected=f"1..{MAX_CONTEXT}", found=context_len)
        self.rule = rule
        given = set(encoding) & {*_GUESSED, "state_age_as_embed"}
        self.flags, self.context_len = _found(weights, named, given, context_len)
        self.encoding = {**encoding, **{name: getattr(self.flags, name) for name in (*_GUESSED, "state_age_as_embed")}}
        self._player_tables = self.flags.player_embeddings
        self.frame_dim = _frame_dim(weights, self.flags)
        self.weights = _checked(weights, [*self._player_tables, "stage_embed"], self.frame_dim * self.context_len)
        self.scales = scales

    @classmethod
    def read(cls, data: bytes, rule: Rule | None = None) -> Policy:
        """A policy from a file's bytes, `.pt` or `.npz`.

        Args:
            rule: takes the place of the file's own.

        Raises:
            CheckpointError: this is neither, it is damaged or too large, or it is not a policy; or it is a `.pt` and
                torch is not installed.
        """
        if not _holds_arrays(data):
            content = files.read(data)
            return cls(content.weights, content.encoding, content.context_len, rule or TRAINED)
        loaded = read_arrays(data)
        try:
            encoding = msgspec.json.decode(loaded.pop("encoding_config").tobytes())
            context_len = int(loaded.pop("context_len"))
            own = SIMPLE
            if "rule" in loaded:
                whole, sampled, bias = (float(number) for number in loaded.pop("rule"))
                own = Rule(bool(whole), bool(sampled), bias)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(
                "policy file (.npz)", expected="encoding_config (JSON) and context_len (a number) among its arrays",
                found=f"{type(error).__name__}: {error}"[:120], hint="write it with Policy.encode",
            ) from None  # fmt: skip
        return cls(loaded, encoding, context_len, rule or own)

    def encode(self, dtype: type[np.floating] = np.float32) -> bytes:
        """The policy as an `.npz` file.

        It holds the arrays under their state-dict names, `encoding_config` (JSON, uint8), `context_len`, and `rule`
        (whole_frames, sampled, bias). `dtype` float16 halves the file.
        """
        out = io.BytesIO()
        arrays = {name: value.astype(dtype) for name, value in self.weights.items()}
        arrays["encoding_config"] = np.frombuffer(msgspec.json.encode(self.encoding), np.uint8)
        arrays["context_len"] = np.array(self.context_len)
        arrays["rule"] = np.array([self.rule.whole_frames, self.rule.sampled, self.rule.bias])
        np.savez_compressed(out, allow_pickle=False, **arrays)
        return out.getvalue()

    def frame_vector(self, block: bytes, player: int, world: Encoding = PLAIN) -> Floats:
        """The `frame_dim` numbers of one frame, as `player` (0 or 1) sees it.

        Args:
            block: the frame's block, of the world's size.
            world: the encoding of the world that the match is played in: what the block holds and what a stick means.

        Raises:
            StateError: a field is out of range, or the block has another size.
        """
        first, second, at = frame.unpack(block, world)
        whole = self.rule.whole_frames
        fighters = [seen(each, frame.block_inputs(block, seat), whole) for seat, each in enumerate((first, second))]
        if player == 1:
            fighters.reverse()
        flags = replace(self.flags, stick_range=world.stick_range)
        units = checkpoint.float_units(self.scales, flags).astype(np.float32)
        parts = [
            np.array([*frame.player_raws(each, flags), *frame.controls(raw, world.stick_range)], np.float32) * units
            for each, raw in fighters
        ]
        for each, _ in fighters:
            rows = frame.embedding_rows(each, flags)
            parts += [self._row(name, row) for name, row in zip(self._player_tables, rows, strict=True)]
        vector: Floats = np.concatenate([*parts, self._row("stage_embed", at)])
        return vector

    def _row(self, table: str, row: int) -> Floats:
        # a value beyond the vocabulary counts as the vocabulary's last value, as in the prototype's encoder
        values = self.weights[f"{table}.weight"]
        found: Floats = values[min(row, len(values) - 1)]
        return found

    def forward(self, context: Floats) -> tuple[Floats, Floats]:
        """Analog outputs (5, in 0..1) and button logits (8) of K frame vectors, (K, frame_dim), oldest first."""
        w = self.weights
        hidden = np.maximum(w["trunk.0.weight"] @ context.ravel() + w["trunk.0.bias"], 0)
        hidden = np.maximum(w["trunk.3.weight"] @ hidden + w["trunk.3.bias"], 0)
        analog = w["analog_head.weight"] @ hidden + w["analog_head.bias"]
        # tanh, because exp overflows when a network is very sure
        return 0.5 + 0.5 * np.tanh(0.5 * analog), w["button_head.weight"] @ hidden + w["button_head.bias"]

    def check_world(self, world: Encoding) -> None:
        """Makes sure that a world's frames hold everything that the policy reads.

        Raises:
            CheckpointError: names a feature that the world does not have.
        """
        check_world(self.flags, self.rule, world)

    def press(self, vectors: list[Floats], stick_range: int, draw: tuple[int, int, int]) -> bytes:
        """What the policy presses after the last K frames, as a ControllerInput (8 bytes).

        `vectors` holds one vector for each frame, oldest first. The other arguments are those of `pressed`.
        """
        return pressed(*self.forward(np.stack(vectors)), self.rule, stick_range, draw)


def check_world(flags: Encoding, rule: Rule, world: Encoding) -> None:
    """Checks that a world's frames hold everything that a policy reads.

    Raises:
        CheckpointError: names a feature that the world does not have.
    """
    for name in ("state_flags", "hitstun"):
        if rule.whole_frames and getattr(flags, name) and not getattr(world, name):
            raise CheckpointError(
                f"the policy reads {name}, which this world's frames do not hold",
                hint="play it in a world that was trained with the same flags",
            )


def pressed(
    analog: Floats, logits: Floats, rule: Rule = TRAINED, stick_range: int = 0, draw: tuple[int, int, int] = (0, 0, 0)
) -> bytes:
    """The ControllerInput (8 bytes) of a policy's outputs.

    Args:
        analog: main x, main y, C x, C y, shoulder, in 0..1.
        logits: the logits of the eight buttons.
        rule: how logits become buttons.
        stick_range: the stick byte of a full tilt in this world (engine/encoding.py).
        draw: seed, player and frame, from which a sampled rule draws.
    """
    sticks = [_stick(float(value), stick_range) for value in analog[:4]]
    shoulder = int(np.rint(analog[4] * _BYTES))
    bits = [0, 0]
    for row, ((byte, bit), logit) in enumerate(zip(BUTTONS, logits, strict=True)):
        chance = 0.5 + 0.5 * np.tanh(0.5 * (float(logit) + rule.bias))
        level = drawn(*draw, row) / 2**64 if rule.sampled else 0.5
        bits[byte - 6] |= bit if chance > level else 0
    return controller(
        sticks[0], sticks[1], c_stick_x=sticks[2], c_stick_y=sticks[3],
        trigger_l=shoulder if shoulder >= DEAD_SHOULDER else 0, buttons=bits[0], buttons_ext=bits[1],
    )  # fmt: skip


def _stick(value: float, stick_range: int) -> int:
    """The stick byte that means `value` in this world."""
    if abs(value - 0.5) * _BYTES < DEAD_STICK:
        return 0
    return round((2 * value - 1) * stick_range) if stick_range else round(value * _BYTES) - _CENTRE


def _holds_arrays(data: bytes) -> bool:
    """Returns True for an `.npz` file and False for PyTorch's format. Raises CheckpointError for any other file."""
    if data.startswith(b"\x80"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except Exception as error:
        # On damaged files zipfile also raises NotImplementedError, struct.error and others.
        raise CheckpointError(
            "policy file", expected="a .pt or .npz file", found=f"{type(error).__name__}: {error}"[:120],
            hint="train one with tools/policy/imitate.py",
        ) from None  # fmt: skip


def _matrix(weights: Mapping[str, NDArray[np.floating]], name: str) -> tuple[int, int]:
    if name not in weights or weights[name].ndim != 2:
        found = weights[name].shape if name in weights else "none"
        raise CheckpointError(f"policy tensor {name}", expected="2 dimensions", found=found)
    rows, columns = weights[name].shape
    return int(rows), int(columns)


def _frame_dim(weights: Mapping[str, NDArray[np.floating]], flags: Encoding) -> int:
    widths = {name: _matrix(weights, f"{name}.weight")[1] for name in [*flags.player_embeddings, "stage_embed"]}
    columns = sum(widths[name] for name in flags.player_embeddings)
    return 2 * (flags.player_floats + columns) + widths["stage_embed"]


def _found(
    weights: Mapping[str, NDArray[np.floating]], named: Encoding, given: set[str], context_len: int | None
) -> tuple[Encoding, int]:
    """Finds the policy's flags, and how many frames it sees (K), from the shapes of its tensors.

    What the checkpoint says of them is kept.
    """
    columns = _matrix(weights, "trunk.0.weight")[1]
    if "state_age_as_embed" not in given:
        named = replace(named, state_age_as_embed="state_age_embed.weight" in weights)
    free = [name for name in _GUESSED if name not in given]
    # few flags first
    for values in sorted(itertools.product((False, True), repeat=len(free)), key=sum):
        flags = replace(named, **dict(zip(free, values, strict=True)))
        frames, rest = divmod(columns, _frame_dim(weights, flags))
        if not rest and 1 <= frames <= MAX_CONTEXT and context_len in (None, frames):
            return flags, frames
    if context_len is None:
        raise CheckpointError(
            "policy tensor trunk.0.weight",
            expected=f"a multiple of {_frame_dim(weights, named)} columns",
            found=columns,
        )
    expected = (weights["trunk.0.weight"].shape[0], _frame_dim(weights, named) * context_len)
    raise CheckpointError("policy tensor trunk.0.weight", expected=expected, found=weights["trunk.0.weight"].shape)


def _checked(weights: Mapping[str, NDArray[np.floating]], tables: list[str], inputs: int) -> dict[str, Floats]:
    hidden, trunk = _matrix(weights, "trunk.0.weight")[0], _matrix(weights, "trunk.3.weight")[0]
    expected: dict[str, tuple[int, ...]] = {
        "trunk.0.weight": (hidden, inputs), "trunk.0.bias": (hidden,),
        "trunk.3.weight": (trunk, hidden), "trunk.3.bias": (trunk,),
        "analog_head.weight": (ANALOG, trunk), "analog_head.bias": (ANALOG,),
        "button_head.weight": (len(BUTTONS), trunk), "button_head.bias": (len(BUTTONS),),
    }  # fmt: skip
    for table in tables:
        rows, width = _matrix(weights, f"{table}.weight")
        most = EMBEDDINGS[table][0]
        if not 1 <= rows <= most or not 1 <= width <= MAX_WIDTH:
            raise CheckpointError(
                f"policy tensor {table}.weight", expected=f"at most {most} rows of {MAX_WIDTH}", found=(rows, width)
            )
        expected[f"{table}.weight"] = (rows, width)
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
