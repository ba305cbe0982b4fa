"""Checks of what is on chain: the programs and a cartridge."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from solders.pubkey import Pubkey

from ... import config
from ...client import publish
from ...client.chain import Chain
from ...daemon.models import mirrors_of
from ...engine import choose
from ...engine.cartridge import Cartridge
from ...engine.position import first_block
from ...errors import AwmError
from ...net.rpc import RpcClient
from ...wire import ids
from ...wire.interface import check_world_program
from .. import common
from .endpoints import data_of
from .finding import FRAME_S, WAIT_S, Finding, Verdict, from_error

# after the tag, slot and authority of an upgradeable program's data
_UPGRADEABLE_HEADER = 45


async def programs(url: str) -> AsyncIterator[Finding]:
    folder = files("awm_crank") / "localnet" / "programs"
    good = []
    async with RpcClient(url, timeout_s=WAIT_S, retry_s=1.0) as rpc:
        for name, key in ids.PROGRAMS.items():
            ours = (folder / f"{name}.so").read_bytes()
            try:
                theirs = await _program(rpc, key)
            except AwmError as error:
                yield from_error("programs", error)
                return
            if theirs is None:
                yield Finding("programs", "wrong", f"{name} ({key}) is not on {rpc.url}", f"deploy {name}.so there")
            elif theirs[: len(ours)] == ours and not theirs[len(ours) :].strip(b"\0"):
                good.append(name)
            else:
                verdict: Verdict = "wrong"
                if name == "world":
                    try:
                        check_world_program(theirs)
                    except AwmError as error:
                        yield from_error("programs", error)
                        continue
                    # World belongs to others, who may have built it again
                    verdict = "warn"
                text = (
                    f"{name} on {rpc.url} has SHA-256 {_digest(theirs)}, this version's {sha256(ours).hexdigest()[:16]}"
                )
                yield Finding("programs", verdict, text, "upgrade it, or run the version that it belongs to")
    if good:
        yield Finding("programs", "ok", f"{len(good)} of {len(ids.PROGRAMS)} on {rpc.url} are this version's")


def _digest(program: bytes) -> str:
    return sha256(program.rstrip(b"\0")).hexdigest()[:16]


async def _program(rpc: RpcClient, key: Pubkey) -> bytes | None:
    """A program's ELF file, perhaps with padding after it, of any loader. None where there is no such program."""
    data = await data_of(rpc, key)
    if data is None:
        return None
    if data.startswith(b"\x7fELF"):
        return data
    if len(data) == 36 and data[:4] == b"\2\0\0\0":
        data = await data_of(rpc, Pubkey.from_bytes(data[4:36])) or b""
        return data[_UPGRADEABLE_HEADER:]
    start = data.find(b"\x7fELF")
    return data[start:] if start >= 0 else data


async def cartridge(wanted: str | None, settings: config.Config, engine: bool) -> Finding:
    if wanted is None:
        return Finding("cartridge", "ok", "not checked; name one with --cartridge FILE or ADDRESS")
    try:
        target = common.file_or_address(wanted)
        if isinstance(target, Path):
            cartridge = Cartridge.parse(common.read(target))
        else:
            async with Chain(settings.chain.base_http, timeout_s=WAIT_S) as chain:
                cartridge = await publish.load(chain, target, mirrors=mirrors_of(settings.models))
        text = f"{cartridge.name}, {len(cartridge.data):,} bytes, SHA-256 {cartridge.sha256.hex()[:16]}"
        if not engine:
            return Finding("cartridge", "ok", text)
        took = _step_s(cartridge, settings)
    except AwmError as error:
        return from_error("cartridge", error, "" if error.hint else "publish it again from a file whose hash you know")
    text += f", a step takes {took * 1000:.2f} ms"
    period = settings.crank.frame_period_us / 1e6 or FRAME_S
    if took > period / 2:
        fix = "use a faster processor, more engine.threads or a longer crank.frame_period_us"
        return Finding("cartridge", "warn", f"{text} of the {period * 1000:.1f} ms that a frame has", fix)
    return Finding("cartridge", "ok", text)


def _step_s(cartridge: Cartridge, settings: config.Config) -> float:
    wanted = settings.engine
    engine = choose.build(cartridge, wanted.kernel, wanted.path, wanted.threads)
    block = first_block(bytes(64), 0, cartridge.extra_size)
    state = engine.start_state(block)
    times = []
    for _ in range(11):
        began = time.perf_counter()
        engine.heads(engine.backbone(state, block), block, bytes(16))
        times.append(time.perf_counter() - began)
    return sorted(times)[5]
