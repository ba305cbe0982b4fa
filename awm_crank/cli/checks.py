"""What `awm-crank doctor` looks at: each check gives findings, and a finding that is wrong says what to do."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import struct
import time
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Literal

import aiohttp
import msgspec
from solders.pubkey import Pubkey

from .. import config
from ..client import publish, setup
from ..client.chain import Chain
from ..client.keys import load_keypair
from ..engine import choose
from ..engine.cartridge import Cartridge
from ..errors import AwmError, ConfigError
from ..net.pubsub import PubSub, SlotChanged
from ..net.rpc import RpcClient
from ..wire import ids, jsonrpc
from ..wire.interface import check_world_program
from . import common

Verdict = Literal["ok", "warn", "wrong"]
LOW_LAMPORTS = 100_000_000
CLOCK_S = 30
LATE_TIMER_S = 0.004
WANTED_FILES = 4096
_WAIT_S = 5.0
_FRAME_S = 1 / 60
# after the tag, slot and authority of an upgradeable program's data
_UPGRADEABLE_HEADER = 45


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    found: str
    fix: str = ""


def from_error(what: str, error: AwmError, fix: str = "") -> Finding:
    """An error as a finding; its hint is the fix."""
    text = str(error).removesuffix(f". Try: {error.hint}") if error.hint else str(error)
    return Finding(what, "wrong", text, fix or error.hint or "")


async def examine(
    path: Path, *, keypair: Path | None = None, cartridge: str | None = None, write: tuple[Path, ...] = ()
) -> list[Finding]:
    """Everything, in the order in which a crank would stumble over it.

    Args:
        path: the configuration file.
        keypair: instead of the configuration's.
        cartridge: a file, or the address of a published model.
        write: files that are to be written.
    """
    found = [_versions()]
    try:
        settings = config.load(path)
    except ConfigError as error:
        return [*found, from_error("config", error)]
    found.append(Finding("config", "ok", str(path)))
    engine, check = _engine(settings)
    found += [check, await _timer(), _open_files(), *_writable(write)]
    key, check = _key(keypair or Path(settings.crank.keypair), allow_open=settings.crank.allow_open_keypair)
    found.append(check)
    endpoints = dict.fromkeys((settings.chain.base_http, settings.rollup_http()))
    for url in endpoints:
        found += await _endpoint(url, "base" if url == settings.chain.base_http else "rollup")
    found += [await _websocket(settings.rollup_ws())]
    reached = {check.what for check in found if check.verdict != "wrong"}
    if "rollup" in reached or (len(endpoints) == 1 and "base" in reached):
        if key is not None:
            found.append(await _balance(settings.rollup_http(), key))
        found.append(await _world(settings))
    if "base" in reached:
        found.append(await _clock(settings.chain.base_http))
    for url, name in zip(endpoints, ("base", "rollup"), strict=False):
        if name in reached:
            found += [check async for check in _programs(url)]
    found.append(await _cartridge(cartridge, settings, engine))
    found += [await _telemetry(settings), await _view(settings), await _broker(settings)]
    return found


# -- this machine -----------------------------------------------------------------------------------------------------


def _versions() -> Finding:
    names = ("awm-crank", "solders", "numpy", "aiohttp")
    text = ", ".join(f"{name} {version(name)}" for name in names)
    return Finding("versions", "ok", f"{text}, Python {platform.python_version()}, {platform.machine()}")


def _engine(settings: config.Config) -> tuple[bool, Finding]:
    try:
        path = choose.path_of(settings.engine.kernel, settings.engine.path)
    except AwmError as error:
        return False, from_error("engine", error)
    if path == "reference":
        fix = 'set engine.kernel = "native"'
        return True, Finding("engine", "warn", "reference: for small models only", fix)
    if path == "plain":
        fix = "use a machine with AVX2 or NEON; a full-size model does not hold 60 fps on this one"
        return True, Finding("engine", "warn", "native, path plain: no vector instructions", fix)
    return True, Finding("engine", "ok", f"native, path {path}")


async def _timer() -> Finding:
    late = []
    for _ in range(60):
        wanted = time.perf_counter() + 0.002
        await asyncio.sleep(0.002)
        late.append(time.perf_counter() - wanted)
    worst = sorted(late)[len(late) * 9 // 10]
    text = f"a sleep of 2 ms ends {worst * 1000:.2f} ms late (p90)"
    if worst > LATE_TIMER_S:
        return Finding("timer", "warn", text, "leave the crank a core of its own, and give it a negative nice value")
    return Finding("timer", "ok", text)


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < WANTED_FILES:
        fix = f"ulimit -n {WANTED_FILES} (hard limit {hard}), or LimitNOFILE= of the unit"
        return Finding("open files", "warn", f"limit {soft}", fix)
    return Finding("open files", "ok", f"limit {soft}")


def _writable(paths: tuple[Path, ...]) -> Iterator[Finding]:
    for path in paths:
        folder = path.absolute().parent
        if not folder.is_dir():
            yield Finding("write", "wrong", f"{folder} is no folder", f"mkdir -p {folder}")
        elif not os.access(path if path.exists() else folder, os.W_OK):
            fix = f"chown it to the crank's user (uid {os.geteuid()}), or name another path"
            yield Finding("write", "wrong", f"{path} cannot be written", fix)
        else:
            yield Finding("write", "ok", str(path))


def _key(path: Path, *, allow_open: bool) -> tuple[Pubkey | None, Finding]:
    open_to_others: list[str] = []
    try:
        key = load_keypair(path, allow_open=allow_open, warn=open_to_others.append).pubkey()
    except AwmError as error:
        return None, from_error("key", error)
    return key, Finding("key", "ok", "; ".join([f"{key} ({path})", *open_to_others]))


# -- endpoints --------------------------------------------------------------------------------------------------------


async def _endpoint(url: str, what: str) -> list[Finding]:
    async with RpcClient(url, timeout_s=_WAIT_S, retry_s=1.0) as rpc:
        try:
            # the first one opens the connection
            health = await rpc.call("getHealth")
            began = time.perf_counter()
            told = await rpc.call("getVersion")
            took = time.perf_counter() - began
            slot = await rpc.call("getSlot", [{"commitment": "processed"}])
        except AwmError as error:
            fix = f"start it, or correct chain.{'base' if what == 'base' else 'rollup'}_http"
            return [from_error(what, error, fix)]
    core = told.get("solana-core", "?") if isinstance(told, dict) else "?"
    text = f"{rpc.url}: {health}, solana-core {core}, slot {slot}, {took * 1000:.1f} ms an answer"
    if took > _FRAME_S / 2:
        return [Finding(what, "warn", text, "a frame is one request: run the crank nearer to the endpoint")]
    return [Finding(what, "ok", text)]


async def _websocket(url: str) -> Finding:
    flowing = asyncio.Event()
    pubsub = PubSub(url, lambda event: flowing.set() if isinstance(event, SlotChanged) else None)
    pubsub.start()
    try:
        async with asyncio.timeout(_WAIT_S):
            await flowing.wait()
    except TimeoutError:
        fix = "set chain.rollup_ws; behind a proxy, let it pass WebSockets"
        return Finding("websocket", "wrong", f"{pubsub.url}: no slot notification in {_WAIT_S:.0f} s", fix)
    finally:
        await pubsub.close()
    return Finding("websocket", "ok", f"{pubsub.url}: slots flow")


async def _balance(url: str, key: Pubkey) -> Finding:
    async with RpcClient(url, timeout_s=_WAIT_S, retry_s=1.0) as rpc:
        try:
            lamports = (await rpc.call("getBalance", [str(key)], jsonrpc.BalanceResult)).value
        except AwmError as error:
            return from_error("balance", error)
    text, fix = f"{lamports / 1e9:.9f} SOL", f"send it at least {LOW_LAMPORTS / 1e9} SOL: {key}"
    if lamports == 0:
        return Finding("balance", "wrong", text, fix)
    return Finding("balance", "warn" if lamports < LOW_LAMPORTS else "ok", text, fix if lamports < LOW_LAMPORTS else "")


async def _world(settings: config.Config) -> Finding:
    async with Chain(settings.rollup_http(), timeout_s=_WAIT_S) as chain:
        try:
            world = await setup.find_world(chain, settings.chain.world)
        except AwmError as error:
            return from_error("world", error, "set chain.world, or publish a model: that makes one")
    return Finding("world", "ok", str(world))


async def _clock(url: str) -> Finding:
    async with RpcClient(url, timeout_s=_WAIT_S, retry_s=1.0) as rpc:
        try:
            data = await _data(rpc, ids.CLOCK_SYSVAR)
        except AwmError as error:
            return from_error("clock", error)
    if data is None or len(data) < 40:
        return Finding("clock", "warn", "the endpoint has no clock to compare with", "compare with `timedatectl`")
    difference = time.time() - struct.unpack_from("<q", data, 32)[0]
    text = f"{difference:+.0f} s from the chain's"
    if abs(difference) > CLOCK_S:
        return Finding("clock", "warn", text, "let chrony or systemd-timesyncd set this machine's clock")
    return Finding("clock", "ok", text)


# -- what is on chain -------------------------------------------------------------------------------------------------


async def _programs(url: str) -> AsyncIterator[Finding]:
    folder = files("awm_crank") / "localnet" / "programs"
    good = []
    async with RpcClient(url, timeout_s=_WAIT_S, retry_s=1.0) as rpc:
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
                    # it is others' program: they may well have built it anew
                    verdict = "warn"
                text = (
                    f"{name} on {rpc.url} has SHA-256 {_digest(theirs)}, this version's {sha256(ours).hexdigest()[:16]}"
                )
                yield Finding("programs", verdict, text, "upgrade the program, or run the version that goes with it")
    if good:
        yield Finding("programs", "ok", f"{len(good)} of {len(ids.PROGRAMS)} on {rpc.url} are this version's")


def _digest(program: bytes) -> str:
    return sha256(program.rstrip(b"\0")).hexdigest()[:16]


async def _program(rpc: RpcClient, key: Pubkey) -> bytes | None:
    """A program's ELF, padding behind it, whichever loader it belongs to. None where there is no such program."""
    data = await _data(rpc, key)
    if data is None:
        return None
    if data.startswith(b"\x7fELF"):
        return data
    if len(data) == 36 and data[:4] == b"\2\0\0\0":
        data = await _data(rpc, Pubkey.from_bytes(data[4:36])) or b""
        return data[_UPGRADEABLE_HEADER:]
    start = data.find(b"\x7fELF")
    return data[start:] if start >= 0 else data


