"""Every direct instruction is accepted when it is correct, and refused when any part is missing or exchanged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction_metadata import FailedTransactionMetadata
from svm.rig import CARTRIDGE, LEAF, MODEL, SOL, Chain, Error, Session

from awm_crank.wire import bolt, deposits, ids, programs

SIZE = 9_000


@dataclass
class Stage:
    """A session (or cartridge) in the state that the tested instruction needs, and a second one in the same state."""

    session: Session
    other: Session
    shards: list[Pubkey]
    manifests: list[Pubkey]


def cartridge(chain: Chain, owner: Keypair, hashed: bool) -> tuple[Pubkey, Pubkey]:
    """A written shard, and the manifest that lists it."""
    found = []
    for program in (ids.WEIGHT_SHARD, ids.MODEL_MANIFEST):
        entity = chain.new_entity(chain.new_world())
        chain.ok(bolt.initialize_component(owner.pubkey(), entity, program), signers=[owner])
        found.append(bolt.component_pda(program, entity))
    shard, manifest = found
    key = owner.pubkey()
    chain.ok(programs.shard_grow(key, shard, 0, SIZE), signers=[owner])
    if hashed:
        chain.ok(programs.shard_hash_leaves(key, shard, 1), signers=[owner])
    fields = {50: b"\1" + bytes(shard), 179: SIZE.to_bytes(4, "little")}
    for offset, data in fields.items():
        chain.ok(programs.manifest_write(key, manifest, offset, data), signers=[owner])
    return shard, manifest


def build(how: str) -> Stage:
    """Builds the stage for `how`: fresh (no ring, no writer), running (checkpoint 0 full, 1 missing, 2 frames), begun,
    ended, shard, hashed or finalized.
    """
    chain, sessions, shards, manifests = Chain(), [], [], []
    for number in range(2):
        if how == "fresh":
            s = Session.new(chain, number, writer=False)
        elif how == "created":
            s = Session.active(chain, number, capacity=0)
        elif how == "deposited":
            s = Session.new(chain, number)
            chain.ok(deposits.deposit(s.p1, s.entity, SOL, 5_000), signers=[s.player1])
        elif how == "waiting":
            s = Session.new(chain, number)
            if not number:
                chain.publish(MODEL, CARTRIDGE)
        else:
            s = Session.active(chain, number)
            s.create_checkpoint(0, SIZE)
            if how == "growing":
                chain.ok(programs.checkpoint_create(s.w, s.entity, 1, 30_000), signers=[s.writer])
            s.step()
            s.step()
            if how in ("earned", "over"):
                chain.ok(deposits.deposit(s.p1, s.entity, SOL, 5_000), signers=[s.player1])
                s.step()
            if how == "over":
                s.settle()
            if how in ("begun", "ended"):
                s.write_checkpoint(0, s.header(), bytes(SIZE))
            if how in ("ended", "closing"):
                s.settle()
            if how == "closing":
                chain.ok(programs.checkpoint_close(s.w, s.entity, 0, s.w), signers=[s.writer])
                chain.ok(programs.ring_shrink(s.w, s.entity, s.w), signers=[s.writer])
            if how in ("shard", "hashed", "finalized"):
                shard, manifest = cartridge(chain, s.player1, how != "shard")
                if how == "finalized":
                    digest = hashlib.sha256(bytes(SIZE)).digest()
                    chain.ok(programs.shard_finalize(s.p1, shard, digest), signers=[s.player1])
                shards.append(shard)
                manifests.append(manifest)
        sessions.append(s)
    return Stage(sessions[0], sessions[1], shards, manifests)


def digest(s: Session) -> bytes:
    """The hash that finalizes the checkpoint of the stage `begun`."""
    frame, *rest = s.header()
    return hashlib.sha256(frame.to_bytes(4, "little") + b"".join(rest) + bytes(4 + SIZE)).digest()


def last_close(t: Stage) -> Instruction:
    """The close of session-state, after the other three are closed."""
    s = t.session
    for close in (programs.close_hidden_state, programs.close_frame_log, programs.close_input_buffer):
        s.chain.ok(close(s.p1, s.entity), signers=[s.player1])
    return programs.close_session_state(s.p1, s.entity)


def of_session(builder: Callable[..., Instruction], who: str, *args: object) -> Callable[[Stage], Instruction]:
    """builder(key of who, entity, *args) for the stage's session; "writer" among args means the writer's key."""

    def make(t: Stage) -> Instruction:
        s = t.session
        signer: Keypair = getattr(s, who)
        return builder(signer.pubkey(), s.entity, *(s.w if arg == "writer" else arg for arg in args))

    return make


# name -> (state, who signs, the instruction)
CASES: dict[str, tuple[str, str, Callable[[Stage], Instruction]]] = {
    "bind_writer": ("fresh", "writer", of_session(programs.bind_writer, "writer")),
    "pin_cartridge": ("waiting", "writer", of_session(programs.pin_cartridge, "writer", MODEL)),
    "deposit": ("waiting", "player1", of_session(deposits.deposit, "player1", SOL, 5_000)),
    "checkpoint_create_deposited": (
        "deposited", "writer", of_session(deposits.checkpoint_create_deposited, "writer", 0, SIZE)
    ),
    "ring_fund": ("deposited", "writer", of_session(deposits.ring_fund, "writer", 256)),
    "deposit_draw": ("earned", "writer", of_session(deposits.deposit_draw, "writer")),
    "deposit_close": (
        "over", "player2", lambda t: deposits.deposit_close(t.session.p2, t.session.entity, t.session.p1, t.session.w)
    ),
    "claim": ("running", "writer", of_session(programs.claim, "writer", 1)),
    "checkpoint_create": ("running", "writer", of_session(programs.checkpoint_create, "writer", 1, SIZE)),
    "checkpoint_grow": ("growing", "writer", of_session(programs.checkpoint_grow, "writer", 1)),
    "checkpoint_begin": ("running", "writer", lambda t: t.session.begin(0, t.session.header())),
    "checkpoint_write": ("begun", "writer", of_session(programs.checkpoint_write, "writer", 0, 5, b"xyz")),
    "checkpoint_finalize": ("begun", "writer", lambda t: t.session.finalize(0, digest(t.session))),
    "checkpoint_close": ("ended", "player2", of_session(programs.checkpoint_close, "player2", 0, "writer")),
    "ring_grow": ("created", "writer", of_session(programs.ring_grow, "writer", 256)),
    "ring_shrink": ("ended", "player2", of_session(programs.ring_shrink, "player2", "writer")),
    "close_hidden_state": ("closing", "player1", of_session(programs.close_hidden_state, "player1")),
    "close_frame_log": ("closing", "player1", of_session(programs.close_frame_log, "player1")),
    "close_input_buffer": ("closing", "player1", of_session(programs.close_input_buffer, "player1")),
    "close_session_state": ("closing", "player1", last_close),
    "shard_grow": ("shard", "player1", lambda t: programs.shard_grow(t.session.p1, t.shards[0], 0, 2 * SIZE)),
    "shard_write": ("shard", "player1", lambda t: programs.shard_write(t.session.p1, t.shards[0], 7, b"xyz")),
    "shard_hash_leaves": ("shard", "player1", lambda t: programs.shard_hash_leaves(t.session.p1, t.shards[0], 1)),
    "shard_finalize": (
        "hashed", "player1",
        lambda t: programs.shard_finalize(t.session.p1, t.shards[0], hashlib.sha256(bytes(SIZE)).digest()),
    ),
    "shard_close": ("hashed", "player1", lambda t: programs.shard_close(t.session.p1, t.shards[0])),
    "manifest_write": ("shard", "player1", lambda t: programs.manifest_write(t.session.p1, t.manifests[0], 8, b"xyz")),
    "manifest_finalize": (
        "finalized", "player1", lambda t: programs.manifest_finalize(t.session.p1, t.manifests[0], t.shards[:1])
    ),
    "manifest_close": ("shard", "player1", lambda t: programs.manifest_close(t.session.p1, t.manifests[0])),
}  # fmt: skip
# accounts, by instruction and place, that the program ignores or where any account will do
FREE = {(name, 4) for name in ("checkpoint_create", "ring_grow", "deposit")} | {("shard_grow", 2)}
FREE |= {("checkpoint_create_deposited", 5), ("checkpoint_grow", 3)}
# the manifest belongs to no session
FREE |= {("pin_cartridge", 3)}
# any key may sign these, because the lamports go to their owners anyway
ANYBODYS = {"checkpoint_close", "ring_shrink", "deposit_close", "bind_writer"}
ANYBODYS |= {"close_hidden_state", "close_frame_log", "close_input_buffer", "close_session_state"}


def never(t: Stage, ix: Instruction, signers: list[Keypair]) -> int:
    """Sends, expects a custom error and no changed byte, and returns the error's number."""
    chain = t.session.chain
    before = chain.snapshot()
    result = chain.send(ix, signers=signers)
    assert isinstance(result, FailedTransactionMetadata), "accepted"
    refusal: Any = result.err()
    error = json.loads(refusal.to_json())
    assert chain.snapshot() == before
    assert isinstance(error, list), (error, result.meta().logs())
    return int(error[1])


