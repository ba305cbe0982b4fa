"""A session is handed over to the real rollup, played there by the unchanged crank, and settled on the base chain."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import tenacity
from daemon.rig import Place, expected_records, finished, lasting, until
from localnet.kinds.validators import CACHE
from solders.keypair import Keypair

from awm_crank import cli
from awm_crank.client import rollup, session
from awm_crank.client.keys import write_keypair
from awm_crank.client.recorder import Recorder
from awm_crank.client.session import SessionAccounts
from awm_crank.config import CheckpointsConfig
from awm_crank.engine import ReferenceEngine
from awm_crank.errors import AccountError, ProgramError
from awm_crank.localnet.kinds.process import free_ports
from awm_crank.localnet.rig import EmbeddedLocalnet, LocalnetProcess
from awm_crank.match.verify import verify_file
from awm_crank.net.rpc import RpcClient
from awm_crank.wire import ids, programs
from awm_crank.wire.accounts import ENDED, WAITING_PLAYERS

FRAMES = 150


@pytest.fixture(scope="module")
def net() -> Iterator[LocalnetProcess]:
    """The base chain and the rollup."""
    with LocalnetProcess("rollup", "--cache", str(CACHE)) as running:
        yield running


class Rolled(Place):
    """A place whose model and new sessions are on the base chain, and whose matches run in the rollup."""

    async def hand_over(self, match: SessionAccounts) -> None:
        """Hands a match over to the rollup, with lamports for a small ring and small checkpoints."""
        await rollup.delegate(
            self.base, self.chain, self.players[0], match.session, ring_records=900, checkpoint_bytes=40_000
        )


@pytest.fixture
async def place(net: LocalnetProcess, tmp_path: Path) -> AsyncIterator[Rolled]:
    """A published cartridge, and fresh keys."""
    made = await Rolled.make(net, tmp_path)
    yield made
    await made.close()


async def test_there_and_back(place: Rolled) -> None:
    """A session is made on the base chain, handed over, played and recorded in the rollup, and taken back.

    Every record is the one computed here, and the file's last hash is the one that settled. At the end player 1 closes
    the session and gets its rent back.
    """
    crank = place.crank()
    await crank.ready()
    match = await place.create(max_frames=FRAMES)
    balance = await place.base.balance(place.players[0].pubkey())
    await place.hand_over(match)
    await place.hand_over(match)  # a second call finds nothing left to do, and does nothing
    await place.join(match)
    async with asyncio.timeout(40):
        await place.play(match)
    view = await place.when(match, finished)
    assert view.log is not None
    records = [view.log.record(frame) for frame in view.log.holds()]
    assert records == expected_records(lasting(), view, FRAMES)
    async with RpcClient(place.net.http) as rpc:
        recorder = Recorder(rpc, match.entity)
        await recorder.follow()
        made = await recorder.match_file(lasting().sha256)
    await until(lambda: bool(crank.lines("released")))

    settled = await rollup.undelegate(place.base, place.chain, place.players[1], match.session)
    back = settled.view
    assert (back.session.status, back.session.frame) == (ENDED, FRAMES)
    assert back.hidden is not None
    assert view.hidden is not None
    assert back.hidden.chain_hash == view.hidden.chain_hash
    assert back.session.players == view.session.players
    assert back.checkpoints == (None, None)
    assert back.log is not None
    assert back.log.capacity == 0
    verdict = verify_file(made, ReferenceEngine(lasting()), lasting().sha256)
    verdict.check()
    assert verdict.chain_hash == back.hidden.chain_hash
    await until(lambda: bool(crank.lines("settled")))
    assert crank.lines("settled")[0]["chain_hash"] == back.hidden.chain_hash.hex()
    assert await crank.stop() == 0
    assert json.loads(crank.stats_path.read_text())["frames"] == FRAMES

    await session.close(place.base, place.players[0], match.session)
    # the rent of the four components was paid before, so only fees and the rollup's own charges are gone
    assert await place.base.balance(place.players[0].pubkey()) > balance - 5_000_000


async def test_killed_crank(place: Rolled) -> None:
    """After SIGKILL while a frame is being sent, a crank that starts later continues the delegated match, and no record
    differs.
    """
    match = await place.create(max_frames=FRAMES)
    await place.hand_over(match)
    first = place.crank(place.settings(fault_kill_at="in-flight:60"), name="first")
    await first.ready()
    await place.join(match)
    playing = asyncio.create_task(place.play(match))
    assert await first.ended(30, what="its end by the fault") == -9
    place.crank(name="second")
    async with asyncio.timeout(40):
        await playing
    view = await place.when(match, finished)
    assert view.log is not None
    records = [view.log.record(frame) for frame in view.log.holds()]
    assert records == expected_records(lasting(), view, FRAMES)
    settled = await rollup.undelegate(place.base, place.chain, place.crank_key, match.session)
    assert settled.view.session.frame == FRAMES


async def test_who_may_take_it_back(place: Rolled) -> None:
    """Nobody takes a session back during its match, a stranger never, and player 1 also before anybody has joined."""
    stranger = place.net.funded()
    playing, waiting = await place.create(max_frames=FRAMES), await place.create(max_frames=FRAMES)
    for match in (playing, waiting):
        await place.hand_over(match)
    await place.join(playing)
    for signer in (place.players[0], place.crank_key, stranger):
        with pytest.raises(ProgramError, match="NotEnded"):
            await rollup.undelegate(place.base, place.chain, signer, playing.session)
    with pytest.raises(ProgramError, match="NotEnded"):
        await rollup.undelegate(place.base, place.chain, place.players[1], waiting.session)
    settled = await rollup.undelegate(place.base, place.chain, place.players[0], waiting.session)
    assert settled.view.session.status == WAITING_PLAYERS
    await session.end(place.chain, place.players[1], place.world, playing.session)
    with pytest.raises(ProgramError, match="NotAPlayer"):
        await rollup.undelegate(place.base, place.chain, stranger, playing.session)
    settled = await rollup.undelegate(place.base, place.chain, place.players[1], playing.session)
    assert settled.view.session.status == ENDED
    again = await rollup.undelegate(place.base, place.chain, place.players[1], playing.session)
    assert again.view.session == settled.view.session
    with pytest.raises(AccountError, match="is no session"):
        await rollup.delegate(place.base, place.chain, place.players[0], ids.WORLD)


async def test_commands(place: Rolled, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands hand a session over, join it in the rollup, end it and take it back.

    The last one prints the settled hash.
    """
    keys = []
    for number, pair in enumerate(place.players):
        keys.append(place.folder / f"player{number}.json")
        write_keypair(keys[-1], pair)
    match = await place.create()
    both = ["--rpc", place.net.http, "--base-rpc", place.net.base_http]
    steps = (
        (0, "delegate", [*both, "--ring", "300", "--state", "5000"]),
        (1, "join", ["--rpc", place.net.http]),
        (1, "end", ["--rpc", place.net.http]),
        (0, "undelegate", both),
    )
    for player, step, words in steps:
        command = ["session", step, str(match.session), *words, "--keypair", str(keys[player]), "--json"]
        assert await asyncio.to_thread(cli.main, command) == 0, capsys.readouterr().err
        printed = json.loads(capsys.readouterr().out)
        assert (printed["session"], printed["step"]) == (str(match.session), step)
    view = await session.show(place.base, match.session)
    assert view.hidden is not None
    assert printed["chain_hash"] == view.hidden.chain_hash.hex()


