"""Reads the configuration: the file first, then the environment, which overrides it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_origin

import msgspec
from msgspec import Struct

from ..endpoint import HTTP, MQTT, WEBSOCKET, Endpoint
from ..errors import ConfigError
from . import solana
from .schema import Config

PREFIX = "AWM_CRANK__"
_HINT = "docs/configuration.md lists every setting"
_Table = TypeVar("_Table", bound=Struct)


def parse(text: str, *, source: str = "configuration", environment: Mapping[str, str] | None = None) -> Config:
    """Reads TOML text.

    Args:
        source: the name that errors have for the text, such as the file's.
        environment: variables of which those that begin with `AWM_CRANK__` override the text.

    Raises:
        ConfigError: this is not TOML, a key is unknown, or a value has the wrong type or is out of range. The error
            names the key or the variable.
    """
    try:
        values = msgspec.toml.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"{source} is not TOML: {error}") from None
    # the file's own mistakes first, so that none is reported as the environment's
    _converted(values, source)
    for name, value in sorted((environment or {}).items()):
        if name.startswith(PREFIX):
            _override(values, name, value)
    config = _converted(values, source)
    config = msgspec.structs.replace(config, chain=solana.resolved(config.chain, environment or {}))
    _check_endpoints(config, source)
    return config


def _check_endpoints(config: Config, source: str) -> None:
    """Refuses endpoints that cannot exist, such as one with port 99999 or with a blank in it."""
    chain, view = config.chain, config.view
    for setting, url, schemes in (
        ("chain.base_http", chain.base_http, HTTP),
        ("chain.base_ws", chain.base_ws, WEBSOCKET),
        ("chain.rollup_http", chain.rollup_http, HTTP),
        ("chain.rollup_ws", chain.rollup_ws, WEBSOCKET),
        ("view.rpc", view.rpc, HTTP),
        ("view.ws", view.ws, WEBSOCKET),
        ("mqtt.url", config.mqtt.url, MQTT),
        *(("models.mirrors", url, HTTP) for url in config.models.mirrors),
    ):
        if url:
            Endpoint.parse(url, schemes, setting=f"{source}: {setting}")


def _converted(values: dict[str, Any], source: str) -> Config:
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}", hint=_HINT) from None


def _override(values: dict[str, Any], variable: str, text: str) -> None:
    """Puts one variable's value into the file's: `AWM_CRANK__CHAIN__BASE_HTTP` is `base_http` of `[chain]`."""
    path = variable.removeprefix(PREFIX).lower().split("__")
    kind: Any = Config
    for name in path:
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)} if _is_table(kind) else {}
        if name not in fields:
            raise ConfigError(f"environment variable {variable} names no setting", hint=_HINT)
        kind = fields[name]
    if _is_table(kind):
        example = msgspec.structs.fields(kind)[0].name.upper()
        raise ConfigError(
            f"environment variable {variable} names a table, not a setting", hint=f"{variable}__{example}"
        )
    try:
        value = msgspec.convert(_parts(text) if get_origin(kind) is tuple else text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"environment variable {variable}: {error}", hint=_HINT) from None
    table = values
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = value


def _parts(text: str) -> list[str]:
    """Splits a variable's value at its commas, for settings that are lists."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Reads a configuration file. Relative paths in the settings start at the file's folder.

    Args:
        environment: overrides the file as in `parse`; None takes the process's.

    Raises:
        ConfigError: the file cannot be read, or as `parse`.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="name the file with --config") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not TOML: it is not UTF-8 text") from None
    config = parse(text, source=str(path), environment=os.environ if environment is None else environment)

    def placed(table: _Table, *names: str) -> _Table:
        found = {name: getattr(table, name) for name in names if getattr(table, name)}
        full = {name: str(path.parent / Path(value).expanduser()) for name, value in found.items()}
        return msgspec.structs.replace(table, **full)

    return msgspec.structs.replace(
        config,
        crank=placed(config.crank, "keypair"),
        checkpoints=placed(config.checkpoints, "journal"),
        models=placed(config.models, "cache"),
        mqtt=placed(config.mqtt, "password_file", "ca_file", "cert_file"),
    )
