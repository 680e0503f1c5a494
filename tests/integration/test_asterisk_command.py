"""`tongdai asterisk`: nodes by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from anyio import to_thread
from click.testing import CliRunner, Result

from tongdai.cli import cli
from tongdai.domain import routing
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))


async def asterisk(db: Database, *words: str, typed: str | None = None) -> Result:
    known = {"TONGDAI_SECRET_KEY": bytes(range(32)).hex(), "TONGDAI_DATABASE_URL": db.url}
    return await to_thread.run_sync(
        lambda: CliRunner().invoke(cli, ["asterisk", *words], env=known, input=typed)
    )


async def test_the_files_that_were_written_make_a_node(
    db: Database, keyring: Keyring, tmp_path: Path
) -> None:
    files = str(tmp_path / "tongdai")
    wrote = await asterisk(db, "config", "--dir", files, "--http-address", "0.0.0.0", "--http-port", "8099")
    assert wrote.exit_code == 0

    made = await asterisk(db, "add-node", "hà nội", "--files", files, "--max-channels", "50")

    assert made.exit_code == 0, made.output
    async with db.transaction() as tx:
        [node] = await routing.nodes(tx, keyring)
    assert str(node.id) == made.output.strip()
    assert (node.name, node.url, node.username) == ("hà nội", "http://127.0.0.1:8099", "tongdai")
    assert f"password={node.password}\n" in (tmp_path / "tongdai" / "ari.conf").read_text()
    assert node.max_channels == 50
    assert node.sounds_path.startswith("/")
    assert node.password not in made.output


async def test_a_password_is_asked_for_and_not_shown(db: Database, keyring: Keyring) -> None:
    words = ["add-node", "a", "--url", "http://10.1.2.3:8088/", "--username", "u", "--sounds-path", "/sounds"]

    made = await asterisk(db, *words, typed="typed-in\n")

    assert made.exit_code == 0, made.output
    assert "typed-in" not in made.output
    async with db.transaction() as tx:
        [node] = await routing.nodes(tx, keyring)
    assert (node.url, node.username, node.password) == ("http://10.1.2.3:8088", "u", "typed-in")
    assert node.sounds_path == "/sounds"


async def test_nodes_are_listed_and_removed(db: Database) -> None:
    for name in ("a", "b"):
        await asterisk(db, "add-node", name, "--password", "p", "--max-channels", "5")

    shown = await asterisk(db, "nodes")
    ids = [line.split("\t")[0] for line in shown.output.splitlines()]
    removed = await asterisk(db, "remove-node", ids[0])
    again = await asterisk(db, "remove-node", ids[0])

    assert [line.split("\t")[1:] for line in shown.output.splitlines()] == [
        [name, "http://127.0.0.1:8088", "0", "5", "not reached"] for name in ("a", "b")
    ]
    assert removed.exit_code == 0
    assert isinstance(again.exception, routing.NodeNotFoundError)
    assert (await asterisk(db, "nodes")).output.split("\t")[1] == "b"


async def test_a_folder_without_the_files_is_told_in_one_line(db: Database, tmp_path: Path) -> None:
    done = await asterisk(db, "add-node", "a", "--files", str(tmp_path))

    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert str(tmp_path) in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--password", "half;of it"),
        ("--password", "a;b"),
        ("--password", "a\nread_only=no"),
        ("--username", "general"),
        ("--username", "a]b"),
        ("--address", "eth0"),
        ("--http-address", "localhost"),
        ("--external-address", "203.0.113.7 "),
        ("--local-network", "10.0.0.0/33"),
        ("--local-network", "10.0.0.1/8"),
        ("--certificate", "/etc/a;b.pem"),
    ],
)
async def test_what_asterisk_would_read_otherwise_is_not_written(
    db: Database, tmp_path: Path, words: tuple[str, str]
) -> None:
    """A semicolon begins a remark there: of such a password only its beginning would open the node."""
    refused = await asterisk(db, "config", "--dir", str(tmp_path / "tongdai"), *words)

    assert refused.exit_code == 1
    assert words[0] in refused.output
    assert not (tmp_path / "tongdai").exists()


async def test_whoever_opens_the_rest_interface_is_told_what_that_means(db: Database, tmp_path: Path) -> None:
    closed = await asterisk(db, "config", "--dir", str(tmp_path / "a"))
    opened = await asterisk(db, "config", "--dir", str(tmp_path / "b"), "--http-address", "0.0.0.0")

    assert (closed.exit_code, opened.exit_code) == (0, 0)
    assert "listens on" not in closed.output
    assert "The REST interface listens on 0.0.0.0" in opened.output
