"""The crank's configuration: a TOML file, the environment, and the Solana CLI's endpoint where the file asks for it."""

from __future__ import annotations

from .load import load, parse
from .schema import (
    ChainConfig,
    CheckpointsConfig,
    Config,
    CrankConfig,
    EngineConfig,
    LatePolicy,
    LogConfig,
    LogLevel,
    ModelsConfig,
    MqttConfig,
    TelemetryConfig,
    ViewConfig,
    websocket_url,
)
from .text import Setting, dump, page, settings

__all__ = [
    "ChainConfig",
    "CheckpointsConfig",
    "Config",
    "CrankConfig",
    "EngineConfig",
    "LatePolicy",
    "LogConfig",
    "LogLevel",
    "ModelsConfig",
    "MqttConfig",
    "Setting",
    "TelemetryConfig",
    "ViewConfig",
    "dump",
    "load",
    "page",
    "parse",
    "settings",
    "websocket_url",
]
