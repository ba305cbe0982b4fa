"""Policies compute as PyTorch does, both file formats hold the same weights, and policies can drive matches."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from match.fakes import CARTRIDGE, FakeEngine
from match.policies import ENCODING, policy, weights
from torch import nn

from awm_crank.errors import CheckpointError
from awm_crank.match import offline
from awm_crank.match.players import agent
from awm_crank.match.policy import Policy, pressed
from awm_crank.match.verify import verify_file
from awm_crank.wire.accounts import ControllerInput, FrameRecord, PlayerState
from awm_crank.wire.start import start_players

STAGE = 32
PLAYERS = start_players(2, 20)


def saved(content: object) -> bytes:
    """The bytes of a .pt file."""
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def checkpoint(seed: int, context_len: int) -> bytes:
    """A .pt file as training code writes it."""
    state = {name: torch.from_numpy(value) for name, value in weights(seed, context_len).items()}
    return saved({"model_state_dict": state, "encoding_config": ENCODING, "context_len": context_len})


def moved(x: int, action: int) -> bytes:
    """Frame 0 with player 1 at x, in that action."""
    first = PlayerState.decode(PLAYERS[:32])
    return PlayerState(
        x=x, shield_strength=first.shield_strength, stocks=3, facing=1, action_state=action, jumps_left=1, character=2
    ).encode() + PLAYERS[32:]  # fmt: skip


def test_forward_is_torchs() -> None:
    """The numbers equal those of nn.Sequential in evaluation mode, with its ReLUs, dropouts and sigmoid."""
    made = policy(context_len=2)
    w = {name: torch.from_numpy(value) for name, value in made.weights.items()}
    trunk = nn.Sequential(
        nn.Linear(2 * made.frame_dim, 24), nn.ReLU(), nn.Dropout(0.1), nn.Linear(24, 12), nn.ReLU(), nn.Dropout(0.1)
    ).eval()
    trunk.load_state_dict({name.removeprefix("trunk."): value for name, value in w.items() if name[:5] == "trunk"})
    context = np.stack([made.frame_vector(players, STAGE, 0) for players in (PLAYERS, moved(500, 20))])
    hidden = trunk(torch.from_numpy(context).reshape(-1))
    expected_analog = torch.sigmoid(w["analog_head.weight"] @ hidden + w["analog_head.bias"]).detach().numpy()
    expected_logits = (w["button_head.weight"] @ hidden + w["button_head.bias"]).detach().numpy()
    analog, logits = made.forward(context)
    assert analog == pytest.approx(expected_analog, abs=1e-5)
    assert logits == pytest.approx(expected_logits, abs=1e-4)
    assert np.ptp(analog) > 0.1


def test_frame_vector_is_the_world_models() -> None:
    """The vector equals the world model's own PyTorch frame vector for the same frame and embeddings."""
    from awm_crank.engine.offline import checkpoint as world
    from awm_crank.engine.offline.seeded_checkpoint import checkpoint as seeded
    from awm_crank.engine.offline.torch_model import TorchModel
    from awm_crank.engine.seeded import SHAPES

    source = world.read(seeded(SHAPES["tiny"], 2))
    tables = {name: value for name, value in source.weights.items() if name.endswith("_embed.weight")}
    age = source.shape.state_age_as_embed
    mine = Policy({**weights(1, 1, age=age), **tables}, {**source.scales, "state_age_as_embed": age}, 1)
    block = moved(-777, 44) + bytes(32) + bytes((STAGE,))
    expected = TorchModel.of_checkpoint(source).frame_vector(block).numpy()
    assert mine.frame_vector(block[:64], STAGE, 0) == pytest.approx(expected, abs=1e-5)


def test_player_1_sees_itself_as_player_0() -> None:
    """With the fighters exchanged, player 1 sees what player 0 saw, and acts the same."""
    made, players = policy(), moved(300, 44)
    exchanged = players[32:] + players[:32]
    assert (made.frame_vector(players, STAGE, 0) == made.frame_vector(exchanged, STAGE, 1)).all()
    assert (made.frame_vector(players, STAGE, 0) != made.frame_vector(players, STAGE, 1)).any()
    assert made.agent(STAGE)(0, 0, 1, players) == made.agent(STAGE)(0, 1, 1, exchanged)


def test_context_is_the_last_frames() -> None:
    """Only the last K frames decide, and asking again or stepping back gives the same answer."""
    frames = [moved(400 * n, 14 + n) for n in range(6)]
    made = policy(context_len=3)
    whole, late = made.agent(STAGE), made.agent(STAGE)
    answers = [whole(0, 0, n + 1, players) for n, players in enumerate(frames)]
    assert len(set(answers)) > 1
    for n in (3, 4, 5):
        last = late(0, 0, n + 1, frames[n])
    assert last == answers[5]
    assert whole(0, 0, 6, frames[5]) == answers[5]
    assert [whole(9, 0, n + 1, frames[n]) for n in (3, 4, 5)] == answers[3:]
    assert [whole(0, 0, n + 1, players) for n, players in enumerate(frames)] == answers
    short = policy(context_len=2).agent(STAGE)
    first = made.forward(np.stack([made.frame_vector(frames[0], STAGE, 0)] * 3))
    assert answers[0] == pressed(*first)
    assert short(0, 0, 1, frames[0]) != b""


