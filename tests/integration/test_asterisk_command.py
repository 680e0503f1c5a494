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
