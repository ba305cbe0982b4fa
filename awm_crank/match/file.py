"""The match file (docs/formats.md, "Match file"): what visualizers read, and each frame's record for `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from solders.pubkey import Pubkey

from ..errors import LayoutError, MatchFileError
from ..wire import contract, frame_records, ids, layouts
from ..wire.accounts import RECORD_SIZE, FrameRecord
from ..wire.structs import Fighter
from . import stages

FORMAT = contract.MATCH_FORMAT
FPS = contract.FPS


class Meta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The facts about a match. Keys are base58, hashes lower-case hex, and `seed` is a decimal u64 (too big for JSON's
    numbers).

    `extra_size` is the number of bytes of extra feedback for each player after each record. The file omits it if it is
    0.
    """

    format: str
    session: str
    entity: str
    player1: str
    player2: str
    model: str
    cartridge_sha256: str
    seed: str
    stage: int
    max_frames: int
    frames: int
    fps: int
    genesis: str
    chain_hash: str
    start_players: str
    extra_size: int = 0


MAX_UNITS = 1000.0
"""How far from the centre a stage may reach, in game units. The widest stage's blast zones are 700 units apart."""
_Length = Annotated[float, msgspec.Meta(ge=-MAX_UNITS, le=MAX_UNITS)]


class _Line(msgspec.Struct):
    x_min: _Length
    x_max: _Length
    y: _Length


class _Zones(msgspec.Struct):
    left: _Length
    right: _Length
    top: _Length
    bottom: _Length


class _Geometry(msgspec.Struct):
    """The `stage_geometry` of a match file. For a stage without known geometry it has only the number and an empty
    name.
    """

    stage: Annotated[int, msgspec.Meta(ge=0, le=255)]
    name: Annotated[str, msgspec.Meta(max_length=100)]
    ground: _Line | None = None
    platforms: Annotated[list[_Line], msgspec.Meta(max_length=32)] = []
    blast_zones: _Zones | None = None


class MatchFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a match file. `frames[i]` is frame i in readable form; `records[i]` is the record of frame
    i + 1.
    """

    meta: Meta
    stage_geometry: dict[str, Any]
    frames: list[Any]
    records: list[bytes]

    @property
    def seed(self) -> int:
        """The session's seed."""
        return int(self.meta.seed)

    @property
    def start_players(self) -> bytes:
        """Both PlayerStates of frame 0, 64 bytes."""
        return bytes.fromhex(self.meta.start_players)

    def encode(self) -> bytes:
        """The file's bytes (JSON)."""
        return msgspec.json.encode(self)

    def encode_frames(self) -> bytes:
        """The frames alone as a plain JSON array, the format that the prototype's visualizers open."""
        return msgspec.json.encode(self.frames)


def player_object(state: bytes) -> dict[str, float | int]:
    """A PlayerState (32 bytes) as a JSON object, with positions, shield and speeds in game units."""
    # the scales are powers of two, so the division is exact and JSON's numbers convert back to the same fixed-point
    # value
    return msgspec.structs.asdict(fighter(state))


def fighter(state: bytes) -> Fighter:
    """A PlayerState (32 bytes) in game units. Raises LayoutError when it is out of range."""
    return Fighter.of(layouts.PLAYER_STATE.unpack(state))


def frame_object(players: bytes, stage: int) -> dict[str, Any]:
    """One entry of `frames`, from both PlayerStates (64 bytes). Raises LayoutError when they are out of range."""
    return {"players": [player_object(players[:32]), player_object(players[32:])], "stage": stage}


def build(
    *, session: Pubkey, entity: Pubkey, player1: Pubkey, player2: Pubkey, model: Pubkey, cartridge_sha256: bytes,
    seed: int, stage: int, max_frames: int, start_players: bytes, records: Sequence[bytes], chain_hash: bytes,
) -> MatchFile:  # fmt: skip
    """Builds a match file from a session's fields and its records from frame 1 on.

    Args:
        start_players: both PlayerStates of frame 0, 64 bytes.
        records: 96 bytes each, and as many bytes of extra feedback as each other.
        chain_hash: after the last record's frame, 32 bytes.

    Raises:
        LayoutError: a record is malformed, or holds a value out of range.
        MatchFileError: the records do not run from frame 1 without a gap.
    """
    frames = [frame_object(start_players, stage)]
    extra = len(records[0]) - RECORD_SIZE if records else 0
    for number, raw in enumerate(records, 1):
        record = FrameRecord.decode(raw)
        if record.frame != number:
            raise MatchFileError("records of a match", expected=f"frame {number}", found=f"frame {record.frame}")
        if len(record.extra) != extra:
            raise MatchFileError(
                f"extra feedback of frame {number}", expected=f"{extra} bytes", found=f"{len(record.extra)} bytes"
            )
        frames.append(frame_object(record.players, record.stage))
    meta = Meta(
        format=FORMAT, session=str(session), entity=str(entity), player1=str(player1), player2=str(player2),
        model=str(model), cartridge_sha256=cartridge_sha256.hex(), seed=str(seed), stage=stage, max_frames=max_frames,
        frames=len(records), fps=FPS,
        genesis=frame_records.genesis(
            session, model, stage, seed, max_frames, start_players, b"" if model == ids.ZERO_KEY else cartridge_sha256
        ).hex(),
        chain_hash=chain_hash.hex(), start_players=start_players.hex(),
        extra_size=extra // 2,
    )  # fmt: skip
    return MatchFile(meta=meta, stage_geometry=stages.geometry(stage), frames=frames, records=list(records))


