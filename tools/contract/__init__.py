"""Reads `idl/contract/*.toml` and generates the code and tables that every language needs. `tools/generate.py` is the
command.
"""

from collections.abc import Callable

from contract import c_engine, c_programs, docs_tables, idls, javascript, python_tables
from contract.model import Contract

WRITERS: tuple[Callable[[Contract], dict[str, str]], ...] = (
    idls.files,
    c_programs.files,
    c_engine.files,
    python_tables.files,
    javascript.files,
    docs_tables.files,
)
"""Each gives file → text."""
