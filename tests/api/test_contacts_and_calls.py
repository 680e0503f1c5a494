"""Contacts that become calls, and what is told of the calls."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Api
from tests.api.world import OTP_SCRIPT, World, build, campaign_body

from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(owner: Api) -> World:
    return await build(owner)


async def give(api: Api, world: World, *contacts: dict[str, Any]) -> dict[str, Any]:
    return await api.made(f"/campaigns/{world.campaign_id}/contacts", {"contacts": list(contacts)})


async def call_ids(api: Api, **query: Any) -> list[int]:
    answer = await api.get("/calls", **query)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_a_spreadsheets_float_is_read_as_a_number_and_as_its_text_alike(
    owner: Api, world: World
) -> None:
    numbers = [
        912345115.0,
        "912345116.0",
        9.12345117e8,
        "9.12345118E8",
        912345119.5,
        "912345120.5",
        -912345121,
    ]

    report = await owner.made(
        f"/campaigns/{world.campaign_id}/contacts", {"contacts": [{"number": number} for number in numbers]}
    )

    assert [one["index"] for one in report["accepted"]] == [0, 1, 2, 3]
    assert [(one["index"], one["reason"]) for one in report["rejected"]] == [
        (index, "not_a_number") for index in (4, 5, 6)
    ]
    listed = (await owner.get("/calls", campaign_id=world.campaign_id)).json()["items"]
    assert [call["number"] for call in listed[1:]] == [f"09123451{last}" for last in (15, 16, 17, 18)]


async def test_each_contact_is_accepted_or_rejected_with_a_reason(colleague: Api, world: World) -> None:
    report = await give(
        colleague,
        world,
        {"number": "0912 345 601"},
        {"number": 912345602},
        {"number": "not a number"},
        {"number": "+1 202 555 0100"},
        {"number": "84912345601"},
        {"number": "x" * 1_000_000},
        {"number": 10**40},
    )

    assert report["received"] == 7
    assert [item["index"] for item in report["accepted"]] == [0, 1]
    reasons = {item["index"]: item["reason"] for item in report["rejected"]}
    assert reasons[4] == "duplicate"
    assert set(reasons) == {2, 3, 4, 5, 6}
    assert await call_ids(colleague, campaign_id=world.campaign_id) == [
        world.call_id,
        *(item["call_id"] for item in report["accepted"]),
    ]


@pytest.mark.parametrize(
    "contacts",
    [
        [],
        [{"number": None}],
        [{"number": "0912345678", "colour": "red"}],
        [{"number": "0912345678", "fields": {"a": "b\x00c"}}],
        [{"number": "0912345601"}, {"number": ["0912345602"]}],
        "0912345678",
    ],
)
async def test_a_malformed_list_imports_nothing(owner: Api, world: World, contacts: Any) -> None:
    answer = await owner.post(f"/campaigns/{world.campaign_id}/contacts", {"contacts": contacts})

    assert answer.status_code == 400
    assert await call_ids(owner) == [world.call_id]


async def test_an_otp_campaign_takes_contacts_only_while_it_runs_and_shows_no_code(
    owner: Api, world: World
) -> None:
    script = await owner.made("/scripts", {"name": "Mã", "script": OTP_SCRIPT})
    body = campaign_body(script["id"], world.hotline_id, kind="otp", purpose="otp")
    campaign = await owner.made("/campaigns", body)
    path = f"/campaigns/{campaign['id']}"
    contacts = {"contacts": [{"number": "0912345601", "otp_code": "482913"}, {"number": "0912345602"}]}

    assert (await owner.post(f"{path}/contacts", contacts)).status_code == 409
    await owner.post(f"{path}/start")
    report = await owner.made(f"{path}/contacts", contacts)

    assert report["rejected"] == [{"index": 1, "reason": "otp_invalid"}]
    call = await owner.get(f"/calls/{report['accepted'][0]['call_id']}")
    assert "482913" not in call.text
    assert call.json()["expires_at"] is not None


async def test_contacts_are_held_to_what_their_campaign_declares(owner: Api, world: World) -> None:
    fields = [{"name": "ten", "required": True}, {"name": "tien", "type": "integer", "default": 0}]
    body = campaign_body(world.script_id, world.hotline_id, fields=fields)
    template = await owner.made("/templates", body)
    made = await owner.made(f"/templates/{template['id']}/campaigns", {"name": "x"})
    contacts = [
        {"number": "912345601", "fields": {"ten": "Lan", "tien": "1500"}},
        {"number": "0912345602", "fields": {"tien": 5}},
        {"number": "0912345603", "fields": {"ten": "Mai", "tien": "1.500"}},
        {"number": "01632345604", "fields": {"ten": "Cúc"}},
    ]

    report = await owner.made(f"/campaigns/{made['id']}/contacts", {"contacts": contacts})

    assert report["rejected"] == [
        {"index": 1, "reason": "field_missing: ten"},
        {"index": 2, "reason": "field_invalid: tien"},
    ]
    assert (report["repaired"], report["converted"]) == ([0], [3])
    told = [(await owner.get(f"/calls/{one['call_id']}")).json()["fields"] for one in report["accepted"]]
    assert told == [{"ten": "Lan", "tien": 1500}, {"ten": "Cúc", "tien": 0}]


async def test_a_contact_may_bring_attempts_times_and_a_person_of_its_own(
    owner: Api, world: World, services: Services
) -> None:
    own = {"max_attempts": 3, "call_after": "08:30", "call_before": "20:00", "person_ref": "KH-01"}

    report = await give(
        owner,
        world,
        {"number": "0912345601", **own},
        {"number": "0912345602", "call_after": "20:00", "call_before": "08:30"},
        {"number": "0912345603", "person_ref": ""},
    )

    assert report["rejected"] == [
        {"index": 1, "reason": "call_window_invalid"},
        {"index": 2, "reason": "person_ref_invalid"},
    ]
    async with services.db.autocommit() as tx:
        cursor = await tx.execute(
            "SELECT max_attempts, call_after, call_before, person_ref FROM calls WHERE id = %s",
            (report["accepted"][0]["call_id"],),
        )
        assert await cursor.fetchone() == tuple(own.values())


@pytest.mark.parametrize("attempts", [0, 101, "3", 1.5])
async def test_a_number_of_attempts_that_cannot_be_is_refused(
    owner: Api, world: World, attempts: Any
) -> None:
    contacts = {"contacts": [{"number": "0912345601", "max_attempts": attempts}]}

    answer = await owner.post(f"/campaigns/{world.campaign_id}/contacts", contacts)

    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["contacts[0].max_attempts"]


async def test_a_call_shows_what_was_given(owner: Api, viewer: Api, world: World) -> None:
    report = await give(owner, world, {"number": "+84 912 345 601", "fields": {"ten": "Lan", "tuoi": 30}})

    call = (await viewer.get(f"/calls/{report['accepted'][0]['call_id']}")).json()

    assert call["number"] == "0912345601"
    assert call["number_given"] == "+84 912 345 601"
    assert call["fields"] == {"ten": "Lan", "tuoi": 30}
    assert (call["state"], call["outcome"], call["history"]) == ("queued", None, [])


async def test_calls_are_filtered_by_each_and_all(owner: Api, world: World) -> None:
    report = await give(owner, world, {"number": "0912345601"}, {"number": "0912345602"})
    first, second = (item["call_id"] for item in report["accepted"])
    await owner.post("/calls/cancel", {"call_ids": [first]})

    assert await call_ids(owner, number="84912345602") == [second]
    assert await call_ids(owner, state="done", campaign_id=world.campaign_id) == [first]
    assert await call_ids(owner, outcome="cancelled", campaign_id=world.campaign_id) == [first]
    assert await call_ids(owner, number="0912345602", state="done") == []
    assert await call_ids(owner, state="queued", campaign_id=world.campaign_id, limit=1) == [world.call_id]


async def test_a_filter_that_would_search_the_whole_account_is_refused(owner: Api, world: World) -> None:
    for query in ({"state": "done"}, {"outcome": "busy"}):
        answer = await owner.get("/calls", **query)

        assert answer.status_code == 400
        assert [error["path"] for error in answer.json()["errors"]] == ["campaign_id"]


@pytest.mark.parametrize(
    "query", [{"state": "x"}, {"outcome": "x"}, {"number": "x"}, {"campaign_id": 0}, {"campaign_id": 2**63}]
)
async def test_a_filter_that_means_nothing_is_refused(owner: Api, query: dict[str, Any]) -> None:
    answer = await owner.get("/calls", **query)

    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == list(query)


@pytest.mark.parametrize("by", ["call_ids", "number", "campaign_id", "number in campaign"])
async def test_queued_calls_are_cancelled_once(owner: Api, world: World, by: str) -> None:
    ways: dict[str, dict[str, Any]] = {
        "call_ids": {"call_ids": [world.call_id, 2**62]},
        "number": {"number": "0912 345 678"},
        "campaign_id": {"campaign_id": world.campaign_id},
        "number in campaign": {"number": "0912345678", "campaign_id": world.campaign_id},
    }
    request = ways[by]

    first = await owner.post("/calls/cancel", request)
    again = await owner.post("/calls/cancel", request)

    assert first.json() == {"call_ids": [world.call_id], "more": False}
    assert again.json() == {"call_ids": [], "more": False}
    call = (await owner.get(f"/calls/{world.call_id}")).json()
    assert (call["state"], call["outcome"], call["attempts"]) == ("done", "cancelled", 0)
    progress = (await owner.get(f"/campaigns/{world.campaign_id}/progress")).json()
    assert progress["outcomes"] == {"cancelled": 1}


@pytest.mark.parametrize(
    "request_body", [{}, {"number": "x"}, {"call_ids": []}, {"call_ids": [1], "number": "0912345678"}]
)
async def test_a_cancelling_that_does_not_say_which_is_refused(owner: Api, request_body: Any) -> None:
    assert (await owner.post("/calls/cancel", request_body)).status_code == 400


async def test_a_call_is_told_with_its_attempts_legs_and_timeline(
    owner: Api, world: World, services: Services
) -> None:
    async with services.db.transaction() as tx:
        await tx.execute(
            "UPDATE calls SET state = 'done', attempts = 1, outcome = 'answered', duration_s = 31,"
            " key_press = '1 (29)', caller = '842473001234', called_at = now(), done_at = now()"
            " WHERE id = %s",
            (world.call_id,),
        )
        cursor = await tx.execute(
            "INSERT INTO attempts (account_id, call_id, campaign_id, ordinal, hotline_id, dialled_at,"
            " ended_at, outcome, ring_s, duration_s, key_press, timeline)"
            " SELECT account_id, id, campaign_id, 1, %s, '2026-11-21 02:00+00', now(), 'answered', 4.5, 31,"
            " '1 (29)', %s::jsonb FROM calls WHERE id = %s RETURNING id",
            (world.hotline_id, '[[0.5, "ringing", null], [29.1, "digit", "1"]]', world.call_id),
        )
        attempt = await cursor.fetchone()
        assert attempt is not None
        await tx.execute(
            "INSERT INTO legs (account_id, attempt_id, call_id, campaign_id, state, trunk_id, hotline_id,"
            " engine, dialer_id, number, limit_ids, dial_at, dial_before, gives_up_at, ended_at, outcome)"
            " SELECT account_id, %s, id, campaign_id, 'ended', %s, %s, 'sandbox', 1, number, '{}', now(),"
            " now(), now(), now(), 'answered' FROM calls WHERE id = %s",
            (attempt[0], world.trunk_id, world.hotline_id, world.call_id),
        )

    call = (await owner.get(f"/calls/{world.call_id}")).json()

    assert call.items() >= {"outcome": "answered", "key_press": "1 (29)", "caller": "02473001234"}.items()
    (told,) = call["history"]
    assert told.items() >= {"ordinal": 1, "ring_s": 4.5, "dialled_at": "2026-11-21T09:00:00+07:00"}.items()
    assert told["timeline"] == [
        {"second": 0.5, "event": "ringing", "detail": None},
        {"second": 29.1, "event": "digit", "detail": "1"},
    ]
    (leg,) = told["legs"]
    assert leg.items() >= {"state": "ended", "trunk_id": world.trunk_id, "engine": "sandbox"}.items()
