"""Writes include/ids.h and include/discriminators.h: program ids and Anchor discriminators as C constants.

Run `python localnet/programs/constants.py` after a change; a test compares the committed headers with it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

INCLUDE = Path(__file__).resolve().parent / "include"
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

# folder name of each of our programs -> program id
PROGRAMS = {
    "world": "WorLD15A7CrDwLcLy4fRqtaTb9fbd8o8iqiEMUDse2n",
    "session_state": "FJwbNTbGHSpq4a72ro1aza53kvs7YMNT7J5U34kaosFj",
    "hidden_state": "Ea3VKF8CW3svQwiT8pn13JVdbVhLHSBURtNuanagc4hs",
    "input_buffer": "3R2RbzwP54qdyXcyiwHW2Sj6uVwf4Dhy7Zy8RcSVHFpq",
    "frame_log": "3mWTNv5jhzLnpG4Xt9XqM1b2nbNpizoGEJxepUhhoaNK",
    "model_manifest": "AucQsnqWYXeVcig4puWFjnd8NXruCtjS8EVgA2B5KxUk",
    "weight_shard": "A56nQANMn1ThuqZLZkAVooDmUMrSoEddyNHF41WbqvXE",
    "session_lifecycle": "4ozheJvvMhG7yMrp1UR2kq1fhRvjXoY5Pn3NJ4nvAcyE",
    "submit_input": "F9ZqWHVDtsXZdHLU8MXfybsS1W3TTGv4NegcJZK9LnWx",
    "run_inference": "3tHPJJSNhKwbp7K5vSYCUdYVX9bGxRCmpddwaJWRKPyb",
}
OTHER_IDS = {
    "system_program": "11111111111111111111111111111111",
    "instructions_sysvar": "Sysvar1nstructions1111111111111111111111111",
    "upgradeable_loader": "BPFLoaderUpgradeab1e11111111111111111111111",
    "session_keys": "KeyspM2ssCJbqUhQ4k7sveSiY4WjnYsrXkC8oDbwde5",
    "delegation": "DELeGGvXpWV2fqJUhqcF5ZSYMS4JTLjteaAMARRSaeSh",
    "magic_program": "Magic11111111111111111111111111111111111111",
    "magic_context": "MagicContext1111111111111111111111111111111",
    "magic_vault": "MagicVau1t999999999999999999999999999999999",
}
INSTRUCTIONS = """
initialize_registry initialize_new_world add_entity initialize_component apply apply_with_session destroy_component
add_authority remove_authority approve_system remove_system
initialize update update_with_session destroy bolt_execute execute
bind_writer claim checkpoint_create checkpoint_grow checkpoint_begin checkpoint_write checkpoint_finalize
checkpoint_close close ring_grow ring_shrink
delegate process_undelegation undelegate
checkpoint_create_ephemeral checkpoint_grow_ephemeral checkpoint_close_ephemeral
shard_grow shard_write shard_hash_leaves shard_finalize shard_close manifest_write manifest_finalize manifest_close
"""
ACCOUNTS = """
Registry World Entity SessionState HiddenState InputBuffer FrameLog ModelManifest WeightShard Checkpoint SessionToken
"""


def base58_32(text: str) -> bytes:
    """The 32 bytes of a base58 public key; ValueError where it is none."""
    number = 0
    for char in text:
        number = number * 58 + ALPHABET.index(char)
    return number.to_bytes(32, "big")


def discriminator(preimage: str) -> int:
    """Anchor's discriminator, sha256(preimage)[:8], as the little-endian u64 that a load gives."""
    return int.from_bytes(hashlib.sha256(preimage.encode()).digest()[:8], "little")


def ids_header() -> str:
    """Text of ids.h."""
    lines = ["/* Written by localnet/programs/constants.py: program ids, 32 bytes each. */", "#pragma once"]
    lines += ['#include "sbf.h"', ""]
    for name, key in {**PROGRAMS, **OTHER_IDS}.items():
        octets = ", ".join(str(b) for b in base58_32(key))
        lines += [f"/* {key} */", f"static const u8 ID_{name.upper()}[32] = {{{octets}}};"]
    return "\n".join(lines) + "\n"


def discriminators_header() -> str:
    """Text of discriminators.h."""
    lines = [
        "/* Written by localnet/programs/constants.py: sha256(preimage)[:8] as little-endian u64. */",
        "#pragma once",
        "",
    ]
    lines += [f"#define IX_{name.upper()} {discriminator(f'global:{name}'):#018x}ULL" for name in INSTRUCTIONS.split()]
    lines += [f"#define DISC_{name} {discriminator(f'account:{name}'):#018x}ULL" for name in ACCOUNTS.split()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (INCLUDE / "ids.h").write_text(ids_header())
    (INCLUDE / "discriminators.h").write_text(discriminators_header())
