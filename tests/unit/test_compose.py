"""compose.yaml and Dockerfile, which no test can run: they can be read, and their names fit together."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from tongdai.cli import COMMANDS
from tongdai.cli.asterisk import asterisk
from tongdai.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
SETTINGS = {field.name for field in fields(Settings)}
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    yaml: Any = import_module("yaml")
    read: dict[str, Any] = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
    return read


def test_every_volume_secret_and_service_that_is_named_is_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert volumes <= compose["volumes"].keys(), name
        assert set(service.get("secrets", [])) <= compose["secrets"].keys(), name
        assert set(service.get("depends_on", {})) <= services.keys(), name


def test_every_role_runs_after_the_migration(compose: dict[str, Any]) -> None:
    roles = {}
    for name, service in compose["services"].items():
        command = service.get("command", [])
        if command[:1] == ["serve"]:
            roles[command[2]] = service["depends_on"]
        elif command:
            assert command[0] in COMMANDS, name

    assert roles.keys() == {"api", "dialer", "worker"}
    for needs in roles.values():
        assert needs["migrate"] == {"condition": "service_completed_successfully"}


def test_every_setting_and_option_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name in service.get("environment", {}):
            if name.startswith("TONGDAI_"):
                assert name.removeprefix("TONGDAI_").removesuffix("_FILE").lower() in SETTINGS

    said = compose["services"]["asterisk-config"]["command"][2:]
    assert {word.partition("=")[0] for word in said} <= _options("config")
    node = compose["services"]["node"]["entrypoint"][2]
    assert set(re.findall(r" (--[a-z-]+)", node)) <= _options("add-node")


def test_the_ports_for_sound_are_those_that_are_published(compose: dict[str, Any]) -> None:
    first, last = re.findall(r"rtp(?:start|end)=(\d+)", DOCKERFILE)
    assert f"{first}-{last}:{first}-{last}/udp" in compose["services"]["asterisk"]["ports"]


def test_both_images_are_built_from_files_that_are_sent(compose: dict[str, Any]) -> None:
    targets = {service["build"]["target"] for service in compose["services"].values() if "build" in service}
    assert targets == set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))

    sent = re.findall(r"^!(\S+)$", (CHECKOUT / ".dockerignore").read_text(), re.MULTILINE)
    copied = [
        word for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    ]
    assert sorted(sent) == sorted(copied)
    assert all((CHECKOUT / path).exists() for path in sent)


def _options(command: str) -> set[str]:
    found = asterisk.commands[command]
    return {option for given in found.params if isinstance(given, click.Option) for option in given.opts}


def test_the_node_notes_the_ends_of_calls_and_runs_no_programs() -> None:
    """What `tongdai asterisk config` asks of an existing Asterisk, and docs/how-to/connect-a-trunk.md."""
    assert re.search(
        r"sed -i '/\^\\\[options\\\]/a live_dangerously = yes' /etc/asterisk/asterisk\.conf", DOCKERFILE
    )
    assert re.search(
        r"sed -i '/\^\\\[modules\\\]/a noload => func_shell\.so' /etc/asterisk/modules\.conf", DOCKERFILE
    )
