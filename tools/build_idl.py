"""Write `idl/*.json`, the IDLs of World, the components and the systems, in Anchor's format (spec 0.1.0).

The tables below say the same as docs/formats.md (ours) and reference/bolt-abi.md (BOLT's); tests compare the files with
the pages and with this script. Run it after a change of either: `python tools/build_idl.py`.

Notation: a field is `name:type`, a type `u8`, `u16` …, `pubkey`, `bool`, `bytes`, `Name` (a struct), with `*n` for an
array and `?` for an option. An account is `name` with flags behind a slash: `w` writable, `s` signer.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "idl"
VERSION = "0.1.0"

SYSTEM_PROGRAM = "11111111111111111111111111111111"
INSTRUCTIONS_SYSVAR = "Sysvar1nstructions1111111111111111111111111"
FIXED_ADDRESSES = {
    "system_program": SYSTEM_PROGRAM,
    "instruction_sysvar_account": INSTRUCTIONS_SYSVAR,
    "delegation_program": "DELeGGvXpWV2fqJUhqcF5ZSYMS4JTLjteaAMARRSaeSh",
    "magic_program": "Magic11111111111111111111111111111111111111",
    "magic_context": "MagicContext1111111111111111111111111111111",
    "magic_vault": "MagicVau1t999999999999999999999999999999999",
}

Json = dict[str, Any]


def sighash(text: str) -> list[int]:
    """First 8 bytes of SHA-256: Anchor's discriminator of `global:<instruction>` or `account:<Struct>`."""
    return list(hashlib.sha256(text.encode()).digest()[:8])


def idl_type(text: str) -> Any:
    """A type of the notation as the IDL writes it."""
    if text.endswith("?"):
        return {"option": idl_type(text[:-1])}
    if "*" in text:
        inner, count = text.rsplit("*", 1)
        return {"array": [idl_type(inner), int(count)]}
    if text.startswith("vec "):
        return {"vec": idl_type(text[4:])}
    return {"defined": {"name": text}} if text[0].isupper() else text


def fields(text: str) -> list[Json]:
    """`a:u8, b:pubkey` as IDL fields."""
    pairs = [part.strip().split(":") for part in text.split(",") if part.strip()]
    return [{"name": name, "type": idl_type(kind)} for name, kind in pairs]


def const_seed(text: str) -> Json:
    return {"kind": "const", "value": list(text.encode())}


def account_item(text: str, pda: list[Json] | None = None) -> Json:
    name, _, flags = text.partition("/")
    item: Json = {"name": name}
    if "w" in flags:
        item["writable"] = True
    if "s" in flags:
        item["signer"] = True
    if pda:
        item["pda"] = {"seeds": pda}
    if name in FIXED_ADDRESSES:
        item["address"] = FIXED_ADDRESSES[name]
    return item


def instruction(
    name: str, accounts: str, args: str = "", *, docs: str = "", pdas: dict[str, list[Json]] | None = None
) -> Json:
    items = [part.strip() for part in accounts.split(",")]
    entry: Json = {"name": name}
    if docs:
        entry["docs"] = [docs]
    entry["discriminator"] = sighash(f"global:{name}")
    entry["accounts"] = [account_item(item, (pdas or {}).get(item.partition("/")[0])) for item in items]
    entry["args"] = fields(args)
    return entry


def struct(name: str, text: str, *docs: str) -> Json:
    entry: Json = {"name": name}
    if docs:
        entry["docs"] = list(docs)
    entry["type"] = {"kind": "struct", "fields": fields(text)}
    return entry


