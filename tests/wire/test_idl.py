"""The IDLs: format, hashes, and agreement with docs/formats.md and BOLT's own numbers."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from wire.pages import ROOT, rows_behind

from awm_crank.errors import LayoutError
from awm_crank.wire import ids, rollup
from awm_crank.wire.idl import Kind, load, parse, size_of

NAMES = sorted(ids.PROGRAMS)
COMPONENTS = sorted(ids.COMPONENTS)
PACKAGED = {path.stem: path for path in (ROOT / "idl").glob("*.json")}

# reference/bolt-abi.md: discriminators that the real World program accepted.
WORLD_ABI = {
    "initialize_registry": "bdb51411ae39f93b",
    "initialize_new_world": "176058c2c8cbc862",
    "add_entity": "a3f13923f4f43039",
    "initialize_component": "248fe9710cea3d1e",
    "apply": "f8f391186932a2e1",
    "apply_with_session": "d5451de68e6b8667",
    "destroy_component": "28c545c4435fdb49",
    "add_authority": "e5096a495bd56db7",
    "remove_authority": "f268d084befa4ad8",
    "approve_system": "72a569443443cf79",
    "remove_system": "da504750a1829578",
}
BOLT_ABI = {
    "initialize": "afaf6d1f0d989bed",
    "update": "dbc858b09e3ffd7f",
    "update_with_session": "dd37d48d39553db6",
    "destroy": "9d28600387cb8f4a",
    "bolt_execute": "4bce3ed234d7686d",
    "execute": "82ddf29a0dc1bd1d",
}


@pytest.mark.parametrize("name", NAMES)
def test_discriminators_are_their_hashes(name: str) -> None:
    """Every discriminator is the first 8 bytes of SHA-256 of its Anchor name."""
    idl = load(name)
    for instruction in idl.instructions.values():
        assert instruction.discriminator == hashlib.sha256(f"global:{instruction.name}".encode()).digest()[:8]
    for account, discriminator in idl.accounts.items():
        assert discriminator == hashlib.sha256(f"account:{account}".encode()).digest()[:8]


def test_world_discriminators_are_bolts() -> None:
    """World's eleven instructions have the discriminators that the real World accepts."""
    theirs = {name: bytes.fromhex(text) for name, text in WORLD_ABI.items()}
    assert {name: each.discriminator for name, each in load("world").instructions.items()} == theirs
    assert {name: value.hex() for name, value in load("world").accounts.items()} == {
        "Registry": "2fae6ef6b8b6fcda",
        "World": "912daaae7a209b7c",
        "Entity": "2e9da1a1fe2e4f18",
    }


@pytest.mark.parametrize("name", [*COMPONENTS, *ids.SYSTEMS])
def test_programs_carry_bolts_instructions(name: str) -> None:
    """Components have BOLT's four instructions, and systems both names of execute, with BOLT's discriminators."""
    instructions = load(name).instructions
    names = ["bolt_execute", "execute"] if name in ids.SYSTEMS else sorted(set(BOLT_ABI) - {"bolt_execute", "execute"})
    assert {each: instructions[each].discriminator.hex() for each in names} == {each: BOLT_ABI[each] for each in names}


@pytest.mark.parametrize("name", NAMES)
def test_addresses_are_the_ids(name: str) -> None:
    """An IDL's address is the id that the code uses."""
    assert load(name).address == ids.PROGRAMS[name]


@pytest.mark.parametrize("name", NAMES)
def test_format_is_anchors(name: str) -> None:
    """The files name spec 0.1.0, and World's file the version of its interface."""
    metadata = json.loads(PACKAGED[name].read_text())["metadata"]
    assert metadata["spec"] == "0.1.0"
    assert metadata["name"] == name
    assert (metadata["version"] == "0.2.4") == (name == "world")


def documented() -> list[tuple[str, str, list[tuple[str, bool, bool]], list[str]]]:
    """(program, instruction, [(account, writable, signer)], [argument]) of the page's table."""
    found = []
    for program, name, args, accounts, _ in rows_behind("^## Direct instructions"):
        items = []
        for text in accounts.split(", "):
            if text.startswith("then "):
                continue
            key, _, flags = text.partition(" ")
            items.append((key, "w" in flags, "s" in flags))
        names = [] if args == "\u2013" else [part.split()[0] for part in args.split(", ")]
        found.append((program.replace("-", "_"), name, items, names))
    program = ""
    for index, row in enumerate(found):
        program = row[0] or program
        found[index] = (program, *row[1:])
    return found


