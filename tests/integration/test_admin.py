"""`tongdai admin`, and what of it a demo has to learn."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest
from anyio import to_thread
from click.testing import CliRunner, Result
from tests import factories
from tests.factories import Cast
from tests.money import NOW

from tongdai.cli import cli
from tongdai.cli.demo_seed import AICALLCENTER, seeded
from tongdai.domain import accounts, billing
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

KEY = {"TONGDAI_SECRET_KEY": bytes(range(32)).hex()}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command puts the key of a data folder into the environment."""
    monkeypatch.setattr(os, "environ", dict(os.environ))


@pytest.fixture
async def cast(db: Database) -> Cast:
    return await factories.cast(db)


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
        for key in await accounts.list_api_keys(tx, owner.account_id):
            await accounts.revoke_api_key(tx, owner.account_id, key.id)
    assert await seeded(db, keyring, kept) == before


@pytest.mark.anyio
async def test_a_top_up_by_hand_says_who_and_why(db: Database, cast: Cast, database_url: str) -> None:
    account_id = cast.owner.account_id
    words = ["top-up", str(account_id), "500000", "--reason", "HĐ 17"]
    refused = await to_thread.run_sync(lambda: admin(*words, TONGDAI_DATABASE_URL=database_url))
    done = await to_thread.run_sync(lambda: admin(*words, "--by", "Lan", TONGDAI_DATABASE_URL=database_url))

    async with db.transaction() as tx:
        [line] = (await billing.ledger(tx, account_id)).lines
    assert (refused.exit_code, "--by" in refused.stderr) == (2, True)
    assert (done.exit_code, done.stdout) == (0, "500000\n")
    assert (int(line.amount), line.made_by, line.reason) == (500_000, "Lan", "HĐ 17")


@pytest.mark.anyio
async def test_wallets_that_agree_with_their_ledgers_are_said_to(
    db: Database, cast: Cast, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tongdai.cli.admin.LINES_AT_A_TIME", 2)
    account_id = cast.owner.account_id
    async with db.transaction() as tx:
        for amount in (1, 2, 3, 4, 5):
            await billing.top_up(tx, account_id, Decimal(amount), by="Lan", reason="paid", now=NOW)

    done = await to_thread.run_sync(lambda: admin("check-ledger", TONGDAI_DATABASE_URL=database_url))

    assert (done.exit_code, done.stdout) == (0, f"{account_id}\t15\t5\tok\n")


@pytest.mark.anyio
async def test_a_wallet_that_does_not_agree_is_named_and_the_command_fails(
    db: Database, cast: Cast, database_url: str
) -> None:
    async with db.transaction() as tx:
        for person in (cast.owner, cast.stranger):
            await billing.top_up(tx, person.account_id, Decimal(10), by="Lan", reason="paid", now=NOW)
        wrong = cast.stranger.account_id
        await tx.execute("UPDATE wallets SET balance = 12, reserved = 3 WHERE account_id = %s", (wrong,))

    done = await to_thread.run_sync(lambda: admin("check-ledger", TONGDAI_DATABASE_URL=database_url))
    of_one = await to_thread.run_sync(
        lambda: admin("check-ledger", str(cast.owner.account_id), TONGDAI_DATABASE_URL=database_url)
    )

    assert done.exit_code == 1
    assert f"{cast.owner.account_id}\t10\t1\tok\n" in done.stdout
    found = "its lines come to 10.00, 3.00 is reserved, and open calls, journeys and messages hold 0"
    assert f"{wrong}\t12\t1\t{found}" in done.stdout
    assert "1 of 2 wallets do not agree" in done.stderr
    assert of_one.exit_code == 0