PLAYER_STATE = struct(
    "PlayerState",
    "x:i32, y:i32, percent:u16, shield_strength:u16, speed_air_x:i16, speed_y:i16, speed_ground_x:i16, "
    "speed_attack_x:i16, speed_attack_y:i16, state_age:u16, hitlag:u8, stocks:u8, facing:u8, on_ground:u8, "
    "action_state:u16, jumps_left:u8, character:u8",
    "x, y: game units*256. shield_strength:*256. Speeds: units per frame*256. state_age, hitlag: frames.",
)
CONTROLLER_INPUT = struct(
    "ControllerInput",
    "stick_x:i8, stick_y:i8, c_stick_x:i8, c_stick_y:i8, trigger_l:u8, trigger_r:u8, buttons:u8, buttons_ext:u8",
    "buttons, bit 0 first: A B X Y Z Start D-left D-right. buttons_ext: D-up D-down L R.",
)
FEEDBACK = struct(
    "Feedback",
    "percent_frac:u8, invulnerable:u8, combo_count:u8, l_cancel:u8, hurtbox:u8, ground:u8, last_attack:u8, reserved:u8",
    "What the model feeds back and PlayerState has no room for. percent_frac: 1/256 of a percent.",
)
FRAME_BLOCK = struct(
    "FrameBlock",
    "players:PlayerState*2, feedback:Feedback*2, inputs:ControllerInput*2, stage:u8",
    "What the engine reads and writes: a session's frame n. inputs are those that led to it.",
)
FRAME_RECORD = struct(
    "FrameRecord",
    "frame:u32, input1:ControllerInput, input2:ControllerInput, source1:u8, source2:u8, stage:u8, reserved:u8, "
    "player1:PlayerState, player2:PlayerState, chain_hash:u8*8",
    "source: 0 fresh, 1 held, 2 neutral. chain_hash: first 8 bytes of the hash after this frame.",
)
BOLT_METADATA = struct("BoltMetadata", "authority:pubkey")

ERRORS = {
    6000: ("InvalidAuthority", "The component's metadata names another authority than the one that signs"),
    6001: ("InvalidCaller", "The top-level instruction is not one of World's that may do this"),
    6010: ("InvalidArguments", "The arguments are neither valid JSON nor the compact binary form"),
    6011: ("InvalidAccount", "An account has another owner, discriminator, size or address than it should"),
    6012: ("EntityMismatch", "The components do not belong to one entity"),
    6013: ("SystemNotAllowed", "This component takes no changes from this system"),
    6014: ("StructChanged", "This system may hand this component back only unchanged"),
    6015: ("MissingSignature", "An account that has to sign did not"),
    6016: ("InstructionUnknown", "The program has no instruction with this discriminator"),
    6017: ("InsufficientFunds", "The payer cannot pay the rent"),
    6020: ("AlreadyCreated", "The session has been created before"),
    6021: ("NotWaiting", "The session does not wait for players"),
    6022: ("SamePlayer", "Player 2 may not be player 1"),
    6023: ("NotAPlayer", "The signer is not a player of this session"),
    6024: ("NotActive", "The session is not active"),
    6025: ("NotEnded", "The session has not ended"),
    6030: ("FrameMismatch", "The frame is not the session's next one"),
    6031: ("WriterMismatch", "The signer is not the writer of this session"),
    6032: ("EpochMismatch", "Another process of this writer has claimed the session"),
    6033: ("InputMismatch", "The inputs are not those that the input buffer holds"),
    6034: ("RingFull", "The frame would overwrite a record that is still needed: checkpoint first"),
    6035: ("RingMissing", "The frame log has no ring yet"),
    6036: ("InvalidPlayerState", "A player's state is out of range, or its character changed"),
    6037: ("InputAlreadyGiven", "This player has given the input of this frame"),
    6038: ("InputFrameMismatch", "The input is for a frame that is neither the next one nor the one after"),
    6039: ("WriterAlreadyBound", "The session has a writer"),
    6040: ("CheckpointActive", "The last good checkpoint may not be overwritten"),
    6041: ("CheckpointIncomplete", "The checkpoint is not of full size, or was not begun"),
    6042: ("CheckpointFinalized", "The checkpoint is finalized"),
    6043: ("HashMismatch", "The data does not have this hash"),
    6044: ("CheckpointContradictsLog", "The checkpoint's frame differs from its record in the log"),
    6045: ("OutOfRange", "An offset, size, slot or capacity is out of range"),
    6046: ("StillOpen", "Other accounts of this entity have to be closed first"),
    6050: ("ShardFinalized", "The shard is finalized"),
    6051: ("ShardIncomplete", "The shard is not of full size, or not all of it has been hashed"),
    6052: ("ShardMismatch", "A shard is not the one that the manifest lists"),
    6053: ("ManifestReady", "The manifest is finalized"),
}
WORLD_ERRORS = {
    6000: ("InvalidAuthority", "Invalid authority for instruction"),
    6001: ("InvalidSystemOutput", "Invalid system output"),
    6002: ("WorldAccountMismatch", "The provided world account does not match the expected PDA."),
    6003: ("TooManyAuthorities", "Exceed the maximum number of authorities."),
    6004: ("AuthorityNotFound", "The provided authority not found"),
    6005: ("SystemNotApproved", "The system is not approved in this world instance"),
}