async def _data(rpc: RpcClient, key: Pubkey) -> bytes | None:
    account = (await rpc.call("getAccountInfo", [str(key), {"encoding": "base64"}], jsonrpc.AccountResult)).value
    return None if account is None else account.raw


async def _cartridge(wanted: str | None, settings: config.Config, engine: bool) -> Finding:
    if wanted is None:
        return Finding("cartridge", "ok", "not looked at (--cartridge FILE or ADDRESS)")
    try:
        target = common.file_or_address(wanted)
        if isinstance(target, Path):
            cartridge = Cartridge.parse(common.read(target))
        else:
            async with Chain(settings.chain.base_http, timeout_s=_WAIT_S) as chain:
                cartridge = await publish.load(chain, target)
        text = f"{cartridge.name}, {len(cartridge.data):,} bytes, SHA-256 {cartridge.sha256.hex()[:16]}"
        if not engine:
            return Finding("cartridge", "ok", text)
        took = _step_s(cartridge, settings)
    except AwmError as error:
        return from_error("cartridge", error, "" if error.hint else "publish it anew from a file whose hash you know")
    text += f", a step takes {took * 1000:.2f} ms"
    period = settings.crank.frame_period_us / 1e6 or _FRAME_S
    if took > period / 2:
        fix = "a faster CPU path, more engine.threads, or a longer crank.frame_period_us"
        return Finding("cartridge", "warn", f"{text} of a frame's {period * 1000:.1f}", fix)
    return Finding("cartridge", "ok", text)


