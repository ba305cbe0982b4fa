"""The engine program in hostile hands: other senders, transactions that are cut, other images, shards and accounts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from solders.account import Account
from solders.compute_budget import set_compute_unit_limit
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata
from svm.rig import Error

from awm_crank.bench.onchain import RUN, OnchainWorld
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.frame import start_block
from awm_crank.engine.layout import HEADER
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.wire import ids, onchain
from awm_crank.wire.accounts import EngineImage, WeightShard

BLOCK = start_block(32, (1, 20))
PADS = [bytes([n, 80, 3, 250, n, 9, 1, 2] * 2) for n in range(1, 30)]


def made(seed: int = 1) -> Cartridge:
    """A small world."""
    return cartridge(SHAPES["tiny"], seed)


def complete(world: OnchainWorld) -> OnchainWorld:
    """A world with its complete image."""
    world.allocate()
    world.build()
    return world


@pytest.fixture
def world() -> OnchainWorld:
    """A world whose run waits for the inputs of frame 1."""
    found = complete(OnchainWorld(made()))
    found.open(BLOCK)
    return found


def expected(frames: int) -> bytes:
    """The block that the native engine computes."""
    engine = NativeEngine(made())
    state, block = engine.start_state(BLOCK), BLOCK
    for pads in PADS[:frames]:
        block = engine.heads(engine.backbone(state, block), block, pads)
    return block


def refused(code: int, call: Callable[[], object]) -> None:
    """The call fails with this custom error."""
    with pytest.raises(RuntimeError, match=rf"(InstructionErrorCustom\(\s*{code}|custom program error: {code:#x})"):
        call()


def stranger(world: OnchainWorld) -> Keypair:
    """A funded key that has nothing to do with the run."""
    key = Keypair.from_seed(bytes([7]) * 32)
    world.svm.set_account(key.pubkey(), Account(10**12, b"", Pubkey.default()))
    return key


def test_anyone_turns_and_nobody_disturbs(world: OnchainWorld) -> None:
    """Two senders who take turns, with as few and as many units as they like, get what one would get."""
    other = stranger(world)
    for n, pads in enumerate(PADS[:3], 1):
        world.send(onchain.run_feed(world.payer.pubkey(), RUN, n, pads))
        for units in (30_000, 61_000, 45_000, 100_000, 9_000) * 3:
            for by in (world.payer, other):
                world.send(onchain.run_turn(world.run_key, world.key, [1], units), signer=by)
        world.turn()
        assert world.block() == expected(n)


def test_a_cut_transaction_loses_nothing(world: OnchainWorld) -> None:
    """A turn that claims more units than its transaction has fails in the middle; the account is as before it."""
    world.send(onchain.run_feed(world.payer.pubkey(), RUN, 1, PADS[0]))
    before, failed = world.data(world.run_key), 0
    for limit in (20_000, 50_000, 100_000, 140_000, 180_000):
        turn = onchain.run_turn(world.run_key, world.key, [1])
        message = Message([set_compute_unit_limit(limit), turn], world.payer.pubkey())
        done = world.svm.send_transaction(Transaction([world.payer], message, world.svm.latest_blockhash()))
        failed += isinstance(done, FailedTransactionMetadata)
        assert world.data(world.run_key) == before
    assert failed == 5
    world.turn()
    assert world.block() == expected(1)


def test_only_the_authority_gives_inputs(world: OnchainWorld) -> None:
    """A stranger neither feeds nor closes a run; inputs are given once, in order, and 16 frames ahead at most."""
    other = stranger(world)
    feed = onchain.run_feed(world.payer.pubkey(), RUN, 1, PADS[0])
    forged = onchain.run_feed(other.pubkey(), RUN, 1, PADS[0])
    forged.accounts = [forged.accounts[0], feed.accounts[1]]
    refused(Error.InvalidAuthority, lambda: world.send(forged, signer=other))
    closing = onchain.run_close(other.pubkey(), RUN)
    closing.accounts = [closing.accounts[0], feed.accounts[1]]
    refused(Error.InvalidAuthority, lambda: world.send(closing, signer=other))
    world.send(feed)
    refused(Error.FrameMismatch, lambda: world.send(feed))
    me = world.payer.pubkey()
    refused(Error.FrameMismatch, lambda: world.send(onchain.run_feed(me, RUN, 3, PADS[2])))
    for n in range(2, 17):
        world.send(onchain.run_feed(me, RUN, n, PADS[n - 1]))
    refused(Error.FrameMismatch, lambda: world.send(onchain.run_feed(me, RUN, 17, PADS[16])))
    world.turn()
    assert world.run().frame == 16
    assert world.block() == expected(16)


def test_a_run_takes_its_own_image_only(world: OnchainWorld) -> None:
    """Another cartridge's image, another's part, an image as a part, and accounts of other programs are refused."""
    other = complete(OnchainWorld(made(2)))
    for key in (other.key.key, other.key.part(1)):
        account = other.svm.get_account(key)
        assert account is not None
        world.svm.set_account(key, account)
    turn = onchain.run_turn(world.run_key, other.key, [])
    refused(Error.ImageMismatch, lambda: world.send(turn))
    turn = onchain.run_turn(world.run_key, world.key, [1])
    turn.accounts = [*turn.accounts[:2], onchain.run_turn(world.run_key, other.key, [1]).accounts[2]]
    refused(Error.ImageMismatch, lambda: world.send(turn))
    turn.accounts = [*turn.accounts[:2], turn.accounts[1]]
    refused(Error.InvalidAccount, lambda: world.send(turn))
    image = world.svm.get_account(world.key.key)
    assert image is not None
    world.svm.set_account(world.key.key, Account(image.lamports, image.data, ids.WEIGHT_SHARD))
    refused(Error.InvalidAccount, lambda: world.send(onchain.run_turn(world.run_key, world.key, [1])))


def test_another_payers_unfinished_image_is_not_mixed_in(world: OnchainWorld) -> None:
    """A part of an image of the same content by another payer, which may not be filled yet, is refused."""
    other = stranger(world)
    half = onchain.Image(world.key.content, other.pubkey())
    world.send(onchain.image_open(half, world.shards), signer=other)
    for part in (0, 1):
        for _ in range(40):
            world.send(*[onchain.image_grow(half, part)] * 20, signer=other)
    refused(Error.ImageIncomplete, lambda: world.send(onchain.run_turn(world.run_key, half, [1])))
    turn = onchain.run_turn(world.run_key, world.key, [1])
    turn.accounts = [*turn.accounts[:2], onchain.run_turn(world.run_key, half, [1]).accounts[2]]
    refused(Error.ImageMismatch, lambda: world.send(turn))


def test_an_image_is_of_its_shards() -> None:
    """An image can be continued only with the same finalized shards."""
    world = OnchainWorld(made())
    shard = WeightShard.decode(world.data(world.shards[0]))
    strange = Pubkey([9] * 32)
    unfinished = bytearray(shard.encode())
    unfinished[WeightShard.LAYOUT.offset("finalized")] = 0
    world.svm.set_account(strange, Account(10**9, bytes(unfinished), ids.WEIGHT_SHARD))
    refused(Error.ShardIncomplete, lambda: world.send(onchain.image_open(world.key, [strange])))
    world.svm.set_account(strange, Account(10**9, shard.encode(), ids.FRAME_LOG))
    refused(Error.InvalidAccount, lambda: world.send(onchain.image_open(world.key, [strange])))
    refused(Error.ShardMismatch, lambda: world.send(onchain.image_open(world.key, world.shards * 5)))
    world.allocate()
    republished = OnchainWorld(made(2))
    account = republished.svm.get_account(republished.shards[0])
    assert account is not None
    world.svm.set_account(strange, account)
    refused(Error.ShardMismatch, lambda: world.send(onchain.image_build(world.key, [strange], [1])))
    world.build()
    refused(Error.ImageComplete, lambda: world.send(onchain.image_build(world.key, world.shards, [1])))


def test_an_unfinished_image_runs_nothing() -> None:
    """A run opens only on a complete image."""
    world = OnchainWorld(made())
    world.allocate()
    opening = onchain.run_open(world.payer.pubkey(), RUN, world.key, BLOCK)
    refused(Error.ImageIncomplete, lambda: world.send(opening))
    world.send(onchain.image_build(world.key, world.shards, [1], 250_000))
    assert not world.image().complete
    with pytest.raises(RuntimeError, match=f"Custom.{Error.PartMissing}"):
        for _ in range(10):
            world.send(onchain.image_build(world.key, world.shards, []))
    assert not world.image().complete
    refused(Error.ImageIncomplete, lambda: world.send(opening))


def test_a_run_of_part_size_does_not_turn() -> None:
    """A turn needs the whole account."""
    world = complete(OnchainWorld(made()))
    world.send(onchain.run_open(world.payer.pubkey(), RUN, world.key, BLOCK))
    refused(Error.RunIncomplete, lambda: world.send(onchain.run_turn(world.run_key, world.key, [1])))
    world.make_run_whole()
    world.turn()
    world.frame(PADS[0])
    assert world.block() == expected(1)


def broken(at: str, value: bytes) -> OnchainWorld:
    """A world whose cartridge has other bytes at a tensor (found by its values) or a header's field."""
    found = made()
    data = bytearray(found.data)
    place = data.find(found.arrays[at].tobytes()) if at in found.arrays else int(at)
    data[place : place + len(value)] = value
    world = OnchainWorld(found)
    shard = WeightShard.decode(world.data(world.shards[0]))
    patched = msgspec.structs.replace(shard, data=bytes(data))
    world.svm.set_account(world.shards[0], Account(10**12, patched.encode(), ids.WEIGHT_SHARD))
    return world


