"""Journeys by SenCloud's API: made, refused, charged by their first message, over with time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.facades.sencloud.client import LINKED, UNLINKED, Api, refusal_of
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import (
    ACCESS_TOKEN,
    GET_TOKEN,
    JOURNEY_TEMPLATE,
    SECOND_OA_ID,
    EmulatedZalo,
)

pytestmark = pytest.mark.anyio

FIELDS = {
    "charged",
    "created_at",
    "error_code",
    "error_message",
    "expired_at",
    "id",
    "is_charged",
    "journey_id",
    "journey_token",
    "phone",
    "status",
    "updated_at",
}
DATA = {"ten_khach_hang": "Chị Lan", "ma_don": "DH-1"}


async def journey(api: Api, oa: dict[str, Any], phone: str = LINKED, **more: Any) -> dict[str, Any]:
    return await api.done("CreateJourney", {"oa_id": oa["oa_id"], "phone": phone, **more})


def first_message(of: dict[str, Any], oa: dict[str, Any]) -> dict[str, Any]:
    return {
        "oa_id": oa["oa_id"],
        "journey_id": of["journey_id"],
        "phone": LINKED,
        "template_id": JOURNEY_TEMPLATE,
        "template_data": DATA,
    }


async def test_a_journey_to_a_linked_number_is_new_and_has_a_token_for_a_week(
    api: Api, oa: dict[str, Any]
) -> None:
    made = await journey(api, oa)
    assert set(made) == FIELDS
    assert made["journey_id"].isdigit()
    assert made["journey_token"]
    assert {name: made[name] for name in FIELDS - {"id", "journey_id", "journey_token"}} == {
        "charged": False,
        "created_at": "2026-11-18T03:00:00.000Z",
        "error_code": 0,
        "error_message": "Success",
        "expired_at": "2026-11-25T03:00:00.000Z",
        "is_charged": False,
        "phone": LINKED,
        "status": "Z",
        "updated_at": "2026-11-18T03:00:00.000Z",
    }
    assert made["id"].isdigit()


async def test_a_journey_to_an_unlinked_number_is_refused_in_zalos_words(
    api: Api, oa: dict[str, Any]
) -> None:
    made = await journey(api, oa, UNLINKED)
    assert set(made) == FIELDS
    assert (made["status"], made["error_code"], made["charged"]) == ("N", -118, False)
    assert made["error_message"]
    assert (made["journey_id"], made["journey_token"]) == ("", "")
    assert await api.done("GetJourney", {"journey_id": made["id"]}) == made


@pytest.mark.parametrize(
    ("kind", "days"),
    [
        ("token_logistics_30", 30),
        ("TOKEN_COACH_BUS_7", 7),
        ("token_coach_bus_30", 30),
        ("unknown", 7),
        (None, 7),
    ],
)
async def test_a_journey_lasts_as_long_as_its_type_says(
    api: Api, oa: dict[str, Any], clock: FakeClock, kind: str | None, days: int
) -> None:
    made = await journey(api, oa, token_type=kind)
    end = clock.now() + timedelta(days=days)
    assert made["expired_at"] == end.strftime("%Y-%m-%dT%H:%M:%S.000Z")


async def test_the_only_connected_official_account_need_not_be_named(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any]
) -> None:
    assert (await api.done("CreateJourney", {"phone": LINKED}))["status"] == "Z"
    await api.connect(emulator, SECOND_OA_ID)
    await api.refused("invalid_argument", "CreateJourney", {"phone": LINKED})


async def test_numbers_are_taken_in_any_form_and_names_in_camel_case(api: Api, oa: dict[str, Any]) -> None:
    for phone in ("+84 901 234 567", "84901234567", 901234567, "0901.234.567"):
        made = await api.done("CreateJourney", {"oaId": int(oa["oa_id"]), "phone": phone, "more": [1]})
        assert (made["phone"], made["status"]) == (LINKED, "Z")


@pytest.mark.parametrize("phone", [None, "", "khong phai so", "12", [], {}, True, "0901234567\x00", "9" * 99])
async def test_what_is_no_number_makes_no_journey(api: Api, oa: dict[str, Any], phone: object) -> None:
    refused = await api.refused("invalid_argument", "CreateJourney", {"oa_id": oa["oa_id"], "phone": phone})
    assert refused["meta"] == {"argument": "phone"}
    assert (await api.done("ListJourneys"))["journeys"] == []


@pytest.mark.parametrize("oa_id", ["12345", 2**63 - 1])
async def test_an_official_account_that_is_not_yours_makes_no_journey(
    api: Api, oa: dict[str, Any], oa_id: object
) -> None:
    await api.refused("not_found", "CreateJourney", {"oa_id": oa_id, "phone": LINKED})


@pytest.mark.parametrize(
    "change", [{"oa_id": "x"}, {"oa_id": 2**64}, {"oa_id": -1}, {"token_type": "token_train_7"}]
)
async def test_what_is_of_a_wrong_type_makes_no_journey(
    api: Api, oa: dict[str, Any], change: dict[str, Any]
) -> None:
    body = {"oa_id": oa["oa_id"], "phone": LINKED, **change}
    refused = await api.refused("invalid_argument", "CreateJourney", body)
    assert refused["meta"] == {"argument": next(iter(change))}


# ---------------------------------------------------------------- the same request again


async def test_every_request_makes_a_journey_of_its_own(api: Api, oa: dict[str, Any]) -> None:
    first, second = await journey(api, oa), await journey(api, oa)
    assert first["id"] != second["id"]
    assert first["journey_id"] != second["journey_id"]


async def test_a_named_request_gets_its_journey_again(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any]
) -> None:
    body = {"oa_id": oa["oa_id"], "phone": LINKED}
    first = await api.done("CreateJourney", body, Idempotency_Key="don-1")
    assert await api.done("CreateJourney", body, Idempotency_Key="don-1") == first
    assert (await api.done("CreateJourney", body, Idempotency_Key="don-2"))["id"] != first["id"]
    assert len(await emulator.requests(GET_TOKEN)) == 2


async def test_a_name_of_another_request_is_refused(api: Api, oa: dict[str, Any]) -> None:
    await api.done("CreateJourney", {"oa_id": oa["oa_id"], "phone": LINKED}, Idempotency_Key="don-1")
    other = {"oa_id": oa["oa_id"], "phone": "0901234568"}
    await api.refused("invalid_argument", "CreateJourney", other, Idempotency_Key="don-1")
    await api.refused("invalid_argument", "CreateJourney", other, Idempotency_Key="x" * 256)


async def test_a_named_request_that_is_sent_many_times_at_once_makes_one_journey(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any]
) -> None:
    body = {"oa_id": oa["oa_id"], "phone": LINKED}
    answers = await asyncio.gather(
        *(api.post("CreateJourney", body, Idempotency_Key="don-1") for _ in range(8))
    )
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert len(await emulator.requests(GET_TOKEN)) == 1


# ---------------------------------------------------------------- when it goes wrong


async def test_a_lapsed_consent_is_told_in_the_journey_and_zalo_is_not_asked(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any]
) -> None:
    await emulator.revoke()
    first = await journey(api, oa)
    assert (first["status"], first["error_code"], first["journey_token"]) == ("N", -124, "")
    asked = len(await emulator.requests())
    second = await journey(api, oa)
    assert (second["status"], second["error_code"]) == ("N", -124)
    assert len(await emulator.requests()) == asked
    assert (await api.done("GetShopOA", {"oa_id": oa["oa_id"]}))["status"] == "N"


async def test_an_expired_access_token_is_renewed_on_the_way(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any]
) -> None:
    await emulator.advance(timedelta(hours=26).total_seconds())
    assert (await journey(api, oa))["status"] == "Z"
    refreshed = [row for row in await emulator.requests(ACCESS_TOKEN) if "refresh_token" in row]
    assert [row["was"] for row in refreshed] == ["fresh"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("html_504", "unavailable"),
        ("empty", "unavailable"),
        ("half_body", "deadline_exceeded"),
        ("wrong_types", "unavailable"),
        ("reset", "deadline_exceeded"),
    ],
)
async def test_zalos_failures_are_told_as_such_and_a_later_journey_is_made(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any], fault: str, code: str
) -> None:
    await emulator.force(GET_TOKEN, fault, times=10)
    answer = await api.post("CreateJourney", {"oa_id": oa["oa_id"], "phone": LINKED})
    refusal_of(answer, code)
    assert "retry-after" not in answer.headers
    await emulator.clear_faults()
    assert (await journey(api, oa))["status"] == "Z"


@pytest.mark.parametrize("code", [-144, -137, -135, -119])
async def test_whatever_zalo_refuses_is_told_in_the_journey(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any], code: int
) -> None:
    await emulator.force(GET_TOKEN, "error", code=code, message="no")
    made = await journey(api, oa)
    assert (made["status"], made["error_code"], made["error_message"]) == ("N", code, "no")


# ---------------------------------------------------------------- its life


async def test_a_journey_is_in_force_and_charged_with_its_first_message(api: Api, oa: dict[str, Any]) -> None:
    made = await journey(api, oa)
    sent = await api.done("SendZNSJourney", first_message(made, oa))
    assert (sent["status"], sent["type"], sent["journey_id"]) == ("P", "journey", made["journey_id"])
    by_zalos_id = await api.done("GetJourney", {"journey_id": made["journey_id"], "oa_id": oa["oa_id"]})
    assert (by_zalos_id["status"], by_zalos_id["charged"], by_zalos_id["is_charged"]) == ("P", True, True)
    assert await api.done("GetJourney", {"journey_id": made["id"]}) == by_zalos_id


async def test_a_journey_is_over_when_its_time_is(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any], clock: FakeClock
) -> None:
    made = await journey(api, oa)
    clock.advance(timedelta(days=7))
    over = await api.done("GetJourney", {"journey_id": made["journey_id"]})
    assert (over["status"], over["charged"]) == ("N", False)
    sent = await api.done("SendZNSJourney", first_message(made, oa))
    assert (sent["status"], sent["error_code"], sent["msg_id"]) == ("N", -150, "")


async def test_a_journey_that_there_is_none_of_is_not_found(api: Api, oa: dict[str, Any]) -> None:
    for journey_id in ("1", "x", "9" * 40, "đơn"):
        await api.refused("not_found", "GetJourney", {"journey_id": journey_id})
    refused = await api.refused("invalid_argument", "GetJourney", {})
    assert refused["meta"] == {"argument": "journey_id"}


async def test_a_journey_of_another_official_account_is_not_found(api: Api, oa: dict[str, Any]) -> None:
    made = await journey(api, oa)
    body = {"journey_id": made["journey_id"], "oa_id": str(SECOND_OA_ID)}
    await api.refused("not_found", "GetJourney", body)


# ---------------------------------------------------------------- lists


async def test_journeys_are_found_by_what_they_are(api: Api, oa: dict[str, Any]) -> None:
    used, refused, fresh = await journey(api, oa), await journey(api, oa, UNLINKED), await journey(api, oa)
    await api.done("SendZNSJourney", first_message(used, oa))
    for wanted, found in (
        ({}, [fresh, refused, used]),
        ({"status": "Z"}, [fresh]),
        ({"status": "p"}, [used]),
        ({"status": "N"}, [refused]),
        ({"is_charged": True}, [used]),
        ({"charged": "false"}, [fresh, refused]),
        ({"phone": "+84901234404"}, [refused]),
        ({"phone": "nobody"}, []),
        ({"journey_id": fresh["journey_id"]}, [fresh]),
        ({"oa_id": oa["oa_id"]}, [fresh, refused, used]),
        ({"oa_id": "77"}, []),
        ({"date_from": "2026-11-18T10:00:00+07:00"}, [fresh, refused, used]),
        ({"date_to": "2026-11-18T03:00:00Z"}, []),
    ):
        listed = await api.done("ListJourneys", {"filter": wanted})
        assert [row["id"] for row in listed["journeys"]] == [row["id"] for row in found], wanted
        assert all(set(row) == FIELDS for row in listed["journeys"])


async def test_every_page_of_journeys_is_reached_once(api: Api, oa: dict[str, Any]) -> None:
    made = [(await journey(api, oa))["id"] for _ in range(5)]
    seen: list[str] = []
    paging: dict[str, Any] = {"limit": "2"}
    while True:
        page = await api.done("ListJourneys", {"paging": paging})
        seen += [row["id"] for row in page["journeys"]]
        if not page["paging"]["next"]:
            break
        paging = {"limit": 2, "after": page["paging"]["next"]}
    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("body", "argument"),
    [
        ({"paging": {"sort": "phone"}}, "paging.sort"),
        ({"paging": {"after": "zzz"}}, "paging.after"),
        ({"paging": {"limit": "many"}}, "paging.limit"),
        ({"paging": []}, "paging"),
        ({"filter": {"status": "Q"}}, "filter.status"),
        ({"filter": {"date_from": "soon"}}, "filter.date_from"),
        ({"filter": {"charged": True, "is_charged": False}}, "filter.is_charged"),
    ],
)
async def test_a_list_that_cannot_be_is_refused_with_the_place(
    api: Api, body: dict[str, Any], argument: str
) -> None:
    refused = await api.refused("invalid_argument", "ListJourneys", body)
    assert refused["meta"] == {"argument": argument}
