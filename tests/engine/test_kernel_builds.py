"""The same kernel source, built for other machines, gives the same bytes.

The builds are NEON under qemu-user, WebAssembly under Node.js, AMX with emulated tiles, and a sanitizer build that gets
broken input.
"""

from __future__ import annotations

import platform
import random
import re
import struct
import subprocess
from pathlib import Path

import pytest
from engine import golden, kernels

from awm_crank.engine.native import NativeEngine
from awm_crank.engine.seeded import SHAPES, cartridge

X86 = platform.machine() in {"x86_64", "AMD64"}


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Maps a build's name to the command that runs it."""
    folder = tmp_path_factory.mktemp("kernels")
    arm = ["aarch64-linux-gnu-gcc", *kernels.HOST, "-static"]
    common = ("runner.c", "image.c", "path_plain.c")
    made = {
        "neon": kernels.build([*arm, "-DRUNNER_PATH=neon"], folder / "neon", *common, "path_neon.c"),
        "neondot": kernels.build(
            [*arm, "-march=armv8.2-a+dotprod", "-DRUNNER_PATH=neondot"], folder / "neondot", *common, "path_neondot.c"
        ),
        "wasm": kernels.build(["clang-19", *kernels.WASM], folder / "plain.wasm", "path_wasm_main.c", *common[1:]),
        "wasm simd128": kernels.build(
            ["clang-19", *kernels.WASM, "-msimd128", "-DAWM_WASM_SIMD"],
            folder / "simd.wasm", "path_wasm_main.c", *common[1:], "path_wasm.c",
        ),
    }  # fmt: skip
    glue = str(kernels.SOURCES / "run_wasm.mjs")
    return {
        "neon": ["qemu-aarch64", str(made["neon"]), "neon"],
        "neondot": ["qemu-aarch64", str(made["neondot"]), "neondot"],
        "aarch64 plain": ["qemu-aarch64", str(made["neon"]), "plain"],
        "wasm": ["node", glue, str(made["wasm"])],
        "wasm simd128": ["node", glue, str(made["wasm simd128"])],
    }


@pytest.fixture(scope="session")
def x86_builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Builds that only an x86 machine with AVX-512 can run."""
    folder = tmp_path_factory.mktemp("x86")
    gcc = ["gcc", *kernels.HOST, *kernels.AVX512]
    common = ("runner.c", "image.c", "path_plain.c")
    amx = kernels.build(
        [*gcc, "-DAWM_AMX_EMULATED", "-DRUNNER_PATH=amx"], folder / "amx", *common, "path_amx.c"
    )  # fmt: skip
    return {"amx (emulated tiles)": [str(amx), "amx"]}


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The plain path under AddressSanitizer and UndefinedBehaviorSanitizer, without -fwrapv, so that no sum may
    overflow.
    """
    command = ["gcc", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *kernels.WARNINGS]
    target = tmp_path_factory.mktemp("sanitized") / "runner"
    return str(kernels.build(command, target, "runner.c", "image.c", "path_plain.c"))


NAMES = ["neon", "neondot", "aarch64 plain", "wasm", "wasm simd128"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [cartridge, kernels.extreme], ids=["seeded", "extreme"])
def test_random(builds: dict[str, list[str]], name: str, make: object) -> None:
    """With odd shapes, extreme weights and states, and batches, each build gives what the plain path gives on
    the host.
    """
    assert callable(make)
    for seed, shape in enumerate(kernels.SHAPES):
        given, wanted = kernels.script(make(shape, seed), sessions=5, frames=3, seed=seed)
        assert kernels.output(builds[name], given) == wanted, shape


