"""Messages over Interits' API: sent, refused with Zalo's codes, followed and found again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from tests.facades.interits.client import Api
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import (
    CARE_TEMPLATE,
    OA_ID,
    OTP_TEMPLATE,
    PENDING_TEMPLATE,
    SEND,
    TRANSACTION_TEMPLATE,
    EmulatedZalo,
)

from tongdai.kit.clock import VIETNAM

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("oa")]

LINKED = "0912345678"
ORDER = {"ten_khach_hang": "Lan", "ma_don": "DH-1", "dia_chi": "1 Tràng Tiền, Hà Nội"}


def asked(**changes: Any) -> dict[str, Any]:
    return {
        "oa_id": str(OA_ID),
        "phone": LINKED,
        "template_id": CARE_TEMPLATE,
        "template_data": ORDER,
        "tracking_id": "DH-1",
        **changes,
    }


async def test_a_message_that_zalo_takes_is_told_with_zalos_id(api: Api, emulator: EmulatedZalo) -> None:
    message = await api.done("send-zns", asked())
    assert (message["status"], message["error_code"], message["delivery_status"]) == ("P", 0, "unknown")
    assert (message["type"], message["template_id"], message["phone"]) == ("template", CARE_TEMPLATE, LINKED)
    assert (message["oa_id"], message["template_data"]) == (str(OA_ID), ORDER)
    assert message["tracking_id"] == "DH-1"
    assert message["sent_time"].endswith("Z")
    assert len(await emulator.requests(SEND)) == 1

    for name in (message["msg_id"], message["id"]):
        detail = await api.done("message-detail", {"msg_id": name, "oa_id": OA_ID})
        assert {field: detail[field] for field in message} == message
        assert (detail["feedback"], detail["note"], detail["rate"], detail["sms"]) == ([], "", 0, None)


async def test_a_template_may_be_named_by_a_number_or_by_digits(api: Api) -> None:
    message = await api.done("send-zns", asked(template_id=str(CARE_TEMPLATE)))
    assert (message["status"], message["template_id"]) == ("P", CARE_TEMPLATE)


async def test_the_only_official_account_need_not_be_named(api: Api) -> None:
    assert (await api.done("send-zns", asked(oa_id=None)))["status"] == "P"


REFUSED: list[tuple[dict[str, Any], int]] = [
    ({"phone": "0912345404"}, -118),
    ({"phone": "0912345419"}, -119),
    ({"phone": "0912345441"}, -141),
    ({"template_id": 1}, -109),
    ({"template_id": PENDING_TEMPLATE}, -131),
    ({"template_data": {"ten_khach_hang": "Lan"}}, -1122),
    ({"template_data": {**ORDER, "ma_don": "x" * 21}}, -1121),
]


async def test_what_zalo_refuses_is_told_in_the_message_with_its_code(api: Api) -> None:
    for changes, code in REFUSED:
        message = await api.done("send-zns", asked(**changes))
        assert (message["status"], message["error_code"]) == ("N", code)
        assert message["error_message"]
        assert message["msg_id"] == ""
        newest = await api.done("list-messages", {"filter": {"status": "N"}, "paging": {"limit": 1}})
        assert [one["id"] for one in newest["messages"]] == [message["id"]]


async def test_a_quota_that_is_used_up_is_told_at_once(api: Api, emulator: EmulatedZalo) -> None:
    await emulator.force(SEND, {"kind": "error", "code": -144, "message": "OA has reached its daily limit"})
    message = await api.done("send-zns", asked())
    assert (message["status"], message["error_code"]) == ("N", -144)


async def test_a_message_that_may_not_go_at_night_is_refused_at_once(
    api: Api, clock: FakeClock, emulator: EmulatedZalo
) -> None:
    clock.set(datetime(2026, 11, 18, 23, 30, tzinfo=VIETNAM))
    message = await api.done("send-zns", asked())
    assert (message["status"], message["error_code"]) == ("N", -133)
    assert await emulator.requests(SEND) == []


async def test_a_one_time_code_is_not_shown_again(api: Api) -> None:
    sent = asked(template_id=OTP_TEMPLATE, template_data={"otp": "481516"})
    message = await api.done("send-zns", sent)
    assert message["status"] == "P"
    listed = await api.done("list-messages")
    assert "481516" not in str([message, listed])


NO_MESSAGES: list[dict[str, Any]] = [
    {"phone": None},
    {"phone": "string"},
    {"phone": "113"},
    {"template_id": None},
    {"template_id": "string"},
    {"template_id": 2**31},
    {"template_id": 1.5},
    {"template_data": "x"},
    {"template_data": []},
    {"template_data": {"a": "\x00"}},
    {"tracking_id": "x" * 49},
    {"tracking_id": {}},
    {"oa_id": "string"},
]


async def test_what_is_no_message_is_a_bad_request(api: Api, emulator: EmulatedZalo) -> None:
    for changes in NO_MESSAGES:
        await api.refused(400, "send-zns", asked(**changes))
        await api.refused(400, "send-journey-zns", asked(journey_id="1", **changes))
        assert await emulator.requests(SEND) == []


async def test_a_message_of_a_journey_has_to_name_one_that_there_is(api: Api) -> None:
    await api.refused(400, "send-journey-zns", asked())
    await api.refused(404, "send-journey-zns", asked(journey_id="999"))


async def test_messages_are_found_by_each_filter_of_the_page(api: Api) -> None:
    first = await api.done("send-zns", asked())
    second = await api.done(
        "send-zns", asked(template_id=OTP_TEMPLATE, template_data={"otp": "1234"}, tracking_id="DH-2")
    )
    third = await api.done("send-zns", asked(phone="0912345404", tracking_id="DH-3"))
    ids = [third["id"], second["id"], first["id"]]
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ids),
        ({"phone": "84912345404"}, ids[:1]),
        ({"template_id": str(OTP_TEMPLATE)}, ids[1:2]),
        ({"template_id": TRANSACTION_TEMPLATE}, []),
        ({"tracking_id": "DH-1"}, ids[2:]),
        ({"msg_id": second["msg_id"]}, ids[1:2]),
        ({"msg_type": "TEMPLATE"}, ids),
        ({"msg_type": "journey"}, []),
        ({"msg_type": "uid"}, []),
        ({"status": "P"}, ids[1:]),
        ({"status": "N"}, ids[:1]),
        ({"delivery_status": "seen"}, []),
        ({"delivery_status": "unknown"}, ids),
        ({"charged": True}, []),
        ({"campaign_id": "0"}, ids),
        ({"campaign_id": "5"}, []),
        ({"journey_id": "5"}, []),
        ({"oa_id": OA_ID}, ids),
        ({"date_from": "2026-11-18", "date_to": "2026-11-18"}, ids),
        ({"date_to": "2026-11-17"}, []),
    ]
    for chosen, expected in cases:
        answer = await api.done("list-messages", {"filter": chosen})
        assert [one["id"] for one in answer["messages"]] == expected, chosen


async def test_messages_come_page_by_page(api: Api) -> None:
    ids = [(await api.done("send-zns", asked()))["id"] for _ in range(3)][::-1]
    first = await api.done("list-messages", {"paging": {"limit": 2}})
    second = await api.done("list-messages", {"paging": {"limit": 2, "after": first["paging"]["next"]}})
    assert [one["id"] for page in (first, second) for one in page["messages"]] == ids
    assert second["paging"]["next"] == ""


async def test_an_unknown_message_is_not_found(api: Api) -> None:
    for msg_id in ("999", "x", "đơn"):
        await api.refused(404, "message-detail", {"msg_id": msg_id})


async def test_a_message_has_to_be_named(api: Api) -> None:
    nameless: list[object] = [None, "", True, [], "\x00"]
    for msg_id in nameless:
        await api.refused(400, "message-detail", {"msg_id": msg_id})
