"""`tongdai admin`, and what of it a demo has to learn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tongdai.cli import cli
from tongdai.cli.demo_seed import AICALLCENTER, seeded
from tongdai.domain import accounts
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

KEY = {"TONGDAI_SECRET_KEY": bytes(range(32)).hex()}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command puts the key of a data folder into the environment."""
    monkeypatch.setattr(os, "environ", dict(os.environ))


def admin(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, ["admin", *words], env=KEY | environment)


def test_without_a_database_one_line_says_which_option_to_give(tmp_path: Path) -> None:
    done = admin("list-accounts", TONGDAI_DATA_DIR=str(tmp_path / "none"))
    assert done.exit_code == 1
    assert "--data .data/demo" in done.stderr
    assert "TONGDAI_DATABASE_URL" in done.stderr
    assert done.stderr.count("\n") == 1


def test_over_a_folder_that_nothing_runs_over_one_line_says_so(tmp_path: Path) -> None:
    done = admin("--data", str(tmp_path), "list-accounts")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert str(tmp_path) in done.stderr


def test_a_server_that_is_away_is_told_in_one_line_without_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tongdai.cli.admin.PATIENCE_S", 0.2)
    url = f"postgresql://someone:hidden@/tongdai?host={tmp_path}"
    done = admin("list-accounts", TONGDAI_DATABASE_URL=url)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "hidden" not in done.output


def test_accounts_are_made_and_listed(database_url: str) -> None:
    made = admin("create-account", "Sao Mai", TONGDAI_DATABASE_URL=database_url)
    listed = admin("list-accounts", TONGDAI_DATABASE_URL=database_url)
    assert listed.stdout == f"{made.stdout.strip()}\tSao Mai\n"


@pytest.mark.anyio
async def test_a_demo_learns_of_a_rotated_secret_at_its_next_start(
    db: Database, keyring: Keyring, tmp_path: Path
) -> None:
    kept = tmp_path / "tenants.json"
    before = await seeded(db, keyring, kept)
    assert await seeded(db, keyring, kept) == before
    async with db.transaction() as tx:
        owner = await accounts.authenticate_key(tx, before.demo.native.api_key)
        assert owner is not None
        rotated = await accounts.rotate_client_secret(
            tx, keyring, owner.account_id, owner.user_id, AICALLCENTER
        )
    after = await seeded(db, keyring, kept)
    assert after.demo.aicallcenter.secret_key == rotated
    assert after.other == before.other
    assert rotated in kept.read_text()


@pytest.mark.anyio
async def test_a_demo_whose_key_was_revoked_starts_all_the_same(
    db: Database, keyring: Keyring, tmp_path: Path
) -> None:
    kept = tmp_path / "tenants.json"
    before = await seeded(db, keyring, kept)
    async with db.transaction() as tx:
        owner = await accounts.authenticate_key(tx, before.demo.native.api_key)
        assert owner is not None
        [key] = await accounts.list_api_keys(tx, owner.account_id)
        await accounts.revoke_api_key(tx, owner.account_id, key.id)
    assert await seeded(db, keyring, kept) == before
