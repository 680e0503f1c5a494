"""Calls that come in over the sandbox carrier, through each kind of script, to their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests import factories
from tests.desk import Desk as CallingDesk
from tests.fakes.answering import GREETING, MENU, MESSAGE, Shop, answering, shop, transfer
from tests.fakes.carrier import FULL_SPEED, CarrierProcess
from tests.fakes.dialling import eventually, rows

from tongdai.adapters.sandbox.engine import SandboxEngine
from tongdai.adapters.sandbox.log import invited_more_than_once, most_channels
from tongdai.domain.inbound import IncomingCall
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio

PATIENT = "0912345001"
PRESSES_1 = "0912345007"
HANGS_UP_AT_ONCE = "0912345009"
ANSWERS = "0987654001"
RINGS_OUT = "0987654002"
DECLINES = "0987654004"


@pytest.fixture
def carrier(tmp_path: Path) -> Iterator[CarrierProcess]:
    with CarrierProcess(tmp_path, speed=FULL_SPEED) as running:
        yield running


@asynccontextmanager
async def caller(carrier: CarrierProcess) -> AsyncIterator[SandboxEngine]:
    """Somebody with a telephone."""
    engine = SandboxEngine(carrier.address)
    await engine.start()
    try:
        async for _ in engine.events():
            break
        yield engine
    finally:
        await engine.stop()


@asynccontextmanager
async def open_for_calls(
    db: Database, keyring: Keyring, carrier: CarrierProcess, desks: int = 1
) -> AsyncIterator[SandboxEngine]:
    """So many dialers with a desk each, and somebody with a telephone."""
    async with AsyncExitStack() as stack:
        for _ in range(desks):
            engines = {"sandbox": SandboxEngine(carrier.address)}
            await stack.enter_async_context(answering(db, keyring, engines))
        yield await stack.enter_async_context(caller(carrier))


async def account(db: Database) -> int:
    return (await factories.cast(db)).owner.account_id


async def what_becomes_of(
    db: Database,
    keyring: Keyring,
    carrier: CarrierProcess,
    script: dict[str, Any] | None,
    *,
    called_by: str = PATIENT,
    how: dict[str, Any] | None = None,
    **hotline: Any,
) -> tuple[Shop, IncomingCall]:
    """One call to a hotline of this kind, once it has ended."""
    one = await shop(db, await account(db), script, **hotline)
    async with open_for_calls(db, keyring, carrier) as phone:
        await phone.place(one.trunk.id, called_by, one.number, **(how or {}))
        (call,) = await one.ended()
    assert await one.live() == []
    return one, call


# ---------------------------------------------------------------- what answers at once


async def test_a_caller_hears_the_script_and_is_a_callin(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    one, call = await what_becomes_of(db, keyring, carrier, GREETING)
    assert (call.kind, call.disposition, call.end_code) == ("CALLIN", "ANSWER", "completed")
    assert (call.caller, call.caller_given, call.hotline) == ("84912345001", PATIENT, one.hotline.number)
    assert call.duration_s == call.billable_s == 2
    assert call.answered_at is not None
    assert [entry[1] for entry in call.timeline or []] == ["answered", "ended"]
    assert carrier.events_of(call.leg_id or 0) == ["ACCEPT", "ANSWER", "BYE"]


async def test_a_key_that_a_caller_presses_chooses_in_the_menu(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    _, call = await what_becomes_of(db, keyring, carrier, MENU, how={"presses": "2"})
    assert (call.kind, call.end_code, call.answers) == ("CALLIN", "booked", {"menu": "2"})
    assert call.key_press == "2 (1)"


async def test_a_caller_leaves_a_message(db: Database, keyring: Keyring, carrier: CarrierProcess) -> None:
    _, call = await what_becomes_of(db, keyring, carrier, MESSAGE)
    assert (call.kind, call.disposition) == ("CALLIN", "ANSWER")
    assert [entry[1] for entry in call.timeline or []] == ["answered", "recorded", "ended"]


@pytest.mark.parametrize(("called_by", "end_code"), [(PRESSES_1, "known"), (PATIENT, "unknown")])
async def test_a_script_branches_on_who_calls(
    db: Database, keyring: Keyring, carrier: CarrierProcess, called_by: str, end_code: str
) -> None:
    script = {
        "start": "who",
        "steps": {
            "who": {
                "kind": "branch",
                "field": "caller",
                "cases": [{"equals": PRESSES_1, "next": "known"}],
                "else": "unknown",
            },
            "known": {"kind": "say", "text": "Chào khách quen", "next": "known_end"},
            "known_end": {"kind": "hang_up", "end_code": "known"},
            "unknown": {"kind": "say", "text": "Chào quý khách", "next": "unknown_end"},
            "unknown_end": {"kind": "hang_up", "end_code": "unknown"},
        },
    }
    _, call = await what_becomes_of(db, keyring, carrier, script, called_by=called_by)
    assert (call.kind, call.end_code) == ("CALLIN", end_code)


async def test_somebody_who_wants_no_more_calls_may_say_so_by_calling(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    script = {
        "start": "out",
        "steps": {"out": {"kind": "opt_out", "next": "bye"}, "bye": {"kind": "say", "text": "Đã ghi nhận"}},
    }
    await what_becomes_of(db, keyring, carrier, script)
    found = await rows(db, "SELECT number FROM persons WHERE opted_out_at IS NOT NULL")
    assert found == [("84912345001",)]


# ---------------------------------------------------------------- what rings somebody first


async def test_a_phone_that_answers_has_the_call_and_it_is_a_callin(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    _, call = await what_becomes_of(db, keyring, carrier, transfer(ANSWERS))
    assert (call.kind, call.disposition) == ("CALLIN", "ANSWER")
    [phone] = call.transfers or []
    assert (phone["target"], phone["disposition"]) == ("84987654001", "ANSWER")
    assert phone["seconds"] > 0
    assert [entry[1] for entry in call.timeline or []] == ["answered", "transferred", "ended"]
    assert (call.ring_s or 0) > 4


async def test_of_a_ring_group_one_answers_and_the_others_are_told_as_the_vendor_tells_them(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    _, call = await what_becomes_of(db, keyring, carrier, transfer(RINGS_OUT, ANSWERS))
    told = {phone["target"]: phone["disposition"] for phone in call.transfers or []}
    assert told == {"84987654002": "SOMEONEANSWERED", "84987654001": "ANSWER"}
    assert call.kind == "CALLIN"


@pytest.mark.parametrize("target", [RINGS_OUT, DECLINES])
async def test_when_nobody_answers_it_is_missed_and_was_never_picked_up(
    db: Database, keyring: Keyring, carrier: CarrierProcess, target: str
) -> None:
    _, call = await what_becomes_of(db, keyring, carrier, transfer(target))
    assert (call.kind, call.disposition, call.duration_s) == ("MISSCALL", "NOANSWER", 0)
    assert call.answered_at is None
    assert [phone["disposition"] for phone in call.transfers or []] == ["NOANSWER"]
    assert "ANSWER" not in carrier.events_of(call.leg_id or 0)


async def test_when_nobody_answers_the_caller_may_be_picked_up_and_leave_a_message(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    script = transfer(RINGS_OUT, on_failed="ask", **MESSAGE["steps"])
    one, call = await what_becomes_of(db, keyring, carrier, script, how={"waits_s": 60.0})
    assert [entry[1] for entry in call.timeline or []] == ["transferred", "answered", "recorded", "ended"]
    # The sandbox keeps no sound, so nothing was left.
    assert (call.kind, call.disposition) == ("MISSCALL", "NOANSWER")
    assert one.hotline.id == call.hotline_id


async def test_a_transfer_after_a_greeting_that_nobody_answers_is_missed_too(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    script = {
        "start": "hello",
        "steps": {
            "hello": {"kind": "say", "text": "Xin chờ máy", "next": "ring"},
            "ring": {"kind": "transfer", "target": RINGS_OUT, "ring_s": 15},
        },
    }
    _, call = await what_becomes_of(db, keyring, carrier, script)
    assert (call.kind, call.disposition) == ("MISSCALL", "NOANSWER")
    assert call.answered_at is not None
    assert (call.duration_s or 0) > 15


# ---------------------------------------------------------------- what nobody answers


async def test_a_hotline_without_a_script_is_busy_and_the_call_is_missed(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    _, call = await what_becomes_of(db, keyring, carrier, None)
    assert (call.kind, call.disposition, call.leg_id) == ("MISSCALL", "CHANUNAVAIL", None)
    assert [(line.event, line.cause) for line in carrier.lines()][1:] == [
        ("INCOMING", ""),
        ("REJECT", "busy"),
    ]


async def test_a_hotline_that_is_off_is_busy(db: Database, keyring: Keyring, carrier: CarrierProcess) -> None:
    _, call = await what_becomes_of(db, keyring, carrier, GREETING, enabled=False)
    assert (call.kind, call.disposition, call.leg_id) == ("MISSCALL", "CHANUNAVAIL", None)


async def test_a_hotline_without_a_script_may_ring_until_the_caller_gives_up(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    _, call = await what_becomes_of(db, keyring, carrier, None, unanswered="ring")
    assert (call.kind, call.disposition) == ("MISSCALL", "CANCEL")
    assert carrier.events_of(call.leg_id or 0) == ["ACCEPT", "CANCEL"]


async def test_a_full_hotline_is_busy_and_its_channel_is_not_taken_twice(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    one = await shop(db, await account(db), None, hotline_channels=1, unanswered="ring")
    async with open_for_calls(db, keyring, carrier) as phone:
        await asyncio.gather(*(phone.place(one.trunk.id, PATIENT, one.number) for _ in range(5)))
        calls = await one.ended(5)
    assert sorted(str(call.disposition) for call in calls) == ["BUSY"] * 4 + ["CANCEL"]
    assert most_channels(carrier.lines()) == {one.trunk.id: 1}
    assert await one.live() == []


async def test_a_number_that_is_nobodys_is_told_so_and_leaves_no_call(
    db: Database, keyring: Keyring, carrier: CarrierProcess, caplog: pytest.LogCaptureFixture
) -> None:
    one = await shop(db, await account(db), GREETING)
    async with open_for_calls(db, keyring, carrier) as phone:
        await phone.place(one.trunk.id, PATIENT, "02473009999")
        await phone.place(one.trunk.id, PATIENT, one.number)
        await one.ended()
    assert [line.cause for line in carrier.lines() if line.event == "REJECT"] == ["unallocated"]
    assert len(await one.calls()) == 1
    [told] = [vars(record) for record in caplog.records if "no hotline" in record.message]
    assert (told["trunk"], told["called"]) == (one.trunk.id, "02473009999")
    assert PATIENT not in str(told), "who called is in no log"


@pytest.mark.parametrize(
    "called",
    ["02473001234", "842473001234", "+842473001234", "2473001234", "sip:+842473001234@sbc.example", "s", ""],
)
async def test_a_hotline_is_found_however_the_carrier_writes_its_number(
    db: Database, keyring: Keyring, carrier: CarrierProcess, called: str
) -> None:
    one = await shop(db, await account(db), GREETING)
    async with open_for_calls(db, keyring, carrier) as phone:
        await phone.place(one.trunk.id, "anonymous", called)
        (call,) = await one.ended()
    assert (call.hotline_id, call.called_given, call.kind) == (one.hotline.id, called, "CALLIN")
    assert (call.caller, call.caller_given) == ("", "anonymous")


async def test_a_hotline_of_a_stranger_is_not_reached_over_ones_own_trunk(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    cast = await factories.cast(db)
    theirs = await shop(db, cast.owner.account_id, GREETING)
    own = await shop(db, cast.stranger.account_id, GREETING, number="02473005678")
    async with open_for_calls(db, keyring, carrier) as phone:
        await phone.place(own.trunk.id, PATIENT, theirs.number)
        await phone.place(own.trunk.id, PATIENT, own.number)
        await own.ended()
    assert await theirs.calls() == []


# ---------------------------------------------------------------- many at once


async def test_caps_hold_with_many_calls_both_ways_at_once_and_several_desks(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    owner = (await factories.cast(db)).owner
    one = await shop(db, owner.account_id, MENU, channels=6)
    calling = CallingDesk(db, keyring, owner)
    campaign = await calling.campaign(hotline_ids=[one.hotline.id], cps=None)
    numbers = [f"09{place:05d}001" for place in range(10_000, 10_120)]
    async with open_for_calls(db, keyring, carrier, desks=3) as phone:
        await calling.give(campaign, *numbers)
        await calling.hint(campaign)
        for _ in range(60):
            await phone.place(one.trunk.id, PRESSES_1, one.number)
            await asyncio.sleep(0)
        calls = await one.ended(60)
        await eventually(calling.all_done, 60)
    assert most_channels(carrier.lines())[one.trunk.id] <= 6
    assert invited_more_than_once(carrier.lines()) == {}
    assert {call.kind for call in calls} <= {"CALLIN", "MISSCALL"}
    assert {call.disposition for call in calls} <= {"ANSWER", "BUSY"}
    assert await one.live() == []