def test_a_cartridge_that_could_overflow_is_refused() -> None:
    """If a bias makes a row's sum exceed 32 bits, the packing finds it, and the image records the error."""
    world = broken("heads.b", (2**31 - 5).to_bytes(4, "little"))
    world.allocate()
    for _ in range(3):
        if not world.image().refused:
            world.send(onchain.image_build(world.key, world.shards, [1]))
    assert world.image().refused == 5
    assert not world.image().complete
    refused(Error.CartridgeRefused, lambda: world.send(onchain.image_build(world.key, world.shards, [1])))


@pytest.mark.parametrize("field", ["magic", "file_size", "d_model", "num_layers", "tensor_count", "s_heads"])
def test_a_cartridge_with_a_broken_header_is_refused(field: str) -> None:
    """What reading relies on is checked before an account is made."""
    world = broken(str(HEADER.offset(field)), b"\xff\xff")
    refused(Error.CartridgeRefused, lambda: world.send(onchain.image_open(world.key, world.shards)))
    assert not world.data(world.key.key)


def test_accounts_are_made_once_and_closed_by_their_payers(world: OnchainWorld) -> None:
    """Opening again is refused; a part outlives nothing but its image; the rent goes to who paid."""
    me, other = world.payer.pubkey(), stranger(world)
    refused(Error.AlreadyCreated, lambda: world.send(onchain.run_open(me, RUN, world.key, BLOCK)))
    refused(Error.AlreadyCreated, lambda: world.send(onchain.image_open(world.key, world.shards)))
    refused(Error.StillOpen, lambda: world.send(onchain.image_close(world.key, 1)))
    forged = onchain.image_close(onchain.Image(world.key.content, other.pubkey()), 0)
    forged.accounts = [forged.accounts[0], *onchain.image_close(world.key, 0).accounts[1:]]
    refused(Error.PayerMismatch, lambda: world.send(forged, signer=other))
    world.send(onchain.image_close(world.key, 0))
    refused(Error.InvalidAccount, lambda: world.send(onchain.run_turn(world.run_key, world.key, [1])))
    world.send(onchain.image_close(world.key, 1))
    world.send(onchain.run_close(me, RUN))
    assert not world.data(world.run_key)
    complete(world)
    world.open(BLOCK)
    world.frame(PADS[0])
    assert world.block() == expected(1)


def test_a_bad_block_opens_no_run() -> None:
    """Frame 0 must be within the engine's ranges, since a field of it chooses a row of a table."""
    world = complete(OnchainWorld(made()))
    bad = bytearray(BLOCK)
    bad[28:30] = (400).to_bytes(2, "little")
    refused(
        Error.InvalidPlayerState, lambda: world.send(onchain.run_open(world.payer.pubkey(), RUN, world.key, bytes(bad)))
    )


def test_an_image_in_several_parts_is_the_same_world() -> None:
    """Small parts, passed one at a time, give the same frames; the run says which part it needs."""
    found = cartridge(SHAPES["demo"], 1)
    whole, cut = OnchainWorld(found), OnchainWorld(found, part_words=65_536, parts_at_once=1)
    for world in (whole, cut):
        complete(world)
        world.open(BLOCK)
        world.frame(PADS[0])
    assert onchain.parts(EngineImage.decode(cut.data(cut.key.key))) > 1
    assert whole.state() == cut.state()
