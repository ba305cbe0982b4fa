"""A whole match of a world with state flags, hitstun and projectiles: twelve bytes of extra feedback for each
player.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from daemon.rig import Place, expected_records, finished

from awm_crank import config
from awm_crank.cli import main
from awm_crank.engine.encoding import Encoding
from awm_crank.engine.seeded import lasting
from awm_crank.localnet.rig import LocalnetProcess
from awm_crank.match import file
from awm_crank.wire.accounts import RECORD_SIZE, FrameRecord

FLAGGED = lasting(encoding=Encoding(state_flags=True, hitstun=True, projectiles=True))
FRAMES = 400


def watch(match: Path, folder: Path) -> dict[str, int]:
    """Opens a match file with the page's own modules."""
    with as_file(files("awm_crank") / "viewer" / "page") as page:
        shutil.copytree(page, folder / "page")
    from awm_crank.viewer.contract import contract

    (folder / "contract.json").write_text(json.dumps(contract()))
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "watch.js").write_text("""
import { readFileSync } from "node:fs";
import { Contract } from "./page/codec.js";
import { parseMatchFile } from "./page/history.js";
const contract = new Contract(JSON.parse(readFileSync("contract.json", "utf8")));
const { meta, history } = parseMatchFile(readFileSync(process.argv[2], "utf8"), contract);
let inputs = 0;
for (let n = 1; n <= history.last; n++) inputs += history.get(n).inputs.length;
console.log(JSON.stringify({ frames: history.last, extra: meta.extra_size, inputs }));
""")
    ended = subprocess.run(
        ["node", "watch.js", str(match)], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, int] = json.loads(ended.stdout)
    return found


async def test_served_killed_recovered_verified_exported_and_watched(
    net: LocalnetProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The match is played while the crank is killed and started again. All records, the checkpoint, `verify` of session
    and file, `export` and the page agree about every byte.
    """
    assert FLAGGED.extra_size == 12
    checkpoints = config.CheckpointsConfig(ring_capacity=256, min_interval_frames=60)
    async with await Place.make(net, tmp_path, FLAGGED) as place:
        settings = place.settings(checkpoints=checkpoints)
        crank = place.crank(settings, name="first")
        await crank.ready()
        match = await place.create(max_frames=FRAMES)
        await place.join(match)
        exported = tmp_path / "match.json"
        argv = ["export", str(match.session), "--rpc", net.http, "--follow", "-o", str(exported)]
        following = asyncio.create_task(asyncio.to_thread(main, argv))
        playing = asyncio.create_task(place.play(match))
        await place.when(match, lambda view: view.session.frame >= 130)
        crank.kill()
        second = place.crank(settings, name="second")
        await playing
        view = await place.when(match, finished)
        assert await following == 0
        capsys.readouterr()
        assert view.hidden is not None
        assert view.log is not None
        assert (view.hidden.extra_size, view.log.record_size) == (12, RECORD_SIZE + 24)
        held = view.log.holds()
        wanted = expected_records(FLAGGED, view, FRAMES)
        assert [view.log.record(frame) for frame in held] == wanted[held.start - 1 :]
        assert len({FrameRecord.decode(record).extra for record in wanted}) > 10
        checkpoint = view.checkpoints[view.hidden.checkpoint_side]
        assert checkpoint is not None
        assert checkpoint.extra == FrameRecord.decode(wanted[-1]).extra
        restored = second.lines("restoring")
        assert restored and restored[0]["checkpoint"] > 0
        for argv in (["verify", str(match.session), "--rpc", net.http], ["verify", str(exported), "--rpc", net.http]):
            status = await asyncio.to_thread(main, [*argv, "--json"])
            out, err = capsys.readouterr()
            assert status == 0, err
            assert json.loads(out)["last"] == FRAMES
    assert file.parse(exported.read_bytes()).records == wanted
    assert watch(exported, tmp_path / "page_folder") == {"frames": FRAMES, "extra": 12, "inputs": 2 * FRAMES}
