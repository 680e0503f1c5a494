"""Objects of both vendors' APIs, field by field."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.zalo_rows import JOURNEY, LATER, MESSAGE, OA, TEMPLATE

from tongdai.domain.zalo import JourneyState, MessageState, OaState
from tongdai.facades._shared import zalo_shapes

NOON_TEXT = "2026-11-22T05:00:00.123Z"
LATER_TEXT = "2026-11-29T05:00:00.000Z"


def test_an_official_account_has_the_fields_of_the_page() -> None:
    assert zalo_shapes.oa(OA) == {
        "app_id": "4216531742468421234",
        "avatar": "https://zalo.example/a.png",
        "connection_id": "3",
        "connection_method": "direct",
        "cover": "https://zalo.example/c.png",
        "created_at": NOON_TEXT,
        "current_quality": "HIGH",
        "daily_quota": 500,
        "description": "Giao hàng",
        "expires_at": LATER_TEXT,
        "is_verified": True,
        "last_week_quality": "UNDEFINED",
        "name": "Bưu cục An Bình",
        "oa_id": "1225934657594830147",
        "onwer_id": "9",
        "remaining_quota": 498,
        "shop_id": "5",
        "status": "P",
        "updated_at": LATER_TEXT,
    }


@pytest.mark.parametrize("state", [OaState.NEEDS_CONSENT, OaState.DISCONNECTED])
def test_an_official_account_that_let_nobody_in_is_not_connected(state: OaState) -> None:
    assert zalo_shapes.oa(replace(OA, state=state))["status"] == "N"


def test_an_official_account_has_promotion_quotas_and_an_address_beside_it() -> None:
    assert zalo_shapes.oa_extras(OA) == {
        "daily_quota_promotion": None,
        "estimated_next_month_promotion_quota": 80,
        "monthly_promotion_quota": 100,
        "remaining_monthly_promotion_quota": 90,
        "webhook_url": "https://shop.example/zalo",
    }


def test_a_journey_has_the_fields_of_the_page() -> None:
    assert zalo_shapes.journey(JOURNEY) == {
        "charged": False,
        "created_at": NOON_TEXT,
        "error_code": 0,
        "error_message": "",
        "expired_at": LATER_TEXT,
        "id": "7",
        "is_charged": False,
        "journey_id": "880055",
        "journey_token": "a-token=",
        "phone": "0901234567",
        "status": "Z",
        "updated_at": NOON_TEXT,
    }


def test_a_refused_journey_has_zalos_code_and_neither_token_nor_end() -> None:
    refused = replace(
        JOURNEY,
        state=JourneyState.REFUSED,
        journey_id=None,
        token=None,
        expires_at=None,
        error_code=-118,
        error_message="Zalo account not existed",
    )
    shown = zalo_shapes.journey(refused)
    assert (shown["status"], shown["error_code"], shown["error_message"]) == (
        "N",
        -118,
        "Zalo account not existed",
    )
    assert (shown["journey_id"], shown["journey_token"], shown["expired_at"]) == ("", "", None)


@pytest.mark.parametrize(
    ("state", "status"),
    [("open", "Z"), ("enabled", "P"), ("refused", "N"), ("expired", "N")],
)
def test_every_state_of_a_journey_has_a_status(state: str, status: str) -> None:
    assert zalo_shapes.journey(replace(JOURNEY, state=JourneyState(state)))["status"] == status


def test_charged_goes_by_two_names() -> None:
    shown = zalo_shapes.journey(replace(JOURNEY, charged=True))
    assert shown["charged"] is shown["is_charged"] is True


def test_a_message_has_the_fields_of_all_the_pages() -> None:
    assert zalo_shapes.message(MESSAGE) == {
        "campaign_id": "0",
        "charged": True,
        "created_at": NOON_TEXT,
        "delivery_status": "unknown",
        "delivery_time": None,
        "enable_sms_on_zns_failure": False,
        "error_code": 0,
        "error_message": "",
        "fee_main": 221,
        "fee_token": 0,
        "feedback": [],
        "id": "11",
        "is_charged": True,
        "is_development": False,
        "journey_id": "880055",
        "msg_id": "ab12",
        "msg_type": "journey",
        "note": "",
        "oa_id": "1225934657594830147",
        "phone": "0901234567",
        "price": 200,
        "rate": 0,
        "request_time": NOON_TEXT,
        "response_data": "",
        "sending_mode": "default",
        "sent_time": NOON_TEXT,
        "shop_id": "5",
        "sms": None,
        "status": "P",
        "submit_time": None,
        "template_data": {"name": "Lan"},
        "template_id": 7895417,
        "timeout": 7200000,
        "tracking_id": "don-1",
        "type": "journey",
        "updated_at": NOON_TEXT,
        "user_id": "9",
        "zl_user_id": "",
    }


@pytest.mark.parametrize(
    ("state", "status", "delivery"),
    [
        ("sending", "Z", "unknown"),
        ("unknown", "Z", "unknown"),
        ("accepted", "P", "unknown"),
        ("delivered", "P", "received"),
        ("refused", "N", "unknown"),
        ("undelivered", "N", "unknown"),
    ],
)
def test_every_state_of_a_message_has_a_status(state: str, status: str, delivery: str) -> None:
    shown = zalo_shapes.message(replace(MESSAGE, state=MessageState(state)))
    assert (shown["status"], shown["delivery_status"]) == (status, delivery)


def test_a_message_that_was_read_is_seen() -> None:
    shown = zalo_shapes.message(replace(MESSAGE, seen=True, state=MessageState.DELIVERED, delivered_at=LATER))
    assert (shown["delivery_status"], shown["delivery_time"]) == ("seen", LATER_TEXT)


@pytest.mark.parametrize(("mode", "word"), [(None, "default"), ("1", "default"), ("3", "tag3")])
def test_sending_modes_have_words(mode: str | None, word: str) -> None:
    assert zalo_shapes.message(replace(MESSAGE, sending_mode=mode))["sending_mode"] == word


def test_a_template_has_the_fields_of_the_page() -> None:
    assert zalo_shapes.template(TEMPLATE) == {
        "apply_template_quota": False,
        "created_at": NOON_TEXT,
        "oa_id": "1225934657594830147",
        "preview_url": "https://zalo.example/p",
        "price": 200,
        "reason": "",
        "template_daily_quota": None,
        "template_id": 7895417,
        "template_name": "Đơn đã gửi",
        "template_params": [
            {
                "accept_null": False,
                "max_length": 30,
                "min_length": 0,
                "name": "name",
                "require": True,
                "type": "STRING",
            }
        ],
        "template_quality": "HIGH",
        "template_remaining_quota": None,
        "template_status": "ENABLE",
        "template_tag": "TRANSACTION",
        "timeout": 7200000,
        "type": "unknown",
        "updated_at": LATER_TEXT,
    }


def test_a_template_of_one_time_codes_is_known_by_its_tag_or_by_its_promised_time() -> None:
    assert zalo_shapes.template(replace(TEMPLATE, tag="OTP"))["type"] == "otp"
    assert zalo_shapes.template(replace(TEMPLATE, timeout_ms=15_000))["type"] == "otp"
    assert zalo_shapes.template(replace(TEMPLATE, timeout_ms=None))["type"] == "unknown"


def test_words_are_in_capitals_where_that_is_asked_for() -> None:
    assert zalo_shapes.oa(OA, capitals=True)["connection_method"] == "DIRECT"
    shown = zalo_shapes.message(MESSAGE, capitals=True)
    words = (shown["type"], shown["delivery_status"], shown["sending_mode"])
    assert words == ("JOURNEY", "UNKNOWN", "DEFAULT")
    assert zalo_shapes.template(TEMPLATE, capitals=True)["type"] == "UNKNOWN"
