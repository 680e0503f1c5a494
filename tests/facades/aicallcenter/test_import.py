from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests import factories
from tests.facades.aicallcenter.client import (
    CAMPAIGN_STOPPED,
    CAMPAIGN_WRONG,
    CONTACTS_WRONG,
    MAX_BODY_BYTES,
    TOKEN_WRONG,
    Api,
    answer_of,
)
from tests.factories import Cast

from tongdai.domain import accounts
from tongdai.domain.accounts import Role
from tongdai.domain.campaigns import Campaign, CampaignConfig
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import CHANNEL
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

NUMBER = "0901234567"


@pytest.fixture
async def campaign(db: Database, cast: Cast) -> Campaign:
    return await factories.campaign(db, cast.owner)


@pytest.fixture
async def otp_campaign(db: Database, cast: Cast) -> Campaign:
    return await factories.campaign(db, cast.owner, kind="otp")


@pytest.fixture
async def token(api: Api, cast: Cast) -> str:
    return await api.token(cast.owner)


async def calls_in(db: Database) -> list[tuple[Any, ...]]:
    async with db.autocommit() as connection:
        cursor = await connection.execute("SELECT id, number_given, number, fields FROM calls ORDER BY id")
        return await cursor.fetchall()


# ---------------------------------------------------------------- what is accepted


async def test_accepted_contacts_come_back_with_the_ids_of_their_calls(
    api: Api, db: Database, token: str, campaign: Campaign
) -> None:
    contacts: list[dict[str, object]] = [
        {"phone_number": "0901234567", "danh_xung": "anh", "ho_ten": "Nguyễn Văn A"},
        {"phone_number": "84 90 1234 568", "no": 5},
        {"phone_number": "+84901234569"},
    ]
    answer = await api.import_contacts(campaign.id, token, contacts)
    stored = await calls_in(db)
    assert answer == {
        "status": 1,
        "message": "Ghi nhận thành công 3 trên 3 bản ghi",
        "results": [
            {"phone_number": contact["phone_number"], "call_id": row[0]}
            for contact, row in zip(contacts, stored, strict=True)
        ],
    }
    assert [row[1:] for row in stored] == [
        ("0901234567", "84901234567", {"danh_xung": "anh", "ho_ten": "Nguyễn Văn A"}),
        ("84 90 1234 568", "84901234568", {"no": 5}),
        ("+84901234569", "84901234569", {}),
    ]


async def test_a_number_that_came_as_a_number_is_echoed_as_text(
    api: Api, token: str, campaign: Campaign
) -> None:
    answer = await api.import_contacts(campaign.id, token, [{"phone_number": 84901234567}])
    assert [contact["phone_number"] for contact in answer["results"]] == ["84901234567"]


async def test_a_number_repeated_in_any_notation_is_taken_once_and_first(
    api: Api, token: str, campaign: Campaign
) -> None:
    notations = ["0901234567", "84901234567", "+84 901 234 567", 901234567, "0908888888"]
    contacts = [{"phone_number": one} for one in notations]
    answer = await api.import_contacts(campaign.id, token, contacts)
    assert answer["message"] == "Ghi nhận thành công 2 trên 5 bản ghi"
    assert [one["phone_number"] for one in answer["results"]] == ["0901234567", "0908888888"]


async def test_a_number_imported_before_is_taken_again(api: Api, token: str, campaign: Campaign) -> None:
    for _ in range(2):
        answer = await api.import_contacts(campaign.id, token, [{"phone_number": NUMBER}])
        assert answer["message"] == "Ghi nhận thành công 1 trên 1 bản ghi"


async def test_elements_that_cannot_be_used_are_skipped_and_counted(
    api: Api, token: str, campaign: Campaign
) -> None:
    bad: list[object] = [
        None,
        5,
        "x",
        [],
        {},
        {"phone_number": None},
        {"phone_number": "12"},
        {"phone_number": "abc"},
    ]
    answer = await api.import_contacts(campaign.id, token, [*bad, {"phone_number": NUMBER}])
    assert answer["message"] == "Ghi nhận thành công 1 trên 9 bản ghi"
    assert [one["phone_number"] for one in answer["results"]] == [NUMBER]


