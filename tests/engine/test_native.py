"""Every path of the native engine equals the reference bit for bit, and refuses what it cannot run."""

from __future__ import annotations

import random
import subprocess
import sys
import threading

import pytest
from engine import golden, kernels

from awm_crank.engine import native
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.reference import ReferenceEngine
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.errors import CartridgeError, EngineError, StateError

RUNS_HERE = [name for name, missing in native.paths().items() if not missing]


@pytest.mark.parametrize("path", RUNS_HERE)
class TestPath:
    """The same tests for every path that this CPU runs; conftest.py prints the other paths as NOT RUN."""

    @pytest.mark.parametrize("name", golden.RUNS)
    def test_golden(self, path: str, name: str) -> None:
        """A golden run gives the committed hashes of every frame and of the states in between."""
        made = golden.make(name)
        wanted = dict(golden.expected()[name])
        assert made.sha256.hex() == wanted.pop("cartridge")
        assert golden.run(NativeEngine(made, path), name) == wanted

    @pytest.mark.parametrize("shape", kernels.SHAPES, ids=str)
    @pytest.mark.parametrize("make", [cartridge, kernels.extreme], ids=["seeded", "extreme"])
    def test_random_states_and_blocks(self, path: str, shape: object, make: object) -> None:
        """From random and full states, with weights at the loader's bounds, a frame equals the reference's."""
        assert callable(make)
        made = make(shape, 11)
        reference, engine = ReferenceEngine(made), NativeEngine(made, path)
        rng = random.Random(hash((path, str(shape))) & 0xFFFF)
        for _ in range(12):
            data, block, inputs = (
                kernels.state(rng, made.state_size),
                kernels.block(rng, made.extra_size),
                rng.randbytes(16),
            )
            ours, theirs = engine.load(data), reference.load(data)
            assert engine.dump(ours) == data
            for _ in range(2):
                context, wanted = engine.backbone(ours, block), reference.backbone(theirs, block)
                assert engine.dump(ours) == reference.dump(theirs)
                assert engine.heads(context, block, inputs) == reference.heads(wanted, block, inputs)

    @pytest.mark.parametrize("threads", [1, 2, 3])
    def test_batch_is_one_by_one(self, path: str, threads: int) -> None:
        """Each session of a batch gets what it would get alone, for any batch size and number of threads."""
        made = cartridge(SHAPES["demo"], 3)
        alone, engine = NativeEngine(made, path), NativeEngine(made, path, threads)
        rng = random.Random(threads)
        for size in (1, 2, 3, 4, 5, 7, 16, 17, 33):
            given = [kernels.state(rng, made.state_size) for _ in range(size)]
            blocks, inputs = [kernels.block(rng) for _ in range(size)], [rng.randbytes(16) for _ in range(size)]
            states, singles = [engine.load(s) for s in given], [alone.load(s) for s in given]
            contexts = engine.backbone_batch(states, blocks)
            wanted = [alone.backbone(s, b) for s, b in zip(singles, blocks, strict=True)]
            assert [engine.dump(s) for s in states] == [alone.dump(s) for s in singles]
            assert engine.heads_batch(contexts, blocks, inputs) == [
                alone.heads(c, b, i) for c, b, i in zip(wanted, blocks, inputs, strict=True)
            ]

    def test_scratch_is_small(self, path: str) -> None:
        """Besides the weights, another session takes its state, a little padding, and under 64 KB of scratch."""
        sizes = NativeEngine(cartridge(SHAPES["19.9M"], 1), path).sizes()
        assert sizes["scratch_next"] < 64 * 1024
        assert sizes["state"] < 1.01 * sizes["serialized"]


@pytest.fixture(scope="module")
def engine() -> NativeEngine:
    """An engine of the demo's shape on the best path."""
    return NativeEngine(cartridge(SHAPES["demo"], 1))


BLOCK = kernels.block(random.Random(1))


def test_heads_again_with_other_inputs(engine: NativeEngine) -> None:
    """A context serves any number of inputs, and they do not change it."""
    context = engine.backbone(engine.start_state(BLOCK), BLOCK)
    first = engine.heads(context, BLOCK, bytes(16))
    assert engine.heads(context, BLOCK, bytes(range(16)))[80:96] == bytes(range(16))
    assert engine.heads(context, BLOCK, bytes(16)) == first


def test_copy_is_independent(engine: NativeEngine) -> None:
    """Advancing a state leaves its copy unchanged."""
    state = engine.start_state(BLOCK)
    kept, before = engine.copy(state), engine.dump(state)
    engine.backbone(state, BLOCK)
    assert engine.dump(kept) == before != engine.dump(state)


@pytest.mark.parametrize(
    "offset,value", [(8, 0xFF), (10, 0xFF), (25, 5), (29, 2), (30, 8), (31, 33), (71, 1), (96, 33)]
)
def test_block_out_of_range(engine: NativeEngine, offset: int, value: int) -> None:
    """A field that section 9 does not allow is refused with its offset, and the state does not change."""
    quiet = bytearray(97)
    quiet[offset] = value
    if offset in {8, 10, 29}:  # the high byte of a u16
        quiet[offset + (offset != 29)] = 0xFF
    state = engine.start_state(bytes(97))
    before = engine.dump(state)
    with pytest.raises(StateError, match="offset"):
        engine.backbone(state, bytes(quiet))
    with pytest.raises(StateError, match="offset"):
        engine.backbone_batch([engine.copy(state), state], [bytes(97), bytes(quiet)])
    assert engine.dump(state) == before


