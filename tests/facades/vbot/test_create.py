from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import psycopg
import pytest
from tests import factories
from tests.facades.vbot.client import (
    ACCESS_WRONG,
    NUMBER,
    TEMPLATE_WRONG,
    Api,
    Shop,
    answer_of,
    bearer,
    contact,
    invalid,
    refusal,
    sample,
    shop_of,
)
from tests.factories import Cast

from tongdai.domain import accounts, campaigns
from tongdai.domain.accounts import Role
from tongdai.domain.campaigns import DeclaredField
from tongdai.facades.vbot.requests import MAX_PHONES
from tongdai.kit.db import Database
from tongdai.kit.hints import CHANNEL
from tongdai.ports.services import Services, VBotOptions

pytestmark = pytest.mark.anyio

NONE_VALID = "phones không có số điện thoại hợp lệ nào"


@pytest.fixture
async def key(api: Api, shop: Shop) -> str:
    return await api.token(shop.person)


async def rows(db: Database, columns: str, table: str = "calls") -> list[tuple[Any, ...]]:
    async with db.autocommit() as connection:
        cursor = await connection.execute(f"SELECT {columns} FROM {table} ORDER BY id")
        return await cursor.fetchall()


async def nothing_was_made(db: Database) -> bool:
    return not (await rows(db, "id", "campaigns") or await rows(db, "id"))


# ---------------------------------------------------------------- what is made


async def test_the_vendors_sample_makes_a_running_campaign(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    answer = await api.create(key, sample(shop))
    campaign_id = answer["data"]
    assert type(campaign_id) is int
    assert answer == {"status": 1, "error": 0, "msg": "success", "data": campaign_id, "message": "success"}
    assert [type(answer[name]) for name in ("status", "error")] == [int, int]
    async with db.transaction() as tx:
        made = await campaigns.get_campaign(tx, shop.person.account_id, campaign_id)
    assert (made.name, made.state, made.template_id) == ("campaign_name_new", "running", shop.template_id)
    assert (made.project_id, made.user_id) == (shop.project_id, shop.person.user.id)
    assert not made.takes_imports, "it finishes when every call is done"
    assert made.config.on_unpaid == "refuse"
    found = await rows(db, "campaign_id, number, number_given, fields, max_attempts")
    assert found == [(campaign_id, "84912345001", NUMBER, {"name": "Nguyễn Văn x"}, None)]


async def test_the_vendors_table_makes_one_too(api: Api, shop: Shop, key: str) -> None:
    body = {
        "vbot_id": shop.vbot_id,
        "project_code": shop.project_code,
        "campaignID": str(shop.template_id),
        "name": "Tháng 12",
        "phones": [contact(phone=NUMBER)],
    }
    assert (await api.create(key, body))["status"] == 1


@pytest.mark.parametrize("field", ["vbot_id", "vbotId", "vbotID", "VBotID"])
async def test_every_spelling_of_the_vbot_id_counts(api: Api, shop: Shop, key: str, field: str) -> None:
    body = sample(shop)
    del body["vbotId"]
    for value in (shop.vbot_id, int(shop.vbot_id), f" {shop.vbot_id} "):
        assert (await api.create(key, body | {field: value}))["status"] == 1
    assert await api.create(key, body) == invalid("thiếu vbot_id")


@pytest.mark.parametrize("field", ["project_code", "projectCode", "groupCode", "group_code"])
async def test_every_spelling_of_the_project_counts(api: Api, shop: Shop, key: str, field: str) -> None:
    body = sample(shop)
    del body["groupCode"]
    assert (await api.create(key, body | {field: shop.project_code}))["status"] == 1
    assert await api.create(key, body) == invalid("thiếu project_code")


@pytest.mark.parametrize("field", ["campaignID", "campaignId", "campaign_id"])
async def test_every_spelling_of_the_template_counts(api: Api, shop: Shop, key: str, field: str) -> None:
    body = sample(shop)
    del body["campaignId"]
    for value in (shop.template_id, str(shop.template_id), f"0{shop.template_id}"):
        assert (await api.create(key, body | {field: value}))["status"] == 1
    assert await api.create(key, body) == invalid("thiếu campaignID")


async def test_spellings_that_agree_are_one_field(api: Api, shop: Shop, key: str) -> None:
    body = sample(
        shop,
        vbot_id=int(shop.vbot_id),
        project_code=shop.project_code,
        campaignID=str(shop.template_id),
        campaign_id=None,
    )
    assert (await api.create(key, body))["status"] == 1


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"vbot_id": "1"}, "vbot_id và vbotId khác nhau"),
        ({"project_code": "PR1"}, "project_code và groupCode khác nhau"),
        ({"campaignID": 1_000_000}, "campaignID và campaignId khác nhau"),
    ],
)
async def test_spellings_that_disagree_are_refused(
    api: Api, db: Database, shop: Shop, key: str, changes: dict[str, Any], detail: str
) -> None:
    assert await api.create(key, sample(shop, **changes)) == invalid(detail)
    assert await nothing_was_made(db)