def idl(
    name: str,
    address: str,
    description: str,
    instructions: list[Json],
    accounts: list[str],
    errors: dict[int, tuple[str, str]],
    types: list[Json],
    version: str = VERSION,
) -> Json:
    return {
        "address": address,
        "metadata": {"name": name, "version": version, "spec": "0.1.0", "description": description},
        "instructions": sorted(instructions, key=lambda entry: str(entry["name"])),
        "accounts": [{"name": each, "discriminator": sighash(f"account:{each}")} for each in accounts],
        "errors": [{"code": code, "name": error, "msg": msg} for code, (error, msg) in errors.items()],
        "types": types,
    }


def component(
    name: str,
    address: str,
    description: str,
    layout: str,
    direct: list[Json],
    types: list[Json],
    docs: str = "",
    more_accounts: list[str] | None = None,
) -> Json:
    title = "".join(part.title() for part in name.split("_"))
    bolt = [
        instruction(
            "initialize",
            "payer/ws, data/w, entity, authority, instruction_sysvar_account, system_program",
            docs="Called by World only.",
            pdas={"data": [const_seed(""), {"kind": "account", "path": "entity"}]},
        ),
        instruction(
            "update",
            "bolt_component/w, authority/s, instruction_sysvar_account",
            "data:bytes",
            docs="Called by World only, after a system on this component's list: the struct without its discriminator.",
        ),
        instruction(
            "update_with_session",
            "bolt_component/w, authority/s, instruction_sysvar_account, session_token",
            "data:bytes",
            docs="As update, for World's apply_with_session.",
        ),
        instruction(
            "destroy",
            "authority/s, receiver/w, entity, component/w, component_program_data, instruction_sysvar_account, "
            "system_program",
            docs="Called by World only; wants the program's upgrade authority.",
        ),
    ]
    return idl(
        name,
        address,
        description,
        bolt + direct,
        [title, *(more_accounts or [])],
        ERRORS,
        [struct(title, layout + ", bolt_metadata:BoltMetadata", *([docs] if docs else [])), *types, BOLT_METADATA],
    )


def system(name: str, address: str, description: str, args: Json, types: list[Json]) -> Json:
    both = [
        instruction(
            called,
            "authority",
            "args:bytes",
            docs="Called by World only; the components follow the authority in the order of the pairs.",
        )
        for called in ("bolt_execute", "execute")
    ]
    for entry in both:
        entry["returns"] = {"vec": "bytes"}
    return idl(name, address, description, both, [], ERRORS, [args, *types])


def checkpoint_seeds(slot: Json) -> list[Json]:
    entity = {"kind": "account", "path": "hidden_state.entity", "account": "HiddenState"}
    return [const_seed("checkpoint"), entity, slot]


SLOT_ARG = {"kind": "arg", "path": "slot"}
DELEGATION = [
    instruction(
        "delegate",
        "payer/ws, entity, account/w, owner_program, buffer/w, delegation_record/w, delegation_metadata/w, "
        "delegation_program, system_program, session_state",
        "commit_frequency_ms:u32, validator:pubkey?",
        docs="On the base chain: hands the component over to a rollup. Player 1, while nobody has joined.",
    ),
    instruction(
        "process_undelegation",
        "account/w, buffer/ws, payer/ws, system_program",
        "seeds:vec bytes",
        docs="Called by the delegation program only, on the base chain: the component comes back.",
    ),
]
TAKE_BACK = "payer/ws, account/w, magic_context/w, magic_program, session_state, hidden_state"
TAKE_BACK_DOCS = "In the rollup, when the session has ended: commits the component and gives it back to the base chain."
UNDELEGATE = instruction("undelegate", TAKE_BACK, docs=TAKE_BACK_DOCS)
EPHEMERAL = "writer/s, hidden_state/w, checkpoint/w, magic_vault/w, magic_program"
CHECKPOINT = {"checkpoint": checkpoint_seeds(SLOT_ARG)}
CHECKPOINTS = {
    "checkpoint_a": checkpoint_seeds({"kind": "const", "value": [0]}),
    "checkpoint_b": checkpoint_seeds({"kind": "const", "value": [1]}),
}
WORLD_BY_ID = {"world": [const_seed("world"), {"kind": "arg", "path": "world_id"}]}
NEXT_WORLD = {"world": [const_seed("world"), {"kind": "account", "path": "registry.worlds", "account": "Registry"}]}
APPLY_DOCS = (
    "Pairs (component program, component w) follow; then, if there are any, the World id as a delimiter "
    "and extra accounts."
)


