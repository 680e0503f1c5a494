"""Zalo apps are registered with their secrets, which are kept and never shown."""

from __future__ import annotations

from typing import Any

import pytest
from tests import factories
from tests.fakes.clock import FakeClock

from tongdai.domain import zalo
from tongdai.domain.zalo import App, AppInvalidError, AppNotFoundError
from tongdai.domain.zalo.seals import open_app
from tongdai.kit.crypto import Keyring, SealBrokenError
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio

APP_ID = 3791405228651924317
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.fixture
async def cast(db: Database, keyring: Keyring) -> factories.Cast:
    return await factories.cast(db, keyring)


async def registered(db: Database, keyring: Keyring, account_id: int, **told: Any) -> App:
    async with db.transaction() as tx:
        given: dict[str, Any] = {"app_id": APP_ID, "now": FakeClock().now()}
        given |= told
        return await zalo.set_app(tx, keyring, account_id, **given)


async def kept(db: Database, column: str) -> bytes | None:
    async with db.transaction() as tx:
        row = await (await tx.execute("SELECT to_jsonb(a) ->> %s FROM zalo_apps AS a", (column,))).fetchone()
    assert row is not None
    return None if row[0] is None else bytes.fromhex(row[0].removeprefix("\\x"))


async def test_what_is_left_out_stays_as_it_is(db: Database, keyring: Keyring, cast: factories.Cast) -> None:
    account_id = cast.owner.account_id
    first = await registered(
        db, keyring, account_id, secret="bi-mat-1", webhook_secret="bi-mat-2", use_proof=True
    )
    assert (first.has_webhook_secret, first.use_proof, first.pkce) == (True, True, "per_request")
    again = await registered(db, keyring, account_id, pkce="none")
    assert (again.id, again.hook, again.use_proof, again.pkce) == (first.id, first.hook, True, "none")
    secret, webhook_secret = await kept(db, "secret"), await kept(db, "webhook_secret")
    assert secret is not None
    assert webhook_secret is not None
    assert open_app(keyring, account_id, secret) == "bi-mat-1"
    assert open_app(keyring, account_id, webhook_secret) == "bi-mat-2"
    with pytest.raises(SealBrokenError):
        open_app(keyring, cast.stranger.account_id, secret)
    gone = await registered(db, keyring, account_id, webhook_secret=None)
    assert not gone.has_webhook_secret
    assert "bi-mat" not in repr(gone)


async def test_a_verifier_belongs_to_the_fixed_way_alone(
    db: Database, keyring: Keyring, cast: factories.Cast
) -> None:
    account_id = cast.owner.account_id
    fixed = await registered(db, keyring, account_id, secret="one", pkce="fixed", verifier=VERIFIER)
    assert fixed.pkce == "fixed"
    assert await kept(db, "verifier") is not None
    with pytest.raises(AppInvalidError):
        await registered(db, keyring, account_id, verifier=None)
    assert (await registered(db, keyring, account_id, pkce="per_request")).pkce == "per_request"
    assert await kept(db, "verifier") is None
    for told in ({"verifier": VERIFIER}, {"pkce": "fixed"}, {"pkce": "fixed", "verifier": "short"}):
        with pytest.raises(AppInvalidError):
            await registered(db, keyring, account_id, **told)


@pytest.mark.parametrize(
    "told",
    [{}, {"secret": ""}, {"secret": "x" * 201}, {"secret": "khoá"}, {"secret": "a", "app_id": -1}],
)
async def test_what_can_be_no_app_is_refused(
    db: Database, keyring: Keyring, cast: factories.Cast, told: dict[str, Any]
) -> None:
    with pytest.raises(AppInvalidError):
        await registered(db, keyring, cast.owner.account_id, **told)


async def test_a_strangers_app_is_unknown(db: Database, keyring: Keyring, cast: factories.Cast) -> None:
    await registered(db, keyring, cast.owner.account_id, secret="one")
    async with db.transaction() as tx:
        assert [app.app_id for app in await zalo.list_apps(tx, cast.owner.account_id)] == [APP_ID]
        assert await zalo.list_apps(tx, cast.stranger.account_id) == []
        with pytest.raises(AppNotFoundError):
            await zalo.get_app(tx, cast.stranger.account_id, APP_ID)