async def test_an_empty_list_is_accepted(api: Api, token: str, campaign: Campaign) -> None:
    assert await api.import_contacts(campaign.id, token, []) == {
        "status": 1,
        "message": "Ghi nhận thành công 0 trên 0 bản ghi",
        "results": [],
    }


async def test_texts_that_a_database_cannot_hold_skip_their_element_only(
    api: Api, token: str, campaign: Campaign
) -> None:
    contacts = [
        {"phone_number": "0901234561", "a": "x\x00y"},
        {"phone_number": "0901234562\x00"},
        {"phone_number": "0901234563", "\x00": 1},
        {"phone_number": "0901234564", "a": [{"b": "\x00"}]},
        {"phone_number": "0901234565", "a": "\\u0000 \U0001f600 \x7f \u2028"},
    ]
    answer = await api.import_contacts(campaign.id, token, contacts)
    assert answer["message"] == "Ghi nhận thành công 1 trên 5 bản ghi"
    assert answer["results"][0]["phone_number"] == "0901234565"


@pytest.mark.parametrize(
    "form",
    [
        {"contacts[0][phone_number]": "0901234561", "contacts[0][a]": "\x00"},
        {"contacts[0][phone_number]": "0901234561", "contacts[0][a\x00]": "b"},
        {"contacts": '[{"phone_number":"0901234561","a":"\\u0000"}]'},
    ],
)
async def test_a_nul_in_a_form_skips_its_element(
    api: Api, token: str, campaign: Campaign, form: dict[str, str]
) -> None:
    path = f"/api/campaigns/{campaign.id}/import"
    answer = answer_of(await api.http.post(path, data={"access_token": token, **form}))
    assert answer["message"] == "Ghi nhận thành công 0 trên 1 bản ghi"


@pytest.mark.parametrize("levels", [1, 100, 800, 950, 990])
async def test_a_field_nested_deeply_is_kept_or_its_element_skipped(
    api: Api, token: str, campaign: Campaign, levels: int
) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        nested = opening * levels + "1" + closing * levels
        good = '{"phone_number":"0901234568"}'
        body = f'{{"contacts":[{{"phone_number":"0901234567","a":{nested}}},{good}]}}'
        path = f"/api/campaigns/{campaign.id}/import?access_token={token}"
        answer = answer_of(await api.http.post(path, content=body.encode()))
        assert answer == CONTACTS_WRONG or answer["results"][-1]["phone_number"] == "0901234568"


@pytest.mark.parametrize(
    "value",
    [
        *("x" * 60_000, 10**400, -(10**4000), 1e15, 5e-324, -0.0, 0.1, 2**64, ""),
        {"x" * 60_000: 1},
        {str(number): number for number in range(4_000)},
        [[[]]] * 10_000,
    ],
    ids=[*("text", "e400", "-e4000", "e15", "e-324", "-0", "0.1", "2^64", "empty"), "key", "keys", "lists"],
)
async def test_odd_and_large_field_values_are_kept_as_they_are(
    api: Api, db: Database, token: str, campaign: Campaign, value: object
) -> None:
    answer = await api.import_contacts(campaign.id, token, [{"phone_number": NUMBER, "x": value}])
    assert answer["message"] == "Ghi nhận thành công 1 trên 1 bản ghi"
    assert (await calls_in(db))[0][3] == {"x": value}


@pytest.mark.parametrize(
    "value",
    ["x" * 1_000_000, {"x" * 100_000: 1}, {str(number): number for number in range(20_000)}],
    ids=["text", "key", "keys"],
)
async def test_a_contact_with_more_fields_than_a_call_can_say_is_skipped(
    api: Api, token: str, campaign: Campaign, value: object
) -> None:
    contacts = [{"phone_number": NUMBER, "x": value}, {"phone_number": "0901234568"}]
    answer = await api.import_contacts(campaign.id, token, contacts)
    assert answer["message"] == "Ghi nhận thành công 1 trên 2 bản ghi"


async def test_a_phone_number_of_a_megabyte_is_skipped(api: Api, token: str, campaign: Campaign) -> None:
    for text in ("9" * 1_000_000, "x" * 1_000_000, "0901234567" + " " * 1_000_000):
        answer = await api.import_contacts(campaign.id, token, [{"phone_number": text}])
        assert answer["message"] == "Ghi nhận thành công 0 trên 1 bản ghi"


