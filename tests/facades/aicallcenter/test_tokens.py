from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests import factories
from tests.facades.aicallcenter.client import CONTACTS_WRONG, SECRET_WRONG, TOKEN_WRONG, Api
from tests.factories import SECRET_KIND, Cast
from tests.fakes.clock import FakeClock

from tongdai.domain import accounts
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio


async def test_a_secret_key_makes_a_token(api: Api, cast: Cast) -> None:
    answer = await api.get("/api/users/generate-access-token", secret_key=cast.owner.secret)
    token = answer["results"]["access_token"]
    assert answer == {"status": 1, "results": {"access_token": token}}
    assert token.count(".") == 2
    assert token.startswith("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.")


@pytest.mark.parametrize("secret", ["", "x", "\x00", "Lê", "0" * 64, "a" * 50_000])
async def test_a_wrong_secret_key_makes_none(api: Api, cast: Cast, secret: str) -> None:
    assert await api.get("/api/users/generate-access-token", secret_key=secret) == SECRET_WRONG


@pytest.mark.parametrize(
    "query", ["", "?", "?secret_key", "?secret_key[]=x", "?secret_key=%ff%fe", "?%00=%00"]
)
async def test_a_missing_secret_key_is_a_wrong_one(api: Api, query: str) -> None:
    response = await api.http.get(f"/api/users/generate-access-token{query}")
    assert (response.status_code, response.json()) == (200, SECRET_WRONG)


async def test_a_token_opens_every_endpoint_by_query_and_by_header(
    api: Api, db: Database, cast: Cast
) -> None:
    token = await api.token(cast.owner)
    campaign = await factories.campaign(db, cast.owner)
    ways: list[tuple[dict[str, str], dict[str, str]]] = [
        ({"access_token": token}, {}),
        ({}, {"Authorization": f"Bearer {token}"}),
    ]
    for query, header in ways:
        for method, path, body in _requests(campaign.id):
            response = await api.http.request(method, path, params=query, headers=header, json=body)
            assert (response.status_code, response.json()["status"]) == (200, 1), path


@pytest.mark.parametrize("token", ["", "x", "x.y.z", "null", "\x00", "Lê", "a" * 50_000])
async def test_a_wrong_token_opens_none(api: Api, db: Database, cast: Cast, token: str) -> None:
    campaign = await factories.campaign(db, cast.owner)
    for method, path, body in _requests(campaign.id):
        response = await api.http.request(method, path, params={"access_token": token}, json=body)
        assert (response.status_code, response.json()) == (200, TOKEN_WRONG), path


async def test_a_request_without_a_token_is_refused_before_anything_else(api: Api) -> None:
    for method, path, body in _requests(1):
        response = await api.http.request(method, path, json=body)
        assert (response.status_code, response.json()) == (200, TOKEN_WRONG), path


async def test_a_changed_secret_key_closes_every_endpoint_at_once(
    api: Api, db: Database, cast: Cast, keyring: Keyring
) -> None:
    owner = cast.owner
    campaign = await factories.campaign(db, owner)
    old, colleagues = await api.token(owner), await api.token(cast.colleague)
    async with db.transaction() as tx:
        secret = await accounts.rotate_client_secret(
            tx, keyring, owner.account_id, owner.user.id, SECRET_KIND
        )
    for method, path, body in _requests(campaign.id):
        refused = await api.http.request(method, path, params={"access_token": old}, json=body)
        assert refused.json() == TOKEN_WRONG, path
        answered = await api.http.request(method, path, params={"access_token": colleagues}, json=body)
        assert answered.json()["status"] == 1, path
    assert await api.get("/api/users/generate-access-token", secret_key=owner.secret) == SECRET_WRONG
    new = await api.token(replace(owner, secret=secret))
    assert (await api.call_log(new))["status"] == 1


async def test_tokens_expire_only_under_a_setting(
    api: Api, services: Services, cast: Cast, clock: FakeClock
) -> None:
    hour = Api(replace(services, aicc_token_life=timedelta(hours=1)))
    forever, short = await api.token(cast.owner), await hour.token(cast.owner)
    clock.advance(timedelta(days=1000))
    assert (await api.call_log(forever))["status"] == 1
    assert await api.call_log(short) == TOKEN_WRONG


async def test_the_strict_setting_gives_http_statuses_of_their_own(
    services: Services, db: Database, cast: Cast
) -> None:
    strict = Api(replace(services, aicc_strict_http_status=True))
    token = await strict.token(cast.owner)
    campaign = await factories.campaign(db, cast.owner)
    answers = [
        (await strict.http.get("/api/users/generate-access-token"), 401, SECRET_WRONG),
        (await strict.http.get("/api/users/call-log"), 401, TOKEN_WRONG),
        (
            await strict.http.post(f"/api/campaigns/{campaign.id}/import?access_token={token}"),
            400,
            CONTACTS_WRONG,
        ),
    ]
    for response, status, answer in answers:
        assert (response.status_code, response.json()) == (status, answer)
    unknown = await strict.http.get("/api/campaigns/999999/export", params={"access_token": token})
    assert (unknown.status_code, unknown.json()["code"]) == (200, "01")


def _requests(campaign_id: int) -> list[tuple[str, str, object]]:
    return [
        ("GET", "/api/users/call-log", None),
        ("GET", f"/api/campaigns/{campaign_id}/export", None),
        ("POST", f"/api/campaigns/{campaign_id}/import", {"contacts": []}),
    ]
