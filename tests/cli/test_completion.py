"""The completion scripts, each run in its own shell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from awm_crank.cli import COMMANDS, completion, main


def run(words: list[str], script: str, cwd: Path) -> str:
    """What a shell prints when it runs this script."""
    done = subprocess.run(words, input=script, capture_output=True, text=True, cwd=cwd, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


BASH = """
source completion
complete_words() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _complete; printf '%s\\n' "${COMPREPLY[@]}"
}
_complete() { "$(complete -p awm-crank | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" awm-crank "${COMP_WORDS[COMP_CWORD]}" ''; }
"""


def bash(words: str, cwd: Path) -> set[str]:
    """The words that bash offers for a command line whose last word is being typed."""
    (cwd / "completion").write_text(completion.script("bash"))
    return set(run(["bash"], f"{BASH}\ncomplete_words {words}\n", cwd).split())


def test_bash(tmp_path: Path) -> None:
    """bash completes commands, steps, options, choices and files."""
    (tmp_path / "world.awm").write_text("")
    assert set(COMMANDS) <= bash("awm-crank ''", tmp_path)
    assert bash("awm-crank verif", tmp_path) == {"verify"}
    assert {"create", "join", "list", "show"} <= bash("awm-crank session ''", tmp_path)
    assert bash("awm-crank session create --mo", tmp_path) == {"--model"}
    assert bash("awm-crank play --engine na", tmp_path) == {"native"}
    assert bash("awm-crank completion z", tmp_path) == {"zsh"}
    assert "world.awm" in bash("awm-crank publish wor", tmp_path)
    assert "world.awm" in bash("awm-crank quantize --frames wor", tmp_path)


def test_bash_reads_it_as_the_help_says(tmp_path: Path) -> None:
    """`source <(awm-crank completion bash)`, as the help says, registers the completion."""
    script = f"source <({sys.executable} -m awm_crank completion bash) && complete -p awm-crank"
    assert "awm-crank" in run(["bash", "-c", script], "", tmp_path)


def test_zsh(tmp_path: Path) -> None:
    """zsh loads the script from $fpath, and binds its function to the command."""
    (tmp_path / "_awm-crank").write_text(completion.script("zsh"))
    script = "fpath=($PWD $fpath); autoload -Uz compinit && compinit -u -d $PWD/dump; autoload +X _awm-crank; "
    bound = run(["zsh", "-f", "-c", script + "print $_comps[awm-crank]"], "", tmp_path)
    assert bound.strip() == "_awm-crank"


def test_fish(tmp_path: Path) -> None:
    """fish offers commands, steps and options with their descriptions."""
    (tmp_path / "awm-crank.fish").write_text(completion.script("fish"))

    def offered(line: str) -> dict[str, str]:
        text = run(["fish", "--no-config", "-c", f"source awm-crank.fish; complete -C {line!r}"], "", tmp_path)
        return dict(each.partition("\t")[::2] for each in text.splitlines())

    assert set(COMMANDS) <= set(offered("awm-crank "))
    assert {"create", "list"} <= set(offered("awm-crank session "))
    assert "RPC endpoint" in offered("awm-crank publish --")["--rpc"]


def test_unknown_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """An unsupported shell is refused with the list of supported ones."""
    assert main(["completion", "tcsh"]) == 2
    assert "invalid choice: 'tcsh' (choose from 'bash', 'zsh', 'fish')" in capsys.readouterr().err