def world() -> Json:
    return idl(
        "world",
        "WorLD15A7CrDwLcLy4fRqtaTb9fbd8o8iqiEMUDse2n",
        "Bolt World program",
        [
            instruction(
                "initialize_registry",
                "registry/w, payer/ws, system_program",
                pdas={"registry": [const_seed("registry")]},
            ),
            instruction("initialize_new_world", "payer/ws, world/w, registry/w, system_program", pdas=NEXT_WORLD),
            instruction("add_entity", "payer/ws, entity/w, world/w, system_program", "extra_seed:bytes?"),
            instruction(
                "initialize_component",
                "payer/ws, data/w, entity, component_program, authority, instruction_sysvar_account, system_program",
            ),
            instruction(
                "apply", "bolt_system, authority/s, instruction_sysvar_account, world", "args:bytes", docs=APPLY_DOCS
            ),
            instruction(
                "apply_with_session",
                "bolt_system, authority/s, instruction_sysvar_account, world, session_token",
                "args:bytes",
                docs=APPLY_DOCS,
            ),
            instruction(
                "destroy_component",
                "authority/ws, receiver/w, component_program, component_program_data, entity, component/w, "
                "instruction_sysvar_account, system_program",
            ),
            instruction(
                "add_authority",
                "authority/ws, new_authority, world/w, system_program",
                "world_id:u64",
                pdas=WORLD_BY_ID,
            ),
            instruction(
                "remove_authority",
                "authority/ws, authority_to_delete, world/w, system_program",
                "world_id:u64",
                pdas=WORLD_BY_ID,
            ),
            instruction("approve_system", "authority/ws, world/w, system, system_program"),
            instruction("remove_system", "authority/ws, world/w, system, system_program"),
        ],
        ["Entity", "Registry", "World"],
        WORLD_ERRORS,
        [
            struct("Entity", "id:u64"),
            struct("Registry", "worlds:u64"),
            struct("World", "id:u64, entities:u64, authorities:vec pubkey, permissionless:bool, systems:bytes"),
        ],
        version="0.2.4",
    )


def session_state() -> Json:
    return component(
        "session_state", "FJwbNTbGHSpq4a72ro1aza53kvs7YMNT7J5U34kaosFj", "A match: status, frame, players",
        "status:u8, frame:u32, max_frames:u32, player1:pubkey, player2:pubkey, stage:u8, players:PlayerState*2, "
        "model:pubkey, created_at:i64, last_update:i64, seed:u64, entity:pubkey",
        [
            instruction("close", "player1/ws, session_state/w, hidden_state, input_buffer, frame_log"),
            *DELEGATION, UNDELEGATE,
        ],
        [PLAYER_STATE],
        "status: 0 Created, 1 WaitingPlayers, 2 Active, 3 Ended. max_frames: 0 = unlimited.",
    )  # fmt: skip


