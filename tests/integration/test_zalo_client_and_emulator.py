"""Zalo's client and Zalo's emulator understand each other, in each request and each fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.fakes.zalo import (
    APP_ID,
    APP_SECRET,
    CALLBACK_URL,
    JOURNEY_TEMPLATE,
    OA_ID,
    TRANSACTION_TEMPLATE,
    EmulatedZalo,
    default_fixtures,
    grant,
    zalo_emulator,
)

from tongdai.adapters.zaloapi import ZaloClient, client
from tongdai.kit.zalo_signs import pkce_challenge
from tongdai.ports.zalo import (
    ACCESS_LIFE,
    Access,
    AppSecret,
    Message,
    Refusal,
    TokenPair,
    ZaloError,
    ZaloGarbledError,
    ZaloRefusedError,
    ZaloSilentError,
)

pytestmark = pytest.mark.anyio

APP = AppSecret(APP_ID, APP_SECRET)
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
PHONE = "84987654321"
ORDER = {"ten_khach_hang": "Lan", "ma_don": "DH-1", "so_tien": "120000", "ngay": "01/02/2026"}
ON_ITS_WAY = {"ten_khach_hang": "Lan", "ma_don": "DH-1"}


def message(template_id: int = TRANSACTION_TEMPLATE, phone: str = PHONE) -> Message:
    data = ON_ITS_WAY if template_id == JOURNEY_TEMPLATE else ORDER
    return Message(phone=phone, template_id=template_id, data=data, tracking_id="order-1")


@dataclass
class Connected:
    """A client with the tokens of an Official Account, at an emulator."""

    zalo: ZaloClient
    emulator: EmulatedZalo
    pair: TokenPair
    proof: str | None = None

    @property
    def access(self) -> Access:
        return Access(self.pair.access_token, APP_ID, self.proof)

    async def permit(self) -> str:
        """A fresh code."""
        page = self.zalo.permission_url(APP_ID, CALLBACK_URL, "a-state", pkce_challenge(VERIFIER))
        back = await grant(page, OA_ID)
        assert (back["state"], back["oa_id"]) == ("a-state", str(OA_ID))
        return back["code"]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_S", 0.001)


async def _connected(fixtures: dict[str, Any], timeout_s: float = 20.0) -> AsyncIterator[Connected]:
    async with zalo_emulator(fixtures) as emulator:
        url = emulator.url
        zalo = ZaloClient(oauth_url=url, openapi_url=url, business_url=url, timeout_s=timeout_s)
        await zalo.start()
        try:
            connected = Connected(zalo, emulator, TokenPair("", None, timedelta()))
            connected.pair = await zalo.exchange_code(APP, await connected.permit(), VERIFIER)
            yield connected
        finally:
            await zalo.stop()


@pytest.fixture
async def connected() -> AsyncIterator[Connected]:
    async for one in _connected(default_fixtures()):
        yield one


# ---------------------------------------------------------------- everything as it should be


async def test_a_permission_ends_in_tokens_for_25_hours(connected: Connected) -> None:
    pair = connected.pair
    assert pair.refresh_token
    assert pair.expires_in == ACCESS_LIFE


async def test_renewed_tokens_replace_the_old_ones(connected: Connected) -> None:
    old = connected.pair
    assert old.refresh_token is not None
    connected.pair = await connected.zalo.refresh(APP, old.refresh_token)
    assert (await connected.zalo.profile(connected.access)).oa_id == OA_ID
    for ask in (connected.zalo.profile, connected.zalo.quota):
        with pytest.raises(ZaloRefusedError) as refused:
            await ask(Access(old.access_token, APP_ID))
        assert refused.value.refusal is Refusal.ACCESS


async def test_a_refresh_token_that_was_used_is_answered_with_nothing(connected: Connected) -> None:
    used = connected.pair.refresh_token
    assert used is not None
    await connected.zalo.refresh(APP, used)
    with pytest.raises(ZaloGarbledError) as garbled:
        await connected.zalo.refresh(APP, used)
    assert garbled.value.empty
    asked = await connected.emulator.requests("/v4/oa/access_token")
    assert [one.get("was") for one in asked] == [None, "fresh", "consumed"]


async def test_tokens_are_refused_with_zalo_s_codes(connected: Connected) -> None:
    async def code_of(asked: Awaitable[object]) -> int:
        with pytest.raises(ZaloRefusedError) as refused:
            await asked
        return refused.value.code

    zalo = connected.zalo
    assert await code_of(zalo.refresh(APP, "nobody-s")) == -14014
    assert await code_of(zalo.refresh(AppSecret(APP_ID, "wrong"), "nobody-s")) == -14004
    assert await code_of(zalo.refresh(AppSecret(5, APP_SECRET), "nobody-s")) == -14002
    assert await code_of(zalo.exchange_code(APP, "no-code", VERIFIER)) == -14005


async def test_an_official_account_tells_of_itself(connected: Connected) -> None:
    profile = await connected.zalo.profile(connected.access)
    assert (profile.oa_id, profile.name, profile.followers) == (OA_ID, "Giao Hàng Sao Việt", 12_846)
    assert profile.is_verified
    assert profile.linked_zca
    quota = await connected.zalo.quota(connected.access)
    assert quota.daily is not None
    assert quota.remaining == quota.daily
    assert (await connected.zalo.qualities(connected.access)).current in (
        "HIGH",
        "MEDIUM",
        "LOW",
        "UNDEFINED",
    )
    assert "TRANSACTION" in await connected.zalo.tags(connected.access)


async def test_templates_are_listed_and_shown(connected: Connected) -> None:
    zalo, access = connected.zalo, connected.access
    page = await zalo.templates(access, limit=3)
    assert len(page.templates) == 3
    assert page.total > 3
    rest = await zalo.templates(access, offset=3)
    ids = {one.template_id for one in [*page.templates, *rest.templates]}
    assert len(ids) == page.total
    assert {one.status for one in (await zalo.templates(access, status=3)).templates} == {"REJECT"}
    template = await zalo.template(access, TRANSACTION_TEMPLATE)
    assert {one.name for one in template.params} > set(ORDER)
    assert template.price is not None
    assert template.timeout is not None
    assert set(await zalo.sample_data(access, TRANSACTION_TEMPLATE)) >= set(ORDER)
    with pytest.raises(ZaloRefusedError) as refused:
        await zalo.template(access, 99)
    assert refused.value.code == -109


async def test_a_message_is_sent_and_followed_to_its_end(connected: Connected) -> None:
    zalo, access = connected.zalo, connected.access
    sent = await zalo.send(access, message())
    assert sent.sent_at is not None
    assert sent.quota is not None
    await connected.emulator.advance(60)
    status = await zalo.message_status(access, sent.msg_id, phone=PHONE)
    assert status.state == "delivered"
    assert status.delivered_at is not None
    with pytest.raises(ZaloRefusedError) as refused:
        await zalo.send(access, message(phone="84987654404"))
    assert (refused.value.code, refused.value.refusal) == (-118, Refusal.RECIPIENT)


async def test_a_journey_is_made_checked_and_used(connected: Connected) -> None:
    zalo, access = connected.zalo, connected.access
    journey = await zalo.create_journey(access, PHONE, "token_coach_bus_30")
    check = await zalo.check_journey(access, journey.token)
    assert check.token_type == "token_coach_bus_30"
    assert check.created_at is not None
    assert check.expires_at == check.created_at + timedelta(days=30)
    assert abs(check.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert (await zalo.send(access, message(JOURNEY_TEMPLATE), journey_token=journey.token)).msg_id
    with pytest.raises(ZaloRefusedError) as refused:
        await zalo.check_journey(access, "no-journey")
    assert refused.value.code in (-148, -149)


async def test_an_app_that_must_prove_itself_does() -> None:
    fixtures = default_fixtures()
    fixtures["apps"][0]["require_proof"] = True
    async for connected in _connected(fixtures):
        with pytest.raises(ZaloRefusedError) as refused:
            await connected.zalo.quota(connected.access)
        assert refused.value.code == -1241
        connected.proof = APP_SECRET
        assert (await connected.zalo.quota(connected.access)).daily
        assert (await connected.zalo.profile(connected.access)).name


# ---------------------------------------------------------------- everything as it should not be

Call = Callable[[Connected], Awaitable[object]]

CALLS: dict[str, tuple[str, Call]] = {
    "refresh": ("/v4/oa/access_token", lambda c: c.zalo.refresh(APP, c.pair.refresh_token or "")),
    "profile": ("/v2.0/oa/getoa", lambda c: c.zalo.profile(c.access)),
    "quota": ("/message/quota", lambda c: c.zalo.quota(c.access)),
    "qualities": ("/quality", lambda c: c.zalo.qualities(c.access)),
    "tags": ("/message/template-tag", lambda c: c.zalo.tags(c.access)),
    "templates": ("/template/all", lambda c: c.zalo.templates(c.access)),
    "template": ("/template/info/v2", lambda c: c.zalo.template(c.access, TRANSACTION_TEMPLATE)),
    "send": ("/message/template", lambda c: c.zalo.send(c.access, message())),
    "create_journey": (
        "/journey/get-token",
        lambda c: c.zalo.create_journey(c.access, PHONE, "token_logistics_7"),
    ),
}
FAULTS: dict[str, type[ZaloError]] = {
    "empty": ZaloGarbledError,
    "html_504": ZaloGarbledError,
    "wrong_types": ZaloGarbledError,
    "reset": ZaloSilentError,
    "half_body": ZaloSilentError,
    "error": ZaloRefusedError,
}


@pytest.mark.parametrize("name", CALLS)
async def test_each_fault_of_the_emulator_is_an_error_of_its_kind(connected: Connected, name: str) -> None:
    """A refresh may be done and not be heard of, so each one has tokens of its own."""
    path, call = CALLS[name]
    for fault, kind in FAULTS.items():
        if name == "refresh":
            connected.pair = await connected.zalo.exchange_code(APP, await connected.permit(), VERIFIER)
        before = len(await connected.emulator.requests(path))
        await connected.emulator.force(path, {"kind": fault, "quoted": True}, times=3)
        with pytest.raises(ZaloError) as caught:
            await call(connected)
        await connected.emulator.clear_faults()
        assert (fault, type(caught.value)) == (fault, kind)
        again = name not in ("refresh", "send", "create_journey") and kind is not ZaloRefusedError
        assert len(await connected.emulator.requests(path)) - before == (3 if again else 1)


async def test_a_renewal_without_a_refresh_token_is_told_as_such(connected: Connected) -> None:
    await connected.emulator.force("/v4/oa/access_token", "missing_refresh_token")
    pair = await connected.zalo.refresh(APP, connected.pair.refresh_token or "")
    assert pair.access_token
    assert pair.refresh_token is None


async def test_an_emulator_that_hangs_leaves_the_outcome_in_doubt() -> None:
    async for connected in _connected(default_fixtures(), timeout_s=1.0):
        await connected.emulator.force("/journey/get-token", "hang")
        with pytest.raises(ZaloSilentError):
            await connected.zalo.create_journey(connected.access, PHONE, "token_logistics_7")