async def test_twenty_thousand_contacts_are_one_import(
    api: Api, db: Database, token: str, campaign: Campaign
) -> None:
    contacts = [{"phone_number": f"09{number:08d}", "ho_ten": "Nguyễn Văn A"} for number in range(20_000)]
    answer = await api.import_contacts(campaign.id, token, contacts)
    assert answer["message"] == "Ghi nhận thành công 20000 trên 20000 bản ghi"
    assert [one["phone_number"] for one in answer["results"]] == [one["phone_number"] for one in contacts]
    assert [row[:2] for row in await calls_in(db)] == [
        (one["call_id"], one["phone_number"]) for one in answer["results"]
    ]


async def test_an_import_wakes_the_dialers(
    api: Api, db: Database, services: Services, token: str, campaign: Campaign
) -> None:
    listener = await db.dedicated()
    await listener.execute(f"LISTEN {CHANNEL}")
    await services.hinter.start()
    try:
        await api.import_contacts(campaign.id, token, [{"phone_number": NUMBER}])
        hints = [hint.payload async for hint in listener.notifies(timeout=10, stop_after=1)]
    finally:
        await services.hinter.stop()
        await listener.close()
    assert hints == [str(campaign.id)]


# ---------------------------------------------------------------- forms of requests


async def test_a_form_is_as_good_as_json(api: Api, token: str, campaign: Campaign) -> None:
    form = {
        "access_token": token,
        "campaign_id": str(campaign.id),
        "contacts[0][phone_number]": NUMBER,
        "contacts[0][ho_ten]": "Lê Ý",
    }
    for files in (None, {"file": ("a.txt", b"ignored")}):
        path = f"/api/campaigns/{campaign.id}/import"
        answer = answer_of(await api.http.post(path, data=form, files=files))
        assert answer["message"] == "Ghi nhận thành công 1 trên 1 bản ghi"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "nonsense",
        "application/json;",
    ],
)
async def test_json_is_json_whatever_its_content_type(
    api: Api, token: str, campaign: Campaign, content_type: str
) -> None:
    body = json.dumps({"access_token": token, "contacts": [{"phone_number": NUMBER}]}) + " \r\n"
    path = f"/api/campaigns/{campaign.id}/import"
    response = await api.http.post(path, content=body, headers={"content-type": content_type})
    assert answer_of(response)["status"] == 1


async def test_the_bodys_token_counts_before_the_querys_and_that_before_the_headers(
    api: Api, token: str, campaign: Campaign
) -> None:
    path = f"/api/campaigns/{campaign.id}/import"

    async def status(body: str | None, query: str | None, header: str | None) -> int:
        response = await api.http.post(
            path,
            json={"contacts": []} | ({"access_token": body} if body else {}),
            params={"access_token": query} if query else {},
            headers={"authorization": f"Bearer {header}"} if header else {},
        )
        return int(answer_of(response)["status"])

    assert await status(token, "wrong", "wrong") == 1
    assert await status("wrong", token, token) == 0
    assert await status(None, token, "wrong") == 1
    assert await status(None, "wrong", token) == 0
    assert await status(None, None, token) == 1


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("contacts", [None, {}, {"phone_number": NUMBER}, NUMBER, "[]", 1, True])
async def test_contacts_of_the_wrong_shape_are_refused(
    api: Api, token: str, campaign: Campaign, contacts: object
) -> None:
    assert await api.import_contacts(campaign.id, token, contacts) == CONTACTS_WRONG
    assert await api.post(f"/api/campaigns/{campaign.id}/import", {"access_token": token}) == CONTACTS_WRONG


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b'{"contacts":[{"phone_number":"0901234567"}',
        b'{"contacts":[{"phone_number":"0901234567"}]}}',
        b'{"contacts":[{"phone_number":"0901234567","a":"\\ud800"}]}',
        b'{"contacts":[{"phone_number":"0901234567","a":1e999}]}',
        b'{"contacts":[{"phone_number":"0901234567","a":NaN}]}',
        b'{"contacts":[{"phone_number":"0901234567","a":"\xff"}]}',
        b'{"contacts":[{"phone_number":"0901234567","a":"\x00"}]}',
        b'{"contacts":[{"phone_number":"0901234567","a":' + b"[" * 200_000 + b"]" * 200_000 + b"}]}",
        b'{"contacts":[{"phone_number":"0901234567","a":' + b"9" * 10_000 + b"}]}",
        b"\xff\xfe\xfd",
        b"contacts=%ff",
        b"--x\r\nnonsense",
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_whole(
    api: Api, db: Database, token: str, campaign: Campaign, body: bytes
) -> None:
    path = f"/api/campaigns/{campaign.id}/import?access_token={token}"
    assert answer_of(await api.http.post(path, content=body)) == CONTACTS_WRONG
    assert await calls_in(db) == []


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("times", [1, 10])
async def test_a_body_over_the_limit_is_refused_whole(
    api: Api, db: Database, token: str, campaign: Campaign, declared: bool, times: int
) -> None:
    contacts = [{"phone_number": NUMBER, "a": "x" * MAX_BODY_BYTES * times}]
    body = msgspec.json.encode({"access_token": token, "contacts": contacts})

    async def pieces() -> Any:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    path = f"/api/campaigns/{campaign.id}/import"
    response = await api.http.post(path, content=body if declared else pieces())
    assert answer_of(response) == CONTACTS_WRONG
    assert await calls_in(db) == []


