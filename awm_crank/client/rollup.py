"""Moves a session to a rollup and back (docs/rollup.md), on behalf of its players."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from ..errors import AccountError, ProgramError, RpcError
from ..wire import ids, layouts, rollup
from ..wire.accounts import ModelManifest, SessionState
from . import session as sessions
from .chain import Chain, ChainAccount
from .session import SessionAccounts, SessionView

RING_RECORDS = 2048
"""Default number of records that a ring may have in the rollup. The lamports on frame-log pay for them."""
CHECKPOINT_BYTES = 2_699_784
"""Default number of state bytes that each checkpoint may have: as many as hidden-state takes."""
_RENT_PER_BYTE = 6960
_PATIENCE_S = 60.0
_DEPLOYMENT_SLOTS = 3
_CRANK_FIRST_S = 0.25
_NUDGE_S = 2.0
"""Time that the rollup gets to notice a change on the base chain before the next change is made."""


class Settled(msgspec.Struct, frozen=True):
    """A session back on the base chain."""

    view: SessionView
    seconds: float
    """From the rollup's last transaction to the last component on the base chain."""


async def identity(roll: Chain) -> Pubkey:
    """The rollup's validator. Raises RpcError."""
    return await roll.read(lambda result: Pubkey.from_string(result["identity"]), "getIdentity")


async def _extra_size(base: Chain, model: Pubkey) -> int:
    """Bytes of extra feedback for each player in a model. Raises AccountError if the model does not exist."""
    account = await base.need(model, "model manifest")
    return ModelManifest.decode(account.data, owner=account.owner, address=model).extra_size


async def delegate(
    base: Chain, roll: Chain, player: Keypair, session: Pubkey, *,
    ring_records: int = RING_RECORDS, checkpoint_bytes: int = CHECKPOINT_BYTES,
) -> SessionAccounts:  # fmt: skip
    """Delegates a session's four components to a rollup, with the lamports that they need there.

    Returns once the rollup can read and write them. Skips what an earlier try has done.

    Args:
        base, roll: both chains.
        player: player 1. Nobody may have joined yet.
        ring_records: the most that the ring may hold in the rollup.
        checkpoint_bytes: the most that one checkpoint's state may have.

    Raises:
        AccountError: no such session or model, or the session is not waiting for player 2.
        ProgramError, RpcError: as `Chain.send`. RpcError also if the rollup does not accept them as its own in time.
    """
    state, owner = await _session(base, session)
    accounts = SessionAccounts.of(state.entity)
    key, validator = player.pubkey(), await identity(roll)
    found = await base.accounts(accounts.all()[:4])
    owners = {account.key: account.owner for account in found if account is not None}
    lamports = {account.key: account.lamports for account in found if account is not None}
    pending = [program for program, at in _components(accounts) if owners.get(at) == program]
    if owner == ids.DELEGATION and not pending:
        await _cloned(roll, accounts)
        await _writable(base, roll, player, accounts)
        return accounts
    extra = 2 * await _extra_size(base, state.model)
    record = layouts.FRAME_RECORD.size + extra
    wanted = {
        accounts.log: (layouts.FRAME_LOG_BYTES + ring_records * record + 128) * _RENT_PER_BYTE,
        accounts.hidden: (layouts.HIDDEN_STATE.size + 128) * _RENT_PER_BYTE
        # twice, because a rollup that restarts loses them together with what was paid for them
        + 2 * 2 * rollup.ephemeral_cost(layouts.CHECKPOINT.size + checkpoint_bytes + extra),
    }
    gifts = [
        transfer(TransferParams(from_pubkey=key, to_pubkey=to, lamports=amount - lamports.get(to, 0)))
        for to, amount in wanted.items()
        # a delegated account keeps the lamports that it had when it was delegated
        if lamports.get(to, 0) < amount and owners.get(to) != ids.DELEGATION
    ]
    # the money comes first, because a delegated account cannot receive more
    if gifts:
        await base.send(gifts, player)
    # The hidden state goes last, because the crank waits for it and then needs the others. It goes after a pause,
    # because the rollup takes seconds if two clients ask it for the same new accounts at once.
    others = [program for program in pending if program != ids.HIDDEN_STATE]
    for part in (others[:2], others[2:]):
        if part:
            await base.send([rollup.delegate(key, accounts.entity, program, validator) for program in part], player)
    await _cloned(roll, accounts, but=ids.HIDDEN_STATE)
    # before a crank hears of the session
    await _writable(base, roll, player, accounts, but=ids.HIDDEN_STATE)
    if ids.HIDDEN_STATE in pending:
        await base.send([rollup.delegate(key, accounts.entity, ids.HIDDEN_STATE, validator)], player)
        await asyncio.sleep(_CRANK_FIRST_S)
    await _cloned(roll, accounts)
    await _writable(base, roll, player, accounts)
    return accounts


async def undelegate(base: Chain, roll: Chain, signer: Keypair, session: Pubkey) -> Settled:
    """Takes an ended session back to the base chain.

    Closes its checkpoints and its ring in the rollup, commits the four components, and waits until the base chain has
    them. Skips what an earlier try has done. The records are gone afterwards: write the match file first.

    Args:
        signer: a player or the writer; while nobody has joined, player 1.

    Raises:
        AccountError: no such session, or it is still being played.
        ProgramError, RpcError: as `Chain.send`. RpcError also if it does not arrive in time.
    """
    state, _ = await _session(roll, session)
    accounts, key = SessionAccounts.of(state.entity), signer.pubkey()
    there = dict(zip(accounts.all(), await roll.accounts(accounts.all()), strict=True))
    here = dict(zip(accounts.all(), await base.accounts(accounts.all()), strict=True))
    steps: list[Instruction] = [
        rollup.checkpoint_close_ephemeral(key, accounts.entity, slot)
        for slot, at in enumerate(accounts.checkpoints)
        if _owned(there[at], ids.HIDDEN_STATE)
    ]
    steps += [
        rollup.undelegate(key, accounts.entity, program)
        for program, at in _components(accounts)
        # a component that is back belongs to its program on both chains: the rollup shows a copy
        if _owned(there[at], program) and _owned(here[at], ids.DELEGATION)
    ]
    for step in steps:
        await roll.send([step], signer)
    began = time.monotonic()
    view = await _settled(base, accounts)
    return Settled(view, time.monotonic() - began)