FLAGGED = [name for name in golden.RUNS if name.startswith("flags")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("run", ["tiny", "odd", "4.3M", "15.8M", "19.9M", *FLAGGED])
def test_golden(builds: dict[str, list[str]], name: str, run: str) -> None:
    """Each build gives the frames of a golden run, which the committed hashes fix."""
    made, (_, seed, frames) = golden.make(run), golden.RUNS[run]
    engine = NativeEngine(made)
    assert golden.run(engine, run)["chain"] == golden.expected()[run]["chain"]
    given, wanted = golden_script(made.data, engine, run, seed, min(frames, 8))
    assert kernels.output(builds[name], given) == wanted


def golden_script(data: bytes, engine: NativeEngine, run: str, seed: int, frames: int) -> tuple[bytes, bytes]:
    """The first frames of a golden run as a script for the runner."""
    block = golden.start(engine.cartridge, seed)
    state = engine.start_state(block)
    given = struct.pack("<I", len(data)) + data + struct.pack("<II", 1, frames) + engine.dump(state)
    wanted = b""
    for pads in golden.inputs(seed, golden.RUNS[run][2])[:frames]:
        given += block + pads
        context = engine.backbone(state, block)
        block = engine.heads(context, block, pads)
        wanted += context[: 2 * engine.cartridge.shape.d_model] + block
    return given, wanted + engine.dump(state)


@pytest.mark.skipif(not X86, reason="NOT RUN: AMX is x86's")
@pytest.mark.parametrize("make", [cartridge, kernels.extreme], ids=["seeded", "extreme"])
def test_amx_with_emulated_tiles(x86_builds: dict[str, list[str]], make: object) -> None:
    """The AMX path's source, with its tile instructions emulated in C, gives what the plain path gives."""
    assert callable(make)
    from awm_crank.engine.native import paths

    if paths()["avx512bw"] or paths()["vnni"]:
        pytest.skip(f"NOT RUN: lacks {paths()['avx512bw'] or paths()['vnni']}")
    for seed, shape in enumerate(kernels.SHAPES):
        given, wanted = kernels.script(make(shape, seed), sessions=19, frames=2, seed=seed)
        assert kernels.output(x86_builds["amx (emulated tiles)"], given) == wanted, shape


@pytest.mark.parametrize("make", [cartridge, kernels.extreme], ids=["seeded", "extreme"])
def test_no_overflow_under_sanitizers(sanitized: str, make: object) -> None:
    """At the loader's bounds no sum overflows, no shift is out of range and no byte outside is touched."""
    assert callable(make)
    for seed, shape in enumerate(kernels.SHAPES):
        given, wanted = kernels.script(make(shape, seed), sessions=2, frames=2, seed=seed)
        assert kernels.output([sanitized, "plain"], given) == wanted, shape


def refused(sanitized: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
    """Runs a build that may end early, so its unfreed memory is not reported."""
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run([sanitized, "plain"], input=given, capture_output=True, check=False, env=environment)


def test_fuzzed_cartridges_under_sanitizers(sanitized: str) -> None:
    """Headers, directories and layer blocks with changed bytes are refused or run, and no other memory is read."""
    given, _ = kernels.script(cartridge(SHAPES["tiny"], 1), sessions=1, frames=1, seed=1)
    rng = random.Random(9)
    seen: set[int] = set()
    for _ in range(150):
        broken = bytearray(given)
        for _ in range(rng.randint(1, 3)):
            broken[4 + rng.choice((rng.randrange(80, 96), rng.randrange(1200, 1350), rng.randrange(2048, 2500)))] = (
                rng.randrange(256)
            )
        done = refused(sanitized, bytes(broken))
        assert done.returncode in {0, 2, 11, 12, 13, 14, 15, 20}, done.stderr.decode()[-2000:]
        seen.add(done.returncode)
    assert {12, 13} <= seen


def test_short_input_under_sanitizers(sanitized: str) -> None:
    """An input that is cut off anywhere is recognized as incomplete."""
    given, _ = kernels.script(cartridge(SHAPES["tiny"], 1), sessions=1, frames=1, seed=1)
    for size in (0, 3, 100, len(given) - 1):
        done = refused(sanitized, given[:size])
        assert done.returncode == 2, done.stderr.decode()[-2000:]


def test_no_floats_no_libc() -> None:
    """The kernel's files include no system header except for vector instructions, and use no floating type."""
    host = {"host.c", "host.h", "module.c", "module_calls.h", "module_objects.h", "module_policy.h", "runner.c"}
    for source in sorted(Path(kernels.SOURCES).glob("*.[ch]")):
        text = source.read_text()
        if source.name in host:
            continue
        assert not re.search(r"\b(float|double)\b", text), source.name
        for line in text.splitlines():
            if line.startswith("#include <"):
                assert line.split("<")[1].rstrip(">") in {"immintrin.h", "arm_neon.h", "wasm_simd128.h"}, source.name