async def test_the_word_message_is_left_out_by_a_setting(services: Services, shop: Shop, key: str) -> None:
    api = Api(replace(services, vbot=VBotOptions(message_field=False)))
    made = await api.create(key, sample(shop))
    assert made == {"status": 1, "error": 0, "msg": "success", "data": made["data"]}
    assert "message" not in await api.create(key, [])


async def test_two_equal_requests_make_two_campaigns(api: Api, shop: Shop, key: str) -> None:
    first, second = [await api.create(key, sample(shop)) for _ in range(2)]
    assert first["data"] != second["data"]


async def test_the_dialer_is_woken_after_the_commit(
    api: Api, services: Services, database_url: str, shop: Shop, key: str
) -> None:
    await services.hinter.start()
    try:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as listening:
            await listening.execute(f"LISTEN {CHANNEL}")
            campaign_id = (await api.create(key, sample(shop)))["data"]
            hints = [hint async for hint in listening.notifies(timeout=10, stop_after=1)]
        assert str(campaign_id) in hints[0].payload
    finally:
        await services.hinter.stop()


# ---------------------------------------------------------------- contacts


async def test_contacts_in_every_form_are_taken(api: Api, db: Database, shop: Shop, key: str) -> None:
    phones = (
        contact(phone="0912345001", name="An"),
        "0912345002",
        {"phone": "+84 912 345 003", "name": "Ba"},
        contact(phone=912345004),
        912345005,
    )
    assert (await api.create(key, sample(shop, *phones)))["status"] == 1
    assert await rows(db, "number, fields, state") == [
        ("84912345001", {"name": "An"}, "queued"),
        ("84912345002", {}, "queued"),
        ("84912345003", {"name": "Ba"}, "queued"),
        ("84912345004", {}, "queued"),
        ("84912345005", {}, "queued"),
    ]


