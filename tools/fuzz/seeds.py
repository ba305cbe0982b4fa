"""Files that the decoders take, and how the fuzzer reads those that need more than one call."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from awm_crank.cli import replay as replay_command
from awm_crank.daemon import journal
from awm_crank.engine.encoding import PLAIN, Encoding
from awm_crank.engine.policy import HEADER
from awm_crank.engine.position import Position
from awm_crank.match import file as match_file
from awm_crank.match.replay import convert
from awm_crank.wire import frame_records
from awm_crank.wire.accounts import FrameRecord

ROOT = Path(__file__).resolve().parents[2]
# pytest finds the tests' helpers by itself, the command does not
sys.path.append(str(ROOT / "tests"))

FLAGS = Encoding(state_flags=True, hitstun=True)
"""A world with extra feedback."""


def hashed(data: bytes) -> bytes:
    """A cartridge with the right hash."""
    return data if len(data) < 48 else data[:16] + hashlib.sha256(data[48:]).digest() + data[48:]


def digested(data: bytes) -> bytes:
    """A policy cartridge with the right size and hash."""
    if len(data) < HEADER.size:
        return data
    fixed, size, digest = bytearray(data), HEADER.span("file_size"), HEADER.span("digest")
    fixed[size.offset : size.offset + size.size] = len(data).to_bytes(size.size, "little")
    end = digest.offset + digest.size
    fixed[digest.offset : end] = hashlib.sha256(fixed[end:]).digest()
    return bytes(fixed)


def records() -> list[bytes]:
    """Frame records without and with extra feedback, of 0, 1, 6 and 12 bytes a player."""
    return [
        frame_records.record(7, bytes(16), b"\1\2", 31, bytes(64), bytes(8), bytes(2 * size)) for size in (0, 1, 6, 12)
    ]


def read_record(data: bytes) -> None:
    """Reads a frame record. What it read must give the same bytes again."""
    assert FrameRecord.decode(data).encode() == data


def match_files() -> list[bytes]:
    """A match without extra feedback, and one with 6 bytes a player."""
    from match.fakes import play

    made = play(3)
    session = made.snapshot.session
    longer = match_file.build(
        session=made.snapshot.address, entity=session.entity, player1=session.player1, player2=session.player2,
        model=session.model, cartridge_sha256=bytes(32), seed=1, stage=32, max_frames=0,
        start_players=made.snapshot.start_players, records=[each + bytes(12) for each in made.file.records],
        chain_hash=bytes(32),
    )  # fmt: skip
    return [made.file.encode(), longer.encode()]


def journals() -> list[bytes]:
    """Checkpoint files of worlds without and with extra feedback."""
    return [journal.encode(Position(9, bytes(97 + 2 * size), bytes(32)), bytes(64)) for size in (0, 6)]


def sealed(data: bytes) -> bytes:
    """A journal's checkpoint file with the right hash."""
    if len(data) < 8:
        return data
    end = 141 + 2 * max(0, data[7] - journal._WITH_EXTRA if data[7] != journal._NO_EXTRA else 0)
    return data[:end] + hashlib.sha256(data[8:end] + data[end + 32 :]).digest() + data[end + 32 :]


def checkpoints() -> list[bytes]:
    """A checkpoint as torch writes it now and as it wrote it long ago, other kinds of numbers, and safetensors."""
    import torch
    from safetensors.torch import save

    weights = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.bias": torch.zeros(2)}
    other = {"a.weight": torch.zeros(2, 3, dtype=torch.bfloat16), "b": torch.zeros(2, 0, dtype=torch.int64)}
    found = []
    for tensors in (weights, other, {f"module.{name}": each for name, each in weights.items()}):
        for zipped in (True, False):
            out = io.BytesIO()
            content = {"model_state_dict": tensors, "encoding_config": {"xy_scale": 0.05}, "context_len": 10}
            torch.save(content, out, _use_new_zipfile_serialization=zipped)
            found.append(out.getvalue())
    return [*found, save(weights), save(other)]


def policies() -> list[bytes]:
    """A policy's arrays, packed and not, with and without a rule."""
    import numpy as np
    from match.policies import policy

    made = policy(context_len=1).encode(np.float16)
    with np.load(io.BytesIO(made)) as arrays:
        values = dict(arrays)
    out = io.BytesIO()
    np.savez(out, **values)
    return [made, out.getvalue()]


def policy_cartridges() -> list[bytes]:
    """Small policy cartridges, without and with extra feedback."""
    from engine.policies import cartridge

    return [bytes(cartridge(1, flags=flags, context_len=1, hidden=4, trunk=4).data) for flags in (PLAIN, FLAGS)]


def replays() -> list[bytes]:
    """A replay of three frames."""
    from match import slp

    one, two = slp.Fighter(x=-30.25, action=20, stick=(1.0, -0.5)), slp.Fighter(x=30.0, facing=-1.0, airborne=True)
    return [slp.replay([slp.Frame(slp.FIRST_FRAME + n, {0: replace(one, age=float(n)), 2: two}) for n in range(3)])]


def read_replay(data: bytes) -> None:
    """Reads a replay as the command does, and turns it into a match file of worlds without and with flags."""
    with _quiet(), tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".slp") as file:
        file.write(data)
        file.flush()
        game: Any = replay_command._parsed(Path(file.name))
    for encoding in (PLAIN, FLAGS):
        convert(game, encoding=encoding).match_file(data)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without standard error, where Rust writes each of its panics."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
