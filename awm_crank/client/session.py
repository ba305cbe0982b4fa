"""Sessions from the players' side: create, join, end, close, show.

The address of a session is that of its SessionState account, which holds the entity. All its other addresses derive
from the entity.

Each step looks at the chain first and does only what is missing, so a step that failed can be run again.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..errors import AccountError, AwmError, CartridgeError
from ..wire import bolt, deposits, ids, layouts, programs
from ..wire.accounts import (
    ACTIVE,
    ENDED,
    WAITING_PLAYERS,
    Checkpoint,
    Deposit,
    FrameLog,
    HiddenState,
    InputBuffer,
    ModelManifest,
    SessionState,
)
from ..wire.args import CREATE, END, JOIN, Lifecycle
from ..wire.contract import CHALLENGE_S
from ..wire.frame_records import genesis
from ..wire.start import start_players
from . import setup
from .chain import Chain, ChainAccount

FINAL_DESTINATION = 32
_READS = 20
_HOLDS_DEPOSIT = 4
"""A bit of HiddenState.holds."""


class SessionAccounts(msgspec.Struct, frozen=True):
    """Addresses of a session's accounts, all from its entity."""

    entity: Pubkey
    session: Pubkey
    hidden: Pubkey
    inputs: Pubkey
    log: Pubkey
    checkpoints: tuple[Pubkey, Pubkey]

    @classmethod
    def of(cls, entity: Pubkey) -> SessionAccounts:
        """The accounts of an entity."""
        session, hidden, inputs, log = (bolt.component_pda(each, entity) for each in ids.SESSION_COMPONENTS)
        checkpoints = (programs.checkpoint_pda(entity, 0), programs.checkpoint_pda(entity, 1))
        return cls(entity, session, hidden, inputs, log, checkpoints)

    def all(self) -> list[Pubkey]:
        """Session, hidden state, inputs, frame log, checkpoint A, checkpoint B."""
        return [self.session, self.hidden, self.inputs, self.log, *self.checkpoints]


class SessionView(msgspec.Struct, frozen=True):
    """All of a session's accounts, read at one slot; None where an account does not exist (yet, or any more)."""

    accounts: SessionAccounts
    session: SessionState
    hidden: HiddenState | None
    inputs: InputBuffer | None
    log: FrameLog | None
    checkpoints: tuple[Checkpoint | None, Checkpoint | None]
    lamports: tuple[int, ...]
    log_size: int

    @property
    def of_one_frame(self) -> bool:
        """Whether all accounts that exist hold the frame that the session is at."""
        frame, begun = self.session.frame, self.session.player2 != ids.ZERO_KEY
        agree = (
            self.hidden is None or self.hidden.frame == frame,
            self.inputs is None or not begun or self.inputs.frame == frame + 1,
            self.log is None or self.log.total_frames == frame,
        )
        return all(agree)

    @property
    def genesis(self) -> bytes:
        """The chain hash of frame 0, 32 bytes; valid once player 2 has joined."""
        session = self.session
        return genesis(
            self.accounts.session, session.model, session.stage, session.seed, session.max_frames, self.start_players,
            self.hidden.cartridge_hash if self.hidden else b"",
        )  # fmt: skip

    @property
    def start_players(self) -> bytes:
        """Both PlayerStates of frame 0, 64 bytes. Characters never change, so those of the present frame serve."""
        characters = [self.session.players[at + 31] for at in (0, 32)]
        return start_players(*characters)


class Closed(msgspec.Struct, frozen=True):
    """What closing gave back, in lamports."""

    to_player: int
    to_writer: int
    writer: Pubkey


