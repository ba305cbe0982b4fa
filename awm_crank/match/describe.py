"""Human-readable renderings for `inspect` and `session show`: lines of name and value, in game units and frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from ..engine.cartridge import Cartridge
from ..errors import AccountError, printable
from ..wire import ids
from ..wire.accounts import (
    Checkpoint,
    ControllerInput,
    Entity,
    Feedback,
    FrameLog,
    FrameRecord,
    HiddenState,
    InputBuffer,
    ModelManifest,
    Registry,
    SessionState,
    WeightShard,
    World,
)
from . import actions, outcome, stages, words
from .file import MatchFile, player_object

STATUS = ("Created", "WaitingPlayers", "Active", "Ended")
SOURCES = ("fresh", "held", "neutral")
_BUTTONS = ("A", "B", "X", "Y", "Z", "Start", "D-left", "D-right")
_BUTTONS_EXT = ("D-up", "D-down", "L", "R")
_WIDTH = 24
_LONGEST_HEX = 256

Lines = Iterator[tuple[str, str]]

_KINDS: list[Any] = [
    SessionState, HiddenState, InputBuffer, FrameLog, ModelManifest, WeightShard, Checkpoint,
]  # fmt: skip
_WORLDS: list[Any] = [Registry, World, Entity]


def account(data: bytes, owner: Pubkey, address: Pubkey) -> tuple[str, Any]:
    """An account of the project or of World, as (its kind, the decoded account).

    Raises:
        AccountError: the account is neither.
        LayoutError: the account is one of them, but malformed.
    """
    for kind in _KINDS:
        if kind.LAYOUT.owner == owner and data[:8] == kind.LAYOUT.discriminator:
            return kind.__name__, kind.decode(data, owner=owner, address=address)
    if owner == ids.WORLD:
        for kind in _WORLDS:
            try:
                found = kind.decode(data, owner=owner, address=address)
            except AccountError:
                continue
            return f"World {kind.__name__}" if kind is not World else "World", found
    raise AccountError(
        f"account {address} is not one that awm-crank knows",
        found=f"owner {owner}, {len(data)} bytes",
        hint="give the address of a session, a model or one of their accounts",
    )


def values(found: Any) -> dict[str, Any]:
    """A decoded account for JSON: keys in base58 and bytes in hex. Of more than 256 bytes, only the number is given."""
    fields = msgspec.structs.asdict(found)
    if isinstance(found, FrameLog):
        del fields["trailer"]
        fields |= msgspec.structs.asdict(found.payments)
    return {name: _value(value) for name, value in fields.items()}


def _value(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex() if len(value) <= _LONGEST_HEX else {"bytes": len(value)}
    if isinstance(value, Pubkey):
        return str(value)
    return [_value(each) for each in value] if isinstance(value, tuple | list) else value


def struct(found: Any) -> str:
    """A decoded account, with one line for each field."""
    return render(_lines(found))


def render(lines: Lines) -> str:
    """Formats lines of name and value, with the values in one column."""
    return "".join(f"{name:<{_WIDTH}}{printable(value)}\n" if name else f"{value}\n" for name, value in lines)


def player(state: bytes) -> str:
    """A PlayerState (32 bytes) in one line."""
    v = player_object(state)
    facing = "right" if v["facing"] else "left"
    ground = "ground" if v["on_ground"] else "air"
    number = int(v["action_state"])
    return (
        f"x {v['x']:.2f} y {v['y']:.2f}, {v['percent']} %, {v['stocks']} stocks, {actions.action_name(number)} "
        f"(action {number}, {v['state_age']} frames), {facing}, {ground}, shield {v['shield_strength']:.1f}, "
        f"{v['jumps_left']} jumps, character {v['character']}"
    )


def controller(data: bytes) -> str:
    """A ControllerInput (8 bytes) in one line; `neutral` if nothing is pressed."""
    if data == bytes(8):
        return "neutral"
    v = ControllerInput.decode(data)
    pressed = [name for bit, name in enumerate(_BUTTONS) if v.buttons >> bit & 1]
    pressed += [name for bit, name in enumerate(_BUTTONS_EXT) if v.buttons_ext >> bit & 1]
    text = f"stick {v.stick_x:+d},{v.stick_y:+d}"
    if v.c_stick_x or v.c_stick_y:
        text += f" C {v.c_stick_x:+d},{v.c_stick_y:+d}"
    if v.trigger_l or v.trigger_r:
        text += f" triggers {v.trigger_l},{v.trigger_r}"
    return f"{text} {'+'.join(pressed)}".rstrip()


def record(data: bytes) -> str:
    """A frame record (96 bytes) in a few lines."""
    v = FrameRecord.decode(data)
    return (
        f"frame {v.frame}, chain hash {v.chain_hash.hex()}…\n"
        f"  1: {controller(v.input1)} ({SOURCES[v.source1]}) -> {player(v.player1)}\n"
        f"  2: {controller(v.input2)} ({SOURCES[v.source2]}) -> {player(v.player2)}"
    )


def cartridge(found: Cartridge) -> str:
    """A cartridge's header, as lines of name and value."""
    shape = found.shape
    return render(
        iter(
            (
                ("name", found.name),
                ("version", str(found.version)),
                ("sha256", found.sha256.hex()),
                ("bytes", f"{len(found.data):,}"),
                ("format version", str(found.format_version)),
                ("shards", ", ".join(f"{len(shard):,}" for shard in found.shards()) + " bytes"),
                ("layers", str(shape.num_layers)),
                ("d_model, d_inner", f"{shape.d_model}, {shape.d_inner}"),
                ("d_state, heads", f"{shape.d_state}, {shape.num_heads}"),
                ("recurrent state", f"{found.state_size:,} bytes"),
                ("parameters", f"{found.total_params:,}"),
                ("weight bytes", f"{found.total_weight_bytes:,}"),
            )
        )
    )


