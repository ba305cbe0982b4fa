"""What `awm-crank doctor` checks. Each check gives findings, and a finding that is wrong says how to fix it."""

from __future__ import annotations

from pathlib import Path

from ... import config
from ...errors import ConfigError
from . import endpoints, machine, programs, watchers
from .finding import Finding, Verdict, from_error

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
    for url in urls:
        found += await endpoints.endpoint(url, "base" if url == settings.chain.base_http else "rollup")
    found += [await endpoints.websocket(settings.rollup_ws())]
    reached = {check.what for check in found if check.verdict != "wrong"}
    if "rollup" in reached or (len(urls) == 1 and "base" in reached):
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
