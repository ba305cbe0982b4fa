"""Sessions from the players' side, on the localnet."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from client.localnet import Arena
from client.minicrank import MiniCrank
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.client import session
from awm_crank.client.chain import ChainAccount
from awm_crank.errors import AccountError, ProgramError
from awm_crank.wire import deposits, layouts
from awm_crank.wire.accounts import ENDED
from awm_crank.wire.failures import Code

FEE = 5000


async def test_create_and_join(arena: Arena) -> None:
    """CREATE names model, shape, writer, stage and seed; JOIN sets the start position and the genesis hash."""
    async with arena.chain() as chain:
        player1, player2, writer = arena.net.funded(), arena.net.funded(), Keypair()
        made = await session.create(
            chain, player1, arena.world, arena.model, writer=writer.pubkey(), character=3, stage=31, max_frames=77,
            seed=2**64 - 1,
        )  # fmt: skip
        before = await session.show(chain, made.session)
        await session.join(chain, player2, arena.world, made.session, character=5)
        view = await session.show(chain, made.session)
    assert before.session.status == 1
    assert view.hidden is not None
    state = view.session
    assert (state.status, state.frame, state.stage, state.max_frames, state.seed) == (2, 0, 31, 77, 2**64 - 1)
    assert (state.player1, state.player2, state.model) == (player1.pubkey(), player2.pubkey(), arena.model)
    assert state.players == view.start_players
    assert (view.hidden.writer, view.hidden.chain_hash) == (writer.pubkey(), view.genesis)
    shape = arena.cartridge.shape
    assert (view.hidden.d_inner, view.hidden.d_state, view.hidden.num_layers) == (
        shape.d_inner, shape.d_state, shape.num_layers,
    )  # fmt: skip


async def test_accounts_of_two_frames_are_read_again(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts of two different frames are read again; accounts that stay contradictory are returned as they are."""
    async with arena.chain() as chain:
        made, crank, *_ = await arena.played(chain, 2)
        before = await chain.accounts(made.all())
        await crank.frames(1)
        read, torn = chain.accounts, 3

        async def tear(keys: Sequence[Pubkey]) -> list[ChainAccount | None]:
            nonlocal torn
            now = await read(keys)
            torn -= 1
            return [before[0], *now[1:]] if torn > 0 and list(keys) == made.all() else now

        monkeypatch.setattr(chain, "accounts", tear)
        view = await session.show_one_frame(chain, made.session)
        assert (view.session.frame, view.of_one_frame) == (3, True)
        torn = 1000
        view = await session.show_one_frame(chain, made.session)
        assert view.log is not None
        assert (view.session.frame, view.log.total_frames, view.of_one_frame) == (2, 3, False)


async def test_close_returns_every_lamport(arena: Arena) -> None:
    """Closing an ended session gives the rent of checkpoints and ring to the
    writer, and the components' to player 1.
    """
    async with arena.chain() as chain:
        made, crank, player1, player2 = await arena.played(chain, 3, checkpoints=(1, 2))
        await session.end(chain, player2, arena.world, made.session)
        view = await session.show(chain, made.session)
        before = [await chain.balance(key) for key in (player1.pubkey(), crank.writer.pubkey())]
        closed = await session.close(chain, player1, made.session)
        after = [await chain.balance(key) for key in (player1.pubkey(), crank.writer.pubkey())]
        left = await chain.accounts(made.all())
        ring = view.lamports[3] - await chain.rent(layouts.FRAME_LOG_BYTES)
    assert left == [None] * 6
    assert closed.to_player + closed.to_writer == sum(view.lamports)
    assert closed.to_writer == view.lamports[4] + view.lamports[5] + ring
    assert after[0] - before[0] == closed.to_player - FEE
    assert after[1] - before[1] == closed.to_writer


async def test_close_of_a_session_nobody_joined(arena: Arena) -> None:
    """A waiting session closes without being ended, and all of its rent comes back."""
    async with arena.chain() as chain:
        player = arena.net.funded()
        made = await session.create(chain, player, arena.world, arena.model, writer=Keypair().pubkey())
        view = await session.show(chain, made.session)
        before = await chain.balance(player.pubkey())
        closed = await session.close(chain, player, made.session)
        assert await chain.balance(player.pubkey()) - before == sum(view.lamports) - FEE
        assert closed.to_writer == 0