async def create(
    chain: Chain, player: Keypair, world: Pubkey, model: Pubkey, *,
    writer: Pubkey, character: int = 0, stage: int = FINAL_DESTINATION, max_frames: int = 0, seed: int = 0,
    invited: Pubkey = ids.ZERO_KEY, challenge_s: int = CHALLENGE_S,
    base: Chain | None = None, resume: Pubkey | None = None,
    announce: Callable[[SessionAccounts], object] = lambda _: None,
) -> SessionAccounts:  # fmt: skip
    """Makes a session on a new entity of `world`, with `player` as player 1: first the accounts, then CREATE.

    Args:
        model: key of a ready manifest; its shape goes into the hidden state.
        writer: whose frames the session takes: the crank's key.
        invited: who alone may join; the zero key: anyone.
        challenge_s: seconds after the end in which nobody can close anything, so that the result can be checked.
        base: where the model is, if that is another chain.
        resume: the session account or the entity of a creation that was cut off, which is finished instead.
        announce: called with the addresses before anything is sent; again when another client took that entity.

    Raises:
        AccountError, CartridgeError: no manifest there, or one that is not ready; or nothing to resume.
        ProgramError, RpcError: as `Chain.send`. Where accounts may be left half made, the hint says how to go on.
    """
    account = await (base or chain).need(model, "model manifest")
    manifest = ModelManifest.decode(account.data, owner=account.owner, address=model)
    if not manifest.ready:
        raise CartridgeError(f"manifest {model} is not ready", hint="finish `awm-crank publish` first")
    made: list[SessionAccounts] = []

    def tell(entity: Pubkey) -> None:
        made.append(SessionAccounts.of(entity))
        announce(made[-1])

    try:
        if resume is None:
            await setup.create_entity(chain, player, world, ids.SESSION_COMPONENTS, announce=tell)
        elif await _resumed(chain, player, resume, tell):
            return made[-1]
        args = Lifecycle(
            CREATE, player.pubkey(), character, stage, model, max_frames, seed,
            manifest.d_inner, manifest.d_state, manifest.num_layers, writer, invited, challenge_s,
        )  # fmt: skip
        await chain.send([_lifecycle(player, world, made[-1].entity, args)], player)
    except AwmError as error:
        if made and error.recoverable:
            error.hint = f"awm-crank session create --resume {made[-1].session} with the same options"
        raise
    return made[-1]


async def _resumed(chain: Chain, player: Keypair, address: Pubkey, tell: Callable[[Pubkey], object]) -> bool:
    """Finds what an earlier `create` has made; returns whether the session is complete."""
    found = await chain.need(address, "session to resume")
    if found.owner == ids.WORLD:
        address = SessionAccounts.of(address).session
    state = await load_session(chain, address)
    tell(state.entity)
    if state.player1 == ids.ZERO_KEY:
        return False
    if state.player1 != player.pubkey():
        raise AccountError(f"session {address} is another player's", expected=player.pubkey(), found=state.player1)
    return True


async def join(chain: Chain, player: Keypair, world: Pubkey, session: Pubkey, *, character: int = 0) -> None:
    """Joins as player 2: the session becomes active at frame 0. Does nothing if `player` has joined already."""
    state = await load_session(chain, session)
    if state.player2 == player.pubkey() and state.status == ACTIVE:
        return
    args = Lifecycle(JOIN, player.pubkey(), character)
    await chain.send([_lifecycle(player, world, state.entity, args)], player)


async def end(chain: Chain, player: Keypair, world: Pubkey, session: Pubkey) -> None:
    """Ends a waiting or active session; either player may. Does nothing if it has ended already."""
    state = await load_session(chain, session)
    if state.status == ENDED and player.pubkey() in (state.player1, state.player2):
        return
    await chain.send([_lifecycle(player, world, state.entity, Lifecycle(END, player.pubkey()))], player)


async def deposit(chain: Chain, player: Keypair, session: Pubkey, lamports: int, *, frame_lamports: int) -> None:
    """Puts lamports aside for a session's accounts and fees, or adds to them (docs/money.md).

    Args:
        player: player 1.
        frame_lamports: what the writer gets for a frame; the same as before where there is a deposit already.

    Raises:
        AccountError: no such session.
        ProgramError, RpcError: as `Chain.send`.
    """
    state = await load_session(chain, session)
    await chain.send([deposits.deposit(player.pubkey(), state.entity, lamports, frame_lamports)], player)


