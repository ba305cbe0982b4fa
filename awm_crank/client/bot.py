"""`join`: plays one side of a session, for bots.

    async with join(session, keypair, rpc) as match: async for frame in match: match.press(stick_x=80 if frame.them.x >
        frame.me.x else -80)

The controller keeps its state: a button that was pressed stays pressed. Each frame takes one input, which is sent for
that frame only. The first `press` after a frame is sent at once. If the bot calls nothing, the held state is sent when
it asks for the next frame. So no frame waits for a bot that does not change its input. A bot that is too slow for a
frame loses that frame only: the chain uses the last input, and the loop goes on with the newest frame.
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
from .player import Outcome, PlayedSession, PlayerConnection


@dataclass(frozen=True)
class Frame:
    """A frame as one player sees it.

    Attributes:
        number: the frame's number; 0 is the start position.
        player: the player who sees the frame, 0 or 1.
        players: both PlayerStates, 64 bytes.
        skipped: frames that the bot missed since the previous one, because it was slow.
        over: the match ended with this frame; further input has no effect.
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
    """One player's side of a match: an async iterator of frames, and a controller. `join` returns it."""

    def __init__(self, address: Pubkey, player: int) -> None:
        self.session = address
        self.player = player
        self.held = NEUTRAL
        """The ControllerInput (8 bytes) that is held."""
        self._play: PlayedSession
        self._following: asyncio.Task[Outcome]
        self._news = asyncio.Event()
        self._seen = -1
        self._told_over = False

    @property
    def outcome(self) -> Outcome:
        """How the match went so far: frames, inputs sent and resent, problems of the connection."""
        return self._play.outcome

    def press(
        self, stick_x: int = 0, stick_y: int = 0, *, c_stick_x: int = 0, c_stick_y: int = 0,
        trigger_l: int = 0, trigger_r: int = 0, buttons: int = 0, buttons_ext: int = 0,
    ) -> None:  # fmt: skip
        """Sets the controller from the next frame on; without arguments it releases everything.

        A second call for the same frame takes effect one frame later.

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
        """Like `press`, with the 8 bytes of a ControllerInput."""
        self.held = given
        if self._seen >= 0:
            self._send_held()

    def __aiter__(self) -> Match:
        return self

    async def __anext__(self) -> Frame:
        """Waits for a new frame, and returns the newest one.

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
                # the rollup has rolled back frames that were seen: answer the newest one that exists now
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
    """Joins a session as the player that `keypair` is, or as player 2 if that seat is free.

    Args:
        session: the SessionState account's address.
        rpc: the rollup's HTTP endpoint.
        ws: its WebSocket endpoint; by default the port one higher than that of `rpc`.
        world: the BOLT world; by default as `setup.find_world` finds it.
        character: 0..32; used if this call takes the seat.
        resend_s: how long the next frame may take before an input that did not arrive is sent again.

    Raises:
        AccountError: no such session, or its seats are taken.
        ConfigError: an address or endpoint is not valid.
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
    async with PlayerConnection(rpc, ws, resend_s=resend_s) as connection:
        seat = (Signer(bytes(keypair)), match.player)
        with connection.follow(state.entity, home, [seat], match._wake) as play:
            match._play = play
            match._following = asyncio.create_task(play.run(), name="follow")
            match._following.add_done_callback(match._wake)
            try:
                yield match
            finally:
                match._following.cancel()
                await asyncio.gather(match._following, return_exceptions=True)
