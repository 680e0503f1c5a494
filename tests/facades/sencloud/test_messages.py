"""Messages and templates by SenCloud's API."""

from __future__ import annotations

from typing import Any

import pytest
from tests.facades.sencloud.client import LINKED, UNLINKED, Api, refusal_of
from tests.fakes.zalo import (
    OTP_TEMPLATE,
    PENDING_TEMPLATE,
    SECOND_OA_ID,
    SEND,
    TRANSACTION_TEMPLATE,
    EmulatedZalo,
)

pytestmark = pytest.mark.anyio

FIELDS = {
    "campaign_id",
    "charged",
    "created_at",
    "delivery_status",
    "delivery_time",
    "enable_sms_on_zns_failure",
    "error_code",
    "error_message",
    "fee_main",
    "fee_token",
    "feedback",
    "id",
    "is_charged",
    "is_development",
    "journey_id",
    "msg_id",
    "msg_type",
    "note",
    "oa_id",
    "phone",
    "price",
    "rate",
    "request_time",
    "response_data",
    "sending_mode",
    "sent_time",
    "shop_id",
    "sms",
    "status",
    "submit_time",
    "template_data",
    "template_id",
    "timeout",
    "tracking_id",
    "type",
    "updated_at",
    "user_id",
    "zl_user_id",
}
DATA = {"ten_khach_hang": "Chị Lan", "ma_don": "DH-1", "so_tien": "250000", "ngay": "18/11/2026"}


def zns(oa: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "oa_id": oa["oa_id"],
        "phone": LINKED,
        "template_id": TRANSACTION_TEMPLATE,
        "template_data": DATA,
        "tracking_id": "don-1",
        **more,
    }


async def test_a_message_that_zalo_takes_is_shown_whole(api: Api, oa: dict[str, Any]) -> None:
    sent = await api.done("SendZNS", zns(oa))
    assert set(sent) == FIELDS
    expected = {
        "delivery_status": "unknown",
        "error_code": 0,
        "error_message": "",
        "is_development": False,
        "journey_id": "",
        "oa_id": oa["oa_id"],
        "phone": LINKED,
        "price": 200,
        "sending_mode": "default",
        "shop_id": oa["shop_id"],
        "status": "P",
        "template_data": DATA,
        "template_id": TRANSACTION_TEMPLATE,
        "timeout": 7_200_000,
        "tracking_id": "don-1",
        "type": "template",
    }
    assert {name: sent[name] for name in expected} == expected
    assert sent["msg_id"]
    assert sent["sent_time"]
    assert await api.done("GetMessage", {"msg_id": sent["msg_id"], "oa_id": oa["oa_id"]}) == sent
    assert await api.done("GetMessage", {"msg_id": sent["id"]}) == sent


async def test_a_message_to_an_unlinked_number_is_refused_in_zalos_words(
    api: Api, oa: dict[str, Any]
) -> None:
    sent = await api.done("SendZNS", zns(oa, phone=UNLINKED))
    assert (sent["status"], sent["error_code"], sent["msg_id"]) == ("N", -118, "")
    assert sent["error_message"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"template_id": 99}, -109),
        ({"template_id": PENDING_TEMPLATE}, -131),
        ({"template_data": {}}, -111),
        ({"template_data": {**DATA, "ma_don": ""}}, -1122),
        ({"template_data": {**DATA, "ma_don": "x" * 21}}, -1121),
        ({"mode": "development"}, -127),
        ({"sending_mode": "tag3"}, -162),
    ],
)
async def test_what_zalo_would_refuse_is_told_with_its_code(
    api: Api, oa: dict[str, Any], change: dict[str, Any], code: int
) -> None:
    sent = await api.done("SendZNS", zns(oa, **change))
    assert set(sent) == FIELDS
    assert (sent["status"], sent["error_code"], sent["msg_id"]) == ("N", code, "")


async def test_a_message_in_development_mode_says_so(api: Api, oa: dict[str, Any]) -> None:
    sent = await api.done("SendZNS", zns(oa, phone="84901000001", mode="DEVELOPMENT"))
    assert (sent["status"], sent["is_development"], sent["fee_main"]) == ("P", True, 0)


async def test_the_data_of_a_one_time_code_is_not_kept(api: Api, oa: dict[str, Any]) -> None:
    body = zns(oa, template_id=OTP_TEMPLATE, template_data={"otp": "482915"})
    sent = await api.done("SendZNS", body)
    assert (sent["status"], sent["template_data"]) == ("P", {})
    assert "482915" not in (await api.post("ListMessages")).text


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"phone": ""}, "phone"),
        ({"phone": "khong"}, "phone"),
        ({"template_id": None}, "template_id"),
        ({"template_data": []}, "template_data"),
        ({"template_data": {"a": "\x00"}}, "template_data"),
        ({"tracking_id": "x" * 49}, "tracking_id"),
        ({"mode": "test"}, "mode"),
    ],
)
async def test_what_is_no_message_is_refused(
    api: Api, oa: dict[str, Any], change: dict[str, Any], argument: str
) -> None:
    refused = await api.refused("invalid_argument", "SendZNS", zns(oa, **change))
    assert refused["meta"] == {"argument": argument}
    assert (await api.done("ListMessages"))["messages"] == []


async def test_a_message_of_a_journey_needs_one(api: Api, oa: dict[str, Any]) -> None:
    refused = await api.refused("invalid_argument", "SendZNSJourney", zns(oa))
    assert refused["meta"] == {"argument": "journey_id"}
    plain = await api.done("SendZNS", zns(oa, journey_id="77"))
    assert (plain["status"], plain["journey_id"]) == ("P", "")