def _step_s(cartridge: Cartridge, settings: config.Config) -> float:
    wanted = settings.engine
    engine = choose.build(cartridge, wanted.kernel, wanted.path, wanted.threads)
    block = bytes(97)
    state = engine.start_state(block)
    times = []
    for _ in range(11):
        began = time.perf_counter()
        engine.heads(engine.backbone(state, block), block, bytes(16))
        times.append(time.perf_counter() - began)
    return sorted(times)[5]


# -- who watches ------------------------------------------------------------------------------------------------------


async def _asked(listen: str, path: str) -> tuple[int, str]:
    """Status and body of what answers at `host:port`; status 0 where nothing does."""
    url = f"http://{listen.replace('0.0.0.0', '127.0.0.1')}/{path}"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_WAIT_S)) as http, http.get(url) as answer:
            return answer.status, await answer.text()
    except (aiohttp.ClientError, TimeoutError, OSError):
        return 0, ""


async def _taken(host: str, port: int) -> str:
    """Why nothing can listen there; empty where it can."""
    try:
        server = await asyncio.start_server(lambda *_: None, host, port)
    except (OSError, OverflowError) as error:
        return str(error)
    server.close()
    return ""


async def _telemetry(settings: config.Config) -> Finding:
    listen = settings.telemetry.listen
    if not listen:
        return Finding("telemetry", "ok", "none (telemetry.listen)")
    status, told = await _asked(listen, "readyz")
    if status:
        text = f"a crank answers at {listen}: {told[:200]}"
        return Finding("telemetry", "ok" if status == 200 else "warn", text, "" if status == 200 else "see its log")
    host, _, port = listen.rpartition(":")
    if problem := await _taken(host.strip("[]"), int(port)):
        fix = "choose another telemetry.listen, or free that port"
        return Finding("telemetry", "wrong", f"{listen}: {problem}", fix)
    return Finding("telemetry", "ok", f"{listen} is free")


