"""Accounts' codes, and logins as the services see them; over HTTP they are tested with VBot's API."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from tests import factories
from tests.factories import PASSWORD, Cast
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import eventually

from tongdai.domain import accounts
from tongdai.domain.accounts import AccountCodeTakenError, Lives, LoginTokens
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

LIVES = Lives(access=timedelta(hours=1), refresh=timedelta(hours=3))


@pytest.fixture
async def cast(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


async def opened(tx: Tx, keyring: Keyring, clock: FakeClock, cast: Cast, kind: str = "vbot") -> LoginTokens:
    user = await accounts.verify_password(tx, cast.owner.user.email, PASSWORD)
    assert user is not None
    return await accounts.open_login(tx, keyring, clock, user, kind, LIVES)


async def test_a_code_is_given_once_and_drawn_anew_where_somebody_brought_it(db: Database) -> None:
    async with db.transaction() as tx:
        first = await accounts.create_account(tx, "A")
        # The next that the database would draw: nine digits on from the first by a fixed step.
        following = str(100_000_000 + (int(first.code) - 100_000_000 + 387_420_487) % 900_000_000)
        brought = await accounts.create_account(tx, "B", code=following)
        drawn = await accounts.create_account(tx, "C")
    assert len({first.code, brought.code, drawn.code}) == 3
    assert brought.code == following
    with pytest.raises(AccountCodeTakenError):
        async with db.transaction() as tx:
            await accounts.create_account(tx, "D", code=following)
    async with db.transaction() as tx:
        assert len(await accounts.list_accounts(tx)) == 3


@pytest.mark.parametrize("code", ["", " ", "a\x00b", "a" * 201])
async def test_a_code_that_cannot_be_shown_is_refused(tx: Tx, code: str) -> None:
    with pytest.raises(accounts.AccountInvalidError):
        await accounts.create_account(tx, "A", code=code)


async def test_a_token_of_one_kind_of_login_opens_no_other(
    tx: Tx, keyring: Keyring, clock: FakeClock, cast: Cast
) -> None:
    tokens = await opened(tx, keyring, clock, cast)
    for kind, expected in (("vbot", cast.owner.caller), ("console", None)):
        found = await accounts.authenticate_login(tx, keyring, clock, tokens.access_token, kind)
        assert found == expected
    assert await accounts.renew_login(tx, keyring, clock, tokens.refresh_token, "console", LIVES) is None
    assert await accounts.renew_login(tx, keyring, clock, tokens.refresh_token, "vbot", LIVES) is not None


async def test_a_token_signed_with_another_master_key_opens_nothing(
    tx: Tx, keyring: Keyring, clock: FakeClock, cast: Cast
) -> None:
    tokens = await opened(tx, Keyring(bytes(32)), clock, cast)
    assert await accounts.authenticate_login(tx, keyring, clock, tokens.access_token, "vbot") is None


async def test_a_login_goes_on_for_as_long_as_it_is_renewed(
    tx: Tx, keyring: Keyring, clock: FakeClock, cast: Cast
) -> None:
    tokens: LoginTokens | None = await opened(tx, keyring, clock, cast)
    for _ in range(4):
        assert tokens is not None
        clock.advance(timedelta(hours=2, minutes=59))
        # Another login forgets those that are over.
        await opened(tx, keyring, clock, cast)
        tokens = await accounts.renew_login(tx, keyring, clock, tokens.refresh_token, "vbot", LIVES)
    assert tokens is not None
    clock.advance(timedelta(hours=3))
    assert await accounts.renew_login(tx, keyring, clock, tokens.refresh_token, "vbot", LIVES) is None


async def test_tokens_are_not_shown_where_a_login_is_logged(
    tx: Tx, keyring: Keyring, clock: FakeClock, cast: Cast
) -> None:
    tokens = await opened(tx, keyring, clock, cast)
    assert tokens.access_token not in repr(tokens)
    assert tokens.refresh_token not in repr(tokens)
    assert cast.owner.user.email not in repr(await accounts.find_credentials(tx, cast.owner.user.email))


async def test_a_user_who_was_disabled_between_password_and_login_gets_none(
    tx: Tx, keyring: Keyring, clock: FakeClock, cast: Cast
) -> None:
    found = await accounts.find_credentials(tx, cast.owner.user.email)
    assert found.user is not None
    await accounts.disable_user(tx, cast.owner.account_id, cast.owner.user.id)
    with pytest.raises(accounts.UserNotFoundError):
        await accounts.open_login(tx, keyring, clock, found.user, "vbot", LIVES)
    other = replace(found.user, account_id=cast.stranger.account_id)
    with pytest.raises(accounts.UserNotFoundError):
        await accounts.open_login(tx, keyring, clock, other, "vbot", LIVES)


async def test_a_password_that_is_changed_while_it_is_checked_gives_no_login(
    db: Database, keyring: Keyring, clock: FakeClock, cast: Cast
) -> None:
    owner = cast.owner
    async with db.autocommit() as tx:
        found = await accounts.find_credentials(tx, owner.user.email)

    async def log_in() -> LoginTokens:
        assert found.user is not None
        async with db.transaction() as tx:
            return await accounts.open_login(
                tx, keyring, clock, found.user, "vbot", LIVES, checked=found.stored
            )

    async def waits() -> bool:
        async with db.autocommit() as tx:
            cursor = await tx.execute(
                "SELECT FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO logins%'"
            )
            return await cursor.fetchone() is not None

    assert (await log_in()).access_token
    async with db.transaction() as tx:
        await accounts.change_password(tx, owner.account_id, owner.user.id, "một mật khẩu khác")
        late = asyncio.create_task(log_in())
        await eventually(waits)
    with pytest.raises(accounts.UserNotFoundError):
        await late
    with pytest.raises(accounts.UserNotFoundError):
        await log_in()
