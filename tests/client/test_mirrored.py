"""A mirrored model on a real chain: published for a fraction of its rent, loaded, refused, and taken back."""

from __future__ import annotations

import pytest
from aiohttp import web
from client.localnet import SHAPE, Arena

from awm_crank.client import publish
from awm_crank.client.world import read_encoding
from awm_crank.config import EngineConfig
from awm_crank.daemon.fault_points import FaultPoints
from awm_crank.daemon.models import Models
from awm_crank.engine.seeded import cartridge
from awm_crank.errors import CartridgeError
from awm_crank.net.mirrors import Mirrors
from awm_crank.net.rpc import RpcClient
from awm_crank.wire import pieces


async def test_published_loaded_and_taken_back(arena: Arena) -> None:
    """Manifest and sheet are on chain, `load` and the crank get the bytes from a mirror, and the rent comes back."""
    made = cartridge(SHAPE, 71)
    sheet, files = pieces.split(made.data, 2, 1)
    app = web.Application()
    held = {sheet.name(index): files[index] for index in (0, 2)}

    async def serve(request: web.Request) -> web.Response:
        file = held.get(request.match_info["name"])
        return web.Response(status=404) if file is None else web.Response(body=file)

    app.router.add_get("/{name}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    mirrors = Mirrors([f"http://127.0.0.1:{runner.addresses[0][1]}"])
    authority = arena.net.funded()
    async with arena.chain() as chain, RpcClient(chain.endpoint) as rpc:
        done = await publish.publish(chain, authority, arena.world, made, sheet=sheet)
        # twice the same, and beside a publish of all bytes
        assert (await publish.publish(chain, authority, arena.world, made, sheet=sheet)).sent_bytes == 0
        whole = await publish.publish(chain, authority, arena.world, made)
        assert whole.model != done.model
        # 0.03 SOL, whatever the model's size
        assert done.rent < 30_000_000
        assert await publish.read_sheet(chain, done.model) == sheet
        assert await read_encoding(chain, done.model) == await read_encoding(chain, whole.model)
        assert (await publish.load(chain, done.model, mirrors=mirrors)).data == made.data
        with pytest.raises(CartridgeError, match=r"mirrored.*--mirror URL"):
            await publish.load(chain, done.model)
        with pytest.raises(CartridgeError, match="is not mirrored"):
            await publish.read_sheet(chain, whole.model)
        models = Models(rpc, EngineConfig(kernel="reference"), FaultPoints(""), mirrors)
        assert (await models.get(done.model, made.sha256)).cartridge_hash == made.sha256
        assert await publish.unpublish(chain, authority, done.model) == done.rent
    await runner.cleanup()
