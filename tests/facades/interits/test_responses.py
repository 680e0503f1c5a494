"""The objects as Interits' pages show them: every field, with its type."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests import zalo_rows

from tongdai.domain.zalo import (
    JourneyState,
    OaState,
    Page,
    Paging,
)
from tongdai.facades.interits import responses
from tongdai.facades.interits.errors import CONSENT_LAPSED
from tongdai.ports.zalo import TemplateParam

AT = datetime(2026, 11, 18, 3, 0, 0, 250_000, tzinfo=UTC)
AT_TEXT = "2026-11-18T03:00:00.250Z"
PAGED: Page[Any] = Page([], next=7, prev=None)


class JourneyData(msgspec.Struct, forbid_unknown_fields=True):
    """The vendor's page, word for word."""

    charged: bool
    created_at: str
    error_code: int
    error_message: str
    expired_at: str
    id: str
    is_charged: bool
    journey_id: str
    journey_token: str
    phone: str
    status: str
    updated_at: str


JOURNEY = replace(
    zalo_rows.JOURNEY,
    id=2**62,
    account_id=1,
    oa_id=4,
    phone="84912345678",
    journey_id="1234567890123456789",
    token="abc=",
    created_at=AT,
    expires_at=AT + timedelta(days=7),
    updated_at=AT,
)
MESSAGE = replace(
    zalo_rows.MESSAGE,
    id=9,
    account_id=1,
    oa_id=2**63 - 1,
    user_id=5,
    journey_id="123",
    phone="84912345678",
    template_id=305_912,
    data={"ten": "Lan", "so": 1},
    tracking_id="DH-1",
    msg_id="a1b2c3",
    price=Decimal("800.00"),
    fee=Decimal("880.00"),
    charged=False,
    created_at=AT,
    sent_at=None,
    updated_at=AT,
)
OA = replace(
    zalo_rows.OA,
    id=11,
    account_id=1,
    app_ref=2,
    app_id=2**62,
    oa_id=2**63 - 1,
    owner_id=5,
    access_expires_at=None,
    expires_at=AT,
    refreshed_at=None,
    name="Giao hàng Hoa Sen",
    description="",
    avatar="",
    cover="",
    category="",
    followers=0,
    package_name="",
    package_valid_through="",
    linked_zca="",
    remaining_quota=499,
    daily_quota_promotion=0,
    monthly_promotion_quota=10,
    remaining_monthly_promotion_quota=9,
    estimated_next_month_promotion_quota=8,
    webhook_url="https://shop.example.vn/zalo",
    facts_at=None,
    created_at=AT,
    updated_at=AT,
)
TEMPLATE = replace(
    zalo_rows.TEMPLATE,
    id=1,
    oa_id=4,
    template_id=305_912,
    name="Giao hàng",
    tag="OTP",
    params=[TemplateParam("otp", True, "STRING", 4, 8, False)],
    timeout_ms=15_000,
    preview_url="https://example.vn/p",
    price=Decimal("300.5"),
    created_at=AT,
    updated_at=AT,
)


def test_a_journey_has_the_twelve_fields_of_the_page_with_their_types() -> None:
    shown = responses.journey(JOURNEY)
    assert msgspec.convert(shown, JourneyData) == JourneyData(
        charged=False,
        created_at=AT_TEXT,
        error_code=0,
        error_message="",
        expired_at="2026-11-25T03:00:00.250Z",
        id="4611686018427387904",
        is_charged=False,
        journey_id="1234567890123456789",
        journey_token="abc=",
        phone="0912345678",
        status="Z",
        updated_at=AT_TEXT,
    )


def test_a_refused_journey_keeps_every_type() -> None:
    refused = replace(
        JOURNEY,
        state=JourneyState.REFUSED,
        journey_id=None,
        token=None,
        expires_at=None,
        error_code=-118,
        error_message="Zalo account not existed",
    )
    shown = msgspec.convert(responses.journey(refused), JourneyData)
    assert (shown.status, shown.error_code, shown.error_message) == ("N", -118, "Zalo account not existed")
    assert (shown.journey_id, shown.journey_token, shown.expired_at) == ("", "", "")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (JourneyState.OPEN, "Z"),
        (JourneyState.ENABLED, "P"),
        (JourneyState.REFUSED, "N"),
        (JourneyState.EXPIRED, "N"),
    ],
)
@pytest.mark.parametrize("charged", [True, False])
def test_charged_and_is_charged_always_agree(state: JourneyState, status: str, charged: bool) -> None:
    shown = responses.journey(replace(JOURNEY, state=state, charged=charged))
    assert (shown["status"], shown["charged"], shown["is_charged"]) == (status, charged, charged)


