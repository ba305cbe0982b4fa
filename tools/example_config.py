"""Writes deploy/awm-crank.example.toml and the table of docs/configuration.md from the configuration's schema."""

import textwrap
from pathlib import Path

import msgspec

from awm_crank import config

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "deploy" / "awm-crank.example.toml"
PAGE = ROOT / "docs" / "configuration.md"
HEADER = """\
# The crank's configuration: every setting with its description and its default, written by tools/example_config.py.
# Lines without `#` in front differ from the default: check those first. Unknown keys are refused.
"""
# the settings whose example differs from the default
CHOSEN: dict[str, object] = {
    "chain.base_http": "http://127.0.0.1:8899",
    "telemetry.listen": "127.0.0.1:9464",
}


def example() -> str:
    """The text of the example."""
    lines, table = [HEADER.rstrip()], ""
    for setting in config.settings():
        name, key = setting.name, setting.name.rpartition(".")[2]
        if name != key and name.rpartition(".")[0] != table:
            table = name.rpartition(".")[0]
            lines += ["", f"[{table}]"]
        elif name == key:
            lines.append("")
        lines += [f"# {line}" for line in textwrap.wrap(setting.description, 116)]
        value = msgspec.json.encode(CHOSEN.get(name, setting.default)).decode()
        lines.append(f"{key} = {value}" if name in CHOSEN else f"#{key} = {value}")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page, with its table generated from the schema."""
    start = text.index("| setting |")
    end = text.find("\n\n", start)
    return text[:start] + config.page() + (text[end + 1 :] if end >= 0 else "")


if __name__ == "__main__":
    EXAMPLE.write_text(example(), "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