def match(found: MatchFile) -> str:
    """A match file, as lines: what the match was, how it began and how it ended."""
    meta = found.meta
    lines = [(name.replace("_", " "), str(value)) for name, value in msgspec.structs.asdict(meta).items()]
    lines[[name for name, _ in lines].index("stage")] = ("stage", f"{meta.stage}, {stages.name(meta.stage)}")
    won = outcome.winner(outcome.last_players(found), meta.frames, meta.max_frames)
    lines += [("duration", words.duration(meta.frames)), ("winner", won or "-")]
    text = render(iter(lines))
    if found.records:
        text += record(found.records[-1]) + "\n"
    return text


def lineage(found: ModelManifest, ancestors: Sequence[tuple[Pubkey, ModelManifest | None]]) -> str:
    """The models that a model was forked from, nearest parent first, and which shards each one shares with its child.

    Returns no lines for a model that is not a fork.
    """
    lines: list[tuple[str, str]] = []
    child = found
    for key, parent in ancestors:
        if parent is None:
            lines.append(("forked from", f"{key}, which is not on this chain"))
            break
        pairs = zip(child.shard_keys[: child.num_shards], parent.shard_keys[: parent.num_shards], strict=False)
        shared = [str(index) for index, (mine, theirs) in enumerate(pairs) if mine == theirs]
        kept = f"shares shards {', '.join(shared)}" if shared else "shares no shard"
        lines.append(("forked from", f"{key}, {parent.title} version {parent.version} by {parent.authority}; {kept}"))
        child = parent
    return render(iter(lines))


def _lines(found: Any) -> Lines:
    """One line for each field of an account. Statuses, times and similar values are shown in words."""
    for name, value in msgspec.structs.asdict(found).items():
        special = _SPECIAL.get((type(found), name)) or _SPECIAL.get((None, name))
        if special is not None:
            yield from special(name, value, found)
        else:
            yield name.replace("_", " "), plain(value)


def plain(value: Any) -> str:
    """A field's value as text: bytes in hex, all-zero values as `-`, tuples without their unused tail."""
    if isinstance(value, bytes):
        return value.hex() if any(value) else "-"
    if isinstance(value, tuple):
        used = [item for item in value if item and item != ids.ZERO_KEY]
        return ", ".join(map(str, used)) or "-"
    if value == ids.ZERO_KEY:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _status(name: str, value: Any, _: Any) -> Lines:
    yield name, STATUS[value]


def _stage(name: str, value: Any, _: Any) -> Lines:
    yield name, f"{value}, {stages.name(value)}"


def _time(name: str, value: Any, _: Any) -> Lines:
    yield name.replace("_", " "), words.date(value)


def _players(_: str, value: Any, __: Any) -> Lines:
    for number in (0, 1):
        yield f"player {number + 1} state", player(value[32 * number : 32 * number + 32])


def _feedback(_: str, value: Any, __: Any) -> Lines:
    for number in (0, 1):
        fields = msgspec.structs.asdict(Feedback.decode(value[8 * number : 8 * number + 8]))
        shown = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in fields.items() if key != "reserved")
        yield f"player {number + 1} feedback", shown


def _inputs(_: str, value: Any, __: Any) -> Lines:
    for number in (0, 1):
        yield f"player {number + 1} input", controller(value[8 * number : 8 * number + 8])


def _input(name: str, value: Any, _: Any) -> Lines:
    yield name.replace("_", " "), controller(value)


def _ring(_: str, __: Any, found: FrameLog) -> Lines:
    held = found.holds()
    yield "ring", f"frames {held.start}..{held.stop - 1}" if held else "no frames"
    if held:
        yield "", record(found.record(held.stop - 1))


def _payments(_: str, __: Any, found: FrameLog) -> Lines:
    paid = found.payments
    yield "payer", str(paid.payer)
    if paid.ring_lamports:
        yield "ring payer", f"{paid.ring_payer}, {paid.ring_lamports:,} lamports"


def _title(name: str, _: Any, found: ModelManifest) -> Lines:
    yield name, found.title


def _bytes(name: str, value: Any, _: Any) -> Lines:
    yield name, f"{len(value):,} bytes"


def _writer(name: str, value: Any, _: Any) -> Lines:
    yield name, "not bound yet" if value == ids.ZERO_KEY else str(value)


def _authority(_: str, value: Any, __: Any) -> Lines:
    yield "BOLT authority", "the World program (anyone, through World)" if value == ids.WORLD else str(value)


def _systems(name: str, value: Any, _: Any) -> Lines:
    yield name, f"{len(value):,} bytes of approved systems" if any(value) else "all"


_SPECIAL: dict[tuple[type | None, str], Callable[[str, Any, Any], Lines]] = {
    (None, "status"): _status,
    (None, "stage"): _stage,
    (None, "created_at"): _time,
    (None, "last_update"): _time,
    (None, "players"): _players,
    (None, "feedback"): _feedback,
    (None, "inputs"): _inputs,
    (None, "bolt_metadata"): _authority,
    (InputBuffer, "player1"): _input,
    (InputBuffer, "player2"): _input,
    (InputBuffer, "next_player1"): _input,
    (InputBuffer, "next_player2"): _input,
    (FrameLog, "ring"): _ring,
    (FrameLog, "trailer"): _payments,
    (ModelManifest, "name"): _title,
    (ModelManifest, "luts"): _bytes,
    (WeightShard, "frontier"): _bytes,
    (WeightShard, "data"): _bytes,
    (Checkpoint, "state"): _bytes,
    (HiddenState, "writer"): _writer,
    (World, "systems"): _systems,
}
