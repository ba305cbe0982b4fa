"""A real Chromium, headless, driven over its DevTools protocol: pages, keys, files and screenshots."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

# for root, and without the network requests that Chromium makes at every start
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-extensions",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--mute-audio", "--remote-debugging-port=0",
)  # fmt: skip
_START_S = 30


class BrowserError(Exception):
    """Chromium refused a command, or a script in the page raised an error."""


class Browser:
    """One Chromium with one page. An async context manager."""

    def __init__(self, width: int = 1280, height: int = 800) -> None:
        self._size = (width, height)
        self._folder = tempfile.TemporaryDirectory(prefix="awm-chromium-", ignore_cleanup_errors=True)
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._id = 0
        self.console: list[str] = []
        """What the page logged as errors, and its uncaught exceptions."""

    async def __aenter__(self) -> Self:
        program = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
        profile = Path(self._folder.name)
        size = "--window-size={},{}".format(*self._size)
        self._process = subprocess.Popen(  # noqa: ASYNC220 (returns at once)
            [program, *_FLAGS, size, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await self._attach(profile / "DevToolsActivePort")
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def _attach(self, port_file: Path) -> None:
        deadline = time.monotonic() + _START_S
        while not (port := _port(port_file)):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise BrowserError("chromium did not start")
            await asyncio.sleep(0.05)
        self._http = aiohttp.ClientSession()
        while True:
            async with self._http.get(f"http://127.0.0.1:{port}/json") as answer:
                pages = [each for each in await answer.json() if each["type"] == "page"]
            if pages:
                break
            await asyncio.sleep(0.05)
        self._socket = await self._http.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        self._reader = asyncio.create_task(self._read())
        for domain in ("Page", "Runtime", "DOM", "Log"):
            await self.command(f"{domain}.enable")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if hasattr(self, "_reader"):
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            await self._socket.close()
        if hasattr(self, "_http"):
            await self._http.close()
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    async def _read(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            if "id" in event:
                self._replies.pop(event["id"]).set_result(event)
            elif event["method"] == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                self.console.append(details.get("exception", {}).get("description") or details["text"])
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                self.console.append(event["params"]["entry"]["text"])

    async def command(self, method: str, **params: Any) -> Any:
        """Sends one DevTools command, and returns its result."""
        self._id += 1
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies[self._id] = reply
        await self._socket.send_str(json.dumps({"id": self._id, "method": method, "params": params}))
        async with asyncio.timeout(30):
            event = await reply
        if "error" in event:
            raise BrowserError(f"{method}: {event['error']['message']}")
        return event["result"]

    async def open(self, url: str) -> None:
        """Opens a page."""
        result = await self.command("Page.navigate", url=url)
        if result.get("errorText"):
            raise BrowserError(f"{url}: {result['errorText']}")

    async def script(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; promises are awaited."""
        result = await self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise BrowserError(result["exceptionDetails"].get("exception", {}).get("description", "threw"))
        return result["result"].get("value")

    async def until(self, expression: str, timeout_s: float = 20.0) -> None:
        """Waits until an expression is truthy in the page. Raises AssertionError with what the page shows instead."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                value = await self.script(f"Boolean({expression})")
            except BrowserError:
                # the page is being replaced
                value = False
            if value:
                return
            if time.monotonic() > deadline:
                status = await self.script("document.body.innerText")
                raise AssertionError(f"not within {timeout_s} s: {expression}\n{status}\n{self.console}")
            await asyncio.sleep(0.05)

    async def click(self, selector: str) -> None:
        """Clicks the middle of an element with the mouse."""
        at = await self.script(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.command("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    async def key(self, code: str, *, down: bool) -> None:
        """Presses or releases a key, by its `KeyboardEvent.code` (`KeyD`)."""
        kind = "rawKeyDown" if down else "keyUp"
        key = code.removeprefix("Key").lower()
        await self.command(
            "Input.dispatchKeyEvent", type=kind, code=code, key=key, windowsVirtualKeyCode=ord(key[0].upper())
        )

    async def choose_file(self, selector: str, path: Path) -> None:
        """Chooses a file, as a person does in the file dialog."""
        root = (await self.command("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.command("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        await self.command("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    async def resize(self, width: int, height: int, *, touch: bool = False) -> None:
        """Changes the size of the window, for example to a phone's."""
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if touch else 1,
            mobile=touch,
        )  # fmt: skip
        await self.command("Emulation.setTouchEmulationEnabled", enabled=touch)


def _port(file: Path) -> str:
    """The DevTools port, empty until Chromium has written it down."""
    return (file.read_text().split() or [""])[0] if file.exists() else ""
