"""`join`: a session from one player's chair, for bots.

    async with join(session, keypair, rpc) as match:
        async for frame in match:
            match.press(stick_x=80 if frame.them.x > frame.me.x else -80)

The controller is one that is held: what was pressed last stays pressed. Each frame takes one input, sent for that
frame alone (the option `frame` of submit-input): the first `press` upon a frame goes out at once, and where the loop
comes round without one, what is held is sent. So no frame waits for a bot that has nothing new to say, and a bot that
is too slow for a frame has lost that frame only: the chain holds the last input, the loop goes on with the newest one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..config import websocket_url
from ..errors import AccountError
from ..match.file import fighter
from ..match.players import NEUTRAL, controller
from ..wire.accounts import WAITING_PLAYERS
from ..wire.layouts import PLAYER_STATE
from ..wire.structs import Fighter as Fighter
from ..wire.transaction import Signer
from . import session as sessions
from . import setup
from .chain import Chain
from .player import Outcome, Play, Table


@dataclass(frozen=True)
class Frame:
    """A frame as one player sees it.

    Attributes:
        number: the frame's; 0 is the start position.
        player: whose view it is, 0 or 1.
        players: both PlayerStates, 64 bytes.
        skipped: frames that went by unseen since the one before, because the bot was slow.
        over: the match ended with this frame; nothing that is pressed counts any more.
    """

    number: int
    player: int
    players: bytes
    skipped: int
    over: bool

    @property
    def me(self) -> Fighter:
        """The player's own fighter."""
        return self._fighter(self.player)

    @property
    def them(self) -> Fighter:
        """The opponent's."""
        return self._fighter(1 - self.player)

    def _fighter(self, player: int) -> Fighter:
        size = PLAYER_STATE.size
        return fighter(self.players[size * player : size * (player + 1)])


class Match:
    """A seat in a match: an async iterator of frames, and a controller. Made by `join`."""

    def __init__(self, address: Pubkey, player: int) -> None:
        self.session = address
        self.player = player
        self.held = NEUTRAL
        """the ControllerInput (8 bytes) that is held"""
        self._play: Play
        self._following: asyncio.Task[Outcome]
        self._news = asyncio.Event()
        self._seen = -1
        self._told_over = False

    @property
    def outcome(self) -> Outcome:
        """Frames, inputs sent and resent, faults of the connection, so far."""
        return self._play.outcome

    def press(
        self, stick_x: int = 0, stick_y: int = 0, *, c_stick_x: int = 0, c_stick_y: int = 0,
        trigger_l: int = 0, trigger_r: int = 0, buttons: int = 0, buttons_ext: int = 0,
    ) -> None:  # fmt: skip
        """Holds the controller like this from the coming frame on; without arguments everything is let go.

        A second press upon the same frame counts from the frame after.

        Args:
            stick_x: main stick, -128 (left) to 127 (right). A full tilt is ±80.
            stick_y: main stick, -128 (down) to 127 (up).
            c_stick_x: C-stick, as `stick_x`.
            c_stick_y: C-stick, as `stick_y`.
            trigger_l: left shoulder, 0 to 255.
            trigger_r: right shoulder, 0 to 255.
            buttons: bits A, B, X, Y, Z, Start, D-left, D-right, lowest first. `A | X` of this package presses both.
            buttons_ext: bits D-up, D-down, L, R, lowest first.

        Raises:
            struct.error: a value is out of range.
        """
        self.hold(
            controller(
                stick_x, stick_y, c_stick_x=c_stick_x, c_stick_y=c_stick_y, trigger_l=trigger_l, trigger_r=trigger_r,
                buttons=buttons, buttons_ext=buttons_ext,
            )
        )  # fmt: skip

    def hold(self, given: bytes) -> None:
        """As `press`, with the ControllerInput's 8 bytes."""
        self.held = given
        if self._seen >= 0:
            self._send_held()

    def __aiter__(self) -> Match:
        return self

    async def __anext__(self) -> Frame:
        """The newest frame, once there is one that was not seen.

        Raises:
            AccountError: the session is gone before its first frame.
        """
        play = self._play
        if self._told_over:
            raise StopAsyncIteration
        if 0 <= self._seen == play.frame:
            self._send_held()
        while play.frame <= self._seen and not play.over:
            self._news.clear()
            if self._following.done():
                # only an error ends it before the match is over
                self._following.result()
            if play.frame < self._seen:
                # frames that were seen have been rolled back: the one that stands is answered anew
                self._seen = play.frame - 1
            else:
                await self._news.wait()
        self._told_over = play.over
        if not play.players:
            # closed before a frame was seen
            raise StopAsyncIteration
        skipped = play.frame - self._seen - 1 if self._seen >= 0 else 0
        self._seen = play.frame
        return Frame(play.frame, self.player, play.players, max(skipped, 0), play.over)

    def _send_held(self) -> None:
        play = self._play
        if not play.over and not play.given(0):
            play.give([self.held])

    def _wake(self, _: object) -> None:
        self._news.set()


@asynccontextmanager
async def join(
    session: Pubkey | str, keypair: Keypair, rpc: str, *, ws: str = "", world: str = "", character: int = 0,
    resend_s: float = 0.25,
) -> AsyncIterator[Match]:  # fmt: skip
    """Sits down at a session: as the player that `keypair` is, or else as player 2 where that seat is free.

    Args:
        session: the SessionState account's address.
        rpc: the rollup's HTTP endpoint; `ws` its WebSocket endpoint, by default the port one higher.
        world: the BOLT world; by default the permissionless one with the lowest id.
        character: 0..32, where this call takes the seat.
        resend_s: how long a frame may stay away before an input that did not arrive is sent again.

    Raises:
        AccountError: no such session, or its seats are taken.
        ConfigError: an address or endpoint that is none.
        ProgramError, RpcError: as `Chain.send`.
    """
    address = setup.parse_key(session, "session") if isinstance(session, str) else session
    key, ws = keypair.pubkey(), ws or websocket_url(rpc)
    async with Chain(rpc, commitment="processed") as chain:
        home = await setup.find_world(chain, world)
        state = await sessions.load_session(chain, address)
        if key not in (state.player1, state.player2):
            if state.status != WAITING_PLAYERS:
                raise AccountError(
                    f"session {address} has no free seat", found=f"{state.player1} and {state.player2}",
                    hint="make another with `awm-crank session create`",
                )  # fmt: skip
            await sessions.join(chain, keypair, home, address, character=character)
    match = Match(address, 0 if key == state.player1 else 1)
    async with Table(rpc, ws, resend_s=resend_s) as table:
        seat = (Signer(bytes(keypair)), match.player)
        with table.sit(state.entity, home, [seat], match._wake) as play:
            match._play = play
            match._following = asyncio.create_task(play.run(), name="follow")
            match._following.add_done_callback(match._wake)
            try:
                yield match
            finally:
                match._following.cancel()
                await asyncio.gather(match._following, return_exceptions=True)
