"""Models from the base chain, every hash verified, and the engine that runs them; one for all sessions of a model."""

from __future__ import annotations

import asyncio
import time

from solders.pubkey import Pubkey

from .. import config
from ..engine import Engine, choose, published
from ..errors import ConfigError
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import jsonrpc
from ..wire.accounts import ModelManifest, WeightShard
from .fault_points import FaultPoints


class Models:
    """Loads each model once.

    Args:
        base: the base chain's endpoint.
        settings: which engine.
        fault_points: fault points.
    """

    def __init__(self, base: RpcClient, settings: config.Engine, fault_points: FaultPoints) -> None:
        self._base, self._settings, self._fault_points = base, settings, fault_points
        self._log = logs.get()
        self._loading: dict[Pubkey, asyncio.Task[Engine]] = {}

    async def get(self, model: Pubkey) -> Engine:
        """The model's engine; one that could not be had is tried again at the next call.

        Raises:
            CartridgeError, AccountError, LayoutError, RpcError, ConfigError: what is on chain cannot be used, or read.
        """
        if model not in self._loading:
            self._loading[model] = asyncio.create_task(self._load(model))
        try:
            return await asyncio.shield(self._loading[model])
        except Exception:
            self._loading.pop(model, None)
            raise

    async def close(self) -> None:
        """Gives up what is being loaded."""
        for task in self._loading.values():
            task.cancel()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)

    async def _load(self, model: Pubkey) -> Engine:
        self._fault_points.at("model")
        began = time.monotonic()
        data, owner = await self._account(model, f"model {model}")
        manifest = ModelManifest.decode(data, owner=owner, address=model)
        shards = []
        for key in published.shard_keys(manifest, model):
            data, owner = await self._account(key, f"a shard of model {model}")
            shards.append(WeightShard.decode(data, owner=owner, address=key))
        # hashing and proving the bounds of a large model takes long enough for frames to be missed
        wanted = self._settings
        engine = await asyncio.to_thread(
            lambda: choose.build(
                published.assemble(manifest, model, shards), wanted.kernel, wanted.path, wanted.threads
            )
        )
        self._log.info(
            "model loaded", model=str(model), name=manifest.title, bytes=sum(manifest.shard_sizes),
            engine=choose.path_of(wanted.kernel, wanted.path), seconds=round(time.monotonic() - began, 3),
        )  # fmt: skip
        return engine

    async def _account(self, key: Pubkey, what: str) -> tuple[bytes, Pubkey]:
        # A shard of 10 MiB takes a while on a slow line.
        account = (await self._base.ask(jsonrpc.get_account_info(key), deadline_s=15.0)).value
        if account is None:
            raise ConfigError(f"{what}: no account {key} on {self._base.url}", hint="check chain.base_http")
        return account.raw, account.owner_key
