"""The page at which an administrator of an Official Account lets an app in."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.emulator.callers import exchange, permission_url
from tests.fakes.zalo import APP_ID, CALLBACK_URL, OA_ID, SECOND_OA_ID, EmulatedZalo, grant

pytestmark = pytest.mark.anyio

FORM = {"app_id": str(APP_ID), "redirect_uri": CALLBACK_URL, "state": "s-1"}


def query_of(answer: httpx.Response) -> dict[str, list[str]]:
    assert answer.status_code == 302, answer.text
    return parse_qs(urlsplit(answer.headers["location"]).query)


async def test_the_page_shows_the_app_and_every_official_account_that_may_let_it_in(
    http: httpx.AsyncClient,
) -> None:
    page = (await http.get(permission_url(http))).text
    assert "Ứng dụng <b>Tổng đài</b> muốn truy cập" in page
    assert re.findall(r'name="oa_id" value="(\d+)"', page)[:2] == [str(OA_ID), str(SECOND_OA_ID)]
    assert 'name="agree"' in page
    assert 'value="allow"' in page
    assert 'value="deny"' in page


async def test_a_click_on_allow_redirects_with_a_code_that_gives_tokens(http: httpx.AsyncClient) -> None:
    form = {**FORM, "oa_id": str(SECOND_OA_ID), "agree": "1", "decision": "allow"}
    told = query_of(await http.post("/v4/oa/permission", data=form))
    assert told["oa_id"] == [str(SECOND_OA_ID)]
    assert told["state"] == ["s-1"]
    assert (await exchange(http, told["code"][0])).json()["expires_in"] == "90000"


@pytest.mark.parametrize("left_out", ["agree", "oa_id"])
async def test_the_page_comes_again_when_nothing_is_chosen_or_agreed(
    http: httpx.AsyncClient, left_out: str
) -> None:
    form = {**FORM, "oa_id": str(OA_ID), "agree": "1", "decision": "allow"}
    answer = await http.post("/v4/oa/permission", data={k: v for k, v in form.items() if k != left_out})
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert 'value="s-1"' in answer.text


async def test_a_click_on_deny_leads_nowhere_and_gives_no_code(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v4/oa/permission", data={**FORM, "decision": "deny"})
    assert answer.status_code == 200
    assert "Bạn đã từ chối" in answer.text


async def test_a_denial_redirects_without_a_code_where_the_app_is_told_to(
    zalo: EmulatedZalo, http: httpx.AsyncClient
) -> None:
    await zalo.change_app(on_deny="redirect")
    assert query_of(await http.get(permission_url(http, consent="deny"))) == {"state": ["s"]}


async def test_a_script_is_let_in_by_naming_the_official_account_on_the_address(
    http: httpx.AsyncClient,
) -> None:
    told = await grant(permission_url(http, code_challenge="c" * 43), OA_ID)
    assert told.keys() == {"code", "oa_id", "state", "code_challenge"}
    assert told["code_challenge"] == "c" * 43


async def test_what_is_in_the_callback_address_already_survives(http: httpx.AsyncClient) -> None:
    told = await grant(permission_url(http, redirect_uri=f"{CALLBACK_URL}?shop=7"), OA_ID)
    assert told["shop"] == "7"
    assert told["code"]


@pytest.mark.parametrize(
    ("told", "code"),
    [({"app_id": "12"}, "-14002"), ({"redirect_uri": "https://elsewhere.example/"}, "-14003")],
)
async def test_a_wrong_app_or_callback_ends_on_zalos_own_error_page(
    http: httpx.AsyncClient, told: dict[str, str], code: str
) -> None:
    answer = await http.get(permission_url(http, **told))
    assert answer.headers["location"] == f"/v4/oa/permission/error?error_code={code}"
    page = await http.get(answer.headers["location"])
    assert f"<code>{code}</code>" in page.text


async def test_an_app_that_is_not_active_is_not_let_in(zalo: EmulatedZalo, http: httpx.AsyncClient) -> None:
    await zalo.change_app(active=False)
    answer = await http.get(permission_url(http, consent=OA_ID))
    assert query_of(answer) == {"error_code": ["-14002"]}


async def test_an_official_account_that_may_not_let_the_app_in_does_not(
    zalo: EmulatedZalo, http: httpx.AsyncClient
) -> None:
    await zalo.change_oa(OA_ID, apps=[1])
    answer = await http.get(permission_url(http, consent=OA_ID))
    assert query_of(answer) == {"error_code": ["-14012"]}


async def test_nothing_of_the_address_becomes_markup(zalo: EmulatedZalo, http: httpx.AsyncClient) -> None:
    await zalo.change_app(name="<b>x</b>")
    page = (await http.get(permission_url(http, state='"><script>alert(1)</script>'))).text
    assert "<script>" not in page
    assert "<b>x</b>" not in page
