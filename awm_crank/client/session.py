"""Sessions from the players' side: create, join, end, close, show.

A session is named by its SessionState account; its other accounts derive from the entity that stands in it.
"""

from __future__ import annotations

import msgspec
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..errors import AccountError, CartridgeError
from ..wire import bolt, ids, programs
from ..wire.accounts import (
    ACTIVE,
    WAITING_PLAYERS,
    Checkpoint,
    FrameLog,
    HiddenState,
    InputBuffer,
    ModelManifest,
    SessionState,
)
from ..wire.args import CREATE, END, JOIN, Lifecycle
from ..wire.frame_records import genesis
from ..wire.start import start_players
from . import setup
from .chain import Chain, ChainAccount

FINAL_DESTINATION = 32
_READS = 20


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
    """All of a session's accounts, read at one slot; None where an account is not there (yet, or any more)."""

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
        """Whether all accounts that are there are of the frame that the session is at."""
        frame, begun = self.session.frame, self.session.player2 != ids.ZERO_KEY
        told = (
            self.hidden is None or self.hidden.frame == frame,
            self.inputs is None or not begun or self.inputs.frame == frame + 1,
            self.log is None or self.log.total_frames == frame,
        )
        return all(told)

    @property
    def genesis(self) -> bytes:
        """The chain hash of frame 0. It holds from JOIN on."""
        session = self.session
        return genesis(
            self.accounts.session, session.model, session.stage, session.seed, session.max_frames, self.start_players
        )

    @property
    def start_players(self) -> bytes:
        """Both PlayerStates of frame 0; characters never change, so the present ones tell."""
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
    base: Chain | None = None,
) -> SessionAccounts:  # fmt: skip
    """Makes a session on a new entity of `world`, with `player` as player 1.

    Args:
        model: key of a ready manifest; its shape goes into the hidden state.
        writer: whose frames the session takes: the crank's key.
        base: where the model is, where that is another chain.

    Raises:
        AccountError, CartridgeError: no manifest there, or one that is not ready.
        ProgramError, RpcError: as `Chain.send`.
    """
    account = await (base or chain).need(model, "model manifest")
    manifest = ModelManifest.decode(account.data, owner=account.owner, address=model)
    if not manifest.ready:
        raise CartridgeError(f"manifest {model} is not ready", hint="finish `awm-crank publish` first")
    entity = await setup.create_entity(chain, player, world, ids.SESSION_COMPONENTS)
    args = Lifecycle(
        CREATE, player.pubkey(), character, stage, model, max_frames, seed,
        manifest.d_inner, manifest.d_state, manifest.num_layers, writer,
    )  # fmt: skip
    await chain.send([_lifecycle(player, world, entity, args)], player)
    return SessionAccounts.of(entity)


async def join(chain: Chain, player: Keypair, world: Pubkey, session: Pubkey, *, character: int = 0) -> None:
    """Joins as player 2: the session becomes active, frame 0 stands."""
    state = await load_session(chain, session)
    args = Lifecycle(JOIN, player.pubkey(), character)
    await chain.send([_lifecycle(player, world, state.entity, args)], player)


async def end(chain: Chain, player: Keypair, world: Pubkey, session: Pubkey) -> None:
    """Ends a waiting or active session; either player may."""
    state = await load_session(chain, session)
    await chain.send([_lifecycle(player, world, state.entity, Lifecycle(END, player.pubkey()))], player)


async def close(chain: Chain, player: Keypair, session: Pubkey) -> Closed:
    """Closes all of an ended session's accounts, in one transaction, or what an earlier try has left of them.

    Checkpoints' and ring's rent goes to the writer, who paid it; the components' to player 1.

    Args:
        player: player 1.

    Raises:
        AccountError: the session is still being played or prepared for it, or `player` is not its player 1.
        ProgramError, RpcError: as `Chain.send`.
    """
    view = await show(chain, session)
    state, entity, key = view.session, view.accounts.entity, player.pubkey()
    if state.status == ACTIVE:
        raise AccountError(f"session {session} is still active", hint=f"awm-crank session end {session}")
    if key != state.player1:
        raise AccountError(f"session {session} can only be closed by its player 1", expected=state.player1, found=key)
    # a crank prepares checkpoints and ring while player 2 is waited for, and the programs want END before these close
    if state.status == WAITING_PLAYERS and (any(view.lamports[4:]) or view.log_size > FrameLog.LAYOUT.size):
        raise AccountError(
            f"session {session} was prepared by its writer already", hint=f"awm-crank session end {session}"
        )
    writer = view.hidden.writer if view.hidden else ids.ZERO_KEY
    instructions: list[Instruction] = []
    to_writer = 0
    if state.status != WAITING_PLAYERS:
        for slot in (0, 1):
            if view.lamports[4 + slot]:
                instructions.append(programs.checkpoint_close(key, entity, slot, writer))
                to_writer += view.lamports[4 + slot]
        if view.log_size > FrameLog.LAYOUT.size:
            instructions.append(programs.ring_shrink(key, entity, writer))
            to_writer += view.lamports[3] - await chain.rent(FrameLog.LAYOUT.size)
    if view.lamports[3]:
        instructions.append(programs.close_frame_log(key, entity))
    if view.lamports[2]:
        instructions.append(programs.close_input_buffer(key, entity))
    if view.lamports[1]:
        instructions.append(programs.close_hidden_state(key, entity))
    instructions.append(programs.close_session_state(key, entity))
    await chain.send(instructions, player)
    return Closed(sum(view.lamports) - to_writer, to_writer, writer)


async def show(chain: Chain, session: Pubkey) -> SessionView:
    """Reads a session's accounts, all at one slot.

    Raises:
        AccountError, LayoutError: no session there, or an account that is not what it should be.
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
    """As `show`, for a session that is being written: an endpoint may take a frame between two accounts that it reads.

    Where the accounts are never seen of one frame, what was read last is returned: that is how they stand then.

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
        AccountError, LayoutError: there is none, or it is no SessionState.
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