async def test_close_of_a_prepared_session_nobody_joined(arena: Arena) -> None:
    """After the crank has made its accounts, a waiting session is ended first, and then all of the rent comes back."""
    async with arena.chain() as chain:
        player, writer = arena.net.funded(), arena.net.funded()
        made = await session.create(chain, player, arena.world, arena.model, writer=writer.pubkey())
        await MiniCrank(chain, writer, arena.world, made, arena.engine).open()
        with pytest.raises(AccountError, match=f"prepared by its writer already. Try: .*end {made.session}"):
            await session.close(chain, player, made.session)
        await session.end(chain, player, arena.world, made.session)
        view, before = await session.show(chain, made.session), await chain.balance(writer.pubkey())
        closed = await session.close(chain, player, made.session)
        assert closed.to_player + closed.to_writer == sum(view.lamports)
        assert await chain.balance(writer.pubkey()) - before == closed.to_writer > 0


async def test_close_refusals(arena: Arena) -> None:
    """An active session is not closed, a waiting one only by its player 1, and an ended one only after its challenge
    time.
    """
    async with arena.chain() as chain:
        made, _, player1, player2 = await arena.played(chain, 0)
        with pytest.raises(AccountError, match=f"still active. Try: awm-crank session end {made.session}"):
            await session.close(chain, player1, made.session)
        waiting = await session.create(chain, player1, arena.world, arena.model, writer=Keypair().pubkey())
        with pytest.raises(AccountError, match="can only be closed by its player 1"):
            await session.close(chain, player2, waiting.session)
        made, _, player1, player2 = await arena.played(chain, 2, challenge_s=60)
        await session.end(chain, player1, arena.world, made.session)
        with pytest.raises(ProgramError, match="ChallengeOpen"):
            await session.close(chain, player1, made.session)


async def test_anybody_cleans_up(arena: Arena) -> None:
    """A stranger can close an ended session. The rent goes to those who paid it, and the stranger pays only the fee."""
    async with arena.chain() as chain:
        made, crank, player1, _ = await arena.played(chain, 2)
        await session.end(chain, player1, arena.world, made.session)
        stranger = arena.net.funded()
        keys = [stranger.pubkey(), player1.pubkey(), crank.writer.pubkey()]
        before = [await chain.balance(key) for key in keys]
        closed = await session.close(chain, stranger, made.session)
        after = [await chain.balance(key) for key in keys]
    assert [b - a for a, b in zip(before, after, strict=True)] == [-FEE, closed.to_player, closed.to_writer]


async def test_a_deposit_is_settled(arena: Arena) -> None:
    """Closing pays the writer for its frames out of player 1's deposit, and returns the rest to player 1."""
    async with arena.chain() as chain:
        player1, player2, writer = (arena.net.funded(10_000_000_000) for _ in range(3))
        made = await session.create(
            chain, player1, arena.world, arena.model, writer=writer.pubkey(), challenge_s=0, invited=player2.pubkey()
        )
        await session.deposit(chain, player1, made.session, 1_000_000, frame_lamports=7_000)
        await session.join(chain, player2, arena.world, made.session)
        crank = MiniCrank(chain, writer, arena.world, made, arena.engine)
        await crank.open()
        await crank.frames(3)
        await session.end(chain, player2, arena.world, made.session)
        before = await chain.balance(writer.pubkey())
        closed = await session.close(chain, player2, made.session)
        assert await chain.balance(writer.pubkey()) - before == closed.to_writer
        assert await chain.account(deposits.deposit_pda(made.entity)) is None


async def test_programs_refuse_by_name(arena: Arena) -> None:
    """When a program refuses, the error carries the program error's name and number."""
    async with arena.chain() as chain:
        made, _, player1, _ = await arena.played(chain, 0)
        with pytest.raises(ProgramError, match=r"session_lifecycle .*NotWaiting") as caught:
            await session.join(chain, player1, arena.world, made.session)
        assert caught.value.code == Code.NOT_WAITING
        with pytest.raises(ProgramError, match="NotAPlayer"):
            await session.end(chain, arena.net.funded(), arena.world, made.session)


async def test_max_frames_ends_it(arena: Arena) -> None:
    """The frame that reaches max_frames ends the session, and closing needs no END."""
    async with arena.chain() as chain:
        made, _, player1, _ = await arena.played(chain, 2, max_frames=2)
        assert (await session.show(chain, made.session)).session.status == ENDED
        await session.close(chain, player1, made.session)


async def test_no_session_there(arena: Arena) -> None:
    """An address without an account, or with one of another kind, is refused by name."""
    async with arena.chain() as chain:
        key = Keypair().pubkey()
        with pytest.raises(AccountError, match=f"session {key} is not on {arena.net.http}"):
            await session.show(chain, key)
        with pytest.raises(AccountError, match="owner"):
            await session.show(chain, arena.model)