async def test_every_field_is_stored_as_text_and_description_among_them(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    given = contact(phone=NUMBER, description="VIP", amount=250_000, rate=1.5, whole=3.0, vip=True, none=None)
    assert (await api.create(key, sample(shop, given)))["status"] == 1
    [(fields,)] = await rows(db, "fields")
    assert fields == {"description": "VIP", "amount": "250000", "rate": "1.5", "whole": "3", "vip": "true"}


async def test_the_last_of_a_repeated_key_counts(api: Api, db: Database, shop: Shop, key: str) -> None:
    given = contact(
        {"key": "phone", "value": NUMBER}, {"key": "name", "value": "Ba"}, phone="0912345999", name="An"
    )
    assert (await api.create(key, sample(shop, given)))["status"] == 1
    assert await rows(db, "number, fields") == [("84912345001", {"name": "Ba"})]


async def test_number_call_is_the_contacts_number_of_attempts(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    expected: list[tuple[object, int | None]] = [
        (1, 1),
        (3, 3),
        ("2", 2),
        (" 2 ", 2),
        (3.0, 3),
        (1000, 100),
        ("99999999", 100),
        (None, None),
        ("", None),
    ]
    phones = [contact(phone=f"091234510{at}", numberCall=given) for at, (given, _) in enumerate(expected)]
    assert (await api.create(key, sample(shop, *phones)))["status"] == 1
    found = await rows(db, "max_attempts, fields")
    assert found == [(kept, {}) for _, kept in expected]


async def test_a_contact_brings_its_own_times_and_person(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    given = contact(phone=NUMBER, call_after="09:00", call_before="17:30", person_ref="HD-42")
    assert (await api.create(key, sample(shop, given)))["status"] == 1
    found = await rows(db, "call_after, call_before, person_ref, fields")
    assert found == [("09:00", "17:30", "HD-42", {})]


async def test_a_declared_field_of_such_a_name_is_the_templates(api: Api, db: Database, cast: Cast) -> None:
    shop = await shop_of(db, cast.owner, fields=(DeclaredField("person_ref"), DeclaredField("call_after")))
    given = contact(phone=NUMBER, call_after="ngay", call_before="17:30", person_ref="HD-42")
    assert (await api.create(cast.owner.api_key, sample(shop, given)))["status"] == 1
    found = await rows(db, "call_after, call_before, person_ref, fields")
    assert found == [(None, "17:30", None, {"call_after": "ngay", "person_ref": "HD-42"})]


BAD_CONTACTS: list[tuple[object, str]] = [
    (contact(phone="12345"), "short_code"),
    (contact(phone="0912345001" * 20), "too_long"),
    (contact(phone=NUMBER + " " * 100), "number_invalid"),
    (contact(name="An"), "not_a_number"),
    (contact(phone=None), "not_a_number"),
    (contact(phone=True), "not_a_number"),
    ({}, "not_a_number"),
    (None, "not_a_number"),
    ([], "not_a_number"),
    ({"fields": {"phone": NUMBER}}, "not_a_number"),
    ({"fields": [NUMBER]}, "not_a_number"),
    (contact("0912345010", phone="0912345010"), "fields_malformed"),  # type: ignore[arg-type]
    (contact({"key": 1, "value": "x"}, phone="0912345010"), "fields_malformed"),
    (contact(phone="0912345011", numberCall=0), "number_call_invalid"),
    (contact(phone="0912345012", numberCall="một"), "number_call_invalid"),
    (contact(phone="0912345013", numberCall=True), "number_call_invalid"),
    (contact(phone="0912345014", numberCall=-1), "number_call_invalid"),
    (contact(phone="0912345015", name=["An"]), "field_invalid: name"),
    (contact(phone="0912345016", **{"a\tb\n": {}}), "field_invalid: ?"),
    (contact(phone="0912345017", name="a\x00b"), "fields_invalid"),
    (contact(phone="0912345018", name="a" * 70_000), "fields_too_large"),
]


async def test_bad_contacts_are_kept_with_their_reasons_beside_the_good_ones(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    phones = [given for given, _ in BAD_CONTACTS]
    answer = await api.create(key, sample(shop, *phones, contact(phone=NUMBER)))
    assert answer["status"] == 1
    found = await rows(db, "state, outcome, note")
    expected = [("done", "invalid_number", reason) for _, reason in BAD_CONTACTS]
    assert sorted(found, key=str) == sorted([*expected, ("queued", None, None)], key=str)


async def test_a_request_of_bad_contacts_alone_makes_nothing(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    for given, reason in BAD_CONTACTS:
        told = invalid(f"{NONE_VALID} (phần tử 1: {reason})")
        assert await api.create(key, sample(shop, given, given)) == told, given
    assert await nothing_was_made(db)


async def test_bad_contacts_alone_are_refused_before_anything_is_written(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    before = await api.create(key, sample(shop, contact(phone=NUMBER)))
    bad = await api.create(key, sample(shop, phones=[contact(phone="12")] * 3000))
    after = await api.create(key, sample(shop, contact(phone=NUMBER)))
    assert bad["msg"].endswith("(phần tử 1: too_short)")
    # What is written and taken back uses up ids.
    assert after["data"] == before["data"] + 1


async def test_a_missing_required_field_makes_a_contact_invalid_with_the_reason(
    api: Api, db: Database, cast: Cast
) -> None:
    fields = (
        DeclaredField("amount", "integer", required=True),
        DeclaredField("shop", default="Sao Mai"),
    )
    shop = await shop_of(db, cast.owner, fields=fields)
    phones = (
        contact(phone="0912345001", amount="250000"),
        contact(phone="0912345002"),
        contact(phone="0912345003", amount="nhiều"),
    )
    assert (await api.create(cast.owner.api_key, sample(shop, *phones)))["status"] == 1
    found = {row[0]: row[1:] for row in await rows(db, "number_given, outcome, note, fields")}
    assert found["0912345001"] == (None, None, {"amount": 250000, "shop": "Sao Mai"})
    assert found["0912345002"][:2] == ("invalid_number", "field_missing: amount")
    assert found["0912345003"][:2] == ("invalid_number", "field_invalid: amount")


async def test_a_template_for_one_time_codes_takes_them_from_the_contact(
    api: Api, db: Database, cast: Cast
) -> None:
    shop = await shop_of(db, cast.owner, kind="otp", fields=())
    without = await api.create(cast.owner.api_key, sample(shop, contact(phone=NUMBER)))
    assert without == invalid(f"{NONE_VALID} (phần tử 1: otp_invalid)")
    given = contact(phone=NUMBER, otp_code="004217")
    assert (await api.create(cast.owner.api_key, sample(shop, given)))["status"] == 1
    assert await rows(db, "number, fields, secret IS NULL") == [("84912345001", {}, False)]


async def test_a_hundred_thousand_phones_fit_and_one_more_does_not(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    phones = [contact(phone=f"09{number:08d}", name="An") for number in range(12_000_000, 12_100_000)]
    answer = await api.create(key, sample(shop, *phones))
    assert answer["status"] == 1
    assert (await rows(db, "count(*), 1 AS id"))[0][0] == MAX_PHONES
    too_many = await api.create(key, sample(shop, *phones, NUMBER))
    assert too_many == invalid("phones có quá 100000 phần tử")


# ---------------------------------------------------------------- what is refused


async def test_a_body_that_is_no_request_is_refused(api: Api, key: str) -> None:
    for body, detail in (
        (b"", "nội dung không phải là JSON"),
        (b"{", "nội dung không phải là JSON"),
        (b"\xff\xfe", "nội dung không phải là JSON"),
        (b"[" * 100_000, "nội dung không phải là JSON"),
        (b"vbot_id=1&name=x", "nội dung không phải là JSON"),
        (b"[]", "nội dung phải là một đối tượng JSON"),
        (b"{}", "thiếu vbot_id"),
    ):
        response = await api.http.post("/api/campaign/create", content=body, headers=bearer(key))
        assert answer_of(response) == invalid(detail)


async def test_a_body_that_is_too_long_is_refused(services: Services, shop: Shop, key: str) -> None:
    api = Api(replace(services, max_body_bytes=1000))
    answer = await api.create(key, sample(shop, contact(phone=NUMBER, name="a" * 1500)))
    assert answer == invalid("nội dung quá dài, bị ngắt hoặc đến quá chậm")


NAME = "name phải có từ 1 đến 255 ký tự"


WRONG_PARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({"vbotId": None}, "thiếu vbot_id"),
    ({"vbotId": ""}, "vbotId không đúng định dạng"),
    ({"vbotId": ["1"]}, "vbotId không đúng định dạng"),
    ({"vbotId": True}, "vbotId không đúng định dạng"),
    ({"vbotId": "446341234"}, "vbot_id không phải của tài khoản này"),
    ({"groupCode": "PR1"}, "project_code không tồn tại"),
    ({"groupCode": "\x00"}, "project_code không tồn tại"),
    ({"groupCode": {}}, "groupCode không đúng định dạng"),
    ({"campaignId": "abc"}, "campaignId không đúng định dạng"),
    ({"campaignId": -1}, "campaignId không đúng định dạng"),
    ({"campaignId": 1.5}, "campaignId không đúng định dạng"),
    ({"campaignId": True}, "campaignId không đúng định dạng"),
    ({"name": None}, "thiếu name"),
    ({"name": ""}, NAME),
    ({"name": "  "}, NAME),
    ({"name": "a" * 256}, NAME),
    ({"name": "a\x00b"}, NAME),
    ({"name": 5}, NAME),
    ({"phones": None}, "thiếu phones"),
    ({"phones": "0912345001"}, "phones phải là một danh sách"),
    ({"phones": {}}, "phones phải là một danh sách"),
]


async def test_a_wrong_parameter_is_told_by_name_and_makes_nothing(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    for changes, detail in WRONG_PARAMETERS:
        assert await api.create(key, sample(shop, **changes)) == invalid(detail), changes
    assert await nothing_was_made(db)


async def test_no_phones_are_no_valid_contact(api: Api, shop: Shop, key: str) -> None:
    assert await api.create(key, sample(shop, phones=[])) == invalid(NONE_VALID)


@pytest.mark.parametrize("name", ["x", "Tết " * 63 + "255"])
async def test_a_name_of_1_to_255_characters_is_kept(
    api: Api, db: Database, shop: Shop, key: str, name: str
) -> None:
    assert (await api.create(key, sample(shop, name=name)))["status"] == 1
    assert await rows(db, "name", "campaigns") == [(name,)]


async def test_an_unknown_template_is_error_400(api: Api, db: Database, shop: Shop, key: str) -> None:
    for template_id in (0, 999_999, 2**63, 10**30, "9" * 100):
        assert await api.create(key, sample(shop, campaignId=template_id)) == TEMPLATE_WRONG
    assert await nothing_was_made(db)


async def test_an_archived_template_is_error_400(api: Api, db: Database, shop: Shop, key: str) -> None:
    async with db.transaction() as tx:
        await campaigns.archive_template(tx, shop.person.caller, shop.template_id)
    assert await api.create(key, sample(shop)) == TEMPLATE_WRONG


async def test_what_is_anothers_is_as_unknown_as_what_is_not_there(
    api: Api, db: Database, cast: Cast, shop: Shop, key: str
) -> None:
    theirs = await shop_of(db, cast.stranger, project_code="PR20230307144002")
    assert await api.create(key, sample(shop, campaignId=theirs.template_id)) == TEMPLATE_WRONG
    foreign_code = await api.create(key, sample(shop, groupCode=theirs.project_code))
    assert foreign_code == await api.create(key, sample(shop, groupCode="PR0"))
    foreign_id = await api.create(key, sample(shop, vbotId=theirs.vbot_id))
    assert foreign_id == await api.create(key, sample(shop, vbotId="1"))
    assert await nothing_was_made(db)


async def test_a_viewer_creates_nothing_and_a_colleague_does(
    api: Api, db: Database, cast: Cast, shop: Shop
) -> None:
    async with db.transaction() as tx:
        account = await accounts.get_account(tx, shop.person.account_id)
        viewer = await factories.person(tx, account, Role.VIEWER)
    refused = await api.create(viewer.api_key, sample(shop))
    assert refused == refusal(403, "Tài khoản không được phép tạo chiến dịch")
    assert await nothing_was_made(db)
    assert (await api.create(cast.colleague.api_key, sample(shop)))["status"] == 1


async def test_without_a_good_token_nothing_of_the_body_is_told(api: Api, shop: Shop) -> None:
    for body in (b"{", json.dumps(sample(shop)).encode()):
        response = await api.http.post("/api/campaign/create", content=body)
        assert answer_of(response, 401) == ACCESS_WRONG


async def test_a_fault_of_ours_is_http_500_in_the_same_envelope(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    async with db.autocommit() as connection:
        await connection.execute("ALTER TABLE calls RENAME TO calls_elsewhere")
    response = await api.http.post("/api/campaign/create", json=sample(shop), headers=bearer(key))
    assert answer_of(response, 500) == refusal(500, "Lỗi hệ thống")
    assert await rows(db, "id", "campaigns") == []


async def test_a_database_that_is_away_is_http_500_and_says_when_to_come_again(
    api: Api, db: Database, shop: Shop, key: str
) -> None:
    async with db.autocommit() as connection:
        await connection.execute(
            """CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN RAISE EXCEPTION USING ERRCODE = 'cannot_connect_now'; END $$;
               CREATE TRIGGER away BEFORE INSERT ON campaigns EXECUTE FUNCTION away()"""
        )
    response = await api.http.post("/api/campaign/create", json=sample(shop), headers=bearer(key))
    assert answer_of(response, 500)["error"] == 500
    assert response.headers["retry-after"] == "2"


@pytest.mark.parametrize("path", ["/token", "/api/campaign/create", "/api/account/balance"])
async def test_a_wrong_method_is_told_in_the_envelope(api: Api, path: str) -> None:
    response = await api.http.request("DELETE", path)
    assert answer_of(response, 405) == refusal(405, "Phương thức HTTP không được hỗ trợ")
    assert "OPTIONS" in response.headers["allow"]


def test_the_sample_of_the_tests_has_the_vendors_names() -> None:
    shop = Shop(None, "44634xxxx", "PR20230307144xxxxx", 1, 2932)  # type: ignore[arg-type]
    body = sample(shop, contact(phone="0366255xxx", name="Nguyễn Văn x"))
    seed = b"""{"vbotId": "44634xxxx", "groupCode": "PR20230307144xxxxx", "campaignId": 2932,
        "name": "campaign_name_new", "phones": [{"fields": [{"key": "phone", "value": "0366255xxx"},
        {"key": "name", "value": "Nguy\xe1\xbb\x85n V\xc4\x83n x"}]}]}"""
    assert body == msgspec.json.decode(seed)
