"""A localnet in a process of its own, for tests, benchmarks and the demo.

with EmbeddedLocalnet() as net:        # or `async with`
    net.http, net.ws, net.faucet
with LocalnetProcess("rollup") as net:
    net.base_http, net.http
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from solders.keypair import Keypair

from ..errors import AwmError
from ..launch import own_command, own_environment
from . import rpc
from .kinds import prepare

READY_TIMEOUT_S = {"embedded": 30.0, "solana": 90.0, "magicblock": 900.0, "rollup": 900.0}
"""By kind. Two of them may have to be downloaded first."""
_STOP_S = 15.0
_FUNDED_LAMPORTS = 1_000_000_000_000


class LocalnetProcess:
    """Starts a localnet on free ports, waits until it is ready, stops it.

    Args:
        kind: embedded, magicblock, solana or rollup.
        options: more options of `awm-crank localnet`.
        log: file for what the process prints; a temporary one if None. If the start fails, the error shows its end.
        port: of HTTP; 0 takes a free one.

    `http` and `ws` are its addresses. `base_http` and `base_ws` are the base chain's; they differ only for a rollup.
    `validators` are the process ids of the validators under it. The process ends with the block, and with its parent.
    """

    def __init__(self, kind: str, *options: str, log: Path | None = None, port: int = 0) -> None:
        self.kind = kind
        self._options: Sequence[str] = options
        self._log = log
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._faucet: Keypair | None = None
        self.http = self.ws = self.base_http = self.base_ws = ""
        self.validators: list[int] = []

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def faucet(self) -> Keypair:
        """A key with 1,000 SOL, the same each time."""
        if self._faucet is None:
            self._faucet = self.funded()
        return self._faucet

    def funded(self, lamports: int = _FUNDED_LAMPORTS) -> Keypair:
        """A new key with lamports on the base chain."""
        pair = Keypair()
        prepare.fund(self.base_http, pair.pubkey(), lamports)
        return pair

    def call(self, method: str, *params: object) -> Any:
        """Makes one JSON-RPC call, blocking, and returns the result. Raises RpcError."""
        return rpc.call(self.http, method, *params)

    def start(self) -> Self:
        """Starts the process; returns when both ports are open. The AwmError of a failed start has its last words."""
        words = ["--kind", self.kind, "--until-eof", "--port", str(self._port)]
        command = own_command("awm_crank.localnet", *words, *self._options)
        with contextlib.ExitStack() as stack:
            if self._log is not None:
                log: Any = stack.enter_context(self._log.open("ab"))
                read_from: Any = stack.enter_context(self._log.open("rb"))
                read_from.seek(0, os.SEEK_END)
            else:
                log = read_from = stack.enter_context(tempfile.TemporaryFile())
            # It prints to a file, which needs no reader, unlike a pipe. The pipe to its standard input closes when this
            # process ends, however it ends, and that ends the localnet. A session of its own keeps Ctrl-C from it.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, bufsize=0, start_new_session=True,
                env=own_environment(),
            )  # fmt: skip
            self._await_ready(read_from)
        return self

    def _await_ready(self, log: Any) -> None:
        assert self._process is not None
        start = log.tell()
        deadline = time.monotonic() + READY_TIMEOUT_S[self.kind]
        while True:
            text = os.pread(log.fileno(), 1 << 20, start)
            for line in text.splitlines(keepends=True):
                if line.startswith(b'{"http":') and line.endswith(b"\n"):
                    ready = msgspec.json.decode(line)
                    self.http, self.ws = ready["http"], ready["ws"]
                    self.base_http = ready.get("base_http", self.http)
                    self.base_ws = ready.get("base_ws", self.ws)
                    self.validators = ready.get("validators", [])
                    return
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                raise AwmError(
                    "the localnet did not start; its last words:\n" + text[-2000:].decode(errors="replace"),
                    hint="read the lines above",
                    recoverable=not ended,
                )
            time.sleep(0.01)

    def require_running(self) -> None:
        """Raises AwmError if the process has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise AwmError(
                f"the localnet process ended by itself with status {self._process.returncode}",
                hint="read its log" if self._log is None else f"read {self._log} (keep it with --keep DIR)",
            )

    def stop(self) -> None:
        """Ends the process. Does nothing if it has ended already."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None
        process.stdin.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


class EmbeddedLocalnet(LocalnetProcess):
    """A localnet of the embedded kind."""

    def __init__(self, *options: str, log: Path | None = None, port: int = 0) -> None:
        super().__init__("embedded", *options, log=log, port=port)