async def test_busy_machine(tmp_path: Path) -> None:
    """On a machine that pauses base chain and rollup again and again, sessions are handed over and come back intact.

    The rollup can write to every frame log afterwards.
    """
    with LocalnetProcess("rollup", "--cache", str(CACHE)) as net:
        place = await Rolled.make(net, tmp_path)
        players = [net.funded() for _ in range(6)]
        both = _children(net.pid)
        assert len(both) == 2, "base chain and rollup"
        over = threading.Event()
        stalls = threading.Thread(target=_stall, args=(both, over))
        stalls.start()
        try:
            made = await asyncio.gather(*(_hand_over(place, player, 6) for player in players))
        finally:
            over.set()
            await asyncio.to_thread(stalls.join)
        for match in (match for some in made for match in some):
            grow = programs.ring_grow(place.crank_key.pubkey(), match.entity, 900)
            # a key's first transaction may arrive before the rollup has fetched its account
            async for attempt in tenacity.AsyncRetrying(
                stop=tenacity.stop_after_attempt(10), wait=tenacity.wait_fixed(0.1), reraise=True
            ):
                with attempt:
                    await place.chain.send([grow], place.crank_key)
        for player, some in zip(players, made, strict=True):
            await rollup.undelegate(place.base, place.chain, player, some[0].session)
            await session.close(place.base, player, some[0].session)
        await place.close()