def hidden_state() -> Json:
    hidden = "writer/s, hidden_state, checkpoint/w"
    return component(
        "hidden_state", "Ea3VKF8CW3svQwiT8pn13JVdbVhLHSBURtNuanagc4hs", "A match's writer, chain hash and checkpoints",
        "num_layers:u8, d_inner:u16, d_state:u16, data_size:u32, frame:u32, initialized:bool, entity:pubkey, "
        "writer:pubkey, epoch:u32, chain_hash:u8*32, feedback:Feedback*2, checkpoint_frame:u32, "
        "checkpoint_hash:u8*32, checkpoint_slot:u8",
        [
            instruction("bind_writer", "writer/s, hidden_state/w, session_state"),
            instruction("claim", "writer/s, hidden_state/w", "expected_epoch:u32"),
            instruction("checkpoint_create", "writer/ws, hidden_state/w, checkpoint/w, system_program",
                        "slot:u8, data_size:u32", pdas=CHECKPOINT),
            instruction("checkpoint_grow", "writer/ws, hidden_state, checkpoint/w, system_program", "slot:u8",
                        pdas=CHECKPOINT),
            instruction("checkpoint_begin", hidden,
                        "slot:u8, frame:u32, inputs:ControllerInput*2, players:PlayerState*2, feedback:Feedback*2, "
                        "chain_hash:u8*32", pdas=CHECKPOINT),
            instruction("checkpoint_write", hidden, "slot:u8, offset:u32, data:bytes", pdas=CHECKPOINT),
            instruction("checkpoint_finalize", "writer/s, hidden_state/w, checkpoint/w, frame_log",
                        "slot:u8, data_hash:u8*32", pdas=CHECKPOINT),
            instruction("checkpoint_close", "signer/s, hidden_state, session_state, checkpoint/w, writer/w", "slot:u8",
                        pdas=CHECKPOINT),
            instruction("close", "player1/ws, hidden_state/w, session_state, checkpoint_a, checkpoint_b, frame_log",
                        pdas=CHECKPOINTS),
            instruction("checkpoint_create_ephemeral", EPHEMERAL, "slot:u8, data_size:u32", pdas=CHECKPOINT,
                        docs="In a rollup: the account exists there only."),
            instruction("checkpoint_grow_ephemeral", EPHEMERAL, "slot:u8", pdas=CHECKPOINT),
            instruction("checkpoint_close_ephemeral", EPHEMERAL.replace("writer", "signer") + ", session_state",
                        "slot:u8", pdas=CHECKPOINT),
            *DELEGATION,
            instruction("undelegate", f"{TAKE_BACK}, checkpoint_a, checkpoint_b", docs=TAKE_BACK_DOCS,
                        pdas=CHECKPOINTS),
        ],
        [
            struct(
                "Checkpoint",
                "entity:pubkey, slot:u8, finalized:bool, reserved:u16, data_size:u32, data_hash:u8*32, frame:u32, "
                "inputs:ControllerInput*2, players:PlayerState*2, feedback:Feedback*2, chain_hash:u8*32, "
                "reserved2:u32",
                "The recurrent state follows, data_size bytes. data_hash: of bytes 80 to the end.",
            ),
            FRAME_BLOCK, PLAYER_STATE, CONTROLLER_INPUT, FEEDBACK,
        ],
        "The recurrent state lives in two Checkpoint accounts of this program.",
        ["Checkpoint"],
    )  # fmt: skip


def input_buffer() -> Json:
    return component(
        "input_buffer", "3R2RbzwP54qdyXcyiwHW2Sj6uVwf4Dhy7Zy8RcSVHFpq", "Both players' inputs for the coming frame",
        "frame:u32, player1:ControllerInput, player2:ControllerInput, p1_ready:bool, p2_ready:bool, entity:pubkey, "
        "next_player1:ControllerInput, next_player2:ControllerInput, next_p1_ready:bool, next_p2_ready:bool",
        [instruction("close", "player1/ws, input_buffer/w, session_state"), *DELEGATION, UNDELEGATE],
        [CONTROLLER_INPUT],
    )  # fmt: skip


def frame_log() -> Json:
    return component(
        "frame_log", "3mWTNv5jhzLnpG4Xt9XqM1b2nbNpizoGEJxepUhhoaNK", "A ring of the last frames' records",
        "write_index:u16, total_frames:u32, session:pubkey, entity:pubkey, capacity:u16",
        [
            instruction("ring_grow", "writer/ws, hidden_state, frame_log/w, system_program", "capacity:u16"),
            instruction("ring_shrink", "signer/s, hidden_state, session_state, frame_log/w, writer/w"),
            instruction("close", "player1/ws, frame_log/w, session_state"),
            *DELEGATION, UNDELEGATE,
        ],
        [FRAME_RECORD, PLAYER_STATE, CONTROLLER_INPUT],
        "capacity records follow; the record of frame n stands at index (n - 1) mod capacity.",
    )  # fmt: skip