_decode = msgspec.json.Decoder(MatchFile).decode


def parse(data: bytes, *, source: str = "match file") -> MatchFile:
    """Reads a match file and checks its form. It does not recompute the match; `verify` does.

    Args:
        source: the file's name in errors.

    Raises:
        MatchFileError: the file is not JSON or has another format, a key is missing or malformed, counts do not agree,
            or the stage is wider than any real one.
    """
    hint = "export it again with `awm-crank export`"
    try:
        match = _decode(data)
    except msgspec.ValidationError as error:
        raise MatchFileError(f"{source}: {error}", hint=hint) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MatchFileError(f"{source} is not JSON: {error}", hint=hint) from None
    try:
        msgspec.convert(match.stage_geometry, _Geometry)
    except (msgspec.ValidationError, RecursionError) as error:
        raise MatchFileError(f"{source}: stage_geometry: {error}", hint=hint) from None
    meta = match.meta
    if meta.format != FORMAT:
        raise MatchFileError(f"{source}: meta.format", expected=FORMAT, found=meta.format, hint=hint)
    for name in ("session", "entity", "player1", "player2", "model"):
        _check(source, name, getattr(meta, name), _is_key, "32 bytes in base58")
    for name, size in (("cartridge_sha256", 32), ("genesis", 32), ("chain_hash", 32), ("start_players", 64)):
        _check(source, name, getattr(meta, name), lambda text, size=size: _is_hex(text, size), f"{size} bytes in hex")
    _check(source, "seed", meta.seed, lambda text: _is_number(text, 64), "a decimal u64")
    _check(source, "stage", str(meta.stage), lambda text: _is_number(text, 8), "a u8")
    _check(source, "max_frames", str(meta.max_frames), lambda text: _is_number(text, 32), "a u32")
    if meta.fps != FPS:
        raise MatchFileError(f"{source}: meta.fps", expected=FPS, found=meta.fps, hint=hint)
    if meta.frames != len(match.records):
        raise MatchFileError(f"{source}: records", expected=f"{meta.frames} (meta.frames)", found=len(match.records))
    if len(match.frames) != meta.frames + 1:
        raise MatchFileError(
            f"{source}: frames", expected=f"{meta.frames + 1} (frame 0 and meta.frames)", found=len(match.frames)
        )
    if not 0 <= meta.extra_size <= contract.MAX_EXTRA_SIZE:
        most = contract.MAX_EXTRA_SIZE
        raise MatchFileError(f"{source}: meta.extra_size", expected=f"0..{most}", found=meta.extra_size, hint=hint)
    size = RECORD_SIZE + 2 * meta.extra_size
    for number, record in enumerate(match.records, 1):
        if len(record) != size:
            raise MatchFileError(
                f"{source}: record of frame {number}", expected=f"{size} bytes", found=f"{len(record)} bytes"
            )
    try:
        frame_object(match.start_players, meta.stage)
    except LayoutError as error:
        raise MatchFileError(f"{source}: meta.start_players: {error}", hint=hint) from None
    return match


def _check(source: str, name: str, text: str, good: Any, expected: str) -> None:
    if not good(text):
        raise MatchFileError(f"{source}: meta.{name}", expected=expected, found=repr(text)[:80])


def _is_key(text: str) -> bool:
    try:
        Pubkey.from_string(text)
    except ValueError:
        return False
    return True


def _is_hex(text: str, size: int) -> bool:
    # fromhex alone would skip white space and accept capital letters, but each value must have only one spelling
    return len(text) == 2 * size and set(text) <= set("0123456789abcdef")


def _is_number(text: str, bits: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 1 << bits and str(int(text)) == text
