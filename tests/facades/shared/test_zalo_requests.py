"""What requests about Zalo ask for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tongdai.domain.zalo import (
    JourneyFilter,
    JourneyState,
    MessageFilter,
    MessageState,
    OaFilter,
    TemplateFilter,
    ZnsRequest,
)
from tongdai.facades._shared.fields import Fields
from tongdai.facades._shared.zalo_requests import (
    read_journey_filter,
    read_message_filter,
    read_oa_filter,
    read_phone,
    read_template_filter,
    read_token_type,
    read_zns,
)
from tongdai.kit.errors import InvalidError


def filtered(**fields: Any) -> Fields:
    return Fields({"filter": fields})


@pytest.mark.parametrize("value", [None, "", "unknown", "UNKNOWN", "token_logistics_7", "TOKEN_LOGISTICS_7"])
def test_a_journey_is_for_a_parcel_and_a_week_unless_it_says_otherwise(value: str | None) -> None:
    assert read_token_type(Fields({"token_type": value})) == "token_logistics_7"


def test_a_journey_may_be_a_coach_trip_of_a_month() -> None:
    assert read_token_type(Fields({"token_type": "Token_Coach_Bus_30"})) == "token_coach_bus_30"
    with pytest.raises(InvalidError, match="token_type"):
        read_token_type(Fields({"token_type": "token_train_7"}))


@pytest.mark.parametrize("body", [{}, {"phone": ""}, {"phone": "  "}, {"phone": None}])
def test_a_number_must_be_there(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="phone is required"):
        read_phone(Fields(body))


def test_a_message_is_read_with_everything_that_it_may_say() -> None:
    body = {
        "phone": "0901234567",
        "template_id": "7895417",
        "template_data": {"name": "Lan", "count": 2},
        "tracking_id": "don-1",
        "mode": "DEVELOPMENT",
        "sending_mode": "tag3",
        "journey_id": 77,
    }
    plain = read_zns(Fields(body), journey=False)
    assert plain == ZnsRequest(
        phone="0901234567",
        template_id=7895417,
        data={"name": "Lan", "count": 2},
        tracking_id="don-1",
        development=True,
        over_quota=True,
    )
    assert read_zns(Fields(body), journey=True).journey_id == "77"


def test_a_message_sent_plainly_is_no_development_and_not_over_quota() -> None:
    body = {"phone": "0901234567", "template_id": 1, "mode": "unknown", "sending_mode": "default"}
    asked = read_zns(Fields(body), journey=False)
    assert (asked.development, asked.over_quota, asked.data, asked.tracking_id) == (False, False, {}, "")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"template_id": None}, "template_id"),
        ({"template_id": 2**31}, "template_id"),
        ({"template_data": "x"}, "template_data"),
        ({"tracking_id": "x" * 49}, "tracking_id"),
        ({"mode": "production"}, "mode"),
        ({"sending_mode": "3"}, "sending_mode"),
        ({"journey_id": ""}, "journey_id"),
        ({"phone": "9" * 101}, "phone"),
    ],
)
def test_a_message_that_is_none_is_refused_with_the_place(change: dict[str, Any], place: str) -> None:
    body = {"phone": "0901234567", "template_id": 1, "journey_id": "5", **change}
    with pytest.raises(InvalidError, match=f"^{place} "):
        read_zns(Fields(body), journey=True)


def test_an_empty_filter_finds_everything() -> None:
    for empty in (Fields({}), filtered(), Fields({"filter": None})):
        assert read_oa_filter(empty) == OaFilter()
        assert read_journey_filter(empty) == JourneyFilter()
        assert read_message_filter(empty) == MessageFilter()
        assert read_template_filter(empty) == TemplateFilter()


def test_a_filter_of_official_accounts_is_read_whole() -> None:
    wanted = read_oa_filter(
        filtered(
            app_id="11",
            oa_id=22,
            name=" An ",
            date_from="2026-01-01T00:00:00Z",
            date_to="2026-01-02T00:00:00Z",
        )
    )
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    assert wanted == OaFilter(app_id=11, oa_id=22, name="An", since=first, until=last)


@pytest.mark.parametrize(
    ("status", "states"),
    [
        ("Z", frozenset({JourneyState.OPEN})),
        ("p", frozenset({JourneyState.ENABLED})),
        ("N", frozenset({JourneyState.REFUSED, JourneyState.EXPIRED})),
    ],
)
def test_journeys_are_found_by_their_status(status: str, states: frozenset[JourneyState]) -> None:
    assert read_journey_filter(filtered(status=status)).states == states


def test_every_state_of_a_message_is_found_by_exactly_one_status() -> None:
    found = [read_message_filter(filtered(status=status)).states or frozenset() for status in "ZPN"]
    assert sorted(state for states in found for state in states) == sorted(MessageState)


def test_numbers_are_found_in_whatever_form_they_are_asked_for() -> None:
    for phone in ("0901234567", "84901234567", "+84 901 234 567", 901234567):
        assert read_journey_filter(filtered(phone=phone)).phone == "84901234567"
    assert read_journey_filter(filtered(phone="khong")).phone == "khong"


def test_a_filter_of_messages_is_read_whole() -> None:
    wanted = read_message_filter(
        filtered(
            oa_id="1",
            msg_id="ab",
            journey_id=3,
            phone="0901234567",
            template_id="4",
            tracking_id="t",
            msg_type="JOURNEY",
            delivery_status="Seen",
            charged=True,
            is_development=False,
            user_id="5",
            time_type="sent_time",
        )
    )
    assert wanted == MessageFilter(
        oa_id=1,
        msg_id="ab",
        journey_id="3",
        phone="84901234567",
        template_id=4,
        tracking_id="t",
        type="journey",
        delivery="seen",
        charged=True,
        development=False,
        user_id=5,
        time_type="sent_time",
    )


def test_no_message_is_of_a_campaign() -> None:
    assert read_message_filter(filtered(campaign_id="9")).states == frozenset()
    assert read_message_filter(filtered(campaign_id="0")).states is None


def test_templates_are_found_by_fields_in_the_filter_or_beside_it() -> None:
    expected = TemplateFilter(oa_id=1, template_id=2, type="otp")
    assert read_template_filter(filtered(oa_id=1, template_id=2, type="OTP")) == expected
    assert read_template_filter(Fields({"oa_id": 1, "template_id": 2, "type": "otp"})) == expected
