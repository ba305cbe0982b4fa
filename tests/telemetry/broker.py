"""A real mosquitto for tests, on a free loopback port, with TLS and a password where asked for."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self


class Broker:
    """mosquitto in a folder; it ends with the `with` block.

    Args:
        user: the name and password that it demands; None lets anybody in.
        tls: uses TLS with a certificate for `localhost` from its own authority (`ca.pem`).
    """

    def __init__(self, folder: Path, *, user: tuple[str, str] | None = None, tls: bool = False) -> None:
        self.folder = folder
        self._scheme = "mqtts" if tls else "mqtt"
        self.port = _free_port()
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", f"allow_anonymous {str(user is None).lower()}"]
        if user is not None:
            passwords = folder / "passwords"
            _run("mosquitto_passwd", "-b", "-c", str(passwords), *user)
            lines.append(f"password_file {passwords}")
        if tls:
            _certificates(folder)
            lines += [f"certfile {folder / 'broker.pem'}", f"keyfile {folder / 'broker.key'}"]
        # when root starts mosquitto, it changes to a user of its own who cannot read the folder
        lines.append("user root")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address to give the crank."""
        return f"{self._scheme}://localhost:{self.port}"

    @property
    def ca(self) -> Path:
        """The authority that signed its certificate."""
        return self.folder / "ca.pem"

    def start(self) -> Self:
        """Starts it, and returns once it listens."""
        log = (self.folder / "mosquitto.log").open("ab")
        self._process = subprocess.Popen(
            ["mosquitto", "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
        )
        log.close()
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return self
            assert self._process.poll() is None, (self.folder / "mosquitto.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it like a crash."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Sends SIGSTOP: connections stay open, and nothing is read."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Sends SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _certificates(folder: Path) -> None:
    ca, broker = folder / "ca", folder / "broker"
    new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _run(
        *new, "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", f"{ca}.key", "-out", f"{ca}.pem",
        "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    _run(*new, "-subj", "/CN=localhost", "-keyout", f"{broker}.key", "-out", f"{broker}.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    _run(
        "openssl", "x509", "-req", "-in", f"{broker}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-days", "2",
        "-CAcreateserial", "-extfile", str(folder / "names"), "-out", f"{broker}.pem",
    )  # fmt: skip


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
