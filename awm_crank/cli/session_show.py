"""`awm-crank session show` and `session list`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from . import output, shown

if TYPE_CHECKING:
    from ..client.chain import Chain
    from ..client.session import SessionView
    from ..wire.accounts import SessionState


async def show(args: argparse.Namespace, chain: Chain) -> None:
    """Prints a session's accounts, or its main figures as JSON."""
    from ..client import session
    from ..match import describe, outcome

    view = await session.show(chain, args.session)
    if args.json:
        output.result(args, _figures(view))
        return
    for found, key in zip(_accounts(view), view.accounts.all(), strict=True):
        if found is not None:
            output.say(f"{type(found).__name__} {key}\n{describe.struct(found)}")
    won = outcome.winner(view.session.players, view.session.frame, view.session.max_frames)
    output.say(
        describe.render(
            iter(
                (
                    ("duration", shown.duration(view.session.frame)),
                    ("winner", won or "-"),
                    ("rent of all accounts", shown.sol(sum(view.lamports))),
                )
            )
        )
    )


def _accounts(view: SessionView) -> tuple[Any, ...]:
    return (view.session, view.hidden, view.inputs, view.log, *view.checkpoints)


def _figures(view: SessionView) -> dict[str, Any]:
    hidden, log = view.hidden, view.log
    return {
        "session": str(view.accounts.session),
        **summary(view.session),
        "model": str(view.session.model),
        "seed": str(view.session.seed),
        "writer": str(hidden.writer) if hidden else None,
        "chain_hash": hidden.chain_hash.hex() if hidden else None,
        "checkpoint_frame": hidden.checkpoint_frame if hidden and hidden.initialized else None,
        "ring": [log.holds().start, log.holds().stop - 1] if log and log.holds() else None,
        "lamports": sum(view.lamports),
    }


def summary(state: SessionState) -> dict[str, Any]:
    """What `session show` and `session list` both say of a session."""
    from ..match import describe, outcome, stages

    return {
        "status": describe.STATUS[state.status],
        "frame": state.frame,
        "max_frames": state.max_frames,
        "duration_s": round(state.frame / outcome.FRAMES_PER_SECOND, 3),
        "winner": outcome.winner(state.players, state.frame, state.max_frames),
        "stage": stages.name(state.stage),
        "created_at": state.created_at,
        "player1": str(state.player1),
        "player2": str(state.player2),
    }


async def listed(args: argparse.Namespace, chain: Chain) -> None:
    """Prints the sessions on this chain, the newest first; ended ones only with --all."""
    from ..errors import AwmError
    from ..wire import ids, jsonrpc, layouts
    from ..wire.accounts import ENDED, SessionState

    found: list[dict[str, Any]] = []
    layout = layouts.SESSION_STATE
    filters = [jsonrpc.data_size(layout.size), jsonrpc.memcmp(0, layout.discriminator)]
    for account in await chain.program_accounts(ids.SESSION_STATE, filters, cut=(0, layout.size)):
        try:
            state = SessionState.decode(account.data, owner=account.owner, address=account.key)
        except AwmError as error:
            output.note(f"left out {account.key}: {error}")
            continue
        if args.all or state.status != ENDED:
            found.append({"session": str(account.key), **summary(state), "model": str(state.model)})
    found.sort(key=lambda each: (-each["created_at"], each["session"]))
    output.rows(args, found, "no sessions" if args.all else "no sessions that are open (--all lists ended ones too)")
