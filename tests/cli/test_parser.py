"""The parser: which command's help an error names, and the older form of --json."""

from __future__ import annotations

import pytest

from awm_crank.cli import build
from awm_crank.cli.parser import Parser
from awm_crank.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--fast"], "unrecognized arguments: --fast. Try: awm-crank --help"),
        (["publish", "m.awm", "--fast"], "unrecognized arguments: --fast. Try: awm-crank publish --help"),
        (["session", "show", "s", "--fast"], "unrecognized arguments: --fast. Try: awm-crank session show --help"),
        (["session", "show", "s", "t"], "unrecognized arguments: t. Try: awm-crank session show --help"),
        (["session", "--fast"], "unrecognized arguments: --fast. Try: awm-crank session --help"),
        (["verify", "s", "--eng", "native"], "unrecognized arguments: --eng native. Try: awm-crank verify --help"),
        (["fidelity", "--json", "a", "b"], "unrecognized arguments: b. Try: awm-crank fidelity --help"),
        (["quantize", "--fidelity"], "the following arguments are required: CHECKPOINT. "
         "Try: awm-crank quantize --help"),
    ],
)  # fmt: skip
def test_an_error_names_the_help_of_the_command_that_was_meant(words: list[str], line: str) -> None:
    """A wrong option of a subcommand leads to that subcommand's help; an option has one spelling."""
    with pytest.raises(ConfigError) as caught:
        build().parse_args(words)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("words", "names", "output"),
    [
        (["--json"], [], None),
        (["--json", "out.json"], [], "out.json"),
        (["a", "--json", "out.json"], ["a"], "out.json"),
        (["--json", "a"], ["a"], None),
        (["--json", "--output", "out.json", "b"], ["b"], "out.json"),
    ],
)
def test_json_with_a_file(words: list[str], names: list[str], output: str | None) -> None:
    """`--json FILE` means `--json --output FILE`, unless the word is one that the command knows."""
    parser = Parser(prog="x")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--output")
    parser.json_words = ("a", "b")
    args = parser.parse_args(words)
    assert (args.json, args.names, args.output) == (True, names, output)
