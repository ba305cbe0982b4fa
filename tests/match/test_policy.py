"""Policies compute as PyTorch does, and both file formats hold the same weights."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from match.policies import ENCODING, policy, weights
from torch import nn

from awm_crank.engine.encoding import PLAIN, Encoding
from awm_crank.errors import CheckpointError
from awm_crank.match.policy import SIMPLE, TRAINED, Policy, Rule
from awm_crank.wire import frame_records
from awm_crank.wire.accounts import PlayerState
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


def block(players: bytes) -> bytes:
    """Both players in a frame without controllers and feedback."""
    return frame_records.block(players, bytes(16), bytes(16), STAGE)


def test_forward_is_torchs() -> None:
    """The numbers equal those of nn.Sequential in evaluation mode, with its ReLUs, dropouts and sigmoid."""
    made = policy(context_len=2)
    w = {name: torch.from_numpy(value) for name, value in made.weights.items()}
    trunk = nn.Sequential(
        nn.Linear(2 * made.frame_dim, 24), nn.ReLU(), nn.Dropout(0.1), nn.Linear(24, 12), nn.ReLU(), nn.Dropout(0.1)
    ).eval()
    trunk.load_state_dict({name.removeprefix("trunk."): value for name, value in w.items() if name[:5] == "trunk"})
    context = np.stack([made.frame_vector(block(players), 0) for players in (PLAYERS, moved(500, 20))])
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
    shown = moved(-777, 44) + bytes(16) + bytes((40, 200, 0, 0, 90, 0, 3, 1)) * 2 + bytes((STAGE,))
    expected = TorchModel.of_checkpoint(source).frame_vector(shown).numpy()
    assert mine.frame_vector(shown, 0) == pytest.approx(expected, abs=1e-5)


def test_player_1_sees_itself_as_player_0() -> None:
    """With the fighters exchanged, player 1 sees what player 0 saw, and acts the same."""
    made, players = policy(), moved(300, 44)
    exchanged = players[32:] + players[:32]
    assert (made.frame_vector(block(players), 0) == made.frame_vector(block(exchanged), 1)).all()
    assert (made.frame_vector(block(players), 0) != made.frame_vector(block(players), 1)).any()


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
    context = np.stack([from_torch.frame_vector(block(moved(-900 + n, 65)), 1) for n in range(4)])
    assert all((a == b).all() for a, b in zip(from_torch.forward(context), from_arrays.forward(context), strict=True))


@pytest.mark.parametrize("flags", [(), ("hitstun",), ("state_flags", "projectiles"), ("state_flags", "hitstun")])
@pytest.mark.parametrize("age", [False, True])
def test_trainers_checkpoint(flags: tuple[str, ...], age: bool) -> None:
    """A file as the prototype's trainer writes it names K only: flags follow from the shapes, all else is default."""
    more = sum({"hitstun": 1, "projectiles": 3, "state_flags": 40}[name] for name in flags)
    arrays = weights(2, 5, age=age, more=more)
    state = {name: torch.from_numpy(value) for name, value in arrays.items()}
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3}]}
    made = Policy.read(
        saved({
            "epoch": 3, "model_state_dict": state, "optimizer_state_dict": optimizer, "val_loss": 0.4,
            "config": {"context_len": 5, "model_type": "policy_mlp"},
        })
    )  # fmt: skip
    assert made.context_len == 5
    assert made.flags == Encoding(state_age_as_embed=age, **dict.fromkeys(flags, True))
    assert made.rule == TRAINED == Rule(whole_frames=True, sampled=True, bias=4.0)
    again = Policy.read(made.encode())
    assert (again.flags, again.context_len, again.rule) == (made.flags, 5, TRAINED)
    without_k = Policy(arrays, {}, None)
    assert without_k.frame_dim * without_k.context_len == made.frame_dim * 5


