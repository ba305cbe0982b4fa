"""The protocol that the NumPy reference and the native kernel share.

A step has two halves, because the inputs enter at its very end. `backbone` reads frame n as soon as it is known.
`heads` computes frame n + 1 when its inputs are known.
"""

from __future__ import annotations

from typing import Any, Protocol

State = Any
"""One session's recurrent state. Opaque: only the engine that made it can use it."""
Context = Any
"""The result of a backbone call, which the heads read. It never changes."""


class Engine(Protocol):
    """One cartridge, ready to run. Equal calls give equal bits; the engine keeps nothing between calls."""

    state_size: int
    """Size of a serialized recurrent state in bytes."""

    def start_state(self, block: bytes) -> State:
        """The state of a session that starts from `block` (97 bytes, frame 0). It has read `block` nine times.

        The first `backbone(state, block)` is the tenth. Raises StateError if `block` is not a valid frame block.
        """
        ...

    def backbone(self, state: State, block: bytes) -> Context:
        """Reads frame `block` (97 bytes) and advances `state` in place. Raises StateError, and then changes nothing."""
        ...

    def heads(self, ctx: Context, block: bytes, inputs: bytes) -> bytes:
        """The next frame's block (97 bytes), from the same `block` and the 16 input bytes of the next frame.

        May be called again with other inputs. Raises StateError if `block` or the inputs are not valid.
        """
        ...

    def dump(self, state: State) -> bytes:
        """The serialized recurrent state, `state_size` bytes (docs/numerics.md, section 5)."""
        ...

    def load(self, data: bytes) -> State:
        """The state that `dump` wrote. Raises StateError if `data` has another length."""
        ...

    def copy(self, state: State) -> State:
        """An independent copy, which lets a caller go back one frame."""
        ...
