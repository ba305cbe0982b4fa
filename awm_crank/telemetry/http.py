"""The crank's own HTTP: `/metrics`, `/healthz`, `/readyz`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..endpoint import redact
from ..errors import ConfigError

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LOGGER = logging.getLogger("awm_crank.telemetry")
"""A request that is no HTTP is answered and not logged: any stranger could fill the log with such requests."""
_LOGGER.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))


class TelemetryServer:
    """Serves the three paths while it is open.

    Args:
        listen: `host:port`; port 0 takes a free one.
        metrics: gives the body of `/metrics`.
        unhealthy, unready: give what is wrong, empty when nothing is. The answer is 503 when something is, else 200.
        notes: give further lines for `/readyz`, such as a budget that is used up.
    """

    def __init__(
        self,
        listen: str,
        *,
        metrics: Callable[[], bytes],
        unhealthy: Callable[[], list[str]],
        unready: Callable[[], list[str]],
        notes: Callable[[], list[str]] = list,
    ) -> None:
        host, _, port = listen.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._listen = listen

        async def serve_metrics(_: web.Request) -> web.Response:
            return web.Response(body=metrics(), headers={"Content-Type": METRICS_TYPE})

        async def serve_health(_: web.Request) -> web.Response:
            return _verdict(unhealthy())

        async def serve_readiness(_: web.Request) -> web.Response:
            return _verdict(unready(), notes())

        app = web.Application()
        app.router.add_get("/metrics", serve_metrics)
        app.router.add_get("/healthz", serve_health)
        app.router.add_get("/readyz", serve_readiness)
        # Without an access log: a scrape every second is not news.
        self._runner = web.AppRunner(app, access_log=None, logger=_LOGGER, handle_signals=False, shutdown_timeout=0.5)
        self.port = 0

    async def open(self) -> None:
        """Begins to listen.

        Raises:
            ConfigError: the address is taken or does not exist.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"telemetry.listen {self._listen}: {error.strerror or error}", hint="choose another port, or none"
            ) from None
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stops listening."""
        await self._runner.cleanup()


def _verdict(problems: list[str], notes: Sequence[str] = ()) -> web.Response:
    # The reader may not be the operator, so no problem may show a URL with a key.
    said = {"problems": [redact(each) for each in problems]}
    if notes:
        said["notes"] = [redact(each) for each in notes]
    body = msgspec.json.encode({"ok": not problems, **said})
    return web.Response(body=body, status=503 if problems else 200, content_type="application/json")
