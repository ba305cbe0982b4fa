"""Plays a whole match without a chain: scripted players, the engine, and a match file that `verify` accepts.

The frames are the same as in a session on chain with the same cartridge, seed, stage, characters, max_frames and
players, if every input arrives in time. Values that only a chain has are derived (docs/formats.md, "Match file"): the
entity is a hash of the match's parameters, and the session's address follows from the entity. Model and players are the
zero key, which no chain can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from solders.pubkey import Pubkey

from ..engine.api import Engine
from ..errors import ConfigError
from ..wire import bolt, contract, frame_records, ids
from ..wire.accounts import FRESH
from ..wire.start import start_players
from . import file
from .game import Game
from .players import Agent
from .stages import FINAL_DESTINATION

ENTITY_TAG = contract.OFFLINE_TAG
NO_MODEL = ids.ZERO_KEY
"""The manifest's key in an offline match's file."""

Progress = Callable[[int, int], object]
"""Called with the number of the frame just computed, and max_frames."""


def entity(cartridge_sha256: bytes, stage: int, seed: int, max_frames: int, players: bytes) -> Pubkey:
    """The entity of an offline match.

    It is the SHA-256 of a tag, the cartridge hash (32 bytes) and the match's genesis with both player keys zero (32
    bytes). Raises LayoutError if a number is out of range.
    """
    genesis = frame_records.genesis(ids.ZERO_KEY, NO_MODEL, stage, seed, max_frames, players)
    return Pubkey(sha256(ENTITY_TAG + cartridge_sha256 + genesis).digest())


def play(
    engine: Engine, cartridge_sha256: bytes, agents: Sequence[Agent], *, seed: int, max_frames: int,
    stage: int = FINAL_DESTINATION, characters: tuple[int, int] = (0, 0), progress: Progress | None = None,
) -> file.MatchFile:  # fmt: skip
    """Plays until a player has no stocks left, or max_frames is reached.

    Args:
        engine: the engine of the cartridge whose hash is `cartridge_sha256`.
        agents: the agents of player 1 and player 2. Each is given the frame block of the preceding frame.
        seed: the session's seed; the agents draw from it, too.
        max_frames: at least 1, because a match that never ends cannot be written to a file.

    Raises:
        ConfigError: max_frames is 0.
        LayoutError: a character, the stage, seed or max_frames is out of range.
    """
    if not max_frames:
        raise ConfigError("max_frames of an offline match", expected="at least 1", found=0)
    players = start_players(*characters)
    at = entity(cartridge_sha256, stage, seed, max_frames, players)
    session = bolt.component_pda(ids.SESSION_STATE, at)
    game = Game.start(
        engine, players, stage, frame_records.genesis(session, NO_MODEL, stage, seed, max_frames, players)
    )
    records = []
    sources = bytes((FRESH, FRESH))
    while not game.position.is_last(max_frames):
        frame = game.frame + 1
        inputs = b"".join(agent(seed, player, frame, game.block) for player, agent in enumerate(agents))
        records.append(game.advance(inputs, sources))
        if progress is not None:
            progress(frame, max_frames)
    return file.build(
        session=session, entity=at, player1=ids.ZERO_KEY, player2=ids.ZERO_KEY, model=NO_MODEL,
        cartridge_sha256=cartridge_sha256, seed=seed, stage=stage, max_frames=max_frames, start_players=players,
        records=records, chain_hash=game.chain_hash,
    )  # fmt: skip