def counterpart(t: Stage, key: Pubkey) -> Pubkey | None:
    """The account with the same role in the other session."""
    s, o = t.session, t.other
    pairs = {s.at(p): o.at(p) for p in (ids.SESSION_STATE, ids.HIDDEN_STATE, ids.INPUT_BUFFER, ids.FRAME_LOG)}
    pairs |= {programs.checkpoint_pda(s.entity, i): programs.checkpoint_pda(o.entity, i) for i in range(2)}
    for program in (ids.SESSION_STATE, ids.HIDDEN_STATE, ids.INPUT_BUFFER, ids.FRAME_LOG):
        pairs[programs.receipt_pda(program, s.entity)] = programs.receipt_pda(program, o.entity)
    pairs[deposits.deposit_pda(s.entity)] = deposits.deposit_pda(o.entity)
    pairs |= {s.w: o.w, s.p1: o.p1, s.p2: o.p2}
    pairs |= dict(zip(t.shards[:1] + t.manifests[:1], t.shards[1:] + t.manifests[1:], strict=True))
    return pairs.get(key)


@pytest.mark.parametrize("name", CASES)
def test_shaken(name: str) -> None:
    """Each instruction is refused unsigned, with an account or a byte missing, with a byte added, or with a foreign
    account.
    """
    how, who, make = CASES[name]
    t = build(how)
    ix, signer = make(t), getattr(t.session, who)
    metas, data = ix.accounts, bytes(ix.data)

    def variant(place: int, key: Pubkey, signs: bool) -> Instruction:
        changed = list(metas)
        changed[place] = AccountMeta(key, signs, metas[place].is_writable)
        return Instruction(ix.program_id, data, changed)

    unsigned = Instruction(ix.program_id, data, [AccountMeta(m.pubkey, False, m.is_writable) for m in metas])
    assert never(t, unsigned, []) == Error.MissingSignature
    assert never(t, Instruction(ix.program_id, data, metas[:-1]), [signer]) == Error.InvalidAccount
    for wrong in (data[:-1], data + b"x"):
        expected = Error.InstructionUnknown if len(wrong) < 8 else Error.InvalidArguments
        assert never(t, Instruction(ix.program_id, wrong, metas), [signer]) == expected
    stranger = t.session.chain.key(88)
    for place, meta in enumerate(metas):
        if (name, place) in FREE:
            continue
        theirs = counterpart(t, meta.pubkey)
        if meta.is_signer:
            if name not in ANYBODYS:
                never(t, variant(place, stranger.pubkey(), True), [stranger])
            continue
        never(t, variant(place, stranger.pubkey(), False), [signer])
        assert theirs, f"account {place} has no counterpart"
        never(t, variant(place, theirs, False), [signer])
    t.session.chain.ok(ix, signers=[signer])


