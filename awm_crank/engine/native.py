"""The native engine: one integer kernel in C, one path for each instruction set (awm_crank/engine/native/).

The path is the best one that this CPU can run, unless a setting or the environment variable AWM_ENGINE_PATH names
another. A named path that cannot run is refused, and no other is tried. If the C module is not built, importing this
file raises EngineError.
"""

from __future__ import annotations

from awm_crank.engine.cartridge import Cartridge
from awm_crank.errors import CartridgeError, EngineError, StateError

WARMUP_FRAMES = 9


try:
    from awm_crank.engine import _native
except ImportError as error:
    raise EngineError(
        "the native engine is not built",
        found=str(error),
        hint='install the wheel of this machine, or set engine.kernel = "reference" (NumPy, for small models)',
    ) from error

State = _native.State
policy_layer = _native.policy_layer
Context = bytes


def paths() -> dict[str, str]:
    """Every path by name, the best one last, with what this machine lacks to run it ("" means that it can run)."""
    return _native.paths()


def choose(path: str | None = None) -> str:
    """Chooses the path: `path`, else AWM_ENGINE_PATH, else the best one. Raises EngineError if it cannot run."""
    known = paths()
    wanted = path or _native.forced_path()
    if not wanted:
        return [name for name, missing in known.items() if not missing][-1]
    if wanted not in known:
        raise EngineError(f"engine path {wanted!r}", expected=f"one of {', '.join(known)}", hint="leave it out")
    if known[wanted]:
        raise EngineError(
            f"engine path {wanted!r} cannot run on this machine",
            expected=known[wanted],
            found="not there",
            hint=f"one of {', '.join(name for name, missing in known.items() if not missing)}",
        )
    return wanted


class NativeEngine:
    """`Engine` (api.py) for one cartridge, and the same two calls for many sessions at once.

    Sessions of a batch share one pass over the weights. Calls may come from several threads; they take turns. A state
    may be in one call at a time.

    Args:
        cartridge: a parsed cartridge.
        path: the name of the path (see `paths`). None: as `choose` decides.
        threads: how many threads work on one call, including the caller's.

    Raises:
        EngineError: the path cannot run here.
    """

    def __init__(self, cartridge: Cartridge, path: str | None = None, threads: int = 1) -> None:
        self.cartridge = cartridge
        self.path = choose(path)
        self.threads = threads
        self.state_size = cartridge.shape.state_size
        self.extra_size = cartridge.extra_size
        try:
            self._engine = _native.Engine(cartridge.data, self.path, threads)
        except ValueError as error:
            raise CartridgeError(f"cartridge: {error}", hint="quantize the checkpoint again") from error
        except RuntimeError as error:
            raise EngineError(str(error), hint="choose another path") from error

    def start_state(self, block: bytes) -> State:
        """See `Engine.start_state`."""
        state = self._engine.zero_state()
        for _ in range(WARMUP_FRAMES):
            self.backbone(state, block)
        return state

    def backbone(self, state: State, block: bytes) -> Context:
        """See `Engine.backbone`."""
        try:
            return self._engine.backbone(state, block)
        except (ValueError, TypeError) as error:
            raise _refused(error) from error

    def heads(self, ctx: Context, block: bytes, inputs: bytes) -> bytes:
        """See `Engine.heads`."""
        try:
            return self._engine.heads(ctx, block, inputs)
        except (ValueError, TypeError) as error:
            raise _refused(error) from error

    def backbone_batch(self, states: list[State], blocks: list[bytes]) -> list[Context]:
        """`backbone` for many sessions. Raises StateError for an invalid block or a repeated state, and then changes
        nothing.
        """
        try:
            return self._engine.backbone_batch(states, blocks)
        except (ValueError, TypeError) as error:
            raise _refused(error) from error

    def heads_batch(self, contexts: list[Context], blocks: list[bytes], inputs: list[bytes]) -> list[bytes]:
        """`heads` for many sessions. Raises StateError."""
        try:
            return self._engine.heads_batch(contexts, blocks, inputs)
        except (ValueError, TypeError) as error:
            raise _refused(error) from error

    def dump(self, state: State) -> bytes:
        """See `Engine.dump`."""
        return self._engine.dump(state)

    def load(self, data: bytes) -> State:
        """See `Engine.load`."""
        try:
            return self._engine.load(bytes(data))
        except ValueError as error:
            raise _refused(error) from error

    def copy(self, state: State) -> State:
        """See `Engine.copy`."""
        return self._engine.copy(state)

    def bare(self, states: list[State], what: int) -> int:
        """For benchmarks: runs parts of the step alone, over all layers. States advance, and results are discarded.

        Args:
            what: a sum of AWM_RUN_* (native/awm_engine.h).

        Returns: nanoseconds.
        """
        return self._engine.bare(states, what)

    def raw(self, state: State) -> bytes:
        """A state's bytes in the kernel's own layout (native/image.c). All paths have the same layout, except for
        padding.
        """
        return self._engine.raw(state)

    def image(self) -> bytes:
        """The repacked cartridge, position-independent (native/awm_engine.h)."""
        return self._engine.image()

    def sizes(self) -> dict[str, int]:
        """Bytes of the repacked weights, of a state, and of scratch (`scratch_next`: for each further session)."""
        return self._engine.sizes()


def _refused(error: Exception) -> StateError:
    return StateError(str(error), hint="hand in a frame block, 16 input bytes and a state of this cartridge")