@pytest.mark.parametrize(
    "campaign_id",
    [
        "0",
        "-1",
        "999999",
        "9223372036854775807",
        "9223372036854775808",
        "9" * 400,
        "abc",
        "1.0",
        "%00",
        "1%20or%201=1",
    ],
)
async def test_an_unknown_campaign_is_refused(api: Api, token: str, cast: Cast, campaign_id: str) -> None:
    assert await api.import_contacts(campaign_id, token, [{"phone_number": NUMBER}]) == CAMPAIGN_WRONG
    assert await api.export(campaign_id, token) == CAMPAIGN_WRONG


async def test_a_strangers_campaign_is_as_unknown_as_none(
    api: Api, db: Database, cast: Cast, campaign: Campaign
) -> None:
    token = await api.token(cast.stranger)
    assert await api.import_contacts(campaign.id, token, [{"phone_number": NUMBER}]) == CAMPAIGN_WRONG
    assert await api.import_contacts(campaign.id, token, []) == CAMPAIGN_WRONG
    assert await calls_in(db) == []


async def test_a_colleague_imports_into_the_accounts_campaigns(
    api: Api, cast: Cast, campaign: Campaign
) -> None:
    answer = await api.import_contacts(
        campaign.id, await api.token(cast.colleague), [{"phone_number": NUMBER}]
    )
    assert answer["status"] == 1


async def test_a_viewer_may_not_import(
    api: Api, db: Database, cast: Cast, campaign: Campaign, keyring: Keyring
) -> None:
    async with db.transaction() as tx:
        account = await accounts.get_account(tx, cast.owner.account_id)
        viewer = await factories.person(tx, account, Role.VIEWER, keyring=keyring)
    token = await api.token(viewer)
    assert await api.import_contacts(campaign.id, token, [{"phone_number": NUMBER}]) == CAMPAIGN_WRONG
    assert (await api.export(campaign.id, token))["status"] == 1


@pytest.mark.parametrize("state", ["draft", "paused", "stopped"])
async def test_a_campaign_that_does_not_run_keeps_what_it_is_given(
    api: Api, db: Database, cast: Cast, token: str, state: str
) -> None:
    campaign = await factories.campaign(db, cast.owner, state=state)
    answer = await api.import_contacts(campaign.id, token, [{"phone_number": NUMBER}])
    assert answer["message"] == "Ghi nhận thành công 1 trên 1 bản ghi"


@pytest.mark.parametrize("state", ["draft", "paused", "stopped", "finished"])
async def test_an_otp_campaign_that_does_not_run_refuses_contacts(
    api: Api, db: Database, cast: Cast, token: str, state: str
) -> None:
    campaign = await factories.campaign(db, cast.owner, kind="otp", state=state)
    contacts = [{"phone_number": NUMBER, "otp_code": "123456"}]
    assert await api.import_contacts(campaign.id, token, contacts) == CAMPAIGN_STOPPED
    assert await calls_in(db) == []