@pytest.mark.parametrize("age", [False, True])
def test_files_hold_the_same(age: bool) -> None:
    """.npz returns the weights bit for bit, with K and encoding, and to three digits in half precision."""
    made = policy(4, 2, age=age)
    again = Policy.read(made.encode())
    assert again.context_len == 2
    assert again.encoding == made.encoding
    assert all((again.weights[name] == value).all() for name, value in made.weights.items())
    half = made.encode(np.float16)
    assert len(half) < 0.6 * len(made.encode())
    rounded = Policy.read(half)
    assert rounded.weights["trunk.0.weight"] == pytest.approx(made.weights["trunk.0.weight"], rel=1e-3, abs=1e-4)


def test_checkpoint_of_torch() -> None:
    """A .pt file plays as its .npz does."""
    from_torch = Policy.read(checkpoint(3, 4))
    from_arrays = Policy.read(from_torch.encode())
    players = moved(-900, 65)
    assert from_torch.agent(STAGE)(0, 1, 1, players) == from_arrays.agent(STAGE)(0, 1, 1, players)


def test_pressed() -> None:
    """Analog outputs become sticks centred on 128 and a shoulder; logits above 0 become buttons."""
    rest = np.array([128, 128, 128, 128, 0], np.float32) / np.float32(255)
    assert pressed(rest, np.full(8, -1.0, np.float32)) == bytes(8)
    assert pressed(rest + np.float32(0.01), np.zeros(8, np.float32)) == bytes(8)
    full = ControllerInput.decode(pressed(np.array([1, 0, 0.6, 0.4, 0.5], np.float32), np.ones(8, np.float32)))
    assert (full.stick_x, full.stick_y, full.c_stick_x, full.c_stick_y) == (80, -80, 25, -26)
    assert (full.trigger_l, full.trigger_r, full.buttons, full.buttons_ext) == (128, 0, 0b11111, 0b1101)


def test_drives_a_match() -> None:
    """A policy plays against a scripted player, the file verifies, and its inputs depend on the match."""
    match = offline.play(FakeEngine(), CARTRIDGE, (policy().agent(STAGE), agent("random")), seed=6, max_frames=40)
    assert verify_file(match, FakeEngine(), CARTRIDGE).difference is None
    assert len({FrameRecord.decode(raw).input1 for raw in match.records}) > 10
    again = offline.play(FakeEngine(), CARTRIDGE, (policy().agent(STAGE), agent("random")), seed=6, max_frames=40)
    assert again.records == match.records


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trunk.3.bias": None}, "policy tensor trunk.3.bias; expected (12,), found none"),
        ({"trunk.0.weight": None}, "policy tensor trunk.0.weight; expected 2 dimensions, found none"),
        ({"analog_head.weight": np.zeros((6, 12), np.float32)}, "expected (5, 12), found (6, 12)"),
        ({"value_head.weight": np.zeros((1, 12), np.float32)}, "policy tensor value_head.weight; expected only"),
        ({"button_head.bias": np.full(8, np.nan, np.float32)}, "policy tensor button_head.bias; expected finite"),
        ({"action_embed.weight": np.zeros((400, 32), np.int64)}, "policy tensor action_embed.weight; expected finite"),
    ],
)
def test_refused_weights(change: dict[str, np.ndarray | None], message: str) -> None:
    """A tensor that is missing, left over, misshapen or not finite is named."""
    altered = {**weights(1, 3), **{name: value for name, value in change.items() if value is not None}}
    for name, value in change.items():
        if value is None:
            del altered[name]
    with pytest.raises(CheckpointError) as raised:
        Policy(altered, ENCODING, 3)
    assert message in str(raised.value)


def test_refused_settings() -> None:
    """An unsupported flag and an impossible K are refused by name."""
    with pytest.raises(CheckpointError, match="flag never_seen is not supported"):
        Policy(weights(1, 3), {**ENCODING, "never_seen": True}, 3)
    with pytest.raises(CheckpointError, match="no state_flags, hitstun or projectiles"):
        Policy(weights(1, 3), {**ENCODING, "projectiles": True}, 3)
    for wrong in (0, True, None, 601, "3"):
        with pytest.raises(CheckpointError, match="policy context_len"):
            Policy(weights(1, 3), ENCODING, wrong)
    with pytest.raises(CheckpointError, match=r"trunk\.0\.weight; expected \(24, 728\), found \(24, 546\)"):
        Policy(weights(1, 3), ENCODING, 4)


def test_refused_files() -> None:
    """A file that is not an archive of a policy is refused."""
    with pytest.raises(CheckpointError, match=r"policy file; expected a \.pt or \.npz file"):
        Policy.read(b"not an archive")
    out = io.BytesIO()
    np.savez(out, a=np.zeros(3))
    with pytest.raises(CheckpointError, match=r"policy file \(\.npz\); expected encoding_config"):
        Policy.read(out.getvalue())
    with pytest.raises(CheckpointError, match="checkpoint file"):
        Policy.read(saved([1, 2]))


SMALL = Policy(weights(1, 1, 2, 2), ENCODING, 1).encode()
DAMAGE = st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(DAMAGE, st.integers(0, 400))
def test_damaged_files(changes: list[tuple[int, int]], cut: int) -> None:
    """A damaged .npz is harmless or refused by name, and raises no other exception."""
    data = bytearray(SMALL[: len(SMALL) - cut])
    for at, value in changes:
        data[at % len(data)] = value
    try:
        Policy.read(bytes(data))
    except CheckpointError as error:
        assert "policy" in str(error) or "checkpoint" in str(error) or "encoding_config" in str(error)