def model_manifest() -> Json:
    return component(
        "model_manifest", "AucQsnqWYXeVcig4puWFjnd8NXruCtjS8EVgA2B5KxUk",
        "What a cartridge is and where its shards are",
        "name:u8*32, version:u16, d_model:u16, d_inner:u16, d_state:u16, num_layers:u8, num_heads:u8, num_shards:u8, "
        "shard_keys:pubkey*4, shard_sizes:u32*4, layer_input_scales:u16*16, layer_output_scales:u16*16, "
        "luts:u8*1024, num_continuous:u8, num_action_states:u16, num_binary:u8, input_size:u16, authority:pubkey, "
        "ready:bool, total_params:u32, total_weight_bytes:u32, entity:pubkey, cartridge_hash:u8*32, parent:pubkey, "
        "format_version:u16",
        [
            instruction("manifest_write", "authority/s, manifest/w", "offset:u16, data:bytes"),
            instruction("manifest_finalize", "authority/s, manifest/w", docs="The shards follow, in order."),
            instruction("manifest_close", "authority/ws, manifest/w"),
        ],
        [],
        "luts: SiLU, softplus, rsqrt, exp_neg; 256 bytes each.",
    )  # fmt: skip


def weight_shard() -> Json:
    return component(
        "weight_shard", "A56nQANMn1ThuqZLZkAVooDmUMrSoEddyNHF41WbqvXE", "A piece of a cartridge",
        "shard_index:u8, data_size:u32, authority:pubkey, finalized:bool, data_hash:u8*32, entity:pubkey, "
        "merkle_root:u8*32, leaves_hashed:u16, frontier:u8*256",
        [
            instruction("shard_grow", "authority/ws, shard/w, system_program", "shard_index:u8, data_size:u32"),
            instruction("shard_write", "authority/s, shard/w", "offset:u32, data:bytes"),
            instruction("shard_hash_leaves", "authority/s, shard/w", "count:u16"),
            instruction("shard_finalize", "authority/s, shard/w", "data_hash:u8*32"),
            instruction("shard_close", "authority/ws, shard/w"),
        ],
        [],
        "The data follows, data_size bytes. data_hash: SHA-256 of the data.",
    )  # fmt: skip


def session_lifecycle() -> Json:
    args = struct(
        "LifecycleArgs",
        "tag:u8, action:u8, player:pubkey, character:u8, stage:u8, model:pubkey, max_frames:u32, seed:u64, "
        "d_inner:u16, d_state:u16, num_layers:u8, writer:pubkey",
        "Compact form; tag = 1. action: 0 CREATE, 1 JOIN, 2 END. writer: zero = not named.",
    )
    return system("session_lifecycle", "4ozheJvvMhG7yMrp1UR2kq1fhRvjXoY5Pn3NJ4nvAcyE",
                  "CREATE, JOIN and END of a match",
                  args, [])  # fmt: skip


def submit_input() -> Json:
    args = struct(
        "InputArgs",
        "tag:u8, player:pubkey, input:ControllerInput, frame:u32",
        "Compact form; tag = 1. frame: 0 = whichever comes.",
    )
    return system("submit_input", "F9ZqWHVDtsXZdHLU8MXfybsS1W3TTGv4NegcJZK9LnWx",
                  "A player's input for the coming frame",
                  args, [CONTROLLER_INPUT])  # fmt: skip


def run_inference() -> Json:
    args = struct(
        "FrameArgs",
        "tag:u8, frame:u32, epoch:u32, inputs:ControllerInput*2, sources:u8*2, players:PlayerState*2, "
        "feedback:Feedback*2",
        "tag = 1; there is no JSON form.",
    )
    return system("run_inference", "3tHPJJSNhKwbp7K5vSYCUdYVX9bGxRCmpddwaJWRKPyb",
                  "The next frame, from the session's writer",
                  args, [PLAYER_STATE, CONTROLLER_INPUT, FEEDBACK])  # fmt: skip


BUILDERS = (world, session_state, hidden_state, input_buffer, frame_log, model_manifest, weight_shard,
            session_lifecycle, submit_input, run_inference)  # fmt: skip


def render(document: Json) -> str:
    """JSON text, two spaces, with lists of numbers on one line."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return re.sub(r"\[[\s\d,]+\]", lambda match: re.sub(r"\s+", " ", match[0]).replace("[ ", "[").replace(" ]", "]"),
                  text) + "\n"  # fmt: skip


def build() -> dict[str, str]:
    """File name → text of every IDL."""
    return {f"{builder.__name__}.json": render(builder()) for builder in BUILDERS}


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    for filename, content in build().items():
        (OUT / filename).write_text(content)