def test_a_message_has_the_fields_of_the_page() -> None:
    assert responses.message(MESSAGE, capitals=False) == {
        "campaign_id": "0",
        "created_at": AT_TEXT,
        "delivery_status": "unknown",
        "delivery_time": "",
        "error_code": 0,
        "error_message": "",
        "fee_main": 880,
        "fee_token": 0,
        "id": "9",
        "is_charged": False,
        "journey_id": "123",
        "msg_id": "a1b2c3",
        "msg_type": "journey",
        "oa_id": "9223372036854775807",
        "phone": "0912345678",
        "price": 800,
        "sent_time": "",
        "shop_id": "1",
        "status": "P",
        "template_data": {"ten": "Lan", "so": 1},
        "template_id": 305_912,
        "timeout": 7_200_000,
        "tracking_id": "DH-1",
        "type": "journey",
        "updated_at": AT_TEXT,
        "user_id": "5",
    }


def test_the_details_of_a_message_add_what_its_recipient_said() -> None:
    rated = replace(MESSAGE, rate=4, note="Nhanh", feedback=["Tốt"], submitted_at=AT, seen=True)
    plain, shown = (show(rated, capitals=False) for show in (responses.message, responses.message_detail))
    assert {name: value for name, value in shown.items() if name not in plain} == {
        "enable_sms_on_zns_failure": False,
        "feedback": ["Tốt"],
        "note": "Nhanh",
        "rate": 4,
        "sms": None,
        "submit_time": AT_TEXT,
        "zl_user_id": "",
    }
    assert shown["delivery_status"] == "seen"
    assert responses.message_detail(MESSAGE, capitals=False)["submit_time"] == ""


def test_enums_are_in_capitals_where_the_setting_says_so() -> None:
    shown = responses.message(replace(MESSAGE, seen=True), capitals=True)
    assert (shown["type"], shown["msg_type"], shown["delivery_status"]) == ("JOURNEY", "JOURNEY", "SEEN")
    assert responses.template(TEMPLATE, capitals=True)["type"] == "OTP"
    assert responses.oa(OA, capitals=True)["connection_method"] == "DIRECT"


def test_an_official_account_has_both_spellings_of_its_owner_and_ids_as_strings() -> None:
    shown = responses.oa(OA, capitals=False)
    assert (shown["onwer_id"], shown["owner_id"]) == ("5", "5")
    assert (shown["app_id"], shown["oa_id"]) == ("4611686018427387904", "9223372036854775807")
    assert (shown["status"], shown["connection_method"], shown["is_verified"]) == ("P", "direct", True)
    assert (shown["expires_at"], shown["webhook_url"]) == (AT_TEXT, "https://shop.example.vn/zalo")
    gone = replace(OA, state=OaState.NEEDS_CONSENT, expires_at=None)
    assert responses.oa(gone, capitals=False)["status"] == "N"
    assert responses.oa(gone, capitals=False)["expires_at"] == ""


def test_the_official_account_of_a_shop_adds_its_promotion_quotas_and_verified() -> None:
    plain, shown = (show(OA, capitals=False) for show in (responses.oa, responses.shop_oa))
    assert {name: value for name, value in shown.items() if name not in plain} == {
        "daily_quota_promotion": 0,
        "estimated_next_month_promotion_quota": 8,
        "monthly_promotion_quota": 10,
        "remaining_monthly_promotion_quota": 9,
        "verified": True,
    }


def test_a_template_has_the_fields_of_the_page() -> None:
    assert responses.template(TEMPLATE, capitals=False) == {
        "apply_template_quota": False,
        "created_at": AT_TEXT,
        "preview_url": "https://example.vn/p",
        "price": 301,
        "template_daily_quota": None,
        "template_id": 305_912,
        "template_name": "Giao hàng",
        "template_params": [
            {
                "accept_null": False,
                "max_length": 8,
                "min_length": 4,
                "name": "otp",
                "require": True,
                "type": "STRING",
            }
        ],
        "template_quality": "HIGH",
        "template_remaining_quota": None,
        "template_status": "ENABLE",
        "template_tag": "OTP",
        "timeout": 15_000,
        "type": "otp",
        "updated_at": AT_TEXT,
    }


def test_a_list_tells_where_it_goes_on() -> None:
    shown = responses.page("journeys", [{"id": "1"}], Paging(limit=1), PAGED)
    assert shown == {
        "journeys": [{"id": "1"}],
        "paging": {
            "after": "",
            "before": "",
            "limit": 1,
            "next": "aWQ6Nw==",
            "prev": "",
            "sort": "-created_at",
        },
    }


def test_a_refusal_can_show_what_was_kept_of_the_request() -> None:
    answer = responses.refused(CONSENT_LAPSED, {"id": "1"}, "r")
    assert msgspec.to_builtins(answer) == {
        "code": 503,
        "data": {"id": "1"},
        "message": CONSENT_LAPSED.message,
        "referentId": "r",
    }
