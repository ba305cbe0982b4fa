"""Loads models from the base chain, verifies every hash, and builds one engine for all sessions that share a
cartridge.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from solders.pubkey import Pubkey

from .. import config
from ..engine import Engine, choose, published
from ..errors import AwmError, CartridgeError, ConfigError, RpcError
from ..net.mirrors import Mirrors, Report
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import jsonrpc
from ..wire.accounts import ModelManifest
from .fault_points import FaultPoints
from .patience import hedged

_READ_S = 60.0
_PIECE = 512 << 10
"""Bytes of an account in one request: they take 2 ms to decode, and 10 MiB at once took 94 ms."""

KEEP = 4
"""Engines that stay loaded. A session holds on to its own, so what is dropped here is freed with its last session."""
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 60.0


def mirrors_of(settings: config.ModelsConfig) -> Mirrors:
    """The mirrors that an operator configured. Raises ConfigError if a URL cannot exist."""
    return Mirrors(settings.mirrors, Path(settings.cache) if settings.cache else None)


class LoadedModel(NamedTuple):
    """An engine, and the SHA-256 of the cartridge that it runs."""

    engine: Engine
    cartridge_hash: bytes


class _Failure(NamedTuple):
    error: AwmError
    tries: int
    until: float
    """No other try before this moment (monotonic seconds)."""


class Models:
    """Loads each cartridge once.

    The manifest is read for each session, because it may have been closed and written again at its address. A session
    that has recorded its cartridge's hash is served with that cartridge, even if its manifest now names another.

    Args:
        base: the base chain's endpoint.
        settings: which engine.
        fault_points: fault points.
        mirrors: where the bytes of mirrored models come from.
    """

    def __init__(
        self, base: RpcClient, settings: config.EngineConfig, fault_points: FaultPoints, mirrors: Mirrors | None = None
    ) -> None:
        self._base, self._settings, self._fault_points = base, settings, fault_points
        self._mirrors = mirrors or Mirrors()
        self._log = logs.get()
        self._engines: OrderedDict[bytes, Engine] = OrderedDict()
        """Cartridge hash → engine, the one that was asked for last at the end."""
        self._loading: dict[bytes, asyncio.Task[Engine]] = {}
        self._failures: dict[Pubkey, _Failure] = {}
        self._read: dict[Pubkey, tuple[bytes, Pubkey]] = {}
        """Shards (bytes, owner) of cartridges that are not loaded yet, so that a failed read costs only itself."""

    async def get(self, model: Pubkey, cartridge_hash: bytes) -> LoadedModel:
        """Returns the engine of a model's cartridge.

        After a failure, the model is read again only after a pause, which doubles with every failure. Until then the
        last error is raised at once.

        Args:
            cartridge_hash: SHA-256 of the cartridge that the session plays. Zero: the one that the manifest names now.

        Raises:
            CartridgeError, AccountError, LayoutError, RpcError, ConfigError: the model cannot be read or used.
        """
        if cartridge_hash in self._engines:
            return self._loaded(cartridge_hash)
        failure = self._failures.get(model)
        if failure is not None and time.monotonic() < failure.until:
            raise failure.error
        try:
            found = await self._find(model, cartridge_hash)
        except RpcError:
            # the endpoint's fault, which may end at any moment
            raise
        except AwmError as error:
            tries = failure.tries + 1 if failure is not None else 1
            pause = min(_FIRST_PAUSE_S * 2.0 ** (tries - 1), _LONGEST_PAUSE_S)
            self._failures[model] = _Failure(error, tries, time.monotonic() + pause)
            raise
        self._failures.pop(model, None)
        return found

    async def close(self) -> None:
        """Cancels all loading."""
        for task in self._loading.values():
            task.cancel()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)

    async def _find(self, model: Pubkey, wanted: bytes) -> LoadedModel:
        # read each time, because a manifest may be replaced at its address
        manifest = await published.read_manifest(model, self._fetch)
        present = manifest.cartridge_hash
        if any(wanted) and present != wanted:
            raise CartridgeError(
                f"model {model} was replaced under its key", expected=f"cartridge {wanted.hex()}, as the session says",
                found=present.hex(), hint="end the session, or publish the cartridge that it plays again",
            )  # fmt: skip
        if present not in self._engines:
            if present not in self._loading:
                self._loading[present] = asyncio.create_task(self._load(model, manifest))
            try:
                self._engines[present] = await asyncio.shield(self._loading[present])
            finally:
                self._loading.pop(present, None)
        return self._loaded(present)

    def _loaded(self, cartridge_hash: bytes) -> LoadedModel:
        self._engines.move_to_end(cartridge_hash)
        while len(self._engines) > KEEP:
            self._engines.popitem(last=False)
        return LoadedModel(self._engines[cartridge_hash], cartridge_hash)

    async def _load(self, model: Pubkey, manifest: ModelManifest) -> Engine:
        try:
            engine = await self._build(model, manifest)
        except RpcError:
            raise
        except AwmError:
            # the bytes were wrong on chain, or were damaged on the way
            self._read.clear()
            raise
        self._read.clear()
        return engine

    async def _build(self, model: Pubkey, manifest: ModelManifest) -> Engine:
        self._fault_points.at("model")
        began = time.monotonic()
        shards = await published.read_shards(manifest, model, self._shard)
        sheet = published.mirrored(manifest, model, shards)
        data = await self._mirrors.load(sheet, self._tell) if sheet else None
        # in a thread: to hash a large model and prove its bounds takes so long that frames would be missed
        wanted = self._settings
        engine = await asyncio.to_thread(
            lambda: choose.build(
                published.assemble(manifest, model, shards, data), wanted.kernel, wanted.path, wanted.threads
            )
        )
        self._log.info(
            "model loaded", model=str(model), name=manifest.title,
            bytes=len(data) if data is not None else sum(manifest.shard_sizes),
            engine=choose.path_of(wanted.kernel, wanted.path), seconds=round(time.monotonic() - began, 3),
        )  # fmt: skip
        return engine

    def _tell(self, report: Report) -> None:
        self._log.warning("mirror", mirror=report.mirror, fault=report.fault, detail=report.detail)

    async def _shard(self, key: Pubkey, what: str) -> tuple[bytes, Pubkey]:
        if key not in self._read:
            self._read[key] = await self._fetch(key, what)
        return self._read[key]

    async def _fetch(self, key: Pubkey, what: str) -> tuple[bytes, Pubkey]:
        # In pieces: to decode a shard of 10 MiB at once would stop the loop for the time of six frames.
        data = bytearray()
        while True:
            request = jsonrpc.get_account_info(key, data_slice=(len(data), _PIECE))
            answer = await hedged(
                lambda request=request: self._base.ask(request, patience_s=0, deadline_s=_READ_S),  # type: ignore[misc]
                what, total_s=_READ_S, growth=2.0,
            )  # fmt: skip
            account = answer.value
            if account is None:
                raise ConfigError(f"{what} {key} is not on {self._base.url}", hint="check chain.base_http")
            data += account.raw
            if len(account.raw) < _PIECE:
                break
        return bytes(data), account.owner_key
