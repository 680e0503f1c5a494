"""Journeys: made, checked, charged by their first message, over after their days."""

from __future__ import annotations

from typing import Any

import pytest
from tests.emulator.callers import PHONE, Caller, connect
from tests.fakes.zalo import GET_TOKEN, JOURNEY_TEMPLATE, OTP_TEMPLATE, SECOND_OA_ID, EmulatedZalo

pytestmark = pytest.mark.anyio

DAY_S = 86_400
PARCEL: dict[str, Any] = {
    "template_id": JOURNEY_TEMPLATE,
    "template_data": {"ten_khach_hang": "Lan", "ma_don": "DH-1"},
}


async def test_a_journey_is_answered_flat_with_a_long_token_and_a_long_number(caller: Caller) -> None:
    journey = await caller.journey()
    assert journey.keys() == {"error", "message", "token", "journey_id"}
    assert 240 <= len(journey["token"]) <= 260
    assert int(journey["journey_id"]) > 2**53


async def test_each_request_makes_a_journey(caller: Caller) -> None:
    first, second = await caller.journey(), await caller.journey()
    assert first["journey_id"] != second["journey_id"]
    assert first["token"] != second["token"]


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"phone": "84901234404"}, -118),
        ({"phone": "12"}, -108),
        ({"token_type": "token_bus"}, -132),
        ({"token_type": 7}, -132),
    ],
)
async def test_a_journey_is_refused_as_a_message_is(caller: Caller, told: dict[str, Any], error: int) -> None:
    assert (await caller.journey(**told))["error"] == error


async def test_a_journey_needs_an_oa_that_may_send_and_a_filled_billing_account(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    for changes, error in (
        ({"is_verified": False}, -135),
        ({"is_verified": True, "linked_zca": ""}, -136),
        ({"linked_zca": "ZCA-9", "balance": 0}, -137),
    ):
        await zalo.change_oa(**changes)
        assert (await caller.journey())["error"] == error
    answer = await caller.http.post(GET_TOKEN, headers={"access_token": caller.access_token})
    assert answer.json()["error"] == -121


@pytest.mark.parametrize(
    ("token_type", "days"),
    [(None, 7), ("token_logistics_30", 30), ("token_coach_bus_7", 7), ("token_coach_bus_30", 30)],
)
async def test_a_journeys_token_says_its_type_and_its_days(
    caller: Caller, token_type: str | None, days: int
) -> None:
    journey = await caller.journey(**({"token_type": token_type} if token_type else {}))
    data = (await caller.get("/journey/check-token", journey_token=journey["token"]))["data"]
    assert data["tokenType"] == (token_type or "token_logistics_7")
    assert int(data["expiredAt"]) - int(data["createdAt"]) == days * DAY_S * 1000
    assert isinstance(data["oaId"], str)
    assert isinstance(data["appId"], str)


async def test_a_journeys_token_is_not_found_invalid_or_expired(zalo: EmulatedZalo, caller: Caller) -> None:
    token = (await caller.journey())["token"]
    other = await connect(caller.http, SECOND_OA_ID)
    path = "/journey/check-token"
    assert await caller.code_of(path) == -148
    assert (await caller.get(path, journey_token="never"))["error"] == -148
    assert (await other.get(path, journey_token=token))["error"] == -149
    await zalo.advance(7 * DAY_S)
    later = await connect(caller.http)
    assert (await later.get(path, journey_token=token))["error"] == -150
    assert (await later.send(journey=token, **PARCEL))["error"] == -150


async def test_a_journeys_messages_need_its_number_and_a_template_of_its_type(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    token = (await caller.journey())["token"]
    assert (await caller.send(**PARCEL))["error"] == -148
    assert (await caller.send(journey="never", **PARCEL))["error"] == -148
    assert (await caller.send(journey=token, phone="84901234568", **PARCEL))["error"] == -149
    ordinary = {"template_id": OTP_TEMPLATE, "template_data": {"otp": "4711"}}
    assert (await caller.send(journey=token, **ordinary))["error"] == -1491
    await zalo.change_template(JOURNEY_TEMPLATE, journey_types=["token_coach_bus_7"])
    assert (await caller.send(journey=token, **PARCEL))["error"] == -1491


async def test_a_journey_is_charged_once_by_its_first_message_that_is_taken(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    journey = await caller.journey()
    assert (await caller.send(journey=journey["token"], template_id=JOURNEY_TEMPLATE, template_data={}))[
        "error"
    ] == -111
    assert (await zalo.control("journeys"))[0]["charged_ms"] is None
    for _ in range(3):
        await caller.sent(journey=journey["token"], **PARCEL)
    state = await zalo.state()
    assert state["counts"]["journeys_charged"] == 1
    assert state["oas"][0]["spent"] == 180
    assert (await zalo.control("messages"))[0]["journey_id"] == journey["journey_id"]
    assert state["counts"]["messages"] == 3


async def test_a_message_in_development_mode_charges_no_journey(zalo: EmulatedZalo, caller: Caller) -> None:
    administrator = "84901000001"
    journey = await caller.journey(administrator)
    await caller.sent(journey=journey["token"], phone=administrator, mode="development", **PARCEL)
    assert (await zalo.state())["counts"]["journeys_charged"] == 0


async def test_a_journey_outlives_an_access_token(zalo: EmulatedZalo, caller: Caller) -> None:
    journey = await caller.journey(PHONE)
    await zalo.advance(2 * DAY_S)
    later = await connect(caller.http)
    await later.sent(journey=journey["token"], **PARCEL)
