"""The interface of every engine, for the NumPy reference and the native kernels alike.

A step has two halves, because the inputs are needed only at its very end. `backbone` consumes frame n as soon as it is
known; `heads` computes frame n + 1 as soon as its inputs are known.
"""

from __future__ import annotations

from typing import Any, Protocol

State = Any
"""One session's recurrent state; opaque, owned by the engine that made it."""
Context = Any
"""What a backbone call leaves for the heads; never changed afterwards."""


class Engine(Protocol):
    """One cartridge, ready to run. Its results are deterministic to the last bit. All state is in the arguments."""

    state_size: int
    """Bytes of one serialized recurrent state."""
    extra_size: int
    """Bytes a player of extra feedback at the end of a frame block; 0 for most worlds."""

    def start_state(self, block: bytes) -> State:
        """Returns the recurrent state of a session that starts from `block` (frame 0), after nine synthetic frames.

        A block has 97 bytes, plus twice the cartridge's `extra_size`. The first call of `backbone(state, block)`
        consumes the tenth frame. Raises StateError if the block is invalid.
        """
        ...

    def backbone(self, state: State, block: bytes) -> Context:
        """Consumes the frame `block` and advances `state` in place. If it raises StateError, `state` is unchanged."""
        ...

    def heads(self, ctx: Context, block: bytes, inputs: bytes) -> bytes:
        """Returns the next frame's block.

        Args:
            ctx: what `backbone` returned.
            block: the block that was passed to that call of `backbone`.
            inputs: both players' inputs of the next frame, 16 bytes. The call may be repeated with other inputs.

        Raises:
            StateError: the block or the inputs have another size, or a field is out of range.
        """
        ...

    def dump(self, state: State) -> bytes:
        """Returns the serialized recurrent state, `state_size` bytes (docs/numerics.md, section 5)."""
        ...

    def load(self, data: bytes) -> State:
        """Returns the state that `dump` has serialized. Raises StateError if the length is wrong."""
        ...

    def copy(self, state: State) -> State:
        """Returns an independent copy of a state, with which a match can step back one frame."""
        ...
