"""Errors as real validators report them: JSON-RPC errors, and transaction errors in RPC form and in words.

Codes and texts are Agave's (rpc-client-api's custom_error.rs, the Display impls of solana-transaction-error and
solana-instruction-error), since clients match on them.
"""

from __future__ import annotations

import msgspec
from solders.transaction_status import (
    InstructionErrorCustom,
    TransactionErrorDuplicateInstruction,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
    TransactionErrorProgramExecutionTemporarilyRestricted,
)

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
BLOCK_CLEANED_UP = -32001
PREFLIGHT_FAILURE = -32002
BLOCK_NOT_AVAILABLE = -32004
UNSUPPORTED_VERSION = -32015
MIN_CONTEXT_SLOT = -32016


class RequestError(Exception):
    """The error that a request is answered with. `data` is JSON text, or None for an error without data."""

    def __init__(self, code: int, message: str, data: bytes | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def render(self) -> bytes:
        """The `error` object as JSON text."""
        data = b"" if self.data is None else b',"data":' + self.data
        return b'{"code":%d,"message":%b%b}' % (self.code, msgspec.json.encode(self.message), data)


TOO_LARGE = RequestError(INVALID_REQUEST, "The answer is too large: ask for less at a time, or for a dataSlice")


def invalid_params(message: str) -> RequestError:
    """The error for params that are missing or have the wrong type."""
    return RequestError(INVALID_PARAMS, message)


def undecodable(kind: str, error: Exception) -> RequestError:
    """The error for bytes that cannot be decoded as `kind` (a transaction or a message)."""
    # solders' decoder words this error differently from validators
    text = "io error: failed to fill whole buffer" if str(error).startswith("Attempting to read") else str(error)
    return invalid_params(f"failed to deserialize {kind}: {text}")


class TransactionFault:
    """A transaction error: `json` is its RPC form as JSON text, `text` is what a validator prints."""

    __slots__ = ("json", "text")

    def __init__(self, json: bytes, text: str) -> None:
        self.json = json
        self.text = text

    @classmethod
    def named(cls, name: str) -> TransactionFault:
        """Returns the transaction error with this Rust variant name, for errors without fields."""
        return cls(b'"%b"' % name.encode(), _TRANSACTION.get(name, name))

    @classmethod
    def of(cls, error: object) -> TransactionFault:
        """Converts solders' TransactionErrorType, whose own `to_json` drops the variant's name."""
        if isinstance(error, TransactionErrorInstructionError):
            inner, text = _instruction_error(error.err)
            return cls(
                b'{"InstructionError":[%d,%b]}' % (error.index, inner),
                f"Error processing Instruction {error.index}: {text}",
            )
        if isinstance(error, TransactionErrorInsufficientFundsForRent):
            return cls(
                b'{"InsufficientFundsForRent":{"account_index":%d}}' % error.account_index,
                f"Transaction results in an account ({error.account_index}) with insufficient funds for rent",
            )
        if isinstance(error, TransactionErrorDuplicateInstruction):
            return cls(
                b'{"DuplicateInstruction":%d}' % error.index,
                f"Transaction contains a duplicate instruction ({error.index}) that is not allowed",
            )
        if isinstance(error, TransactionErrorProgramExecutionTemporarilyRestricted):
            return cls(
                b'{"ProgramExecutionTemporarilyRestricted":{"account_index":%d}}' % error.account_index,
                f"Execution of the program referenced by account at index {error.account_index} is temporarily"
                " restricted.",
            )
        return cls.named(_variant(error))


def _variant(error: object) -> str:
    return repr(error).rsplit(".", 1)[-1]


def _instruction_error(error: object) -> tuple[bytes, str]:
    if isinstance(error, InstructionErrorCustom):
        return b'{"Custom":%d}' % error.code, f"custom program error: {error.code:#x}"
    name = _variant(error)
    return b'"%b"' % name.encode(), _INSTRUCTION.get(name, name)


_TRANSACTION = {
    "AccountInUse": "Account in use",
    "AccountLoadedTwice": "Account loaded twice",
    "AccountNotFound": "Attempt to debit an account but found no record of a prior credit.",
    "ProgramAccountNotFound": "Attempt to load a program that does not exist",
    "InsufficientFundsForFee": "Insufficient funds for fee",
    "InvalidAccountForFee": "This account may not be used to pay transaction fees",
    "AlreadyProcessed": "This transaction has already been processed",
    "BlockhashNotFound": "Blockhash not found",
    "CallChainTooDeep": "Loader call chain is too deep",
    "MissingSignatureForFee": "Transaction requires a fee but has no signature present",
    "InvalidAccountIndex": "Transaction contains an invalid account reference",
    "SignatureFailure": "Transaction did not pass signature verification",
    "InvalidProgramForExecution": "This program may not be used for executing instructions",
    "SanitizeFailure": "Transaction failed to sanitize accounts offsets correctly",
    "ClusterMaintenance": "Transactions are currently disabled due to cluster maintenance",
    "AccountBorrowOutstanding": "Transaction processing left an account with an outstanding borrowed reference",
    "WouldExceedMaxBlockCostLimit": "Transaction would exceed max Block Cost Limit",
    "UnsupportedVersion": "Transaction version is unsupported",
    "InvalidWritableAccount": "Transaction loads a writable account that cannot be written",
    "WouldExceedMaxAccountCostLimit": "Transaction would exceed max account limit within the block",
    "WouldExceedAccountDataBlockLimit": "Transaction would exceed account data limit within the block",
    "TooManyAccountLocks": "Transaction locked too many accounts",
    "AddressLookupTableNotFound": "Transaction loads an address table account that doesn't exist",
    "InvalidAddressLookupTableOwner": "Transaction loads an address table account with an invalid owner",
    "InvalidAddressLookupTableData": "Transaction loads an address table account with invalid data",
    "InvalidAddressLookupTableIndex": "Transaction address table lookup uses an invalid index",
    "InvalidRentPayingAccount": "Transaction leaves an account with a lower balance than rent-exempt minimum",
    "WouldExceedMaxVoteCostLimit": "Transaction would exceed max Vote Cost Limit",
    "WouldExceedAccountDataTotalLimit": "Transaction would exceed total account data limit",
    "MaxLoadedAccountsDataSizeExceeded": "Transaction exceeded max loaded accounts data size cap",
    "InvalidLoadedAccountsDataSizeLimit": "LoadedAccountsDataSizeLimit set for transaction must be greater than 0.",
    "ResanitizationNeeded": "ResanitizationNeeded",
    "UnbalancedTransaction": "Sum of account balances before and after transaction do not match",
    "ProgramCacheHitMaxLimit": "Program cache hit max limit",
    "CommitCancelled": "CommitCancelled",
}

_INSTRUCTION = {
    "GenericError": "generic instruction error",
    "InvalidArgument": "invalid program argument",
    "InvalidInstructionData": "invalid instruction data",
    "InvalidAccountData": "invalid account data for instruction",
    "AccountDataTooSmall": "account data too small for instruction",
    "InsufficientFunds": "insufficient funds for instruction",
    "IncorrectProgramId": "incorrect program id for instruction",
    "MissingRequiredSignature": "missing required signature for instruction",
    "AccountAlreadyInitialized": "instruction requires an uninitialized account",
    "UninitializedAccount": "instruction requires an initialized account",
    "UnbalancedInstruction": "sum of account balances before and after instruction do not match",
    "ModifiedProgramId": "instruction illegally modified the program id of an account",
    "ExternalAccountLamportSpend": "instruction spent from the balance of an account it does not own",
    "ExternalAccountDataModified": "instruction modified data of an account it does not own",
    "ReadonlyLamportChange": "instruction changed the balance of a read-only account",
    "ReadonlyDataModified": "instruction modified data of a read-only account",
    "DuplicateAccountIndex": "instruction contains duplicate accounts",
    "ExecutableModified": "instruction changed executable bit of an account",
    "RentEpochModified": "instruction modified rent epoch of an account",
    "NotEnoughAccountKeys": "insufficient account keys for instruction",
    "AccountDataSizeChanged": "program other than the account's owner changed the size of the account data",
    "AccountNotExecutable": "instruction expected an executable account",
    "AccountBorrowFailed": "instruction tries to borrow reference for an account which is already borrowed",
    "AccountBorrowOutstanding": "instruction left account with an outstanding borrowed reference",
    "DuplicateAccountOutOfSync": "instruction modifications of multiply-passed account differ",
    "InvalidError": "program returned invalid error code",
    "ExecutableDataModified": "instruction changed executable accounts data",
    "ExecutableLamportChange": "instruction changed the balance of an executable account",
    "ExecutableAccountNotRentExempt": "executable accounts must be rent exempt",
    "UnsupportedProgramId": "Unsupported program id",
    "CallDepth": "Cross-program invocation call depth too deep",
    "MissingAccount": "An account required by the instruction is missing",
    "ReentrancyNotAllowed": "Cross-program invocation reentrancy not allowed for this instruction",
    "MaxSeedLengthExceeded": "Length of the seed is too long for address generation",
    "InvalidSeeds": "Provided seeds do not result in a valid address",
    "InvalidRealloc": "Failed to reallocate account data",
    "ComputationalBudgetExceeded": "Computational budget exceeded",
    "PrivilegeEscalation": "Cross-program invocation with unauthorized signer or writable account",
    "ProgramEnvironmentSetupFailure": "Failed to create program execution environment",
    "ProgramFailedToComplete": "Program failed to complete",
    "ProgramFailedToCompile": "Program failed to compile",
    "Immutable": "Account is immutable",
    "IncorrectAuthority": "Incorrect authority provided",
    "AccountNotRentExempt": "An account does not have enough lamports to be rent-exempt",
    "InvalidAccountOwner": "Invalid account owner",
    "ArithmeticOverflow": "Program arithmetic overflowed",
    "UnsupportedSysvar": "Unsupported sysvar",
    "IllegalOwner": "Provided owner is not allowed",
    "MaxAccountsDataAllocationsExceeded": "Accounts data allocations exceeded the maximum allowed per transaction",
    "MaxAccountsExceeded": "Max accounts exceeded",
    "MaxInstructionTraceLengthExceeded": "Max instruction trace length exceeded",
    "BuiltinProgramsMustConsumeComputeUnits": "Builtin programs must consume compute units",
    "BorshIoError": "Failed to serialize or deserialize account data",
}
