"""Errors in the forms that clients match on."""

from __future__ import annotations

import json

import pytest
from solders.transaction_status import (
    InstructionErrorCustom,
    InstructionErrorFieldless,
    TransactionErrorDuplicateInstruction,
    TransactionErrorFieldless,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
    TransactionErrorProgramExecutionTemporarilyRestricted,
)

from awm_crank.localnet.faults import RequestError, TransactionFault


def variants(kind: type) -> list[str]:
    """The variants' names of an enum without fields."""
    return [name for name in dir(kind) if name[0].isupper()]


@pytest.mark.parametrize("name", variants(TransactionErrorFieldless))
def test_every_transaction_error_has_words(name: str) -> None:
    """A variant without fields is a JSON string, and its text is a validator's sentence."""
    fault = TransactionFault.of(getattr(TransactionErrorFieldless, name))
    assert json.loads(fault.json) == name
    assert fault.text != name or name in ("ResanitizationNeeded", "CommitCancelled")


@pytest.mark.parametrize("name", variants(InstructionErrorFieldless))
def test_every_instruction_error_has_words(name: str) -> None:
    """An instruction's error names the instruction, in JSON and in words."""
    error = TransactionErrorInstructionError(3, getattr(InstructionErrorFieldless, name))
    fault = TransactionFault.of(error)
    assert json.loads(fault.json) == {"InstructionError": [3, name]}
    assert fault.text.startswith("Error processing Instruction 3: ")
    assert name not in fault.text


@pytest.mark.parametrize(
    ("error", "form", "text"),
    [
        (
            TransactionErrorInstructionError(0, InstructionErrorCustom(6030)),
            {"InstructionError": [0, {"Custom": 6030}]},
            "Error processing Instruction 0: custom program error: 0x178e",
        ),
        (
            TransactionErrorInsufficientFundsForRent(2),
            {"InsufficientFundsForRent": {"account_index": 2}},
            "Transaction results in an account (2) with insufficient funds for rent",
        ),
        (
            TransactionErrorDuplicateInstruction(4),
            {"DuplicateInstruction": 4},
            "Transaction contains a duplicate instruction (4) that is not allowed",
        ),
        (
            TransactionErrorProgramExecutionTemporarilyRestricted(5),
            {"ProgramExecutionTemporarilyRestricted": {"account_index": 5}},
            "Execution of the program referenced by account at index 5 is temporarily restricted.",
        ),
    ],
)
def test_errors_with_fields(error: object, form: object, text: str) -> None:
    """Variants with fields are objects, as Agave's serde makes them."""
    fault = TransactionFault.of(error)
    assert json.loads(fault.json) == form
    assert fault.text == text


def test_request_error_renders_with_and_without_data() -> None:
    """`data` is present only when there is some."""
    assert json.loads(RequestError(-1, 'a "b"').render()) == {"code": -1, "message": 'a "b"'}
    assert json.loads(RequestError(-1, "a", b'{"x":1}').render())["data"] == {"x": 1}
