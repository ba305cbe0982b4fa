"""A model's encoding: which parts of a frame it reads and predicts, and every size that follows from that.

The names of the flags are those of the checkpoint's `encoding_config`; each is a bit of the cartridge's `flags`.
docs/numerics.md (sections 6.1 and 7) says what each column and row means.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from awm_crank.wire import contract, layouts

STATE_FLAGS = contract.STATE_FLAGS
"""Binary features a player that the flag `state_flags` adds."""
PROJECTILE_VALUES = contract.PROJECTILE_VALUES
"""Numbers a player that the flag `projectiles` adds: distance x and y to the nearest one, and how many there are."""
BUTTONS = contract.BUTTONS
AXES = contract.AXES
DYNAMICS = contract.OUTPUTS["dynamics"]
BASE_ROWS = contract.REGRESSION_ROWS + contract.BINARY_ROWS
"""Rows of `heads` that predict numbers or yes and no in every world; the classes follow them."""
CLASS_ROWS = 2 * sum(contract.CLASSES.values())
EMBEDDINGS = {each.name: (int(each.shape[0]), int(each.shape[1])) for each in contract.TENSORS if "embed" in each.name}
"""Embedding tables, (rows, width), in the cartridge's order: a player's columns, then the stage's for both players."""
THRESHOLD = (3, 10)
"""An axis counts as tilted above this part of its span (`ctrl_threshold_features`)."""


