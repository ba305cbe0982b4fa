"""The messages that spectator pages expect on a frame feed: `match_start`, then frames, then `match_end`.

The names are those of the prototype's site. A page shows the arena after `match_start`, and the result after
`match_end`. Each message in between is a frame, as in a match file.
"""

from __future__ import annotations

from typing import Any

from ..wire.accounts import SessionState
from . import outcome, stages
from .file import FPS, player_object

_CHARACTERS = (
    "Mario", "Fox", "Captain Falcon", "Donkey Kong", "Kirby", "Bowser", "Link", "Sheik", "Ness", "Peach", "Popo",
    "Nana", "Pikachu", "Samus", "Yoshi", "Jigglypuff", "Mewtwo", "Luigi", "Marth", "Zelda", "Young Link", "Dr. Mario",
    "Falco", "Pichu", "Mr. Game & Watch", "Ganondorf", "Roy",
)  # fmt: skip
"""Names by the game's internal character number, which PlayerState holds."""
_WINNERS = {outcome.PLAYER1: 0, outcome.PLAYER2: 1}
_MARGIN, _ABOVE, _BELOW = 75, 100, -50
"""What a camera shows around the ground, in game units: to both sides of it, above and below."""


def character_name(number: int) -> str:
    """The character's name, or `character <number>` if the number has no name."""
    return _CHARACTERS[number] if 0 <= number < len(_CHARACTERS) else f"character {number}"


def match_start(session: SessionState, address: str, number: int) -> dict[str, Any]:
    """The message that opens a match.

    Args:
        session: the session as it is now.
        address: its account, base58.
        number: the number of this match on this feed. The site needs a number, and the address is not one.
    """
    characters = [int(player_object(session.players[at : at + 32])["character"]) for at in (0, 32)]
    stage = {"id": session.stage, "name": stages.name(session.stage)}
    first, second = ({"character": character, "character_name": character_name(character)} for character in characters)
    return {
        "type": "match_start",
        "match_id": number,
        "p0": first,
        "p1": second,
        "stage": session.stage,
        "max_frames": session.max_frames,
        "meta": {
            "mode": "session",
            "session": address,
            "player1": str(session.player1),
            "player2": str(session.player2),
            "model": str(session.model),
            "fps": FPS,
            "stage": stage,
            "characters": {
                f"p{seat}": {"id": character, "name": character_name(character)}
                for seat, character in enumerate(characters)
            },
        },
        "stage_geometry": stage_geometry(session.stage),
    }


def match_end(session: SessionState, number: int) -> dict[str, Any]:
    """The message that closes a match.

    `reason` is `ko`, `timeout`, or `ended` when a player ended the match before either. `winner` is 0, 1, or None.
    """
    players = [player_object(session.players[at : at + 32]) for at in (0, 32)]
    stocks = [int(player["stocks"]) for player in players]
    timeout = 0 < session.max_frames <= session.frame
    winner = outcome.winner(session.players, session.frame, session.max_frames)
    return {
        "type": "match_end",
        "match_id": number,
        "reason": "ko" if 0 in stocks else "timeout" if timeout else "ended",
        "total_frames": session.frame,
        "winner": None if winner is None else _WINNERS.get(winner),
        "final_stocks": stocks,
        "final_percent": [player["percent"] for player in players],
    }


def stage_geometry(stage: int) -> dict[str, Any]:
    """A stage's geometry under the site's names. A stage without known geometry has only its name."""
    known = stages.geometry(stage)
    if "ground" not in known:
        return {"name": stages.name(stage)}
    ground = known["ground"]
    return {
        "name": known["name"],
        "ground_y": ground["y"],
        "ground_x_range": [ground["x_min"], ground["x_max"]],
        "platforms": [{"x_range": [each["x_min"], each["x_max"]], "y": each["y"]} for each in known["platforms"]],
        "blast_zones": known["blast_zones"],
        "camera_bounds": {
            "left": ground["x_min"] - _MARGIN, "right": ground["x_max"] + _MARGIN, "top": _ABOVE, "bottom": _BELOW,
        },
    }  # fmt: skip