async def _view(settings: config.Config) -> Finding:
    view = settings.view
    if not view.enabled:
        return Finding("view", "ok", "none (view.enabled)")
    try:
        rpc, _ = settings.view_endpoints()
    except ConfigError as error:
        return from_error("view", error)
    text = f"{view.host}, ports {view.page_port} and {view.feed_port}; browsers are told {rpc}"
    if (await _asked(f"{view.host}:{view.page_port}", "contract.json"))[0] == 200:
        text = f"a page answers at {text}"
    else:
        for port in (view.page_port, view.feed_port):
            if problem := await _taken(view.host, port):
                # the crank serves all the same
                return Finding("view", "warn", problem, "choose other ports under [view], or free that one")
    if view.host not in ("localhost", "::1") and not view.host.startswith("127."):
        return Finding("view", "warn", f"{text}; it asks nobody who they are", "guard it, or leave view.host out")
    return Finding("view", "ok", text)


async def _broker(settings: config.Config) -> Finding:
    if not settings.mqtt.url:
        return Finding("mqtt", "ok", "none (mqtt.url)")
    from ..telemetry.mqtt import probe

    try:
        async with asyncio.timeout(2 * _WAIT_S):
            await probe(settings.mqtt)
    except AwmError as error:
        return from_error("mqtt", error, error.hint or "start the broker, or correct the settings under [mqtt]")
    except TimeoutError:
        return Finding("mqtt", "wrong", f"{settings.mqtt.url}: no answer", "look at the broker's log")
    return Finding("mqtt", "ok", settings.mqtt.url)
