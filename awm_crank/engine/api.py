"""What every engine offers: the NumPy reference and the native kernels alike.

A step comes in two halves, since the inputs enter at its very end: `backbone` consumes frame n as soon as it is known,
`heads` makes frame n + 1 when its inputs are.
"""

from __future__ import annotations

from typing import Any, Protocol

State = Any
"""One session's recurrent state; opaque, owned by the engine that made it."""
Context = Any
"""What a backbone call leaves for the heads; never changed afterwards."""


class Engine(Protocol):
    """One cartridge, ready to run. Deterministic to the last bit, and without hidden state of its own."""

    state_size: int
    """Bytes of one serialized recurrent state."""
    extra_size: int
    """Bytes a player of extra feedback at the end of a frame block; 0 for most worlds."""

    def start_state(self, block: bytes) -> State:
        """The state of a session that starts from `block` (frame 0): nine synthetic frames are consumed.

        A block has 97 bytes, and twice the cartridge's `extra_size` more.

        The first `backbone(state, block)` consumes the tenth. Raises StateError for a block that is none.
        """
        ...

    def backbone(self, state: State, block: bytes) -> Context:
        """Consume frame `block`, advancing `state` in place. Raises StateError, changing nothing."""
        ...

    def heads(self, ctx: Context, block: bytes, inputs: bytes) -> bytes:
        """Returns the next frame's block.

        Args:
            ctx: what `backbone` returned.
            block: the block that `backbone` was given.
            inputs: both players' inputs of the next frame, 16 bytes. The call may be repeated with other inputs.

        Raises:
            StateError: the block or the inputs have another size, or a field is out of range.
        """
        ...

    def dump(self, state: State) -> bytes:
        """The serialized recurrent state, `state_size` bytes (docs/numerics.md, section 5)."""
        ...

    def load(self, data: bytes) -> State:
        """The state that `dump` wrote. Raises StateError for another length."""
        ...

    def copy(self, state: State) -> State:
        """An independent copy: what it takes to step back one frame."""
        ...
