"""Program ids and well-known addresses, from the contract, as keys."""

from __future__ import annotations

from solders.pubkey import Pubkey

from .contract import ADDRESSES, PROGRAM_IDS, PROGRAM_KINDS


def _id(name: str) -> Pubkey:
    return Pubkey.from_string((PROGRAM_IDS | ADDRESSES)[name])


WORLD = _id("world")

SESSION_STATE = _id("session_state")
HIDDEN_STATE = _id("hidden_state")
INPUT_BUFFER = _id("input_buffer")
FRAME_LOG = _id("frame_log")
MODEL_MANIFEST = _id("model_manifest")
WEIGHT_SHARD = _id("weight_shard")

SESSION_LIFECYCLE = _id("session_lifecycle")
SUBMIT_INPUT = _id("submit_input")
RUN_INFERENCE = _id("run_inference")

COMPONENTS = {name: _id(name) for name, kind in PROGRAM_KINDS.items() if kind == "component"}
SYSTEMS = {name: _id(name) for name, kind in PROGRAM_KINDS.items() if kind == "system"}
PROGRAMS = {name: _id(name) for name in PROGRAM_IDS}
"""Every program, by its name in the contract, which is that of its IDL file."""

SESSION_COMPONENTS = (SESSION_STATE, HIDDEN_STATE, INPUT_BUFFER, FRAME_LOG)
"""The four components of a session, in the order that session-lifecycle and run-inference take them."""

SESSION_KEYS = _id("session_keys")
DELEGATION = _id("delegation")
MAGIC_PROGRAM = _id("magic_program")
MAGIC_CONTEXT = _id("magic_context")
MAGIC_VAULT = _id("magic_vault")

SYSTEM_PROGRAM = _id("system_program")
COMPUTE_BUDGET = _id("compute_budget")
INSTRUCTIONS_SYSVAR = _id("instructions_sysvar")
CLOCK_SYSVAR = _id("clock_sysvar")
UPGRADEABLE_LOADER = _id("upgradeable_loader")

ZERO_KEY = Pubkey.default()
"""32 zero bytes: "not set yet" in every account (and the system program's id)."""
