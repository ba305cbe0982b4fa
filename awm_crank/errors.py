"""The errors that the package raises on purpose: few classes with many fields.

An error names the thing that is wrong (`what`), what was `expected`, what was `found`, and the next step (`hint`).
`recoverable` is true if the same call may succeed later although nobody changes anything. No field holds a key or
another secret.
"""

from __future__ import annotations

_LONGEST = 1000
"""How many characters of a field an error's text shows."""


class AwmError(Exception):
    """Base class of all errors that are raised on purpose.

    `str` gives one sentence: `ring of session X; expected frame 7, found frame 9. Try: record again`.

    Args:
        what: the thing that is wrong, named so that an operator finds it: a file, an account, a setting, an offset.
        expected: what it should have been; None if that cannot be said.
        found: what it was; None if that cannot be said.
        hint: the next step.
        recoverable: the same call may succeed later.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        found: object = None,
        hint: str | None = None,
        recoverable: bool = False,
    ) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        self.hint = hint
        self.recoverable = recoverable
        super().__init__(what)

    def __str__(self) -> str:
        text = _short(self.what)
        if self.expected is not None:
            text += f"; expected {_short(self.expected)}"
        if self.found is not None:
            text += f"{',' if self.expected is not None else ';'} found {_short(self.found)}"
        if self.hint:
            text += f". Try: {self.hint}"
        return text


def _short(value: object) -> str:
    # a stranger may have chosen what was found, and its length
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def printable(text: str, *, keep: str = "") -> str:
    r"""`text` with every character that could control a terminal written as its escape, such as `\x1b`.

    For names and messages that come from a chain or an endpoint. The letters of all scripts stay as they are.

    Args:
        keep: characters that stay as well, for example `"\n"` in text of several lines.
    """
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode() for each in text
    )


class ConfigError(AwmError):
    """A setting is missing, unknown or out of range."""

    exit_code = 2


class KeyFileError(AwmError):
    """A key file cannot be used. The message never shows what is in it."""

    exit_code = 2


class LayoutError(AwmError):
    """The bytes of an account or an instruction do not have the expected layout."""


class AccountError(AwmError):
    """An account is missing, or has an unexpected owner, discriminator or entity."""


class CartridgeError(AwmError):
    """A cartridge, a manifest or a shard cannot be used."""


class CheckpointError(AwmError):
    """A checkpoint file of a model, or a checkpoint of a session's state on chain, cannot be used."""


class EngineError(AwmError):
    """This machine does not have the native engine, or not the instruction set that was chosen for it."""

    exit_code = 2


class StateError(AwmError):
    """The bytes are not a recurrent state of this cartridge."""


class RpcError(AwmError):
    """An RPC endpoint refused a request or gave no usable answer.

    `code` and `data` are the endpoint's own; None if it gave none. `retry_after_s` is the pause that it asks for in the
    HTTP header Retry-After; None if it asks for none.
    """

    def __init__(
        self, what: str, *, code: int | None = None, data: object = None, retry_after_s: float | None = None,
        **fields: object,
    ) -> None:  # fmt: skip
        super().__init__(what, **fields)  # type: ignore[arg-type]
        self.code = code
        self.data = data
        self.retry_after_s = retry_after_s


class ProgramError(AwmError):
    """A program refused an instruction. `code` is the number of the program's error."""

    def __init__(self, what: str, *, code: int | None = None, **fields: object) -> None:
        super().__init__(what, **fields)  # type: ignore[arg-type]
        self.code = code


class VerifyError(AwmError):
    """A recomputed match differs from the recorded one. `what` names the first byte that differs."""


class MatchFileError(AwmError):
    """A match file cannot be read."""


class ReplayError(AwmError):
    """A replay of the game cannot be read, or does not hold what a match needs."""


class SetupError(AwmError):
    """A program that a command needs is missing on this machine, or does not start."""