def test_lengths_are_checked(engine: NativeEngine) -> None:
    """Blocks, inputs, contexts and states with a wrong length are refused, and the error names the argument."""
    state = engine.start_state(BLOCK)
    context = engine.backbone(state, BLOCK)
    for call, name in (
        (lambda: engine.backbone(state, BLOCK[:-1]), "block"),
        (lambda: engine.heads(context, BLOCK, bytes(15)), "inputs"),
        (lambda: engine.heads(context[:-2], BLOCK, bytes(16)), "context"),
        (lambda: engine.load(bytes(engine.state_size - 1)), "recurrent state"),
        (lambda: engine.backbone_batch([state], []), "batch"),
        (lambda: engine.backbone_batch([], []), "batch"),
        (lambda: engine.heads_batch([context], [BLOCK], [b""]), "inputs"),
    ):
        with pytest.raises(StateError, match=name):
            call()


def test_foreign_states(engine: NativeEngine) -> None:
    """A state of another shape, a state given twice, and an object that is no state are refused."""
    other = NativeEngine(cartridge(SHAPES["tiny"], 1))
    state = engine.start_state(BLOCK)
    before = engine.dump(state)
    with pytest.raises(StateError, match="another shape"):
        engine.backbone(other.start_state(BLOCK), BLOCK)
    with pytest.raises(StateError, match="twice"):
        engine.backbone_batch([state, state], [BLOCK, BLOCK])
    with pytest.raises(StateError, match="State"):
        engine.backbone(b"state", BLOCK)  # type: ignore[arg-type]
    assert engine.dump(state) == before


def test_threads_take_turns() -> None:
    """Calls from many threads into one engine give each session what it would get alone."""
    made = cartridge(SHAPES["demo"], 2)
    engine = NativeEngine(made, threads=2)
    wanted = {}
    for seed in range(4):
        state = engine.start_state(kernels.block(random.Random(seed)))
        for _ in range(20):
            engine.backbone(state, BLOCK)
        wanted[seed] = engine.dump(state)
    found: dict[int, bytes] = {}

    def play(seed: int) -> None:
        state = engine.start_state(kernels.block(random.Random(seed)))
        for _ in range(20):
            engine.backbone(state, BLOCK)
        found[seed] = engine.dump(state)

    workers = [threading.Thread(target=play, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == wanted


def test_forced_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWM_ENGINE_PATH chooses the path if no argument does, and an argument overrides it."""
    monkeypatch.setenv("AWM_ENGINE_PATH", "plain")
    made = cartridge(SHAPES["tiny"], 1)
    assert NativeEngine(made).path == "plain"
    assert NativeEngine(made, RUNS_HERE[-1]).path == RUNS_HERE[-1]


def test_best_path_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the engine takes the last of its paths that this CPU runs."""
    monkeypatch.delenv("AWM_ENGINE_PATH", raising=False)
    assert native.choose() == RUNS_HERE[-1]


def test_path_that_cannot_run() -> None:
    """A path of another processor, or an unknown one, is refused by name with what is missing, and never replaced."""
    lacking = [name for name, missing in native.paths().items() if missing]
    assert lacking  # NEON, or at least the x86 paths
    for name in lacking:
        with pytest.raises(EngineError, match="cannot run") as error:
            native.choose(name)
        assert error.value.expected == native.paths()[name]
    with pytest.raises(EngineError, match="sse9"):
        native.choose("sse9")
    with pytest.raises(CartridgeError, match="threads"):
        NativeEngine(cartridge(SHAPES["tiny"], 1), threads=0)


def test_without_the_module() -> None:
    """Where the kernel is not built, the import error says so and names the setting that works without it."""
    program = "import sys; sys.modules['awm_crank.engine._native'] = None; import awm_crank.engine.native"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "EngineError" in done.stderr
    assert 'engine.kernel = "reference"' in done.stderr


def test_binding_refuses_broken_cartridges() -> None:
    """Even without the Python loader's checks, the binding survives every truncation and thousands of changed bytes."""
    from awm_crank.engine import _native

    data = cartridge(SHAPES["tiny"], 1).data
    rng = random.Random(5)
    for size in (0, 1, 47, 2047, 2048, 3000, len(data) - 1):
        with pytest.raises(ValueError, match="cartridge"):
            _native.Engine(data[:size], "plain")
    refused = 0
    for _ in range(1500):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            broken[rng.randrange(2600)] = rng.randrange(256)
        try:
            made = _native.Engine(bytes(broken), RUNS_HERE[-1])
        except ValueError:
            refused += 1
        else:
            state = made.zero_state()
            made.heads(made.backbone(state, BLOCK), BLOCK, bytes(16))
    assert refused > 200