@pytest.mark.parametrize("name", CASES)
def test_mixtures_of_two_sessions(name: str) -> None:
    """An instruction that mixes the accounts of two sessions is refused, whoever signs."""
    how, who, make = CASES[name]
    t = build(how)
    ix = make(t)
    places = [i for i, m in enumerate(ix.accounts) if counterpart(t, m.pubkey)]
    for bits in range(1, 2 ** len(places) - 1):
        taken = {place for k, place in enumerate(places) if bits >> k & 1}
        if name == "bind_writer" and taken == {1, 2}:
            continue
        if name in ANYBODYS and taken in ({0}, set(places) - {0}):
            continue
        metas = [
            AccountMeta(counterpart(t, m.pubkey) or m.pubkey, m.is_signer, m.is_writable) if i in taken else m
            for i, m in enumerate(ix.accounts)
        ]
        signer = getattr(t.other if 0 in taken else t.session, who)
        never(t, Instruction(ix.program_id, ix.data, metas), [signer])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("wrong", ["owner", "discriminator"])
def test_look_alikes(name: str, wrong: str) -> None:
    """An account with the right bytes but another owner or discriminator is refused wherever it is read."""
    how, who, make = CASES[name]
    t = build(how)
    ix, chain = make(t), t.session.chain
    fake = Pubkey.from_bytes(bytes([9]) * 32)
    for place, meta in enumerate(ix.accounts):
        account = chain.svm.get_account(meta.pubkey)
        if meta.is_signer or not account or account.owner == ids.SYSTEM_PROGRAM or account.executable:
            continue
        data = bytes(account.data)
        owner = account.owner
        if wrong == "owner":
            owner = Pubkey.from_bytes(bytes([8]) * 32)
        else:
            data = bytes([data[0] ^ 1]) + data[1:]
        chain.put(fake, data, owner, account.lamports)
        metas = ix.accounts
        metas[place] = AccountMeta(fake, False, meta.is_writable)
        code = never(t, Instruction(ix.program_id, ix.data, metas), [getattr(t.session, who)])
        assert code == Error.InvalidAccount, place


def test_every_direct_instruction_is_shaken() -> None:
    """The table above contains every builder of a direct instruction."""
    builders = {n for module in (programs, deposits) for n in dir(module) if callable(getattr(module, n))}
    prefixes = ("bind_", "claim", "pin_", "deposit", "checkpoint_", "close_", "ring_", "shard_", "manifest_")
    assert {n for n in builders if n.startswith(prefixes)} - {"checkpoint_pda", "deposit_pda"} == set(CASES)
    assert LEAF > SIZE
