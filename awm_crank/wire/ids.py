"""Program ids and well-known addresses (reference/system.md, reference/bolt-abi.md).

The ids of our programs and of World are those that their IDLs carry; a test compares the two.
"""

from __future__ import annotations

from solders.pubkey import Pubkey

WORLD = Pubkey.from_string("WorLD15A7CrDwLcLy4fRqtaTb9fbd8o8iqiEMUDse2n")

SESSION_STATE = Pubkey.from_string("FJwbNTbGHSpq4a72ro1aza53kvs7YMNT7J5U34kaosFj")
HIDDEN_STATE = Pubkey.from_string("Ea3VKF8CW3svQwiT8pn13JVdbVhLHSBURtNuanagc4hs")
INPUT_BUFFER = Pubkey.from_string("3R2RbzwP54qdyXcyiwHW2Sj6uVwf4Dhy7Zy8RcSVHFpq")
FRAME_LOG = Pubkey.from_string("3mWTNv5jhzLnpG4Xt9XqM1b2nbNpizoGEJxepUhhoaNK")
MODEL_MANIFEST = Pubkey.from_string("AucQsnqWYXeVcig4puWFjnd8NXruCtjS8EVgA2B5KxUk")
WEIGHT_SHARD = Pubkey.from_string("A56nQANMn1ThuqZLZkAVooDmUMrSoEddyNHF41WbqvXE")

SESSION_LIFECYCLE = Pubkey.from_string("4ozheJvvMhG7yMrp1UR2kq1fhRvjXoY5Pn3NJ4nvAcyE")
SUBMIT_INPUT = Pubkey.from_string("F9ZqWHVDtsXZdHLU8MXfybsS1W3TTGv4NegcJZK9LnWx")
RUN_INFERENCE = Pubkey.from_string("3tHPJJSNhKwbp7K5vSYCUdYVX9bGxRCmpddwaJWRKPyb")

COMPONENTS: dict[str, Pubkey] = {
    "session_state": SESSION_STATE,
    "hidden_state": HIDDEN_STATE,
    "input_buffer": INPUT_BUFFER,
    "frame_log": FRAME_LOG,
    "model_manifest": MODEL_MANIFEST,
    "weight_shard": WEIGHT_SHARD,
}
SYSTEMS: dict[str, Pubkey] = {
    "session_lifecycle": SESSION_LIFECYCLE,
    "submit_input": SUBMIT_INPUT,
    "run_inference": RUN_INFERENCE,
}
PROGRAMS: dict[str, Pubkey] = {"world": WORLD, **COMPONENTS, **SYSTEMS}
"""Every program of the IDLs, by the name of its IDL file."""

SESSION_COMPONENTS = (SESSION_STATE, HIDDEN_STATE, INPUT_BUFFER, FRAME_LOG)
"""The four components of a session, in the order that session-lifecycle and run-inference take them."""

SESSION_KEYS = Pubkey.from_string("KeyspM2ssCJbqUhQ4k7sveSiY4WjnYsrXkC8oDbwde5")
DELEGATION = Pubkey.from_string("DELeGGvXpWV2fqJUhqcF5ZSYMS4JTLjteaAMARRSaeSh")
MAGIC_PROGRAM = Pubkey.from_string("Magic11111111111111111111111111111111111111")
MAGIC_CONTEXT = Pubkey.from_string("MagicContext1111111111111111111111111111111")
MAGIC_VAULT = Pubkey.from_string("MagicVau1t999999999999999999999999999999999")

SYSTEM_PROGRAM = Pubkey.from_string("11111111111111111111111111111111")
COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
INSTRUCTIONS_SYSVAR = Pubkey.from_string("Sysvar1nstructions1111111111111111111111111")
CLOCK_SYSVAR = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
UPGRADEABLE_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")

ZERO_KEY = Pubkey.default()
"""32 zero bytes: "not set yet" in every account (and the system program's id)."""
