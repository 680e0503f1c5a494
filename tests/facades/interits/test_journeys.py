"""Journeys over Interits' API: made, charged, over, refused, and made once where the caller says so."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.facades.interits.client import Api
from tests.facades.interits.test_responses import JourneyData
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import GET_TOKEN, JOURNEY_TEMPLATE, OA_ID, EmulatedZalo

from tongdai.domain.zalo import Oa

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("oa")]

LINKED = "0912345678"
UNLINKED = "0912345404"
ORDER = {"ten_khach_hang": "Lan", "ma_don": "DH-1"}


def typed(data: object) -> JourneyData:
    """Exactly the twelve fields of the vendor's page, with their types."""
    return msgspec.convert(data, JourneyData)


def moment(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


async def made(api: Api, **body: Any) -> JourneyData:
    return typed(await api.done("create-journey", {"oa_id": str(OA_ID), "phone": LINKED, **body}))


# ---------------------------------------------------------------- creating


async def test_a_journey_for_a_linked_number_is_made_with_every_field_of_the_page(
    api: Api, clock: FakeClock
) -> None:
    journey = await made(api)
    assert (journey.status, journey.error_code, journey.error_message) == ("Z", 0, "Success")
    assert (journey.charged, journey.is_charged, journey.phone) == (False, False, LINKED)
    assert journey.id.isdecimal()
    assert journey.journey_id.isdecimal()
    assert len(journey.journey_token) > 100
    assert moment(journey.created_at) == moment(journey.updated_at) == clock.now()
    assert moment(journey.expired_at) == clock.now() + timedelta(days=7)


async def test_a_number_without_zalo_is_refused_in_the_journey_itself(api: Api) -> None:
    journey = await made(api, phone=UNLINKED)
    assert (journey.status, journey.error_code) == ("N", -118)
    assert journey.error_message == "Zalo account not existed"
    assert (journey.journey_id, journey.journey_token, journey.expired_at) == ("", "", "")
    assert not journey.charged
    assert journey.id.isdecimal()


NOTATIONS: list[object] = ["0912345678", "84912345678", "+84 912 345 678", "912345678", 912345678]


async def test_a_number_may_be_written_in_any_notation(api: Api) -> None:
    for phone in NOTATIONS:
        assert (await made(api, phone=phone)).phone == LINKED


NO_NUMBERS: list[object] = [
    None,
    "",
    " ",
    "string",
    "113",
    "12",
    "+1 202 555 0100",
    "9" * 50,
    True,
    1.5,
    [],
    {},
    -912345678,
]


async def test_a_phone_that_is_no_number_is_a_bad_request(api: Api, emulator: EmulatedZalo) -> None:
    for phone in NO_NUMBERS:
        answer = await api.refused(400, "create-journey", {"oa_id": str(OA_ID), "phone": phone})
        assert (answer["data"], "phone" in answer["message"]) == (None, True)
        assert await emulator.requests(GET_TOKEN) == []


KINDS: list[tuple[str | None, int]] = [
    (None, 7),
    ("", 7),
    ("unknown", 7),
    ("token_logistics_7", 7),
    ("token_logistics_30", 30),
    ("TOKEN_COACH_BUS_7", 7),
    ("token_coach_bus_30", 30),
]


async def test_its_kind_says_for_how_long_a_journey_is_good(api: Api, clock: FakeClock) -> None:
    for token_type, days in KINDS:
        journey = await made(api, token_type=token_type)
        assert moment(journey.expired_at) == clock.now() + timedelta(days=days)


async def test_a_kind_that_does_not_exist_is_a_bad_request(api: Api) -> None:
    wrong: list[object] = ["token_logistics_8", "x", 7, [], {"a": 1}]
    for token_type in wrong:
        await api.refused(400, "create-journey", {"phone": LINKED, "token_type": token_type})


async def test_the_only_connected_official_account_need_not_be_named(api: Api, oa: Oa) -> None:
    for body in ({"phone": LINKED}, {"phone": LINKED, "oa_id": None}, {"phone": LINKED, "oa_id": ""}):
        assert typed(await api.done("create-journey", body)).status == "Z"
    assert typed(await api.done("create-journey", {"phone": LINKED, "oa_id": oa.oa_id})).status == "Z"


async def test_an_oa_id_that_is_no_id_is_a_bad_request(api: Api) -> None:
    wrong: list[object] = ["string", "12a", -5, 1.5, True, [], {}, "9" * 40]
    for oa_id in wrong:
        await api.refused(400, "create-journey", {"phone": LINKED, "oa_id": oa_id})


async def test_each_request_makes_a_journey(api: Api) -> None:
    first, second = await made(api), await made(api)
    assert first.id != second.id
    assert first.journey_id != second.journey_id


# ---------------------------------------------------------------- once for each key


async def test_an_equal_key_and_request_give_the_first_journey_again(
    api: Api, emulator: EmulatedZalo
) -> None:
    body = {"phone": LINKED}
    first = await api.done("create-journey", body, Idempotency_Key="don-1")
    again = await api.done("create-journey", body, Idempotency_Key="don-1")
    other = await api.done("create-journey", body, Idempotency_Key="don-2")
    assert first == again
    assert other["id"] != first["id"]
    assert len(await emulator.requests(GET_TOKEN)) == 2


async def test_equal_requests_at_the_same_time_make_one_journey(api: Api, emulator: EmulatedZalo) -> None:
    body = {"phone": LINKED}
    answers = await asyncio.gather(
        *(api.done("create-journey", body, Idempotency_Key="don-1") for _ in range(8))
    )
    assert len({answer["id"] for answer in answers}) == 1
    assert len(await emulator.requests(GET_TOKEN)) == 1


async def test_an_equal_key_with_another_request_is_a_bad_request(api: Api) -> None:
    await api.done("create-journey", {"phone": LINKED}, Idempotency_Key="don-1")
    answer = await api.refused(400, "create-journey", {"phone": "0987654321"}, Idempotency_Key="don-1")
    assert answer["message"] == "Idempotency-Key đã được dùng cho một yêu cầu khác"


async def test_a_key_is_its_accounts_own(api: Api, stranger: Api) -> None:
    mine = await api.done("create-journey", {"phone": LINKED}, Idempotency_Key="don-1")
    theirs = await stranger.done("create-journey", {"phone": "0987654321"}, Idempotency_Key="don-1")
    assert (theirs["id"] != mine["id"], theirs["phone"]) == (True, "0987654321")


async def test_a_key_that_no_program_makes_is_a_bad_request(api: Api) -> None:
    for key in ("x" * 256, "a\x00b", "é", "a\tb"):
        headers: Any = {"API-KEY": api.key, "Idempotency-Key": key.encode("latin-1")}
        path = "/api/vendor/v1/zalo/create-journey"
        response = await api.http.post(path, json={"phone": LINKED}, headers=headers)
        assert response.status_code == 400, response.text


# ---------------------------------------------------------------- its life


async def test_the_first_message_that_zalo_takes_charges_the_journey_once(api: Api) -> None:
    journey = await made(api)
    asked = {
        "oa_id": str(OA_ID),
        "phone": LINKED,
        "journey_id": journey.journey_id,
        "template_id": JOURNEY_TEMPLATE,
        "template_data": ORDER,
        "tracking_id": "DH-1",
    }
    message = await api.done("send-journey-zns", asked)
    assert (message["status"], message["type"], message["msg_type"]) == ("P", "journey", "journey")
    assert (message["journey_id"], message["tracking_id"]) == (journey.journey_id, "DH-1")

    charged = typed(await api.done("get-journey", {"journey_id": journey.journey_id}))
    assert (charged.status, charged.charged, charged.is_charged) == ("P", True, True)

    await api.done("send-journey-zns", asked)
    again = typed(await api.done("get-journey", {"journey_id": journey.id}))
    assert (again.status, again.charged, again.updated_at) == ("P", True, charged.updated_at)


async def test_a_refused_message_charges_nothing(api: Api) -> None:
    journey = await made(api)
    message = await api.done(
        "send-journey-zns",
        {"phone": LINKED, "journey_id": journey.journey_id, "template_id": JOURNEY_TEMPLATE},
    )
    assert (message["status"], message["error_code"] < 0) == ("N", True)
    unchanged = typed(await api.done("get-journey", {"journey_id": journey.journey_id}))
    assert (unchanged.status, unchanged.charged) == ("Z", False)


async def test_a_journey_is_over_as_soon_as_the_clock_says_so(api: Api, clock: FakeClock) -> None:
    journey = await made(api)
    clock.advance(timedelta(days=7))
    over = typed(await api.done("get-journey", {"journey_id": journey.journey_id}))
    assert (over.status, over.charged) == ("N", False)
    listed = await api.done("list-journeys", {"filter": {"status": "N"}})
    assert [one["id"] for one in listed["journeys"]] == [journey.id]


async def test_a_message_of_a_journey_that_is_over_is_refused_with_zalos_code(
    api: Api, clock: FakeClock
) -> None:
    journey = await made(api)
    clock.advance(timedelta(days=8))
    message = await api.done(
        "send-journey-zns",
        {
            "phone": LINKED,
            "journey_id": journey.journey_id,
            "template_id": JOURNEY_TEMPLATE,
            "template_data": ORDER,
        },
    )
    assert (message["status"], message["error_code"]) == ("N", -150)


# ---------------------------------------------------------------- reading


async def test_a_journey_is_found_by_zalos_id_and_by_ours(api: Api) -> None:
    journey = await made(api)
    for name in (journey.id, journey.journey_id, int(journey.id)):
        assert typed(await api.done("get-journey", {"journey_id": name, "oa_id": str(OA_ID)})) == journey


async def test_an_unknown_journey_is_not_found(api: Api) -> None:
    for journey_id in ("999", "x", "1" * 100, "đơn"):
        await api.refused(404, "get-journey", {"journey_id": journey_id})


async def test_a_journey_has_to_be_named(api: Api) -> None:
    wrong: list[object] = [None, "", " ", True, [], {}, "1" * 101, "\x00"]
    for journey_id in wrong:
        await api.refused(400, "get-journey", {"journey_id": journey_id})


async def test_journeys_are_listed_newest_first_page_by_page_in_both_directions(api: Api) -> None:
    ids = [(await made(api)).id for _ in range(5)][::-1]
    first = await api.done("list-journeys", {"paging": {"limit": 2}})
    second = await api.done("list-journeys", {"paging": {"limit": 2, "after": first["paging"]["next"]}})
    third = await api.done("list-journeys", {"paging": {"limit": 2, "after": second["paging"]["next"]}})
    back = await api.done("list-journeys", {"paging": {"limit": 2, "before": third["paging"]["prev"]}})
    pages = [[one["id"] for one in page["journeys"]] for page in (first, second, third, back)]
    assert pages == [ids[:2], ids[2:4], ids[4:], ids[2:4]]
    assert (third["paging"]["next"], first["paging"]["prev"]) == ("", "")
    assert first["paging"]["limit"] == 2

    oldest = await api.done("list-journeys", {"paging": {"sort": "created_at"}})
    assert [one["id"] for one in oldest["journeys"]] == ids[::-1]
    assert {typed(one).status for one in oldest["journeys"]} == {"Z"}


async def test_journeys_are_found_by_each_filter_of_the_page(api: Api, clock: FakeClock) -> None:
    first = await made(api)
    clock.advance(timedelta(hours=1))
    second = await made(api, phone=UNLINKED)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [second.id, first.id]),
        ({"phone": "+84912345678"}, [first.id]),
        ({"phone": "nobody"}, []),
        ({"status": "z"}, [first.id]),
        ({"status": "N"}, [second.id]),
        ({"status": "P"}, []),
        ({"charged": False}, [second.id, first.id]),
        ({"is_charged": True}, []),
        ({"journey_id": first.journey_id}, [first.id]),
        ({"oa_id": OA_ID}, [second.id, first.id]),
        ({"date_from": second.created_at}, [second.id]),
        ({"date_to": second.created_at}, [first.id]),
        ({"date_from": "2026-11-18", "date_to": "2026-11-18"}, [second.id, first.id]),
        ({"date_to": "2026-11-17"}, []),
    ]
    for chosen, expected in cases:
        answer = await api.done("list-journeys", {"filter": chosen})
        assert [one["id"] for one in answer["journeys"]] == expected, chosen


MALFORMED: list[object] = [
    {"filter": []},
    {"filter": "x"},
    {"filter": {"status": "X"}},
    {"filter": {"charged": "maybe"}},
    {"filter": {"charged": True, "is_charged": False}},
    {"filter": {"date_from": "yesterday"}},
    {"filter": {"oa_id": "x"}},
    {"paging": 5},
    {"paging": {"limit": -1}},
    {"paging": {"limit": "many"}},
    {"paging": {"after": "nonsense"}},
    {"paging": {"sort": "phone"}},
]


async def test_a_malformed_list_request_is_a_bad_request(api: Api) -> None:
    for body in MALFORMED:
        for name in ("list-journeys", "list-messages", "list-templates", "list-oa"):
            asked: Any = body
            if name in ("list-oa", "list-templates") and set(asked.get("filter") or ()) & {
                "status",
                "charged",
            }:
                continue
            await api.refused(400, name, body)