async def close(chain: Chain, signer: Keypair, session: Pubkey) -> Closed:
    """Closes all accounts of an ended session in one transaction, or those that an earlier try has left.

    Every lamport goes to the key that paid it, whoever signs: checkpoints and ring to the writer or, if a deposit paid
    for them, to the depositor; the components to player 1.

    Args:
        signer: anybody once the session's result has stood for its `challenge_s`; before JOIN player 1.

    Raises:
        AccountError: the session is still being played or prepared for it, or waits and `signer` is not its player 1.
        ProgramError, RpcError: as `Chain.send`. ChallengeOpen: `challenge_s` is not over yet.
    """
    view = await show(chain, session)
    state, entity, key = view.session, view.accounts.entity, signer.pubkey()
    if state.status == ACTIVE:
        raise AccountError(f"session {session} is still active", hint=f"awm-crank session end {session}")
    if state.status == WAITING_PLAYERS:
        if key != state.player1:
            raise AccountError(
                f"session {session} can only be closed by its player 1", expected=state.player1, found=key
            )
        # the programs close checkpoints, ring and deposit only after END
        if any(view.lamports[4:]) or view.log_size > layouts.FRAME_LOG_BYTES or (view.hidden and view.hidden.held):
            raise AccountError(
                f"session {session} was prepared by its writer already", hint=f"awm-crank session end {session}"
            )
    writer = view.hidden.writer if view.hidden else ids.ZERO_KEY
    instructions: list[Instruction] = []
    to_writer = 0
    if view.hidden is not None and view.hidden.holds & _HOLDS_DEPOSIT:
        account = await chain.need(deposits.deposit_pda(entity), "deposit")
        deposit = Deposit.decode(account.data, owner=account.owner, address=account.key)
        instructions.append(deposits.deposit_close(key, entity, deposit.depositor, writer))
        to_writer += (view.hidden.frame - deposit.paid_frames) * deposit.frame_lamports
    for side, checkpoint in enumerate(view.checkpoints):
        if checkpoint is not None:
            instructions.append(programs.checkpoint_close(key, entity, side, checkpoint.payer))
            to_writer += view.lamports[4 + side] if checkpoint.payer == writer else 0
    if view.log is not None and view.log_size > layouts.FRAME_LOG_BYTES:
        paid = view.log.payments
        payer = paid.ring_payer if paid.ring_lamports else key
        instructions.append(programs.ring_shrink(key, entity, payer))
        to_writer += paid.ring_lamports if payer == writer else 0
    for component, closing in (
        (view.log, programs.close_frame_log),
        (view.inputs, programs.close_input_buffer),
        (view.hidden, programs.close_hidden_state),
        (state, programs.close_session_state),
    ):
        if component is not None:
            # none: it was in a rollup, where player 1 alone hands over what player 1 paid for
            paid_by = component.payer if component.payer != ids.ZERO_KEY else state.player1
            instructions.append(closing(key, entity, paid_by))
    await chain.send(instructions, signer)
    return Closed(sum(view.lamports) - to_writer, to_writer, writer)


async def show(chain: Chain, session: Pubkey) -> SessionView:
    """Reads a session's accounts, all at one slot.

    Raises:
        AccountError, LayoutError: there is no session at this address, or one of its accounts is malformed.
    """
    entity = (await load_session(chain, session)).entity
    accounts = SessionAccounts.of(entity)
    if accounts.session != session:
        raise AccountError(f"session {session} is not its entity's", expected=accounts.session, found=session)
    state, hidden, inputs, log, *checkpoints = await chain.accounts(accounts.all())
    if state is None:
        raise AccountError(f"session {session} is gone", hint="it was closed just now")
    return SessionView(
        accounts,
        SessionState.decode(state.data, owner=state.owner, address=session),
        HiddenState.decode(hidden.data, owner=hidden.owner, address=hidden.key) if hidden else None,
        InputBuffer.decode(inputs.data, owner=inputs.owner, address=inputs.key) if inputs else None,
        FrameLog.decode(log.data, owner=log.owner, address=log.key) if log else None,
        (_checkpoint(checkpoints[0]), _checkpoint(checkpoints[1])),
        tuple(each.lamports if each else 0 for each in (state, hidden, inputs, log, *checkpoints)),
        len(log.data) if log else 0,
    )


async def show_one_frame(chain: Chain, session: Pubkey) -> SessionView:
    """Like `show`, for a session that is being written.

    The endpoint may take a frame while it reads the accounts one after another. So this reads again until all accounts
    agree on the frame. If they never do, it returns what it read last.

    Raises:
        AccountError, LayoutError: as `show`.
    """
    view = await show(chain, session)
    for _ in range(_READS):
        if view.of_one_frame:
            break
        view = await show(chain, session)
    return view


async def load_session(chain: Chain, session: Pubkey) -> SessionState:
    """A session's own account.

    Raises:
        AccountError, LayoutError: it does not exist, or is not a SessionState.
    """
    account = await chain.need(session, "session")
    return SessionState.decode(account.data, owner=account.owner, address=session)


def _checkpoint(account: ChainAccount | None) -> Checkpoint | None:
    if account is None:
        return None
    return Checkpoint.decode(account.data, owner=account.owner, address=account.key)


def _lifecycle(player: Keypair, world: Pubkey, entity: Pubkey, args: Lifecycle) -> Instruction:
    return bolt.apply_entity(
        ids.SESSION_LIFECYCLE, player.pubkey(), world, entity, ids.SESSION_COMPONENTS, args.to_binary()
    )
