from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests import factories
from tests.facades.aicallcenter.client import Api
from tests.factories import Cast, Person

from tongdai.domain import calls
from tongdai.domain.calls import Outcome, Refusal, ResultMove
from tongdai.domain.campaigns import Campaign
from tongdai.facades.aicallcenter.responses import NOTES, note_of, state_of
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio

FIRST = datetime(2026, 11, 17, 17, 30, tzinfo=UTC)
"""Half past midnight of the 18th in Vietnam."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a test wants a call to have ended."""

    outcome: Outcome = Outcome.ANSWERED
    called_at: datetime = FIRST
    duration_s: int = 8
    key_press: str = "1 (29)"
    caller: str = "842473001234"


@pytest.fixture
async def campaign(db: Database, cast: Cast) -> Campaign:
    return await factories.campaign(db, cast.owner)


@pytest.fixture
async def token(api: Api, cast: Cast) -> str:
    return await api.token(cast.owner)


async def imported(api: Api, campaign: Campaign, person: Person, count: int) -> list[int]:
    contacts = [{"phone_number": f"+84 90{number:07d}"} for number in range(count)]
    answer = await api.import_contacts(campaign.id, await api.token(person), contacts)
    return [one["call_id"] for one in answer["results"]]


async def end(db: Database, call_id: int, ended: Ended) -> None:
    async with db.transaction() as tx:
        cursor = await tx.execute(
            "UPDATE calls SET state = 'done', outcome = %s, called_at = %s, done_at = %s, duration_s = %s,"
            " key_press = %s, caller = %s, attempts = 1 WHERE id = %s"
            " RETURNING account_id, campaign_id, user_id",
            (
                ended.outcome.value,
                ended.called_at,
                ended.called_at,
                ended.duration_s,
                ended.key_press,
                ended.caller,
                call_id,
            ),
        )
        row = await cursor.fetchone()
        assert row is not None
        await calls.count_results(tx, [ResultMove(row[0], row[1], row[2], None, ended.called_at)])


def ids(answer: dict[str, Any]) -> list[int]:
    return [row["call_id"] for row in answer["results"]["calls"]]


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


# ---------------------------------------------------------------- rows


async def test_an_answered_call_is_told_as_the_document_says(
    api: Api, db: Database, cast: Cast, token: str, campaign: Campaign
) -> None:
    [call_id] = await imported(api, campaign, cast.owner, 1)
    await end(db, call_id, Ended())
    row = {
        "call_id": call_id,
        "caller_id": "02473001234",
        "callee_id": "+84 900000000",
        "called_at": "2026-11-18 00:30:00",
        "duration": 8,
        "key_press": "1 (29)",
        "note": "NORMAL CLEARING",
        "state": 40,
    }
    assert await api.export(campaign.id, token) == {
        "status": 1,
        "results": {"limit": 10, "total": 1, "calls": [row]},
    }
    assert await api.call_log(token) == {
        "status": 1,
        "results": {"limit": 10, "total": 1, "calls": [{**row, "campaign_id": campaign.id}]},
    }


async def test_a_call_refused_before_dialling_names_no_hotline(
    api: Api, db: Database, cast: Cast, token: str, campaign: Campaign
) -> None:
    [call_id] = await imported(api, campaign, cast.owner, 1)
    async with db.transaction() as tx:
        await calls.refuse_calls(tx, [Refusal(call_id, Outcome.BLOCKED, "do_not_call")], FIRST)
    assert (await api.export(campaign.id, token))["results"]["calls"] == [
        {
            "call_id": call_id,
            "caller_id": "",
            "callee_id": "+84 900000000",
            "called_at": "2026-11-18 00:30:00",
            "duration": 0,
            "key_press": "",
            "note": "BLOCKED DO NOT CALL",
            "state": 50,
        }
    ]


@pytest.mark.parametrize(
    ("outcome", "note", "state"),
    [
        ("answered", "NORMAL CLEARING", 40),
        ("voicemail", "VOICEMAIL_DETECTION", 40),
        ("no_answer", "NO ANSWER", 50),
        ("busy", "USER BUSY", 50),
        ("rejected", "CALL REJECTED", 50),
        ("cancelled", "ORIGINATOR CANCEL", 50),
        ("unreachable", "SUBSCRIBER ABSENT", 50),
        ("invalid_number", "UNALLOCATED NUMBER", 50),
        ("no_hotline", "NO HOTLINE", 50),
        ("no_funds", "OUT OF FUNDS", 50),
        ("congestion", "NETWORK CONGESTION", 50),
        ("plan_expired", "PLAN EXPIRED", 50),
        ("network_unsupported", "NETWORK NOT SUPPORTED", 50),
        ("blocked", "BLOCKED", 50),
        ("expired", "OTP EXPIRED", 50),
        ("failed", "SYSTEM ERROR", 50),
        ("lost", "UNKNOWN", 50),
        ("an outcome of tomorrow", "SYSTEM ERROR", 50),
    ],
)
def test_each_outcome_has_its_note_and_state(outcome: str, note: str, state: int) -> None:
    assert (note_of(outcome, None), state_of(outcome)) == (note, state)


def test_no_outcome_is_forgotten() -> None:
    assert set(NOTES) == set(Outcome)


# ---------------------------------------------------------------- pages


async def test_queued_calls_are_not_results(api: Api, cast: Cast, token: str, campaign: Campaign) -> None:
    await imported(api, campaign, cast.owner, 3)
    empty = {"status": 1, "results": {"limit": 10, "total": 0, "calls": []}}
    assert await api.export(campaign.id, token) == empty
    assert await api.call_log(token) == empty


