"""Runs docker-compose.yml on this machine without Docker: images are folders, services processes, names addresses.

Everything in the files is used as it is: build steps, entry points, commands, environments, mounts, health checks and
order. Only their surroundings are translated: a container's path becomes a folder here, and a service's name a loopback
address of its own, so that the files' ports stay too.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from deploy.dockerfile import Stage, parse

ROOT = Path(__file__).resolve().parent.parent.parent
# for other images, by the start of their names: the program of the Debian package that replaces it, and extra arguments
FOREIGN = {
    "eclipse-mosquitto": ["mosquitto", "-c", "/mosquitto/config/mosquitto.conf"],
    "prom/prometheus": ["prometheus", "--web.listen-address=0.0.0.0:9090"],
}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Compose's own tags: `!reset` empties, `!override` replaces."""


class Override:
    """A value that replaces the one below it."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _override(loader: yaml.SafeLoader, node: yaml.Node) -> Override:
    if isinstance(node, yaml.SequenceNode):
        return Override(loader.construct_sequence(node, deep=True))
    assert isinstance(node, yaml.MappingNode)
    return Override(loader.construct_mapping(node, deep=True))


_Loader.add_constructor("!override", _override)
_Loader.add_constructor("!reset", lambda _, __: Override(None))


def load(*paths: Path) -> dict[str, Any]:
    """Loads Compose files, the later ones over the earlier ones, merged as Compose merges them."""
    merged: Any = {}
    for path in paths:
        merged = _merge(merged, yaml.load(path.read_text(), _Loader))
    assert isinstance(merged, dict)
    return merged


def _merge(under: Any, over: Any) -> Any:
    if isinstance(over, Override):
        return over.value
    if isinstance(under, dict) and isinstance(over, dict):
        merged = {**under, **{key: _merge(under.get(key), value) for key, value in over.items()}}
        return {key: value for key, value in merged.items() if value is not None}
    if isinstance(under, list) and isinstance(over, list):
        return [*under, *over]
    return over


@dataclass
class Image:
    """What the Dockerfile builds: its stages by name, and where the files of those that run are on this machine."""

    stages: dict[str, Stage]
    folders: dict[str, Path]


def build(folder: Path) -> Image:
    """Runs the Dockerfile's steps in a folder: copies and commands, except commands that use apt or create users.

    A missing file for COPY, a lock that does not fit, or a wheel that does not build fails here as it would in Docker.
    """
    stages = parse(ROOT / "Dockerfile")
    first, last = stages["build"], stages["crank"]
    tree = {path: folder / path.strip("/") for path in ("/src", "/opt/awm", "/opt/build")}
    work = tree[first.last("WORKDIR")]
    work.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__", "_native*.so")
    for word, text in first.steps:
        if word == "COPY":
            *sources, destination = text.split()
            for source in sources:
                origin = ROOT / source
                target = work / destination / (origin.name if destination.endswith("/") else "")
                if origin.is_dir():
                    shutil.copytree(origin, work / destination, ignore=ignored)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(origin, target)
        elif word == "RUN" and "apt-get" not in text:
            # a step that saves space in an image costs minutes here
            text = text.replace(" --no-cache-dir", "")
            for path, here in tree.items():
                text = re.sub(rf"(?<![\w/]){re.escape(path)}(?![\w-])", str(here), text)
            done = subprocess.run(["sh", "-ec", text], cwd=work, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"RUN {text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    copied = {destination: tree[source] for origin, (source,), destination in last.copies() if origin == first.name}
    return Image(stages, copied)


@dataclass
class Service:
    """A service as it runs here."""

    name: str
    spec: dict[str, Any]
    address: str
    folder: Path
    paths: dict[str, Path] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    healthy_at: float = 0.0
    started_at: float = 0.0

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "log").read_text()


class Machine:
    """Brings services up as `docker compose up` does, and down again.

    Args:
        compose: see `load`.
        image: the image of the services that the file builds.
        folder: for volumes, mounts and logs.
        network: third number of the services' addresses, 127.0.N.x.
        filled: volumes that exist already, by name.
    """

    def __init__(
        self, compose: dict[str, Any], image: Image, folder: Path, network: int, filled: dict[str, Path]
    ) -> None:
        self.image = image
        self._folder = folder
        self.services: dict[str, Service] = {}
        for number, (name, spec) in enumerate(compose["services"].items(), 1):
            self.services[name] = Service(name, spec, f"127.0.{network}.{number}", folder / "services" / name)
        for service in self.services.values():
            if (shared := service.spec.get("network_mode", "")).startswith("service:"):
                service.address = self.services[shared.partition(":")[2]].address
        self._volumes = {name: folder / "volumes" / name for name in compose.get("volumes", {})}
        self._volumes |= filled
        for path in self._volumes.values():
            path.mkdir(parents=True, exist_ok=True)
        self.order: list[str] = []

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(self.order):
            process = self.services[name].process
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    # -- up and down ------------------------------------------------------------------------------------------------

    def up(self, name: str) -> Service:
        """Starts a service after its dependencies, each of which must meet its condition first."""
        service = self.services[name]
        if service.process is not None:
            return service
        for dependency, how in service.spec.get("depends_on", {}).items():
            self.up(dependency)
            assert how["condition"] == "service_healthy", f"{name} does not wait for {dependency}"
            self.wait_healthy(dependency)
        self._start(service)
        return service

    def wait_healthy(self, name: str) -> None:
        """Runs the service's health check until it passes, but not more often than its number of retries."""
        service = self.services[name]
        if service.healthy_at:
            return
        check = service.spec.get("healthcheck") or self._image_check(service)
        kind, *words = check["test"]
        assert kind == "CMD"
        for _ in range(check["retries"]):
            assert service.process is not None
            assert service.process.poll() is None, f"{name} ended:\n{service.log[-3000:]}"
            words_here = [self._here(service, word) for word in words]
            done = subprocess.run(
                words_here, env=self._environment(service), capture_output=True, timeout=seconds(check["timeout"]),
                check=False,
            )  # fmt: skip
            if done.returncode == 0:
                service.healthy_at = time.monotonic()
                return
            time.sleep(seconds(check["interval"]))
        raise AssertionError(f"{name} is not healthy: {done.stderr.decode()}\n{service.log[-3000:]}")

    def down(self) -> dict[str, int]:
        """Stops all services, last started first, each within its grace period. Returns exit statuses by name."""
        ended = {}
        for name in reversed(self.order):
            service = self.services[name]
            assert service.process is not None
            service.process.send_signal(signal.SIGTERM)
            ended[name] = service.process.wait(seconds(service.spec.get("stop_grace_period", "10s")))
        return ended

    # -- translation ------------------------------------------------------------------------------------------------

    def _start(self, service: Service) -> None:
        service.folder.mkdir(parents=True)
        self._mount(service)
        spec = service.spec
        if "entrypoint" in spec:
            words = [*spec["entrypoint"], *spec.get("command", [])]
        elif (foreign := self._foreign(spec["image"])) is not None:
            words = [*foreign, *spec.get("command", [])]
        else:
            stage = self._stage(service)
            words = [*stage.words("ENTRYPOINT"), *spec.get("command", stage.words("CMD"))]
        words = [self._here(service, word) for word in words]
        with (service.folder / "log").open("wb") as log:
            service.process = subprocess.Popen(
                words, cwd=service.folder, env=self._environment(service), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        service.started_at = time.monotonic()
        self.order.append(service.name)

    def _mount(self, service: Service) -> None:
        service.paths = dict(self.image.folders) if self._foreign(service.spec["image"]) is None else {}
        mounts = [mount.split(":")[:2] for mount in service.spec.get("volumes", [])]
        for source, target in mounts:
            service.paths[target] = self._volumes.get(source) or service.folder / "mounts" / target.strip("/")
        for source, target in mounts:
            if source in self._volumes:
                continue
            origin, copy = ROOT / source, service.paths[target]
            assert origin.exists(), f"{service.name} mounts {source}, which is not there"
            files = [origin] if origin.is_file() else [path for path in origin.rglob("*") if path.is_file()]
            for file in files:
                here = copy if origin.is_file() else copy / file.relative_to(origin)
                here.parent.mkdir(parents=True, exist_ok=True)
                here.write_text(self._here(service, file.read_text()))

    def _environment(self, service: Service) -> dict[str, str]:
        environment = {"PATH": os.environ["PATH"] + ":/usr/sbin", "HOME": str(service.folder)}
        if self._foreign(service.spec["image"]) is None:
            for name, value in self._stage(service).env.items():
                environment[name] = self._here(service, value.replace("$PATH", environment["PATH"]))
        for name, value in service.spec.get("environment", {}).items():
            environment[name] = self._here(service, value)
        return environment

    def _here(self, service: Service, text: str) -> str:
        """Converts a word of a container's command for this machine, for example a path."""
        for target, path in sorted(service.paths.items(), key=lambda pair: -len(pair[0])):
            text = re.sub(rf"(?<![\w/.]){re.escape(target)}(?![\w-])", str(path), text)
        return self._named(service, text)

    def _named(self, service: Service, text: str) -> str:
        for other in self.services.values():
            text = re.sub(rf"(?<![\w.-]){re.escape(other.name)}(?=:\d)", other.address, text)
        return re.sub(r"\b(0\.0\.0\.0|127\.0\.0\.1)\b", service.address, text)

    def _stage(self, service: Service) -> Stage:
        """The stage that is the service's image; the file names it where it builds that image."""
        named = service.spec["image"]
        specs = [each.spec for each in self.services.values() if each.spec["image"] == named]
        (target,) = {spec["build"]["target"] for spec in specs if "build" in spec}
        return self.image.stages[target]

    @staticmethod
    def _foreign(image: str) -> list[str] | None:
        return next((words for name, words in FOREIGN.items() if image.startswith(name)), None)

    def _image_check(self, service: Service) -> dict[str, Any]:
        assert self._foreign(service.spec["image"]) is None, f"{service.name} has no health check"
        options, _, words = self._stage(service).last("HEALTHCHECK").partition("CMD ")
        pairs = dict(re.findall(r"--(\w+)=(\w+)", options))
        return {"test": ["CMD", *yaml.safe_load(words)], **pairs, "retries": int(pairs["retries"]) * 20}


def seconds(text: str) -> float:
    """Seconds of Compose's durations: `1s`, `500ms`, `1m`."""
    match = re.fullmatch(r"(\d+)(ms|s|m)", text)
    assert match, text
    return int(match[1]) * {"ms": 0.001, "s": 1, "m": 60}[match[2]]
