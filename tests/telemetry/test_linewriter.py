"""The thread that writes log lines: sinks that block, close, fill up and come back."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from awm_crank.telemetry.linewriter import LineWriter


def note(lines: int, problem: str) -> bytes:
    """The note that marks a gap."""
    return f"-{lines} {problem}\n".encode()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is full after one page."""
    reader, writer = os.pipe()
    with contextlib.suppress(AttributeError):
        import fcntl

        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    for each in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(each)


def until(condition: Callable[[], bool]) -> None:
    """Waits for the thread."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def read_lines(reader: int, last: bytes) -> list[bytes]:
    """Lines up to the one that is `last`."""
    data = b""
    while not data.endswith(last):
        data += os.read(reader, 65_536)
    return data.splitlines(keepends=True)


def test_order(pipe: tuple[int, int]) -> None:
    """Lines of several threads all arrive, those of each thread in order, and each in one piece."""
    reader, handle = pipe
    writer = LineWriter(handle, note)
    got: list[bytes] = []
    consumer = threading.Thread(target=lambda: got.extend(read_lines(reader, b"end\n")))
    consumer.start()

    def produce(name: str) -> None:
        for number in range(500):
            writer.put(f"{name} {number} {'x' * (number % 300)}\n".encode())

    threads = [threading.Thread(target=produce, args=(name,)) for name in "abc"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    writer.put(b"end\n")
    assert writer.close()
    consumer.join()
    for name in "abc":
        of_it = [line.split() for line in got if line.startswith(name.encode())]
        assert [int(line[1]) for line in of_it] == list(range(500))
        assert all(len(b"".join(line[2:])) == int(line[1]) % 300 for line in of_it)
    assert writer.dropped == 0


def test_a_reader_that_stops(pipe: tuple[int, int]) -> None:
    """put() never blocks; lines that do not fit are dropped and counted, and a note marks where they are missing."""
    reader, handle = pipe
    writer = LineWriter(handle, note, room=20_000)
    began = time.monotonic()
    for number in range(10_000):
        writer.put(b"%05d%s\n" % (number, b"." * 94))
    assert time.monotonic() - began < 1
    assert writer.dropped > 9_000
    consumer: list[bytes] = []
    thread = threading.Thread(target=lambda: consumer.extend(read_lines(reader, b"end\n")))
    thread.start()
    # the note follows by itself, although no new line was put
    until(lambda: writer._noted == writer.dropped)
    writer.put(b"end\n")
    assert writer.close()
    thread.join()
    expected = 0
    for line in consumer[:-1]:
        if line.startswith(b"-"):
            expected += int(line[1:])
        else:
            assert int(line[:5]) == expected
            expected += 1
    assert expected == 10_000


def test_a_reader_that_stops_does_not_hold_up_the_exit(pipe: tuple[int, int]) -> None:
    """close() gives up after its deadline, and reports that lines are left."""
    _, handle = pipe
    writer = LineWriter(handle, note)
    writer.put(b"x" * 100_000 + b"\n")
    began = time.monotonic()
    assert not writer.close(0.2)
    assert time.monotonic() - began < 2
    os.close(handle)


def test_a_full_disk() -> None:
    """While the device is full, no line that fits into the queue is lost, and the exit does not wait."""
    handle = os.open("/dev/full", os.O_WRONLY)
    writer = LineWriter(handle, note, room=1000)
    for _ in range(100):
        writer.put(b"x" * 99 + b"\n")
    assert writer.dropped == 90
    assert not writer.close(5.0)
    assert not writer._thread.is_alive()
    os.close(handle)


def test_a_disk_with_room_again(tmp_path: Path) -> None:
    """A write that the system cut in the middle of a line continues there, and the note names the problem."""
    path = tmp_path / "log"
    script = (
        "import sys; from awm_crank.telemetry.linewriter import LineWriter\n"
        "w = LineWriter(1, lambda n, p: f'-{n} {p}\\n'.encode(), room=3000)\n"
        "for n in range(100): w.put(b'%05d' % n + b'.' * 94 + b'\\n')\n"
        "sys.stderr.write('put\\n'); sys.stderr.flush(); sys.stdin.readline(); w.close(10)\n"
    )
    with path.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1050, resource.RLIM_INFINITY)),
        )  # fmt: skip
    assert child.stderr is not None and child.stdin is not None
    assert child.stderr.readline() == b"put\n"
    until(lambda: path.stat().st_size == 1050)
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until(lambda: b"File too large" in path.read_bytes())
    child.communicate(b"\n")
    assert child.returncode == 0
    *lines, last = path.read_bytes().splitlines()
    assert [int(line[:5]) for line in lines] == list(range(len(lines)))
    assert last == b"-%d File too large" % (100 - len(lines))


def test_a_reader_that_comes_back(tmp_path: Path) -> None:
    """A named pipe whose reader went away and came back gets whole lines from then on."""
    path = tmp_path / "log"
    os.mkfifo(path)
    first = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    handle = os.open(path, os.O_WRONLY)
    writer = LineWriter(handle, note)
    writer.put(b"before\n")
    until(lambda: writer._done == 7)
    assert os.read(first, 100) == b"before\n"
    os.close(first)
    writer.put(b"between\n")
    until(lambda: writer._problem == "Broken pipe")
    again = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(again, True)
    writer.put(b"end\n")
    assert read_lines(again, b"end\n") == [b"between\n", b"end\n"]
    assert writer.close()


def test_a_descriptor_that_does_not_block(pipe: tuple[int, int]) -> None:
    """When another process made the shared descriptor non-blocking, lines still arrive and its mode is left alone."""
    reader, handle = pipe
    os.set_blocking(handle, False)
    writer = LineWriter(handle, note)
    writer.put(b"x" * 20_000 + b"\n")
    writer.put(b"end\n")
    assert len(read_lines(reader, b"end\n")[0]) == 20_001
    assert writer.close()
    assert not os.get_blocking(handle)