def test_smaller_vocabularies() -> None:
    """Tables of other sizes are read as they are; a value beyond a vocabulary counts as its last one."""
    arrays = weights(2, 1)
    arrays["action_embed.weight"] = arrays["action_embed.weight"][:100]
    arrays["ground_embed.weight"] = arrays["ground_embed.weight"][:, :2]
    arrays["trunk.0.weight"] = arrays["trunk.0.weight"][:, :-4]
    made = Policy(arrays, ENCODING, 1)
    assert made.frame_dim == policy(context_len=1).frame_dim - 4
    assert (made.frame_vector(block(moved(0, 99)), 0) == made.frame_vector(block(moved(0, 399)), 0)).all()
    with pytest.raises(CheckpointError, match=r"ground_embed\.weight; expected at most 32 rows of 64, found \(33, 4\)"):
        Policy(weights(2, 1) | {"ground_embed.weight": np.zeros((33, 4), np.float32)}, ENCODING, 1)


def test_whole_frames_or_players_alone() -> None:
    """A trained policy sees controllers and feedback; one with the simple rule does not, and its file says so."""
    shown = frame_records.block(PLAYERS, bytes((0, 1, 5, *[0] * 5)) * 2, bytes((80, 0, 0, 0, 0, 0, 1, 0)) * 2, STAGE)
    whole, simple = policy(context_len=1), Policy(weights(1, 1), ENCODING, 1, SIMPLE)
    assert (simple.frame_vector(shown, 0) == simple.frame_vector(block(PLAYERS), 0)).all()
    changed = whole.frame_vector(shown, 0) - whole.frame_vector(block(PLAYERS), 0)
    assert changed[[12, 14, 16, 21]] == pytest.approx([0.5, 1, 80 / 255, 1])
    assert np.count_nonzero(changed) == 8
    assert Policy.read(simple.encode()).rule == SIMPLE
    assert Policy.read(simple.encode(), TRAINED).rule == TRAINED


def test_sticks_mean_what_the_world_says() -> None:
    """A full tilt of 80 reaches the network as 1 in a world with that stick range, and as 208/255 in one without."""
    made, tilted = policy(context_len=1), frame_records.block(PLAYERS, bytes(16), bytes((80, *[0] * 15)), STAGE)
    assert made.frame_vector(tilted, 0)[16] == pytest.approx(208 / 255)
    assert made.frame_vector(tilted, 0, Encoding(stick_range=80))[16] == 1
    assert made.frame_vector(tilted, 0, Encoding(stick_range=80))[17] == 0.5


def test_extra_feedback_reaches_the_network() -> None:
    """State flags and hitstun of a world with these flags are in the vector, and a world without them is refused."""
    made = Policy(weights(1, 1, more=41), {}, 1)
    world = Encoding(state_flags=True, hitstun=True)
    made.check_world(world)
    quiet = block(PLAYERS) + bytes(12)
    loud = block(PLAYERS) + bytes((1, 0, 0, 0, 0, 30, *[0] * 6))
    changed = made.frame_vector(loud, 0, world) - made.frame_vector(quiet, 0, world)
    assert changed[[12, 17]] == pytest.approx([30 * 0.02, 1])
    with pytest.raises(CheckpointError, match="the policy reads state_flags, which this world's frames do not hold"):
        made.check_world(PLAIN)
    Policy(weights(1, 1, more=41), {}, 1, SIMPLE).check_world(PLAIN)
    projectiles = Policy(weights(1, 1, more=3), {}, 1)
    projectiles.check_world(PLAIN)
    assert (projectiles.frame_vector(block(PLAYERS), 0)[13:16] == 0).all()


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
    with pytest.raises(CheckpointError, match=r"trunk\.0\.weight; expected \(24, 564\), found \(24, 546\)"):
        Policy(weights(1, 3), {**ENCODING, "projectiles": True, "state_flags": False, "hitstun": False}, 3)
    for wrong in (0, True, 601, "3"):
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
