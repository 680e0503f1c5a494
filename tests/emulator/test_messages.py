"""Messages by template: what is looked at, in which order, and what becomes of one that is taken."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.emulator.callers import ORDER, PHONE, Caller, connect
from tests.fakes.zalo import (
    APP_ID,
    CARE_TEMPLATE,
    JOURNEY_TEMPLATE,
    OA_ID,
    OTP_TEMPLATE,
    PENDING_TEMPLATE,
    PROMOTION_TEMPLATE,
    REJECTED_TEMPLATE,
    SECOND_OA_ID,
    SEND,
    UNVERIFIED_OA_ID,
    EmulatedZalo,
)

pytestmark = pytest.mark.anyio

OTP: dict[str, Any] = {"template_id": OTP_TEMPLATE, "template_data": {"otp": "4711"}}
PROMOTION: dict[str, Any] = {
    "template_id": PROMOTION_TEMPLATE,
    "template_data": {"ten_khach_hang": "Lan", "ma_giam_gia": "X10"},
}
CARE: dict[str, Any] = {
    "template_id": CARE_TEMPLATE,
    "template_data": {"ten_khach_hang": "Lan", "ma_don": "1", "dia_chi": "Huế"},
}


async def test_a_message_is_taken_with_zalos_strings(caller: Caller) -> None:
    answer = await caller.send(tracking_id="t-1")
    data = answer["data"]
    assert (answer["error"], answer["message"]) == (0, "Success")
    assert len(data["msg_id"]) == 20
    assert int(data["msg_id"], 16)
    assert data["sent_time"].isdigit()
    assert data["sending_mode"] == "1"
    assert data["quota"] == {"dailyQuota": "20000", "remainingQuota": "19999"}


@pytest.mark.parametrize("phone", ["84987654321", "+84987654321", "0987654321", "987654321"])
async def test_a_number_may_be_written_in_four_ways(caller: Caller, phone: str) -> None:
    assert (await caller.send(phone=phone))["error"] == 0


@pytest.mark.parametrize("phone", ["", "1", "abc", "8498765432101234", None, {"a": 1}, "٠٩٨٧٦٥٤٣٢١"])
async def test_what_is_no_vietnamese_number_is_refused(caller: Caller, phone: object) -> None:
    assert (await caller.send(phone=phone))["error"] == -108


async def test_a_body_that_is_empty_or_no_json_object_is_refused(caller: Caller) -> None:
    headers = {"access_token": caller.access_token}
    for body, error in ((b"", -121), (b"{", -122), (b"[]", -122), (b'{"a":"\xff"}', -122)):
        answer = await caller.http.post(SEND, content=body, headers=headers)
        assert answer.json()["error"] == error


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"template_id": "1"}, -109),
        ({"template_id": None}, -109),
        ({"template_id": PENDING_TEMPLATE}, -131),
        ({"template_id": REJECTED_TEMPLATE}, -131),
        ({"template_id": JOURNEY_TEMPLATE}, -148),
        ({"template_data": None}, -111),
        ({"template_data": {}}, -111),
        ({"template_data": "text"}, -112),
        ({"template_data": {**ORDER, "ma_don": ["x"]}}, -112),
        ({"template_data": {k: v for k, v in ORDER.items() if k != "ma_don"}}, -1122),
        ({"template_data": {**ORDER, "ma_don": ""}}, -1122),
        ({"template_data": {**ORDER, "ma_don": "x" * 21}}, -1121),
        ({"template_data": {**ORDER, "so_tien": "nhiều"}}, -1124),
        ({"template_data": {**ORDER, "ngay": "hôm qua"}}, -1124),
        ({"template_id": OTP_TEMPLATE, "template_data": {"otp": "1"}}, -1124),
        ({"sending_mode": "2"}, -161),
        ({"sending_mode": "3"}, -162),
        ({"tracking_id": "x" * 49}, -132),
    ],
)
async def test_a_wrong_request_is_refused_with_its_own_code(
    caller: Caller, told: dict[str, Any], error: int
) -> None:
    assert (await caller.send(**told))["error"] == error


async def test_an_optional_or_nullable_parameter_may_be_missing(caller: Caller) -> None:
    await caller.sent(template_data={**ORDER, "ghi_chu": ""})
    data = {"ten_khach_hang": None, "ma_giam_gia": "X"}
    await caller.sent(template_id=PROMOTION_TEMPLATE, template_data=data)


@pytest.mark.parametrize(
    ("ending", "error"),
    [("404", -118), ("410", -110), ("414", -114), ("419", -119), ("439", -139), ("440", -140), ("441", -141)],
)
async def test_the_ending_of_a_number_says_why_it_takes_no_messages(
    caller: Caller, ending: str, error: int
) -> None:
    assert (await caller.send(phone=f"84901234{ending}"))["error"] == error


async def test_a_recipient_of_the_fixtures_counts_more_than_its_ending(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    await zalo.recipient("84901234404", refusal=0)
    await zalo.recipient(PHONE, refusal=-119)
    assert (await caller.send(phone="84901234404"))["error"] == 0
    assert (await caller.send())["error"] == -119


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"blocked": True}, -1351),
        ({"is_verified": False}, -135),
        ({"package_name": ""}, -135),
        ({"linked_zca": ""}, -136),
        ({"balance": 199}, -137),
        ({"tags": ["PROMOTION"]}, -145),
        ({"disabled": True}, -105),
    ],
)
async def test_an_official_account_that_may_not_send_is_refused(
    zalo: EmulatedZalo, caller: Caller, changes: dict[str, Any], error: int
) -> None:
    await zalo.change_oa(**changes)
    assert (await caller.send())["error"] == error


async def test_an_unverified_official_account_connects_and_may_not_send(caller: Caller) -> None:
    unverified = await connect(caller.http, UNVERIFIED_OA_ID)
    assert (await unverified.get("/v2.0/oa/getoa"))["data"]["is_verified"] is False
    assert (await unverified.send())["error"] == -135


async def test_a_template_belongs_to_one_official_account_and_may_belong_to_few_apps(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    other = await connect(caller.http, SECOND_OA_ID)
    assert (await other.send())["error"] == -117
    await zalo.change_template(OTP_TEMPLATE, apps=[1])
    assert (await caller.send(**OTP))["error"] == -117


async def test_a_template_of_low_quality_is_closed(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.change_template(OTP_TEMPLATE, low_quality=True)
    assert (await caller.send(**OTP))["error"] == -146


async def test_the_first_reason_in_zalos_order_is_told(zalo: EmulatedZalo, caller: Caller) -> None:
    """Everything is wrong at once, and is mended from the front."""
    wrong: dict[str, Any] = {"phone": "x", "template_id": 1, "template_data": None}
    await zalo.change_oa(is_verified=False, daily_quota=0, balance=0)
    assert (await Caller(caller.http, "x", "").send(**wrong))["error"] == -124
    assert (await caller.post(SEND, wrong, appsecret_proof="x"))["error"] == -1241
    assert (await caller.send(**wrong))["error"] == -135
    await zalo.change_oa(is_verified=True)
    assert (await caller.send(**wrong))["error"] == -108
    wrong["phone"] = "84901234404"
    assert (await caller.send(**wrong))["error"] == -109
    del wrong["template_id"]
    assert (await caller.send(**wrong))["error"] == -111
    assert (await caller.send(phone=wrong["phone"]))["error"] == -144
    await zalo.change_oa(daily_quota=5)
    assert (await caller.send(phone=wrong["phone"]))["error"] == -118
    assert (await caller.send())["error"] == -137
    await zalo.change_oa(balance=200)
    assert (await caller.send())["error"] == 0
    assert (await caller.send())["error"] == -137


# ---------------------------------------------------------------- quotas


async def test_the_daily_quota_counts_down_is_refused_and_begins_again_at_midnight_in_vietnam(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    await zalo.change_oa(daily_quota=2)
    await caller.sent()
    assert (await caller.get("/message/quota"))["data"]["remainingQuota"] == 1
    await caller.sent()
    assert (await caller.send())["error"] == -144
    now_s = (await zalo.state())["now_ms"] / 1000
    await zalo.advance(86_400 - (now_s + 7 * 3600) % 86_400 + 1)
    fresh = await connect(caller.http)
    assert (await fresh.get("/message/quota"))["data"]["remainingQuota"] == 2
    await fresh.sent()


async def test_the_quota_is_told_in_numbers_and_null(caller: Caller) -> None:
    answer = await caller.get("/message/quota")
    assert answer["message"] == "success"
    assert answer["data"] == {
        "dailyQuota": 20_000,
        "remainingQuota": 20_000,
        "dailyQuotaPromotion": None,
        "remainingQuotaPromotion": None,
        "monthlyPromotionQuota": 1_000,
        "remainingMonthlyPromotionQuota": 1_000,
        "estimatedNextMonthPromotionQuota": 1_000,
    }


async def test_a_refused_message_takes_nothing_of_the_quota(zalo: EmulatedZalo, caller: Caller) -> None:
    await caller.send(phone="84901234404")
    assert (await caller.get("/message/quota"))["data"]["remainingQuota"] == 20_000
    await zalo.quota_left(0)
    assert (await caller.send())["error"] == -144
    await zalo.quota_left(1)
    await caller.sent()


async def test_a_template_may_have_a_daily_quota_of_its_own(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.change_template(CARE_TEMPLATE, daily_quota=1)
    await caller.sent(**CARE)
    assert (await caller.send(**CARE))["error"] == -147
    told = (await caller.get(f"/template/info?template_id={CARE_TEMPLATE}"))["data"]
    assert told["applyTemplateQuota"] is True
    assert (told["templateDailyQuota"], told["templateRemainingQuota"]) == (1, 0)
    await caller.sent()


async def test_promotions_have_a_monthly_quota_and_one_a_day_for_each_recipient(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    await caller.sent(**PROMOTION)
    assert (await caller.send(**PROMOTION))["error"] == -1472
    await caller.sent(**PROMOTION, phone="84901234568")
    assert (await caller.get("/message/quota"))["data"]["remainingMonthlyPromotionQuota"] == 998
    await zalo.change_oa(monthly_promotion_quota=2)
    assert (await caller.send(**PROMOTION, phone="84901234569"))["error"] == -1441


async def test_over_quota_sending_is_for_promotions_of_those_on_the_white_list(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    await zalo.change_oa(daily_quota=0)
    assert (await caller.send(**PROMOTION, sending_mode="3"))["error"] == -144
    await zalo.change_oa(over_quota=True)
    answer = await caller.send(**PROMOTION, sending_mode="3")
    assert answer["data"]["sending_mode"] == "3"
    assert answer["data"]["quota"]["remainingQuota"] == "0"


async def test_the_quota_is_never_overrun_by_many_at_once(zalo: EmulatedZalo, caller: Caller) -> None:
    import asyncio

    await zalo.change_oa(daily_quota=5)
    answers = await asyncio.gather(*(caller.send() for _ in range(20)))
    assert sorted(answer["error"] for answer in answers) == [-144] * 15 + [0] * 5


# ---------------------------------------------------------------- development, night, hashes


async def test_development_mode_reaches_administrators_alone_and_uses_no_quota(caller: Caller) -> None:
    test = {"mode": "development"}
    assert (await caller.send(**test))["error"] == -127
    for administrator in ("84901000001", "84901000002"):
        answer = await caller.send(**test, phone=administrator)
        assert answer["data"].keys() == {"msg_id", "sent_time"}
    pending = {"template_id": PENDING_TEMPLATE, "template_data": {"ten_khach_hang": "Lan"}}
    await caller.sent(**test, **pending, phone="84901000001")
    assert (await caller.get("/message/quota"))["data"]["remainingQuota"] == 20_000


async def test_development_mode_has_a_quota_of_its_own(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.change_oa(development_quota=1)
    await caller.sent(mode="development", phone="84901000001")
    assert (await caller.send(mode="development", phone="84901000001"))["error"] == -126


@pytest.mark.parametrize(("hour", "taken"), [(21, True), (22, False), (3, False), (6, True)])
async def test_the_night_rule_holds_for_all_but_one_time_codes_when_it_is_on(
    zalo: EmulatedZalo, caller: Caller, hour: int, taken: bool
) -> None:
    await zalo.settings(night_rule=True)
    now_s = (await zalo.state())["now_ms"] / 1000
    await zalo.advance((hour * 3600 + 60 - (now_s + 7 * 3600)) % 86_400)
    assert (await caller.send())["error"] == (0 if taken else -133)
    assert (await caller.send(**OTP))["error"] == 0


async def test_the_night_rule_is_off_by_default(zalo: EmulatedZalo, caller: Caller) -> None:
    now_s = (await zalo.state())["now_ms"] / 1000
    await zalo.advance((23 * 3600 - (now_s + 7 * 3600)) % 86_400)
    await caller.sent()


async def test_a_message_may_go_to_the_hash_of_a_number(zalo: EmulatedZalo, caller: Caller) -> None:
    hashed = hashlib.sha256(b"84987654321").hexdigest()
    assert hashed == "116ce31ae9170769b075a11dedca1198f41d30318334919fb90917e9c617b438"
    body = {"hash_phone": hashed, **OTP}
    assert (await caller.post(f"{SEND}/hashphone", body))["error"] == 0
    await zalo.recipient("84987654321", refusal=-118)
    assert (await caller.post(f"{SEND}/hashphone", body))["error"] == -118
    assert (await caller.post(f"{SEND}/hashphone", {**body, "hash_phone": "84987654321"}))["error"] == -108


# ---------------------------------------------------------------- afterwards


async def test_a_message_arrives_later_and_its_status_says_when(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.settings(delivery_ms=60_000)
    msg_id = await caller.sent()
    path = f"/message/status?message_id={msg_id}"
    waiting = (await caller.get(path))["data"]
    assert (waiting["status"], waiting["delivery_time"]) == (0, "")
    await zalo.advance(61)
    arrived = (await caller.get(f"{path}&phone={PHONE}"))["data"]
    assert arrived["status"] == 1
    assert arrived["delivery_time"].isdigit()


async def test_a_message_that_is_not_yours_has_no_status(caller: Caller) -> None:
    msg_id = await caller.sent()
    other = await connect(caller.http, SECOND_OA_ID)
    path = f"/message/status?message_id={msg_id}"
    assert (await other.get(path))["data"]["status"] == -1
    assert (await caller.get(f"{path}&phone=84901234568"))["data"]["status"] == -1
    assert await caller.code_of("/message/status?message_id=nonsense") == -107


async def test_some_messages_never_arrive(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.recipient(PHONE, delivered=False)
    msg_id = await caller.sent()
    await zalo.advance(7 * 3600)
    assert (await caller.get(f"/message/status?message_id={msg_id}"))["data"]["status"] == 0


async def test_a_message_costs_its_templates_price_of_the_billing_account(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    await caller.sent()
    await caller.sent(**OTP)
    oa = next(one for one in (await zalo.state())["oas"] if one["oa_id"] == str(OA_ID))
    assert oa["spent"] == 500
    assert oa["apps_let_in"] == [str(APP_ID)]


# ---------------------------------------------------------------- templates, quality, ratings


async def test_templates_are_listed_in_pages_and_by_the_number_of_their_status(caller: Caller) -> None:
    page = await caller.get("/template/all?offset=1&limit=2")
    assert len(page["data"]) == 2
    assert page["metadata"]["total"] == 7
    pending = await caller.get("/template/all?status=2")
    assert [one["templateId"] for one in pending["data"]] == [PENDING_TEMPLATE]
    assert pending["data"][0]["status"] == "PENDING_REVIEW"
    assert (await caller.get("/template/all?filterPreset=1"))["metadata"]["total"] == 0


@pytest.mark.parametrize(
    "query", ["status=ENABLE", "status=9", "limit=101", "limit=0", "limit=x", "offset=-1"]
)
async def test_a_wrong_filter_of_templates_is_refused(caller: Caller, query: str) -> None:
    assert await caller.code_of(f"/template/all?{query}") == -132


async def test_details_have_zalos_names_and_types(caller: Caller) -> None:
    data = (await caller.get(f"/template/info/v2?template_id={OTP_TEMPLATE}"))["data"]
    assert data["listParams"] == [
        {
            "name": "otp",
            "require": True,
            "type": "STRING",
            "maxLength": 10,
            "minLength": 4,
            "acceptNull": False,
        }
    ]
    assert (data["templateTag"], data["timeout"], data["price"]) == ("OTP", 15_000, "300.0")
    assert "reason" not in data
    rejected = (await caller.get(f"/template/info/v2?template_id={REJECTED_TEMPLATE}"))["data"]
    assert (rejected["status"], rejected["reason"]) == ("REJECT", "Nội dung không đúng loại mẫu")


async def test_details_of_an_unknown_or_foreign_template_are_refused(caller: Caller) -> None:
    other = await connect(caller.http, SECOND_OA_ID)
    assert await caller.code_of("/template/info/v2?template_id=1") == -109
    assert await other.code_of(f"/template/info/v2?template_id={OTP_TEMPLATE}") == -117
    assert await caller.code_of("/template/sample-data") == -109


async def test_sample_data_tags_and_quality_are_told(zalo: EmulatedZalo, caller: Caller) -> None:
    sample = (await caller.get(f"/template/sample-data?template_id={OTP_TEMPLATE}"))["data"]
    assert sample.keys() == {"otp"}
    tags = (await caller.get("/message/template-tag"))["data"]
    assert tags == ["TRANSACTION", "CUSTOMER_CARE", "PROMOTION"]
    await zalo.change_oa(quality="LOW")
    quality = (await caller.get("/quality"))["data"]
    assert quality == {"oaCurrentQuality": "LOW", "oa7dayQuality": "HIGH"}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_ratings_are_listed_by_template(zalo: EmulatedZalo, caller: Caller, method: str) -> None:
    msg_id = await caller.sent(**CARE, tracking_id="t-9")
    await zalo.rate(msg_id, 4, "Tốt", ["Nhanh"])
    path = f"/rating/get?template_id={CARE_TEMPLATE}&offset=0&limit=10"
    answer = (await caller.http.request(method, path, headers={"access_token": caller.access_token})).json()
    assert answer["data"]["total"] == 1
    rating = answer["data"]["data"][0]
    assert (rating["rate"], rating["note"], rating["feedbacks"]) == (4, "Tốt", ["Nhanh"])
    assert (rating["msgId"], rating["trackingId"]) == (msg_id, "t-9")