def test_every_documented_instruction_is_read() -> None:
    """The page's table is parsed completely, so that the next test compares all of it."""
    assert len(documented()) == 37
    others = {*BOLT_ABI, *rollup.INSTRUCTIONS}
    ours = {(name, each) for name in (*COMPONENTS, "engine") for each in load(name).instructions if each not in others}
    assert {(program, name) for program, name, _, _ in documented()} == ours


@pytest.mark.parametrize("row", documented(), ids=lambda row: f"{row[0]}.{row[1]}")
def test_direct_instructions_are_the_pages(row: tuple[str, str, list[tuple[str, bool, bool]], list[str]]) -> None:
    """Accounts, their flags and the arguments of our instructions are those of docs/formats.md, in its order."""
    program, name, accounts, args = row
    definition = load(program).instructions[name]
    assert [(item.name, item.writable, item.signer) for item in definition.accounts] == accounts
    assert [field.name for field in definition.args] == args


@pytest.mark.parametrize("name", [*COMPONENTS, *ids.SYSTEMS])
def test_errors_are_the_pages(name: str) -> None:
    """Every program of ours has the error numbers of docs/formats.md, each with a message."""
    table = {int(row[0]): re.split(r"[ (]", row[1])[0] for row in rows_behind("^## Errors")}
    assert {code: error.name for code, error in load(name).errors.items()} == table
    assert all(error.message for error in load(name).errors.values())


def test_sizes_of_values() -> None:
    """A type's size is known unless it depends on the value."""
    idl = load("world")
    assert size_of(idl, Kind("Registry")) == 8
    assert size_of(idl, Kind("array", Kind("u16"), 5)) == 10
    assert size_of(idl, Kind("World")) is None
    assert size_of(idl, Kind("option", Kind("u8"))) is None


def test_instruction_data_is_borsh() -> None:
    """Numbers are little-endian, bytes have a u32 length, options a flag, and structs follow unchanged."""
    write = load("hidden_state").data("checkpoint_write", 1, 0x01020304, b"abc")
    assert write[8:].hex() == "01" + "04030201" + "03000000" + b"abc".hex()
    add = load("world")
    assert add.data("add_entity", None)[8:] == b"\0"
    assert add.data("add_entity", b"xy")[8:] == b"\x01\x02\0\0\0xy"
    assert add.data("add_authority", 7)[8:] == (7).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("instruction", "args", "message"),
    [
        ("claim", (), "arguments of hidden_state.claim"),
        ("claim", (1 << 32,), "claim.expected_epoch"),
        ("claim", ("1",), "claim.expected_epoch"),
        ("checkpoint_finalize", (0, bytes(31)), "expected 32 bytes, found 31"),
        ("checkpoint_write", (0, 0, 5), "expected bytes of bytes, found int"),
        ("fly", (), "instruction fly"),
    ],
)
def test_wrong_arguments_are_refused(instruction: str, args: tuple[object, ...], message: str) -> None:
    """The error about a wrong argument names it and what was expected."""
    with pytest.raises(LayoutError, match=message):
        load("hidden_state").data(instruction, *args)


def test_wrong_accounts_are_refused() -> None:
    """A missing or unknown account of an instruction is named."""
    idl = load("input_buffer")
    with pytest.raises(LayoutError, match="account input_buffer of"):
        idl.build("close", {"signer": ids.WORLD, "session_state": ids.WORLD, "payer": ids.WORLD, "receipt": ids.WORLD})
    everything = dict.fromkeys(("signer", "input_buffer", "session_state", "payer", "receipt", "spare"), ids.WORLD)
    with pytest.raises(LayoutError, match="spare"):
        idl.build("close", everything)


def test_fixed_addresses_are_filled_in() -> None:
    """Accounts that are always the same need not be given."""
    built = load("world").build("initialize_registry", {"registry": Pubkey.default(), "payer": ids.WORLD})
    assert built.accounts[2].pubkey == ids.SYSTEM_PROGRAM
    assert [meta.is_signer for meta in built.accounts] == [False, True, False]


def test_unknown_idl_is_refused() -> None:
    """A name without a file raises a typed error."""
    with pytest.raises(LayoutError, match="IDL nothing"):
        load("nothing")


@given(st.text())
def test_parse_refuses_other_text(text: str) -> None:
    """Text that is not an IDL raises LayoutError and nothing else."""
    with pytest.raises(LayoutError):
        parse(text)


def test_parse_refuses_another_spec() -> None:
    """An IDL with another spec than 0.1.0 is refused with its number."""
    document = json.loads(PACKAGED["world"].read_text())
    document["metadata"]["spec"] = "0.2.0"
    with pytest.raises(LayoutError, match=r"spec 0\.2\.0"):
        parse(json.dumps(document))
