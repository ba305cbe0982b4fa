"""The errors a user can meet: few classes, many fields.

Every error names the thing (`what`), what was `found`, what was `expected`, and the next step (`hint`). `recoverable`
says whether trying again can help without a person changing anything. Keys and secrets never stand in a field.
"""

from __future__ import annotations


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
        text = self.what
        if self.expected is not None:
            text += f"; expected {self.expected}"
        if self.found is not None:
            text += f", found {self.found}" if self.expected is not None else f"; found {self.found}"
        if self.hint:
            text += f". Try: {self.hint}"
        return text


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
    """An RPC endpoint refused or broke. `code` and `data` are the endpoint's own, if it gave any."""

    def __init__(self, what: str, *, code: int | None = None, data: object = None, **fields: object) -> None:
        super().__init__(what, **fields)  # type: ignore[arg-type]
        self.code = code
        self.data = data


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