async def test_pages_come_in_the_order_of_their_calls(
    api: Api, db: Database, cast: Cast, token: str, campaign: Campaign
) -> None:
    call_ids = await imported(api, campaign, cast.owner, 25)
    for place, call_id in enumerate(reversed(call_ids)):
        await end(db, call_id, Ended(called_at=FIRST + timedelta(minutes=place // 2)))
    pages = [await api.export(campaign.id, token, offset=offset) for offset in (0, 10, 20, 30)]
    assert [page["results"]["total"] for page in pages] == [25] * 4
    assert [len(ids(page)) for page in pages] == [10, 10, 5, 0]
    everything = await api.export(campaign.id, token, limit=100)
    assert everything["results"]["limit"] == 100
    assert ids(everything) == [one for page in pages for one in ids(page)]
    shown = [(row["called_at"], row["call_id"]) for row in everything["results"]["calls"]]
    assert shown == sorted(shown)
    logged = await api.call_log(token, limit=3, offset=7)
    assert ids(logged) == ids(everything)[7:10]


async def test_a_limit_beyond_the_greatest_is_that_one(api: Api, token: str, campaign: Campaign) -> None:
    assert (await api.export(campaign.id, token, limit=10_000))["results"]["limit"] == 10_000
    assert (await api.export(campaign.id, token, limit=10**9))["results"]["limit"] == 10_000
    assert (await api.call_log(token, limit="x", offset="y"))["results"]["limit"] == 10


@pytest.mark.parametrize("digits", [20, 1000])
async def test_an_offset_beyond_all_numbers_is_an_empty_page_with_the_right_total(
    api: Api, db: Database, cast: Cast, token: str, campaign: Campaign, digits: int
) -> None:
    [call_id] = await imported(api, campaign, cast.owner, 1)
    await end(db, call_id, Ended())
    beyond = {"limit": "9" * digits, "offset": "9" * digits}
    empty = {"status": 1, "results": {"limit": 10_000, "total": 1, "calls": []}}
    assert await api.export(campaign.id, token, **beyond) == empty
    assert await api.call_log(token, **beyond) == empty


async def test_times_bound_the_results_at_both_ends(
    api: Api, db: Database, cast: Cast, token: str, campaign: Campaign
) -> None:
    call_ids = await imported(api, campaign, cast.owner, 5)
    moments = [FIRST + timedelta(minutes=40 * place) for place in range(5)]
    for call_id, moment in zip(call_ids, moments, strict=True):
        await end(db, call_id, Ended(called_at=moment))
    times = {"start_time": milliseconds(moments[1]), "end_time": milliseconds(moments[3])}
    for answer in (await api.export(campaign.id, token, **times), await api.call_log(token, **times)):
        assert ids(answer) == call_ids[1:4]
        assert answer["results"]["total"] == 3
    seconds = {name: value // 1000 for name, value in times.items()}
    assert ids(await api.export(campaign.id, token, **seconds)) == call_ids[1:4]
    assert ids(await api.export(campaign.id, token, start_time=times["end_time"] + 1)) == call_ids[4:]
    assert ids(await api.export(campaign.id, token, end_time=times["start_time"] - 1)) == call_ids[:1]
    upside_down = {"start_time": times["end_time"], "end_time": times["start_time"]}
    assert (await api.export(campaign.id, token, **upside_down))["results"]["total"] == 0


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "NaN", "1e400", "\x00", "١"])
async def test_a_time_that_is_no_number_is_its_default(
    api: Api, db: Database, cast: Cast, token: str, campaign: Campaign, value: str
) -> None:
    [call_id] = await imported(api, campaign, cast.owner, 1)
    await end(db, call_id, Ended())
    times = {"start_time": value, "end_time": value, "limit": value, "offset": value}
    assert ids(await api.export(campaign.id, token, **times)) == [call_id]
    assert ids(await api.call_log(token, **times)) == [call_id]


# ---------------------------------------------------------------- who sees what


async def test_call_log_follows_the_users_campaigns_and_export_the_accounts(
    api: Api, db: Database, cast: Cast
) -> None:
    campaigns = {
        person.user.id: await factories.campaign(db, person)
        for person in (cast.owner, cast.colleague, cast.stranger)
    }
    results: dict[int, int] = {}
    for person in (cast.owner, cast.colleague, cast.stranger):
        [call_id] = await imported(api, campaigns[person.user.id], person, 1)
        await end(db, call_id, Ended())
        results[person.user.id] = call_id
    for person in (cast.owner, cast.colleague, cast.stranger):
        answer = await api.call_log(await api.token(person))
        assert ids(answer) == [results[person.user.id]]
        assert answer["results"]["total"] == 1
    for reader, owner, seen in (
        (cast.owner, cast.colleague, True),
        (cast.colleague, cast.owner, True),
        (cast.stranger, cast.owner, False),
        (cast.owner, cast.stranger, False),
    ):
        answer = await api.export(campaigns[owner.user.id].id, await api.token(reader))
        assert answer == (
            {"status": 1, "results": {"limit": 10, "total": 1, "calls": answer["results"]["calls"]}}
            if seen
            else {"status": 0, "code": "01", "message": "campaign_id không hợp lệ"}
        )


async def test_what_a_colleague_imports_is_in_the_log_of_the_campaigns_user(
    api: Api, db: Database, cast: Cast, campaign: Campaign
) -> None:
    [call_id] = await imported(api, campaign, cast.colleague, 1)
    await end(db, call_id, Ended())
    assert ids(await api.call_log(await api.token(cast.owner))) == [call_id]
    assert ids(await api.call_log(await api.token(cast.colleague))) == []
