"""One match as a PettingZoo parallel environment of two players. Needs the extra `env`."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..engine import choose
from ..engine.cartridge import Cartridge
from ..engine.position import out_of_stocks
from ..errors import ConfigError
from ..match import describe
from ..match.game import Game
from ..match.stages import FINAL_DESTINATION
from ..wire.accounts import FRESH
from ..wire.start import start_players
from . import coding

try:
    from gymnasium import spaces
    from gymnasium.error import ResetNeeded
    from pettingzoo import ParallelEnv  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    raise ConfigError(f"the environment needs {error.name}", hint="pip install 'awm-crank[env]'") from error

PLAYERS = ("player_0", "player_1")
MAX_FRAMES = 28_800
_NO_SESSION = bytes(32)
_SOURCES = bytes((FRESH, FRESH))

Observation = dict[str, NDArray[Any]] | NDArray[np.float32]
Action = NDArray[np.integer] | bytes


class NotResetError(ResetNeeded, AssertionError):
    """There is no match yet. gymnasium raises ResetNeeded here and PettingZoo AssertionError, so this is both."""


class MatchEnv(ParallelEnv[str, Observation, Action]):  # type: ignore[misc]
    """One match as a PettingZoo parallel environment. Both players act at once, frame by frame.

    - Observation: what a player on chain sees, its own fighter first. `numbers` is a (2, 15) float32 array with the
      fields and scales of `coding.SCALES`. `categories` is a (2, 2) array: action state and character. With
      `observation="box"` it is one (896,) float32 array instead, as gymnasium flattens the two: each category as 1
      among zeros, the names in alphabetical order.
    - Action: 13 choices (`coding.ACTION_SIZES`), or the 8 bytes of a ControllerInput.
    - Reward: `coding.rewards`. The two players' rewards add up to zero.
    - Termination: a player has no stocks left. Truncation: `max_frames` is reached. Both end a session on chain too.

    The match begins at the position that JOIN sets. The world draws no random numbers, so equal actions give equal
    matches, whatever the seed. An environment can be pickled and copied at any frame; the copy continues the match.

    Args:
        cartridge: the world.
        max_frames: the longest match, at least 1.
        characters: both players' characters, 0 to 32.
        stage: the stage's number, 0 to 32.
        engine: `native` or `reference`.
        observation: `dict` or `box`.
        render_mode: None, or `ansi`: `render` then returns one line of text for each fighter.

    Raises:
        ConfigError: `max_frames`, `observation` or `render_mode` is not one of those values.
        EngineError: the engine cannot run on this machine.
        LayoutError: a character or the stage is out of range.
    """

    metadata: ClassVar[dict[str, Any]] = {"name": "awm_match_v1", "render_modes": ["ansi"], "is_parallelizable": True}

    def __init__(
        self, cartridge: Cartridge, *, max_frames: int = MAX_FRAMES, characters: tuple[int, int] = (1, 2),
        stage: int = FINAL_DESTINATION, engine: str = "native", observation: str = "dict",
        render_mode: str | None = None,
    ) -> None:  # fmt: skip
        if max_frames < 1:
            raise ConfigError("max_frames of an environment", expected="at least 1", found=max_frames)
        if render_mode not in (None, "ansi"):
            raise ConfigError("render_mode", expected="None or ansi", found=render_mode)
        if observation not in ("dict", "box"):
            raise ConfigError("observation", expected="dict or box", found=observation)
        self.possible_agents = list(PLAYERS)
        self.agents: list[str] = []
        self.max_frames = max_frames
        self.render_mode = render_mode
        self._cartridge, self._kind = cartridge, engine
        self._engine = choose.build(cartridge, engine)
        self._start = start_players(*characters)
        self._stage = stage
        self._game: Game | None = None
        shape = (2, len(coding.SCALES))
        self._parts = spaces.Dict(
            {
                "numbers": spaces.Box(-np.inf, np.inf, shape, np.float32),
                "categories": spaces.MultiDiscrete(np.array([coding.CATEGORY_SIZES] * 2)),
            }
        )
        self._flat = observation == "box"
        flat = spaces.Box(-np.inf, np.inf, (spaces.flatdim(self._parts),), np.float32)
        seen = flat if self._flat else self._parts
        self.observation_spaces = dict.fromkeys(PLAYERS, seen)
        self.action_spaces = {player: spaces.MultiDiscrete(list(coding.ACTION_SIZES)) for player in PLAYERS}

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The observation space, which is the same for both players."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The action space. It is equal for both players, but each player's space is sampled independently."""
        return self.action_spaces[agent]

    @property
    def frame(self) -> int:
        """The current frame's number. Raises NotResetError before the first reset."""
        return self._playing("frame").frame

    @property
    def block(self) -> bytes:
        """The current frame's block. Raises NotResetError before the first reset."""
        return self._playing("block").block

    def reset(
        self,
        seed: int | None = None,  # noqa: ARG002
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Starts a new match at frame 0. Seed and options have no effect, because the world draws no random numbers."""
        self.agents = list(PLAYERS)
        self._game = Game.start(self._engine, self._start, self._stage, _NO_SESSION)
        return self._observe(self._game), self._infos(self._game)

    def step(
        self, actions: dict[str, Action]
    ) -> tuple[
        dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
    ]:  # fmt: skip
        """Computes the next frame from both players' actions.

        Raises:
            NotResetError: there is no match yet.
            ConfigError: the match is over, or a player's action is missing or invalid.
        """
        game = self._playing("step")
        if not self.agents:
            raise ConfigError("the match is over", hint="call reset")
        given = b"".join(self._input(player, actions.get(player)) for player in PLAYERS)
        before = coding.fighters([game.block])
        game.advance(given, _SOURCES)
        gained = coding.rewards(before, coding.fighters([game.block]))[0]
        players = game.players
        knocked_out = out_of_stocks(players)
        over = game.position.is_last(self.max_frames)
        seen, infos = self._observe(game), self._infos(game)
        if over:
            self.agents = []
        return (
            seen,
            {player: float(reward) for player, reward in zip(PLAYERS, gained, strict=True)},
            dict.fromkeys(PLAYERS, knocked_out),
            dict.fromkeys(PLAYERS, over and not knocked_out),
            infos,
        )

    def render(self) -> str | None:
        """With render_mode `ansi`, returns the frame's number and a line for each fighter.

        Raises:
            NotResetError: there is no match yet.
        """
        game = self._playing("render")
        if self.render_mode is None:
            return None
        players = game.players
        return f"frame {game.frame}\n1: {describe.player(players[:32])}\n2: {describe.player(players[32:])}"

    def close(self) -> None:
        """Does nothing: the environment holds no open resources."""

    def __getstate__(self) -> dict[str, Any]:
        # an engine is native memory: the copy builds its own, and takes over the recurrent state as bytes
        state = {**self.__dict__, "_engine": None, "_cartridge": self._cartridge.data}
        if self._game is not None:
            state["_game"] = (self._engine.dump(self._game.state), self._game.position)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cartridge = Cartridge.parse(state["_cartridge"])
        self._engine = choose.build(self._cartridge, self._kind)
        if state["_game"] is not None:
            recurrent, position = state["_game"]
            self._game = Game(self._engine, self._engine.load(recurrent), position)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # nobody changes an engine or a cartridge, so both environments use them
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        shared = {"_engine", "_cartridge", "_game"}
        twin.__dict__.update(
            {name: deepcopy(value, memo) for name, value in self.__dict__.items() if name not in shared}
        )
        twin._engine, twin._cartridge, twin._game = self._engine, self._cartridge, None
        if self._game is not None:
            twin._game = Game(self._engine, self._engine.copy(self._game.state), self._game.position)
        return twin

    def _playing(self, what: str) -> Game:
        if self._game is None:
            raise NotResetError(f"reset() needs to be called before {what}")
        return self._game

    def _observe(self, game: Game) -> dict[str, Observation]:
        states = coding.fighters([game.block])[0]
        return {
            player: self._seen({"numbers": coding.numbers(own), "categories": coding.categories(own)})
            for player, own in zip(PLAYERS, (states, states[::-1]), strict=True)
        }

    def _seen(self, parts: dict[str, NDArray[Any]]) -> Observation:
        return np.asarray(spaces.flatten(self._parts, parts), np.float32) if self._flat else parts

    def _infos(self, game: Game) -> dict[str, dict[str, Any]]:
        return {player: {"frame": game.frame} for player in PLAYERS}

    def _input(self, player: str, action: Action | None) -> bytes:
        if isinstance(action, bytes):
            if len(action) != 8:
                raise ConfigError(f"action of {player}", expected="8 bytes of a ControllerInput", found=len(action))
            return action
        found = np.asarray(action)
        if found.dtype.kind not in "iu" or found.shape != (len(coding.ACTION_SIZES),) or not (
            (found >= 0) & (found < coding.ACTION_SIZES)
        ).all():  # fmt: skip
            raise ConfigError(f"action of {player}", expected=f"choices below {coding.ACTION_SIZES}", found=action)
        return coding.inputs(found).tobytes()


def parallel_env(cartridge: Cartridge, **settings: Any) -> MatchEnv:
    """The environment under the name that PettingZoo's tools look for; arguments as `MatchEnv`."""
    return MatchEnv(cartridge, **settings)
