"""`tongdai admin`: what whoever runs the platform does by hand. Each command is one call of a service."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import click

from tongdai import settings as settings_module
from tongdai.cli.demo_seed import KEPT
from tongdai.domain import accounts, billing, routing
from tongdai.domain.accounts import Role
from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import TRANSIENT_ERRORS, Database, Tx
from tongdai.kit.embedded import connection_url, socket_folder
from tongdai.settings import Settings

Result = TypeVar("Result")
SECRET_KINDS = ("aicallcenter",)
PATIENCE_S = 5.0
LINES_AT_A_TIME = 100_000
"""Of a ledger that is checked: half a second's work, and no transaction may take five."""

IS_IT_RUNNING = "The demo or `tongdai serve` has to run meanwhile."
WHICH = (
    "For a running demo or `serve` give its folder, as in `tongdai admin --data .data/demo …`; "
    "for a server set TONGDAI_DATABASE_URL."
)
RENEWED_LATER = (
    "The demo writes it to its credentials file at its next start; until then that file is out of date."
)


@dataclass(frozen=True, slots=True)
class Admin:
    """One command's way to the database."""

    settings: Settings
    data: Path | None
    """The folder whose embedded database is used; None: the server that the settings name."""
    unreachable: str
    """What to do when the database does not answer."""

    def run(self, work: Callable[[Tx], Awaitable[Result]]) -> Result:
        """`work` in a transaction."""

        async def in_transaction(db: Database) -> Result:
            async with db.transaction() as tx:
                return await work(tx)

        return self.run_over(in_transaction)

    def run_over(self, work: Callable[[Database], Awaitable[Result]]) -> Result:
        """`work` with transactions of its own, where one would last too long."""
        return asyncio.run(self._run(work))

    def keyring(self) -> Keyring:
        return Keyring(self.settings.master_key())

    async def _run(self, work: Callable[[Database], Awaitable[Result]]) -> Result:
        if self.data is not None and not any(socket_folder(self.data).glob(".s.PGSQL.*")):
            raise click.ClickException(self.unreachable)
        db = Database(self.settings.database_url, max_size=1)
        try:
            await db.open(timeout=PATIENCE_S)
        except TRANSIENT_ERRORS as error:
            raise click.ClickException(self.unreachable) from error
        try:
            return await work(db)
        finally:
            await db.close()


@click.group()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The data folder of a running demo or `serve`: its embedded database and, for a demo, its key.",
)
@click.pass_context
def admin(context: click.Context, data: Path | None) -> None:
    """Accounts, users, keys and secrets."""
    context.obj = open_admin(context.obj, data)


def open_admin(config: Path | None, data: Path | None) -> Admin:
    """The way to the database of a data folder, or of the settings."""
    key = data / "secret.key" if data else None
    if key is not None and key.exists():
        os.environ.pop("TONGDAI_SECRET_KEY", None)
        os.environ["TONGDAI_SECRET_KEY_FILE"] = str(key)
    # It would tell of each try to connect; one line of ours says it all.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    settings = settings_module.load(config)
    if data is None and settings.database_url:
        return Admin(settings, None, "The database that database_url names does not answer.")
    folder = data or Path(settings.data_dir)
    settings = replace(settings, database_url=connection_url(folder))
    return Admin(settings, folder, f"No database runs over {folder}. {IS_IT_RUNNING if data else WHICH}")


@admin.command()
@click.argument("name")
@click.option("--max-channels", type=int, help="Calls at one time, all trunks together.")
@click.option("--max-cps", type=float, help="New calls per second, 0.01 to 10,000, all trunks together.")
@click.pass_obj
def create_account(self: Admin, name: str, max_channels: int | None, max_cps: float | None) -> None:
    """A new tenant. Prints its id."""
    made = self.run(lambda tx: accounts.create_account(tx, name, max_channels=max_channels, max_cps=max_cps))
    click.echo(made.id)


@admin.command()
@click.pass_obj
def list_accounts(self: Admin) -> None:
    """All tenants: id and name."""
    table([(one.id, one.name) for one in self.run(_all_accounts)])


@admin.command()
@click.argument("account_id", type=int)
@click.option("--email", required=True)
@click.option("--name", required=True)
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.password_option(help="At least 8 characters; asked for when it is left out.")
@click.pass_obj
def create_user(self: Admin, account_id: int, email: str, name: str, role: str, password: str) -> None:
    """A new user of an account. Prints their id."""
    made = self.run(
        lambda tx: accounts.create_user(
            tx, account_id, email=email, name=name, role=Role(role), password=password
        )
    )
    click.echo(made.id)


@admin.command()
@click.argument("account_id", type=int)
@click.argument("user_id", type=int)
@click.argument("name")
@click.pass_obj
def issue_key(self: Admin, account_id: int, user_id: int, name: str) -> None:
    """An API key that acts as a user. It is shown this once."""
    click.echo(self.run(lambda tx: accounts.issue_api_key(tx, account_id, user_id, name)).key)


@admin.command()
@click.argument("account_id", type=int)
@click.argument("key_id", type=int)
@click.pass_obj
def revoke_key(self: Admin, account_id: int, key_id: int) -> None:
    """Make an API key of an account useless at once."""
    self.run(lambda tx: accounts.revoke_api_key(tx, account_id, key_id))