async def _session(chain: Chain, session: Pubkey) -> tuple[SessionState, Pubkey]:
    """A session's account, delegated or not, and its owner."""
    account = await chain.need(session, "session")
    if account.owner not in (ids.SESSION_STATE, ids.DELEGATION):
        raise AccountError(f"{session} is no session", expected=f"owner {ids.SESSION_STATE}", found=account.owner)
    return SessionState.decode(account.data, address=session), account.owner


def _components(accounts: SessionAccounts) -> Sequence[tuple[Pubkey, Pubkey]]:
    """(program, account) of each component. SessionState is last, because clients judge the others by it."""
    return (
        (ids.FRAME_LOG, accounts.log),
        (ids.INPUT_BUFFER, accounts.inputs),
        (ids.HIDDEN_STATE, accounts.hidden),
        (ids.SESSION_STATE, accounts.session),
    )


def _owned(account: ChainAccount | None, program: Pubkey) -> bool:
    return account is not None and account.owner == program


async def _cloned(roll: Chain, accounts: SessionAccounts, *, but: Pubkey | None = None) -> None:
    """Waits until the rollup has fetched the components and treats them as delegated. Reading them starts that."""
    deadline = time.monotonic() + _PATIENCE_S
    wanted = [(program, at) for program, at in _components(accounts) if program != but]
    keys = [at for _, at in wanted]
    while True:
        found = {account.key: account.owner for account in await roll.accounts(keys) if account is not None}
        if all(found.get(at) == program for program, at in wanted):
            await _warm_up(roll)
            return
        if time.monotonic() > deadline:
            raise RpcError(
                f"the rollup {roll.url} does not show session {accounts.session} as its own",
                hint="check that it is the one that the session was delegated to", recoverable=True,
            )  # fmt: skip
        await asyncio.sleep(0.05)


async def _writable(
    base: Chain, roll: Chain, player: Keypair, accounts: SessionAccounts, *, but: Pubkey | None = None
) -> None:
    """Waits until the rollup lets the components be written, which the right owner alone does not show.

    Under load, version 0.8.3 sometimes clones an account as one that is not delegated, yet with the owner that it has
    in the rollup. Reading or writing it does not mend that. Only a change of the account on the base chain makes the
    rollup clone it again, so it gets a lamport there.
    """
    deadline = time.monotonic() + _PATIENCE_S
    nudged: dict[Pubkey, float] = {}
    wanted = [(program, at) for program, at in _components(accounts) if program != but]
    while True:
        stale = [at for program, at in wanted if not await _taken(roll, player, accounts.entity, program)]
        if not stale:
            return
        now = time.monotonic()
        if now > deadline:
            raise RpcError(
                f"the rollup {roll.url} refuses to write to {', '.join(map(str, stale))}, delegated to it",
                hint="run the command again; else undelegate the session", recoverable=True,
            )  # fmt: skip
        late = [at for at in stale if at not in nudged or now >= nudged[at] + _NUDGE_S]
        if late:
            gifts = [TransferParams(from_pubkey=player.pubkey(), to_pubkey=at, lamports=1) for at in late]
            await base.send([transfer(gift) for gift in gifts], player)
            nudged |= dict.fromkeys(late, time.monotonic())
        await asyncio.sleep(0.1)


async def _taken(roll: Chain, player: Keypair, entity: Pubkey, program: Pubkey) -> bool:
    """Whether the rollup treats a component as delegated.

    It shows that only for a transaction that writes to the component. The one that player 1 may send for each of them
    is `undelegate`, so this simulates it.
    """
    try:
        await roll.simulate([rollup.undelegate(player.pubkey(), entity, program)], player)
    except RpcError as error:
        # a rollup that pauses for a moment may forget a blockhash
        if error.data in ("InvalidWritableAccount", "BlockhashNotFound"):
            return False
        raise
    except ProgramError:
        # the component refused, not the rollup: the session has begun, or has checkpoints
        pass
    return True


async def _warm_up(roll: Chain) -> None:
    """Makes the rollup fetch the programs, and waits for the slots in which they cannot be called yet.

    Without it, the first transaction may fail with "Unsupported program id".
    """
    await roll.accounts([ids.WORLD, *ids.SESSION_COMPONENTS, *ids.SYSTEMS.values()])
    first = await roll.read(int, "getSlot")
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if await roll.read(int, "getSlot") >= first + _DEPLOYMENT_SLOTS:
            return
        await asyncio.sleep(0.01)


async def _settled(base: Chain, accounts: SessionAccounts) -> SessionView:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        found = {account.key: account.owner for account in await base.accounts(accounts.all()[:4]) if account}
        if all(found.get(at) == program for program, at in _components(accounts)):
            return await sessions.show(base, accounts.session)
        if time.monotonic() > deadline:
            raise RpcError(
                f"session {accounts.session} has not come back to {base.url} in {_PATIENCE_S:.0f} s",
                hint="run the command again", recoverable=True,
            )  # fmt: skip
        await asyncio.sleep(0.05)