@dataclass(frozen=True)
class Encoding:
    """The flags of a model's encoding, and what its sticks mean.

    Attributes:
        state_age_as_embed: state_age chooses a row of an embedding table instead of being a number.
        state_flags: 40 more binary features for each player, which the model reads and predicts.
        hitstun: one more dynamics value for each player, between stocks and combo_count, which the model reads and
            predicts.
        projectiles: three more numbers for each player, which the model reads. Nothing predicts them.
        press_events: the model also reads which buttons are down now but were not down in the frame before.
        ctrl_threshold_features: the model also reads which axes are above 0.3.
        stick_range: how the byte of a stick is read. 0: a stick's byte v means (v + 128) / 255. 1..127: v means (v +
            stick_range) / (2 · stick_range), and everything beyond ±stick_range counts as a full tilt.
    """

    state_age_as_embed: bool = False
    state_flags: bool = False
    hitstun: bool = False
    projectiles: bool = False
    press_events: bool = False
    ctrl_threshold_features: bool = False
    stick_range: int = 0

    @classmethod
    def of_flags(cls, bits: int, stick_range: int = 0) -> Encoding:
        """The encoding that the `flags` byte of a cartridge's header names."""
        names = contract.BITS["flags"]
        given = {name: bool(bits >> at & 1) for at, name in enumerate(names) if name in FLAGS}
        return cls(**given, stick_range=stick_range)

    @property
    def flags(self) -> int:
        """The encoding's bits of the cartridge header's `flags` byte."""
        return sum(getattr(self, name) << at for at, name in enumerate(contract.BITS["flags"]) if name in FLAGS)

    @property
    def extra_size(self) -> int:
        """Bytes of one player's extra feedback at the end of a frame block. State flags, hitstun and projectiles count
        if set.
        """
        return 5 * self.state_flags + self.hitstun + 2 * PROJECTILE_VALUES * self.projectiles

    @property
    def block_size(self) -> int:
        """Bytes of a frame block: 97 without extra feedback."""
        return layouts.FRAME_BLOCK.size + 2 * self.extra_size

    @property
    def player_floats(self) -> int:
        """Columns of one player's floats in the frame vector, the controller's 13 included."""
        more = self.hitstun + PROJECTILE_VALUES * self.projectiles + STATE_FLAGS * self.state_flags
        return contract.PLAYER_FLOATS - self.state_age_as_embed + more

    @property
    def float_names(self) -> list[str]:
        """Names of one player's floats before its controller's 13, in column order."""
        age, hitstun = ["state_age"] * (not self.state_age_as_embed), ["hitstun"] * self.hitstun
        projectiles = ["projectile_x", "projectile_y", "projectile_count"] * self.projectiles
        flags = [f"state_flag_{i}" for i in range(STATE_FLAGS * self.state_flags)]
        out = contract.OUTPUTS
        return [
            *out["continuous"], *out["velocity"], *age, "hitlag", "stocks", *hitstun, "combo_count", *projectiles,
            *out["binary"], *flags,
        ]  # fmt: skip

    @property
    def regression_names(self) -> list[tuple[int, str]]:
        """Player (0 or 1) and float that each row of `regression_rows` predicts."""
        groups = [contract.OUTPUTS[name] for name in ("continuous", "velocity", "dynamics")]
        groups += [("hitstun",)] * self.hitstun
        return [(player, name) for group in groups for player in (0, 1) for name in group]

    @property
    def binary_names(self) -> list[tuple[int, str]]:
        """Player (0 or 1) and feature that each row of `binary_rows` predicts."""
        flags = [f"state_flag_{i}" for i in range(STATE_FLAGS * self.state_flags)]
        return [(player, name) for group in (contract.OUTPUTS["binary"], flags) for player in (0, 1) for name in group]

    @property
    def player_embeddings(self) -> list[str]:
        """Names of a player's embedding tables, in column order."""
        return [n for n in EMBEDDINGS if n != "stage_embed" and (n != "state_age_embed" or self.state_age_as_embed)]

    @property
    def frame_dim(self) -> int:
        """Columns of the frame vector."""
        columns = sum(EMBEDDINGS[n][1] for n in self.player_embeddings)
        return 2 * (self.player_floats + columns) + EMBEDDINGS["stage_embed"][1]

    @property
    def player_controls(self) -> int:
        """Controller features of one player that condition a prediction."""
        return contract.PLAYER_CONTROLS + BUTTONS * self.press_events + AXES * self.ctrl_threshold_features

    @property
    def ctrl_dim(self) -> int:
        """Columns of ctrl_proj: both players' controller features."""
        return 2 * self.player_controls

    @property
    def control_columns(self) -> list[int]:
        """For each column of ctrl_proj the controller feature of a player (index of `ctrl_mul`) that it holds: both
        players' controllers, then both players' press events, then both players' thresholds."""
        sizes = [contract.PLAYER_CONTROLS, BUTTONS * self.press_events, AXES * self.ctrl_threshold_features]
        out, first = [], 0
        for size in sizes:
            out += [*range(first, first + size)] * 2
            first += size
        return out

    @property
    def head_rows(self) -> int:
        """Rows of `heads`: those of every world, then hitstun (2), then state flags (80)."""
        return BASE_ROWS + CLASS_ROWS + self.extra_rows

    @property
    def extra_rows(self) -> int:
        """Rows of `heads` behind those of every world."""
        return 2 * self.hitstun + 2 * STATE_FLAGS * self.state_flags

    @property
    def number_rows(self) -> list[int]:
        """Rows of `heads` that choose no class: the first 30, then hitstun's and the state flags'. `frame.decode`
        takes their outputs in this order."""
        first = BASE_ROWS + CLASS_ROWS
        return [*range(BASE_ROWS), *range(first, first + self.extra_rows)]

    @property
    def regression_rows(self) -> list[int]:
        """Rows of `heads` that predict numbers, in the order of their fraction bits: 24, and 2 with `hitstun`."""
        first = BASE_ROWS + CLASS_ROWS
        return [*range(contract.REGRESSION_ROWS), *range(first, first + 2 * self.hitstun)]

    @property
    def binary_rows(self) -> list[int]:
        """Rows of `heads` that predict yes or no: 6, and 80 with `state_flags`."""
        regressions = set(self.regression_rows)
        return [row for row in self.number_rows if row not in regressions]

    @property
    def dynamics(self) -> list[str]:
        """What the dynamics head predicts for one player, in the checkpoint's order."""
        return [*DYNAMICS[:2], *(["hitstun"] if self.hitstun else []), *DYNAMICS[2:]]

    def head_slices(self) -> dict[str, list[int]]:
        """Maps each head of a checkpoint to the rows of the matrix `heads` that the head's rows become."""
        dynamics, binary, hitstun = contract.OUTPUTS["dynamics"], contract.OUTPUTS["binary"], BASE_ROWS + CLASS_ROWS
        first_flag, at = hitstun + 2 * self.hitstun, {"continuous": 0, "velocity": 8, "dynamics": 18, "binary": 24}
        out = {
            "continuous_head": list(range(at["continuous"], at["velocity"])),
            "velocity_head": list(range(at["velocity"], at["dynamics"])),
            "dynamics_head": [],
            "binary_head": [],
        }
        for player in (0, 1):
            begin = at["dynamics"] + len(dynamics) * player
            rows = dict(zip(dynamics, range(begin, begin + len(dynamics)), strict=True)) | {"hitstun": hitstun + player}
            out["dynamics_head"] += [rows[name] for name in self.dynamics]
            begin = at["binary"] + len(binary) * player
            out["binary_head"] += range(begin, begin + len(binary))
            if self.state_flags:
                begin = first_flag + STATE_FLAGS * player
                out["binary_head"] += range(begin, begin + STATE_FLAGS)
        row = BASE_ROWS
        for player_name in ("p0", "p1"):
            for name, classes in contract.CLASSES.items():
                out[f"{player_name}_{name}_head"] = list(range(row, row + classes))
                row += classes
        return out


FLAGS = tuple(field.name for field in fields(Encoding) if field.name != "stick_range")
"""The flags of an encoding_config that change tensors."""
PLAIN = Encoding()
"""The encoding of a world without any flag: 97-byte frame blocks."""