async def test_a_lapsed_consent_is_told_in_the_message(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any]
) -> None:
    await api.done("SendZNS", zns(oa))
    await emulator.revoke()
    for _ in range(2):
        sent = await api.done("SendZNS", zns(oa))
        assert (sent["status"], sent["error_code"]) == ("N", -124)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("reset", "deadline_exceeded"),
        ("half_body", "deadline_exceeded"),
        ("html_504", "unavailable"),
        ("empty", "unavailable"),
        ("wrong_types", "unavailable"),
    ],
)
async def test_a_message_whose_fate_is_not_known_is_kept_and_nobody_is_invited_to_repeat_it(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any], fault: str, code: str
) -> None:
    await api.done("SendZNS", zns(oa))
    await emulator.force(SEND, fault, times=10)
    answer = await api.post("SendZNS", zns(oa, tracking_id="don-2"))
    refusal_of(answer, code)
    assert "retry-after" not in answer.headers
    listed = await api.done("ListMessages", {"filter": {"tracking_id": "don-2"}})
    assert [row["status"] for row in listed["messages"]] == ["Z"]


async def test_messages_are_found_by_what_they_are(api: Api, oa: dict[str, Any]) -> None:
    first = await api.done("SendZNS", zns(oa))
    second = await api.done("SendZNS", zns(oa, phone=UNLINKED, tracking_id="don-2"))
    for wanted, found in (
        ({}, [second, first]),
        ({"status": "P"}, [first]),
        ({"status": "n"}, [second]),
        ({"phone": "84901234404"}, [second]),
        ({"tracking_id": "don-1"}, [first]),
        ({"msg_id": first["msg_id"]}, [first]),
        ({"template_id": str(TRANSACTION_TEMPLATE)}, [second, first]),
        ({"msg_type": "TEMPLATE"}, [second, first]),
        ({"msg_type": "journey"}, []),
        ({"msg_type": "uid"}, []),
        ({"campaign_id": "5"}, []),
        ({"delivery_status": "seen"}, []),
        ({"is_development": True}, []),
        ({"user_id": first["user_id"]}, [second, first]),
        ({"user_id": "999999"}, []),
        ({"time_type": "sent_time", "date_from": "2026-01-01"}, [first]),
    ):
        listed = await api.done("ListMessages", {"filter": wanted})
        assert [row["id"] for row in listed["messages"]] == [row["id"] for row in found], wanted


async def test_pages_of_messages_lead_on(api: Api, oa: dict[str, Any]) -> None:
    sent = [(await api.done("SendZNS", zns(oa)))["id"] for _ in range(3)]
    page = await api.done("ListMessages", {"paging": {"limit": 2}})
    rest = await api.done("ListMessages", {"paging": {"limit": 2, "after": page["paging"]["next"]}})
    assert [row["id"] for row in page["messages"] + rest["messages"]] == sent[::-1]
    assert rest["paging"]["next"] == ""


async def test_a_message_that_there_is_none_of_is_not_found(api: Api, oa: dict[str, Any]) -> None:
    sent = await api.done("SendZNS", zns(oa))
    for body in (
        {"msg_id": "abc"},
        {"msg_id": "999"},
        {"msg_id": sent["msg_id"], "oa_id": str(SECOND_OA_ID)},
    ):
        await api.refused("not_found", "GetMessage", body)
    await api.refused("invalid_argument", "GetMessage", {"oa_id": oa["oa_id"]})


# ---------------------------------------------------------------- templates


async def test_templates_are_listed_with_their_parameters(api: Api, oa: dict[str, Any]) -> None:
    listed = await api.done("ListTemplates", {"filter": {"oa_id": oa["oa_id"]}})
    by_id = {row["template_id"]: row for row in listed["templates"]}
    shown = by_id[TRANSACTION_TEMPLATE]
    assert (shown["template_name"], shown["template_status"]) == ("Xác nhận đơn hàng", "ENABLE")
    assert (shown["template_tag"], shown["price"], shown["timeout"]) == ("TRANSACTION", 200, 7_200_000)
    assert [param["name"] for param in shown["template_params"]] == [
        "ten_khach_hang",
        "ma_don",
        "so_tien",
        "ngay",
        "ghi_chu",
    ]
    assert by_id[OTP_TEMPLATE]["type"] == "otp"
    assert listed["paging"]["sort"] == "-created_at"


async def test_templates_are_found_by_what_they_are(api: Api, oa: dict[str, Any]) -> None:
    every = (await api.done("ListTemplates"))["templates"]
    assert len(every) == 7
    for body, found in (
        ({"oa_id": oa["oa_id"], "template_id": OTP_TEMPLATE}, [OTP_TEMPLATE]),
        ({"filter": {"template_name": "mã xác thực"}}, [OTP_TEMPLATE]),
        ({"filter": {"type": "OTP"}}, [OTP_TEMPLATE]),
        ({"filter": {"template_id": "99"}}, []),
    ):
        listed = await api.done("ListTemplates", body)
        assert [row["template_id"] for row in listed["templates"]] == found, body


async def test_one_template_is_shown(api: Api, oa: dict[str, Any]) -> None:
    shown = await api.done("GetTemplate", {"oa_id": oa["oa_id"], "template_id": str(TRANSACTION_TEMPLATE)})
    assert shown["template_id"] == TRANSACTION_TEMPLATE
    for body, code in (
        ({"template_id": 99}, "not_found"),
        ({"template_id": TRANSACTION_TEMPLATE, "oa_id": "12345"}, "not_found"),
        ({"oa_id": oa["oa_id"]}, "invalid_argument"),
    ):
        await api.refused(code, "GetTemplate", body)
