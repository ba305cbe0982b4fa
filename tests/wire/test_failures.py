"""Failed transactions as typed errors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.errors import AwmError, ProgramError, RpcError
from awm_crank.wire import ids
from awm_crank.wire.failures import Code, error_in_words, failed_program, known_error, program_error, transaction_error
from awm_crank.wire.idl import load

LOGS = [
    f"Program {ids.WORLD} invoke [1]",
    f"Program {ids.RUN_INFERENCE} invoke [2]",
    f"Program {ids.RUN_INFERENCE} failed: custom program error: 0x178e",
    f"Program {ids.WORLD} failed: custom program error: 0x178e",
]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)


def test_codes_are_the_idls() -> None:
    """The enum holds exactly the IDLs' errors, under the same names."""
    in_idl = {code: error.name for code, error in load("session_state").errors.items()}
    assert {int(code): code.name.replace("_", "").lower() for code in Code} == {
        code: name.lower() for code, name in in_idl.items()
    }


def test_custom_error_is_named_from_the_contract() -> None:
    """A custom code becomes an error with program, name, number, sentence and hint."""
    error = transaction_error({"InstructionError": [1, {"Custom": 6030}]}, LOGS)
    assert isinstance(error, ProgramError)
    assert error.code == Code.FRAME_MISMATCH
    assert str(error) == (
        "run_inference refused in instruction 1: FrameMismatch (6030); found The frame is not the session's next one. "
        "Try: read the session again and go on from its frame"
    )


def test_first_failed_program_is_the_one() -> None:
    """The error names the inner program that failed first, not the outer one that passed its error on."""
    assert failed_program(LOGS, 6030) == ids.RUN_INFERENCE
    assert failed_program(LOGS, 6031) is None
    assert failed_program([], 6030) is None


def test_same_number_of_two_programs() -> None:
    """6001 can be World's error or ours; the logs decide, and without them both names are given."""
    assert "InvalidSystemOutput" in str(program_error(6001, program=ids.WORLD))
    assert "InvalidCaller" in str(program_error(6001, program=ids.HIDDEN_STATE))
    assert "InvalidCaller or InvalidSystemOutput" in str(program_error(6001))
    ambiguous = known_error(6000)
    assert ambiguous is not None
    assert ambiguous.name == "InvalidAuthority"


def test_unknown_codes_stay_numbers() -> None:
    """A code that no IDL has, or of an unknown program, stays a number."""
    assert str(program_error(1)) == "a program refused: custom error 1. Try: read its logs"
    other = program_error(6030, program=ids.DELEGATION)
    assert "FrameMismatch" not in str(other)
    assert other.code == 6030


@pytest.mark.parametrize(
    ("err", "kind", "recoverable"),
    [("BlockhashNotFound", RpcError, True), ("AlreadyProcessed", RpcError, False),
     ({"InsufficientFundsForRent": {"account_index": 1}}, RpcError, False),
     ({"InstructionError": [0, "MissingRequiredSignature"]}, ProgramError, False),
     ({"InstructionError": [1, "UnsupportedSysvar"]}, ProgramError, True),
     ({"InstructionError": [0, {"BorshIoError": "x"}]}, ProgramError, False)],
)  # fmt: skip
def test_other_errors(err: object, kind: type[AwmError], recoverable: bool) -> None:
    """Errors without a custom code are reported by name, with whether a retry can help."""
    error = transaction_error(err)
    assert type(error) is kind
    assert error.recoverable is recoverable
    name = err if isinstance(err, str) else str(err)
    assert any(word in name for word in str(error).split(": ")[-1].split())


@given(JSON, st.lists(st.text()))
def test_anything_becomes_an_error(err: object, logs: list[str]) -> None:
    """Any value of `err` in an endpoint's answer becomes a typed error that can be printed."""
    assert str(transaction_error(err, logs))
    assert str(transaction_error({"InstructionError": err}, logs))
    assert str(transaction_error({"InstructionError": [0, err]}, logs))


def test_errors_in_words() -> None:
    """An error message that contains the refusal is recognized.

    It may hold a code, the program's words, or an unknown blockhash. Any other message is not interpreted.
    """
    prefix = "transaction verification error: Error processing Instruction 2: "
    custom = error_in_words(prefix + "custom program error: 0x1789")
    assert isinstance(custom, ProgramError)
    assert custom.code == Code.NOT_ENDED
    assert "instruction 2: NotEnded" in str(custom)
    named = error_in_words(prefix + "Unsupported program id")
    assert isinstance(named, ProgramError)
    assert named.code is None
    assert str(named) == "instruction 2 refused: Unsupported program id"
    assert not named.recoverable
    away = error_in_words(prefix + "Unsupported sysvar")
    assert isinstance(away, ProgramError)
    assert away.recoverable
    unknown = error_in_words("transaction verification error: Blockhash not found")
    assert isinstance(unknown, RpcError)
    assert unknown.recoverable
    assert "BlockhashNotFound" in str(unknown)
    assert "AlreadyProcessed" in str(error_in_words("This transaction has already been processed"))


@given(st.text(max_size=80))
def test_any_words(text: str) -> None:
    """Any message of an endpoint is either recognized or left alone."""
    for message in (text, f"Error processing Instruction 1: {text}"):
        found = error_in_words(message)
        assert found is None or isinstance(found, AwmError)
