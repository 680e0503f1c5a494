"""What opens an Official Account, an app or a journey is nowhere in the database or a log as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests import money, zns
from tests.fakes import zalo as fake
from tests.fakes.clock import FakeClock
from tests.zns import Zns

from tongdai.domain import zalo
from tongdai.domain.zalo import refreshing
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.logs import LineFormatter
from tongdai.ports.zalo import Access, TokenPair, ZaloError

pytestmark = pytest.mark.anyio

WEBHOOK_SECRET = "khoa-cua-su-kien-zalo-8f2c"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
OTHER_SECRET = "mot-bi-mat-khac-31b7"
CODE = "8265193740"


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[Zns]:
    async with zns.world(db, keyring, clock) as made:
        yield made


class Overheard:
    """All that went over the client, which is what must not stay."""

    def __init__(self, world: Zns, monkeypatch: pytest.MonkeyPatch) -> None:
        self.secrets: set[str] = {fake.APP_SECRET, WEBHOOK_SECRET, VERIFIER, OTHER_SECRET, CODE}
        client = world.bridge.client
        for name in ("exchange_code", "refresh", "create_journey"):
            monkeypatch.setattr(client, name, self._hearing(getattr(client, name)))

    def _hearing(self, call: Any) -> Any:
        async def heard(*given: Any, **named: Any) -> Any:
            self.secrets |= {one for one in given if isinstance(one, str) and len(one) > 20}
            self.secrets |= {one.token for one in given if isinstance(one, Access)}
            said = await call(*given, **named)
            if isinstance(said, TokenPair):
                self.secrets |= {said.access_token, said.refresh_token or ""} - {""}
            else:
                self.secrets.add(said.token)
            return said

        return heard


async def everything(world: Zns) -> str:
    """All rows of all tables; what is binary in hex, as the database writes it."""
    rows: list[str] = []
    for (table,) in await world.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        async with world.db.autocommit() as connection:
            found = await connection.execute(f'SELECT t::text FROM "{table}" AS t')
            rows += [row[0] for row in await found.fetchall()]
    return "\n".join(rows)


async def test_no_secret_token_or_code_is_in_the_database_or_a_log(
    world: Zns, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    heard = Overheard(world, monkeypatch)
    await _story(world)

    kept = await everything(world)
    ours = [one for one in caplog.records if not one.name.startswith(("httpx", "httpcore"))]  # the browser's
    said = "\n".join(LineFormatter().format(one) for one in ours)
    assert "is not known" in said
    assert len(heard.secrets) > 10
    for secret in heard.secrets:
        assert secret not in kept
        assert secret.encode().hex() not in kept
        assert secret not in said


async def _story(world: Zns) -> None:
    """An app is registered, an account connected, renewed and connected again; journeys and messages."""
    bridge, owner = world.bridge, world.cast.owner
    async with world.db.transaction() as tx:
        await zalo.set_app(
            tx,
            bridge.keyring,
            owner.account_id,
            app_id=fake.APP_ID,
            secret=fake.APP_SECRET,
            webhook_secret=WEBHOOK_SECRET,
            use_proof=True,
            now=bridge.clock.now(),
        )
        await zalo.set_app(
            tx,
            bridge.keyring,
            world.cast.stranger.account_id,
            app_id=fake.APP_ID,
            secret=OTHER_SECRET,
            pkce="fixed",
            verifier=VERIFIER,
            now=bridge.clock.now(),
        )
    await _refused_code(world)
    shop = await world.shop()
    await money.payer(world.db, shop.account_id)
    for key in (None, "khoa-mot"):
        await zalo.create_journey(
            bridge, owner.account_id, owner.user.id, oa_id=fake.OA_ID, phone="0912345001", idempotency_key=key
        )
    await world.send(shop, fake.OTP_TEMPLATE, data={"otp": CODE})
    await world.rows("UPDATE zalo_oas SET refresh_due_at = now() - interval '9 years' RETURNING 1")
    assert await refreshing.refresh_due(bridge) == 1
    await world.emulator.force(fake.ACCESS_TOKEN, "half_body", after=True)
    await world.rows("UPDATE zalo_oas SET refresh_due_at = now() - interval '9 years' RETURNING 1")
    assert await refreshing.refresh_due(bridge) == 1
    await world.shop()


async def _refused_code(world: Zns) -> None:
    """Somebody comes back with a code that Zalo gave, and the answer is lost."""
    bridge, owner = world.bridge, world.cast.owner
    page = await zalo.authorize(
        bridge,
        owner.account_id,
        owner.user.id,
        app_id=fake.APP_ID,
        secret=OTHER_SECRET,
        redirect_uri=fake.CALLBACK_URL,
    )
    state = int(parse_qs(urlsplit(page).query)["state"][0])
    await world.emulator.force(fake.ACCESS_TOKEN, "half_body", after=True)
    with pytest.raises((ZaloError, zalo.PermissionRefusedError)):
        await zalo.connect(
            bridge,
            owner.account_id,
            owner.user.id,
            code="ma-uy-quyen-rat-dai-0123456789",
            oa_id=None,
            state=state,
        )
