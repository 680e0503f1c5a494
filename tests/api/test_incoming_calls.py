"""Hotlines that answer, the calls that came in to them, and whom they call back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.api.conftest import Api
from tests.api.world import OTP_SCRIPT, build

from tongdai.domain import inbound
from tongdai.domain.inbound import Arrival, Disposition, InboundResult, Kind, Rules, Rung
from tongdai.kit.db import Database
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

ANSWERS = {"start": "hello", "steps": {"hello": {"kind": "say", "text": "Xin chào {caller}."}}}
SPEAKS_NAMES = {"start": "hello", "steps": {"hello": {"kind": "say", "text": "Xin chào {ten}."}}}

RANG = """
WITH call AS (UPDATE calls SET state = 'done' WHERE id = %(call)s RETURNING *)
INSERT INTO attempts (account_id, call_id, campaign_id, ordinal, hotline_id, dialled_at, ended_at, outcome)
SELECT account_id, id, campaign_id, %(ordinal)s, %(hotline)s, now() - %(ago)s::interval, now(), %(outcome)s
FROM call
"""


async def answering(api: Api, script: dict[str, Any] = ANSWERS) -> dict[str, Any]:
    """A world with a hotline that answers, as the API shows it."""
    world = await build(api)
    made = await api.made("/scripts", {"name": "Trả lời", "script": script})
    answer = await api.send("PATCH", f"/hotlines/{world.hotline_id}", {"inbound_script_id": made["id"]})
    assert answer.status_code == 200, answer.text
    hotline: dict[str, Any] = answer.json()
    return hotline | {"call_id": world.call_id, "campaign_id": world.campaign_id}


async def came(services: Services, hotline: dict[str, Any], caller: str = "0912345678", n: int = 1) -> int:
    """A call from this number that was taken. Its leg."""
    arrival = Arrival("sandbox", f"in-{n}", hotline["trunk_id"], caller, hotline["number"])
    async with services.db.transaction() as tx:
        taken = await inbound.take(tx, arrival, 1, Rules())
    assert taken.facts is not None
    return taken.facts.leg_id


async def ended(services: Services, hotline: dict[str, Any], **how: Any) -> None:
    arrival = Arrival("sandbox", "in-9", hotline["trunk_id"], "0912345678", hotline["number"])
    async with services.db.transaction() as tx:
        taken = await inbound.take(tx, arrival, 1, Rules())
        assert taken.facts is not None
        values: dict[str, Any] = {"kind": Kind.MISSCALL, "disposition": Disposition.CANCEL, "answered": False}
        result = InboundResult(facts=taken.facts, ring_s=3.51, **(values | how))
        await inbound.end_calls(tx, [result], services.clock.now())


async def rang(
    db: Database, hotline: dict[str, Any], *, days: float, ordinal: int = 1, outcome: str = "busy"
) -> None:
    """The campaign's call was dialled so long ago."""
    values = {
        "call": hotline["call_id"],
        "hotline": hotline["id"],
        "ordinal": ordinal,
        "ago": timedelta(days=days),
        "outcome": outcome,
    }
    async with db.autocommit() as connection:
        await connection.execute(RANG, values)


# ---------------------------------------------------------------- hotlines


async def test_a_hotline_answers_with_the_newest_version_of_its_script_until_it_is_given_again(
    owner: Api,
) -> None:
    hotline = await answering(owner)
    assert (hotline["inbound_script_version"], hotline["unanswered"]) == (1, "busy")
    script_id, path = hotline["inbound_script_id"], f"/hotlines/{hotline['id']}"
    await owner.send("PUT", f"/scripts/{script_id}", {"name": "Trả lời", "script": ANSWERS})

    renamed = (await owner.send("PATCH", path, {"unanswered": "ring"})).json()
    given_again = (await owner.send("PATCH", path, {"inbound_script_id": script_id})).json()
    silent = (await owner.send("PATCH", path, {"inbound_script_id": None})).json()

    assert (renamed["inbound_script_version"], renamed["unanswered"]) == (1, "ring")
    assert given_again["inbound_script_version"] == 2
    assert (silent["inbound_script_id"], silent["inbound_script_version"]) == (None, None)


async def test_a_new_hotline_may_answer_from_the_beginning(owner: Api) -> None:
    world = await build(owner)
    script = await owner.made("/scripts", {"name": "Trả lời", "script": ANSWERS})
    body = {"number": "02473005678", "trunk_id": world.trunk_id, "inbound_script_id": script["id"]}
    hotline = await owner.made("/hotlines", body)
    assert (hotline["inbound_script_id"], hotline["inbound_script_version"]) == (script["id"], 1)


@pytest.mark.parametrize(
    ("script", "why"),
    [(OTP_SCRIPT, "reads one-time codes"), (SPEAKS_NAMES, "speaks ten")],
    ids=["otp", "fields"],
)
async def test_a_script_that_cannot_answer_is_refused_with_the_reason(
    owner: Api, script: dict[str, Any], why: str
) -> None:
    world = await build(owner)
    made = await owner.made("/scripts", {"name": "x", "script": script})
    answer = await owner.send("PATCH", f"/hotlines/{world.hotline_id}", {"inbound_script_id": made["id"]})
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["path"] == "inbound_script_id"
    assert why in error["message"]
    assert (await owner.get(f"/hotlines/{world.hotline_id}")).json()["inbound_script_id"] is None