async def test_a_stopped_campaign_refuses_contacts_if_it_is_told_to(
    api: Api, db: Database, cast: Cast, token: str
) -> None:
    config = CampaignConfig(refuse_when_stopped=True)
    campaign = await factories.campaign(db, cast.owner, state="stopped", config=config)
    assert await api.import_contacts(campaign.id, token, [{"phone_number": NUMBER}]) == CAMPAIGN_STOPPED


async def test_the_first_thing_that_is_wrong_is_told(api: Api, db: Database, cast: Cast, token: str) -> None:
    stopped = await factories.campaign(db, cast.owner, kind="otp", state="stopped")
    assert await api.import_contacts("abc", "wrong", None) == TOKEN_WRONG
    assert await api.import_contacts("abc", token, None) == CONTACTS_WRONG
    assert await api.import_contacts(stopped.id, token, None) == CONTACTS_WRONG
    assert await api.import_contacts(stopped.id, await api.token(cast.stranger), []) == CAMPAIGN_WRONG
    assert await api.import_contacts(stopped.id, token, []) == CAMPAIGN_STOPPED


async def test_a_token_inside_a_body_with_a_slip_is_not_what_is_wrong(api: Api, token: str) -> None:
    body = f'{{"access_token":"{token}","contacts":[{{"phone_number":"0901234567",}}]}}'
    assert answer_of(await api.http.post("/api/campaigns/1/import", content=body)) == CONTACTS_WRONG
    assert answer_of(await api.http.post("/api/campaigns/1/import", content=b'{"contacts":[')) == TOKEN_WRONG


# ---------------------------------------------------------------- one-time passwords


async def test_an_otp_is_taken_from_000001_to_999999(api: Api, token: str, otp_campaign: Campaign) -> None:
    codes: list[object] = ["000001", "999999", "123456", 4217, 1]
    bad: list[object] = [
        "000000",
        0,
        "1234",
        "1234567",
        1_000_000,
        -1,
        "12345a",
        "",
        None,
        True,
        1.5,
        "١٢٣٤٥٦",
        [],
    ]
    contacts: list[dict[str, object]] = [
        {"phone_number": f"09012345{number:02d}", "otp_code": code}
        for number, code in enumerate([*codes, *bad])
    ]
    answer = await api.import_contacts(otp_campaign.id, token, [*contacts, {"phone_number": "0908888888"}])
    assert answer["message"] == "Ghi nhận thành công 5 trên 19 bản ghi"
    assert [one["phone_number"] for one in answer["results"]] == [one["phone_number"] for one in contacts[:5]]


async def test_an_otp_is_kept_sealed_and_nowhere_else(
    api: Api, db: Database, token: str, otp_campaign: Campaign, keyring: Keyring
) -> None:
    await api.import_contacts(otp_campaign.id, token, [{"phone_number": NUMBER, "otp_code": 4217, "a": 1}])
    async with db.autocommit() as connection:
        cursor = await connection.execute("SELECT secret, calls::text FROM calls")
        rows = await cursor.fetchall()
    [(secret, text)] = rows
    assert keyring.open(secret, context="otp") == b"004217"
    assert "4217" not in text.replace(secret.hex(), "")


async def test_a_campaign_that_is_not_for_otps_drops_the_code(
    api: Api, db: Database, token: str, campaign: Campaign
) -> None:
    contacts = [
        {"phone_number": "0901234567", "otp_code": "1234"},
        {"phone_number": "0901234568", "otp_code": None},
    ]
    answer = await api.import_contacts(campaign.id, token, contacts)
    assert answer["message"] == "Ghi nhận thành công 2 trên 2 bản ghi"
    assert [row[3] for row in await calls_in(db)] == [{}, {}]


async def test_one_limit_holds_for_one_server(services: Services, cast: Cast, campaign: Campaign) -> None:
    small = Api(replace(services, max_body_bytes=500))
    token = await small.token(cast.owner)
    contacts = [{"phone_number": f"09012345{number:02d}"} for number in range(50)]
    assert await small.import_contacts(campaign.id, token, contacts) == CONTACTS_WRONG
    assert (await small.import_contacts(campaign.id, token, contacts[:2]))["status"] == 1
