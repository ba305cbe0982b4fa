"""The errors a user can meet: few classes, many fields.

Every error names the thing (`what`), what was `found`, what was `expected`, and the next step (`hint`). `recoverable`
says whether trying again can help without a person changing anything. Keys and secrets never stand in a field.
"""

from __future__ import annotations

_LONGEST = 1000
"""Characters of one field that an error's text shows."""


class AwmError(Exception):
    """Base of all errors raised on purpose.

    Args:
        what: the thing that is wrong, named so that an operator finds it (file, account, setting, offset).
        expected: what it should have been, if that can be said.
        found: what it was.
        hint: the next step.
        recoverable: trying again may help.
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
    # What was found can be a stranger's, and as long as they like.
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def printable(text: str) -> str:
    r"""`text` with everything that a terminal could take for a command written as its escape, such as `\x1b`.

    For names and messages that come from the chain or an endpoint. Letters of all scripts stay as they are.
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class ConfigError(AwmError):
    """A setting is missing, unknown or out of range."""

    exit_code = 2


class KeyFileError(AwmError):
    """A key file cannot be used. Its contents are never part of the message."""

    exit_code = 2


class LayoutError(AwmError):
    """Account or instruction bytes that do not have the layout they should."""


class AccountError(AwmError):
    """An account is missing, or has another owner, discriminator or entity than it should."""


class CartridgeError(AwmError):
    """A cartridge (or manifest, or shard) that cannot be run."""


class CheckpointError(AwmError):
    """A model checkpoint file, or an on-chain state checkpoint, that cannot be used."""


class EngineError(AwmError):
    """The native engine, or the path of it that was asked for, is not to be had on this machine."""

    exit_code = 2


class StateError(AwmError):
    """Bytes that are no recurrent state of this cartridge."""


class RpcError(AwmError):
    """An RPC endpoint refused or broke.

    `code` and `data` are the endpoint's own, if it gave any; `retry_after_s` is the pause that it asks for (the HTTP
    header Retry-After), None where it asks for none.
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
    """A program refused an instruction. `code` is the custom error's number."""

    def __init__(self, what: str, *, code: int | None = None, **fields: object) -> None:
        super().__init__(what, **fields)  # type: ignore[arg-type]
        self.code = code


class VerifyError(AwmError):
    """A recomputed match differs from what was written. `what` names the first byte that does."""


class MatchFileError(AwmError):
    """A match file that cannot be read."""


class SetupError(AwmError):
    """A program that a command needs cannot be had, or does not start, on this machine."""