async def _hand_over(place: Rolled, player: Keypair, count: int) -> list[SessionAccounts]:
    made = []
    for seed in range(count):
        match = await session.create(
            place.base, player, place.world, place.model, writer=place.crank_key.pubkey(), seed=seed
        )
        await rollup.delegate(place.base, place.chain, player, match.session)
        made.append(match)
    return made


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _stall(pids: list[int], over: threading.Event) -> None:
    chance = random.Random(5)
    while not over.wait(chance.uniform(0.005, 0.05)):
        pid = chance.choice(pids)
        os.kill(pid, signal.SIGSTOP)
        over.wait(chance.choice([0.005, 0.02, 0.05, 0.1, 0.2]))
        os.kill(pid, signal.SIGCONT)


async def test_killed_rollup_and_crank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After SIGKILL of rollup and crank at once, a match that is older than its ring continues from the crank's
    journal.

    The rollup has lost every checkpoint. Afterwards the match is verified from its start and exported, with the records
    of the journal, and settles.
    """
    port, folder, kept = free_ports(2), tmp_path / "rollup", tmp_path / "journal"
    frames = 500
    with EmbeddedLocalnet("--for-rollup", "--cache", str(CACHE)) as base:
        words = ("--cache", str(CACHE), "--base", base.http, "--folder", str(folder))
        checkpoints = CheckpointsConfig(ring_capacity=256, min_interval_frames=60, journal=str(kept))
        with LocalnetProcess("rollup", *words, port=port) as net:
            place = await Rolled.make(net, tmp_path)
            crank = place.crank(place.settings(checkpoints=checkpoints))
            await crank.ready()
            match = await place.create(max_frames=frames)
            await place.hand_over(match)
            await place.join(match)
            playing = asyncio.create_task(place.play(match))
            # checkpoints, ring and start are gone from the chain then: only the journal leads to this frame
            await place.when(match, lambda view: view.session.frame > 320, 60.0)
            os.kill(net.validators[0], signal.SIGKILL)
            crank.kill()
        with LocalnetProcess("rollup", *words, "--resume", port=port) as net:
            again = place.crank(place.settings(checkpoints=checkpoints), "again")
            await until(lambda: bool(again.lines("going on from the journal")), 60.0)
            async with asyncio.timeout(90):
                await playing
            await place.when(match, finished)
            command = ("--rpc", net.http, "--base-rpc", base.http, "--journal", str(kept))
            assert await asyncio.to_thread(cli.main, ["verify", str(match.session), *command]) == 0
            assert f"from its start to frame {frames}" in capsys.readouterr().out
            file = str(tmp_path / "match.json")
            assert await asyncio.to_thread(cli.main, ["export", str(match.session), *command, "-o", file]) == 0
            assert await asyncio.to_thread(cli.main, ["verify", file, "--rpc", net.http, "--base-rpc", base.http]) == 0
            settled = await rollup.undelegate(place.base, place.chain, place.crank_key, match.session)
            assert settled.view.session.frame == frames
            assert await again.stop() == 0
        await place.close()


async def test_killed_rollup(tmp_path: Path) -> None:
    """After SIGKILL of the rollup in the middle of a match, it restarts on its storage and the match settles.

    The running crank serves what the rollup restored, and makes the checkpoints again. No record differs.
    """
    port, folder = free_ports(2), tmp_path / "rollup"
    with EmbeddedLocalnet("--for-rollup", "--cache", str(CACHE)) as base:
        words = ("--cache", str(CACHE), "--base", base.http, "--folder", str(folder))
        with LocalnetProcess("rollup", *words, port=port) as net:
            place = await Rolled.make(net, tmp_path)
            crank = place.crank()
            await crank.ready()
            match = await place.create(max_frames=220)
            await place.hand_over(match)
            await place.join(match)
            playing = asyncio.create_task(place.play(match))
            await place.when(match, lambda view: bool(view.hidden and view.hidden.initialized))
            os.kill(net.validators[0], signal.SIGKILL)
        with LocalnetProcess("rollup", *words, "--resume", port=port) as net:
            async with asyncio.timeout(60):
                await playing
            view = await place.when(match, finished)
            assert view.log is not None
            records = [view.log.record(frame) for frame in view.log.holds()]
            assert records == expected_records(lasting(), view, 220)
            assert crank.lines("checkpoints have vanished: making them again")
            settled = await rollup.undelegate(place.base, place.chain, place.crank_key, match.session)
            assert settled.view.session.frame == 220
            assert await crank.stop() == 0
        await place.close()
