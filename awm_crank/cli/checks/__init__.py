"""What `awm-crank doctor` checks. Each check gives findings, and a finding that is wrong says how to fix it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ... import config
from ...errors import ConfigError
from . import endpoints, machine, programs, watchers
from .finding import WAIT_S, Finding, Verdict, from_error

__all__ = ["Finding", "Verdict", "examine"]


async def examine(
    path: Path, *, keypair: Path | None = None, cartridge: str | None = None, write: tuple[Path, ...] = ()
) -> list[Finding]:
    """Checks everything, in the order in which a starting crank needs it.

    Args:
        path: the configuration file.
        keypair: the key file to check instead of the configuration's.
        cartridge: a cartridge file, or the address of a published model; None checks neither.
        write: files that the crank will write.
    """
    found = [machine.versions()]
    try:
        settings = config.load(path)
    except ConfigError as error:
        return [*found, from_error("config", error)]
    found.append(Finding("config", "ok", str(path)))
    engine, check = machine.engine(settings)
    found += [check, await machine.timer(), machine.open_files(), *machine.writable(write)]
    key, check = machine.key(keypair or Path(settings.crank.keypair), allow_open=settings.crank.allow_open_keypair)
    found.append(check)
    urls = dict.fromkeys((settings.chain.base_http, settings.rollup_http()))
    names = ["base" if url == settings.chain.base_http else "rollup" for url in urls]
    for checks in await asyncio.gather(*map(endpoints.endpoint, urls, names)):
        found += checks
    reached = {check.what for check in found if check.verdict != "wrong"}
    rollup_reached = "rollup" in reached or (len(urls) == 1 and "base" in reached)
    # where HTTP is dead already, a WebSocket is not waited for
    found.append(await endpoints.websocket(settings.rollup_ws(), wait_s=WAIT_S if rollup_reached else 0.5))
    if rollup_reached:
        if key is not None:
            found.append(await endpoints.balance(settings.rollup_http(), key))
        found.append(await endpoints.world(settings))
    if "base" in reached:
        found.append(await endpoints.clock(settings.chain.base_http))
    for url, name in zip(urls, ("base", "rollup"), strict=False):
        if name in reached:
            found += [check async for check in programs.programs(url)]
    found.append(await programs.cartridge(cartridge, settings, engine))
    found += [await watchers.telemetry(settings), await watchers.view(settings), await watchers.broker(settings)]
    return found