# ---------------------------------------------------------------- calls


async def test_a_call_is_shown_from_its_first_ring_to_its_end(owner: Api, services: Services) -> None:
    hotline = await answering(owner)
    leg_id = await came(services, hotline)
    assert leg_id
    [ringing] = (await owner.get("/incoming-calls")).json()["items"]
    assert (ringing["state"], ringing["kind"], ringing["caller"]) == ("ringing", None, "0912345678")

    await ended(
        services,
        hotline,
        kind=Kind.CALLIN,
        disposition=Disposition.ANSWER,
        answered=True,
        duration_s=65,
        key_press="2 (6)",
        timeline=((0.0, "answered", None), (6.1, "digit", "2"), (65.0, "ended", "normal")),
        answers={"menu": "2"},
        end_code="booked",
        rung=(Rung("84987654321", "ANSWER", 48),),
    )
    [newest] = (await owner.get("/incoming-calls", state="ended")).json()["items"]
    call = (await owner.get(f"/incoming-calls/{newest['id']}")).json()
    times = {name: call.pop(name) for name in ("came_at", "answered_at", "ended_at")}
    assert all(value.endswith("+07:00") for value in times.values())
    assert call == {
        "id": newest["id"],
        "hotline_id": hotline["id"],
        "hotline": "02473001234",
        "trunk_id": hotline["trunk_id"],
        "caller": "0912345678",
        "caller_given": "0912345678",
        "called_given": "02473001234",
        "state": "ended",
        "kind": "CALLIN",
        "disposition": "ANSWER",
        "ring_s": 3.51,
        "duration_s": 65,
        "billable_s": 65,
        "key_press": "2 (6)",
        "answers": {"menu": "2"},
        "end_code": "booked",
        "transfers": [{"target": "0987654321", "disposition": "ANSWER", "seconds": 48}],
        "campaign_call_id": None,
        "campaign_id": None,
        "timeline": [
            {"second": 0.0, "event": "answered", "detail": None},
            {"second": 6.1, "event": "digit", "detail": "2"},
            {"second": 65.0, "event": "ended", "detail": "normal"},
        ],
        "record_files": [],
    }


async def test_calls_are_filtered_and_paged_newest_first(owner: Api, services: Services) -> None:
    hotline = await answering(owner)
    for number, caller in enumerate(("0912345678", "0912345679", "0912345678")):
        await came(services, hotline, caller, number)
    await ended(services, hotline)

    async def ids(**query: Any) -> list[int]:
        return [call["id"] for call in (await owner.get("/incoming-calls", **query)).json()["items"]]

    everything = await ids()
    assert everything == sorted(everything, reverse=True)
    assert await ids(number="+84912345679") == everything[2:3]
    assert await ids(kind="MISSCALL") == everything[:1]
    assert await ids(state="ringing") == everything[1:]
    assert await ids(hotline_id=hotline["id"], state="ringing") == everything[1:]
    assert await ids(hotline_id=hotline["id"], number="0912345678") == [everything[n] for n in (0, 1, 3)]
    first = (await owner.get("/incoming-calls", limit=3)).json()
    rest = (await owner.get("/incoming-calls", limit=3, cursor=first["next"])).json()
    assert [call["id"] for call in first["items"] + rest["items"]] == everything
    assert rest["next"] is None
    assert (await owner.get("/incoming-calls", number="abc")).status_code == 400


# ---------------------------------------------------------------- call-backs


async def test_a_call_back_is_tied_to_the_campaigns_call_and_shown_on_both_sides(
    owner: Api, services: Services, db: Database
) -> None:
    hotline = await answering(owner)
    await rang(db, hotline, days=6.9)
    await ended(services, hotline)

    [call] = (await owner.get("/incoming-calls")).json()["items"]
    assert (call["campaign_call_id"], call["campaign_id"]) == (hotline["call_id"], hotline["campaign_id"])
    [back] = (await owner.get(f"/calls/{hotline['call_id']}")).json()["call_backs"]
    assert back == {name: call[name] for name in back}
    assert (back["id"], back["kind"], back["disposition"]) == (call["id"], "MISSCALL", "CANCEL")
    tied = (await owner.get("/incoming-calls", campaign_call_id=hotline["call_id"])).json()["items"]
    assert [one["id"] for one in tied] == [call["id"]]


@pytest.mark.parametrize(("days", "outcome"), [(7.1, "no_answer"), (0.1, "congestion"), (0.1, "failed")])
async def test_what_was_long_ago_or_never_rang_is_not_called_back(
    owner: Api, services: Services, db: Database, days: float, outcome: str
) -> None:
    hotline = await answering(owner)
    await rang(db, hotline, days=days, outcome=outcome)
    await ended(services, hotline)
    [call] = (await owner.get("/incoming-calls")).json()["items"]
    assert call["campaign_call_id"] is None
    assert (await owner.get(f"/calls/{hotline['call_id']}")).json()["call_backs"] == []