@admin.command()
@click.argument("account_id", type=int)
@click.pass_obj
def list_keys(self: Admin, account_id: int) -> None:
    """An account's API keys: id, first characters, name, when it was revoked."""
    keys = self.run(lambda tx: accounts.list_api_keys(tx, account_id))
    table([(one.id, one.hint, one.name, one.revoked_at or "") for one in keys])


@admin.command()
@click.argument("name")
@click.pass_obj
def platform_key(self: Admin, name: str) -> None:
    """A key for the platform's own operations, which opens no account. It is shown this once."""
    click.echo(self.run(lambda tx: accounts.issue_platform_key(tx, name)).key)


@admin.command()
@click.argument("action", type=click.Choice(["issue", "show", "rotate"]))
@click.argument("account_id", type=int)
@click.argument("user_id", type=int)
@click.option("--kind", type=click.Choice(SECRET_KINDS), default=SECRET_KINDS[0], show_default=True)
@click.pass_obj
def secret(self: Admin, action: str, account_id: int, user_id: int, kind: str) -> None:
    """A user's secret key of a vendor's API. Rotating it makes every token from it invalid at once."""
    keyring = self.keyring()
    use = {
        "issue": accounts.issue_client_secret,
        "show": accounts.reveal_client_secret,
        "rotate": accounts.rotate_client_secret,
    }[action]
    click.echo(self.run(lambda tx: use(tx, keyring, account_id, user_id, kind)))
    if action == "rotate" and self.data is not None and (self.data / KEPT).exists():
        click.echo(RENEWED_LATER, err=True)


@admin.command()
@click.argument("account_id", type=int)
@click.pass_obj
def list_trunks(self: Admin, account_id: int) -> None:
    """An account's trunks: id, name, engine."""
    trunks = self.run(lambda tx: routing.list_trunks(tx, account_id, limit=1000))
    table([(one.id, one.name, one.engine) for one in trunks])


@admin.command()
@click.argument("account_id", type=int)
@click.pass_obj
def list_hotlines(self: Admin, account_id: int) -> None:
    """An account's hotlines: id, number, network, trunk."""
    hotlines = self.run(lambda tx: routing.list_hotlines(tx, account_id, limit=1000))
    table([(one.id, one.number, one.network or "any", one.trunk_id) for one in hotlines])


@admin.command()
@click.argument("account_id", type=int)
@click.argument("amount", type=int)
@click.option("--by", required=True, help="Who says that the money came in.")
@click.option("--reason", required=True, help="Where it came from.")
@click.pass_obj
def top_up(self: Admin, account_id: int, amount: int, by: str, reason: str) -> None:
    """Put money, in đồng, into an account's wallet. Prints its balance."""
    now = SystemClock().now()
    line = self.run(lambda tx: billing.top_up(tx, account_id, Decimal(amount), by=by, reason=reason, now=now))
    click.echo(int(line.balance_after))


@admin.command()
@click.argument("account_ids", type=int, nargs=-1)
@click.pass_obj
def check_ledger(self: Admin, account_ids: tuple[int, ...]) -> None:
    """Compare wallets with their ledgers and with what open calls hold: all, or those of some accounts.

    Prints account, balance, lines, and ok or what is wrong; fails when anything is.
    """
    audits = self.run_over(lambda db: _audits(db, account_ids))
    table([(one.account_id, int(one.balance), one.lines, ", ".join(_faults(one)) or "ok") for one in audits])
    wrong = sum(not one.agrees for one in audits)
    if wrong:
        raise click.ClickException(f"{wrong} of {len(audits)} wallets do not agree.")


async def _audits(db: Database, account_ids: Sequence[int]) -> list[billing.Audit]:
    """Of the accounts that have a wallet."""
    if not account_ids:
        async with db.transaction() as tx:
            account_ids = [one.id for one in await _all_accounts(tx)]
    found = [await _audit(db, account_id) for account_id in account_ids]
    return [one for one in found if one is not None]


async def _audit(db: Database, account_id: int) -> billing.Audit | None:
    walked = billing.Walked()
    while True:
        async with db.transaction() as tx:
            further = await billing.walk_ledger(tx, account_id, walked, limit=LINES_AT_A_TIME)
            if further.lines - walked.lines < LINES_AT_A_TIME:
                return await billing.audit(tx, account_id, so_far=walked)
        walked = further


def _faults(audit: billing.Audit) -> Iterator[str]:
    if audit.total != audit.balance:
        yield f"its lines come to {audit.total}"
    if audit.breaks:
        yield f"{audit.breaks} lines do not follow from the line before"
    if audit.held != audit.reserved:
        yield f"{audit.reserved} is reserved, and open calls, journeys and messages hold {audit.held}"


async def _all_accounts(tx: Tx) -> list[accounts.Account]:
    found: list[accounts.Account] = []
    while page := await accounts.list_accounts(tx, after=found[-1].id if found else 0):
        found += page
    return found


def table(rows: Sequence[Sequence[object]]) -> None:
    """Prints them, tabs between the cells."""
    for row in rows:
        click.echo("\t".join(str(cell) for cell in row))
