"""Campaigns made over our API, on a real Asterisk, to every far end: outcomes, keys, money, bodies."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.dialling import rows, until
from tests.fakes.real_platform import HOTLINE, RealPlatform, real_platform
from tests.fakes.receiver import receiving
from tests.fakes.sipp import SippPhone
from tests.fakes.sipp_scenarios import PASSWORD, USERNAME

from tongdai.domain import billing

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk, pytest.mark.timeout(180)]

MENU: dict[str, Any] = {
    "start": "menu",
    "steps": {
        "menu": {
            "kind": "gather",
            "prompt": "Đơn hàng của quý khách. Bấm 1 để nhận, 2 để huỷ.",
            "on": {"1": "yes", "2": "no"},
            "timeout_s": 1,
            "tries": 1,
            "on_timeout": "silent",
            "on_invalid": "wrong",
        },
        "yes": {"kind": "hang_up", "end_code": "confirmed"},
        "no": {"kind": "hang_up", "end_code": "cancelled"},
        "silent": {"kind": "hang_up", "end_code": "silent"},
        "wrong": {"kind": "hang_up", "end_code": "wrong"},
    },
}
LONG: dict[str, Any] = {
    "start": "long",
    "steps": {"long": {"kind": "say", "text": "Cửa hàng xin gửi lời chào đến quý khách. " * 4}},
}
BRIEF: dict[str, Any] = {"start": "bye", "steps": {"bye": {"kind": "hang_up"}}}
PLAIN = {"ring_seconds": 5, "detect_voicemail": False}

OUTCOMES = {
    "001": "answered",
    "002": "no_answer",
    "003": "busy",
    "004": "rejected",
    "005": "invalid_number",
    "007": "answered",
    "008": "answered",
    "009": "answered",
    "010": "congestion",
    "012": "unreachable",
    "014": "answered",
    "015": "invalid_number",
    "016": "answered",
    "017": "answered",
    "019": "answered",
    "020": "congestion",
    "021": "answered",
    "022": "answered",
    "024": "answered",
}
"""By what the far end does with such a number (tests/fakes/sipp_scenarios.py)."""
KEYS = {"007": "1", "008": "2", "021": "5"}
"""By RFC 4733, and 5 by SIP INFO; each a second after the answer."""

RATE = {"network": "*", "per_minute": 720, "initial_s": 1, "increment_s": 1, "per_answer": 50}
POSTAGE_A_SECOND, PER_ANSWER = 12, 50
WALLET = 1_000_000
KNOWN_S = 2.0
"""After which a change of a trunk holds."""
SLACK_S = 3.0
"""For the call that shows it, on a machine that is busy with other tests."""


@pytest.fixture(scope="module")
def phone() -> Iterator[SippPhone]:
    with SippPhone(kinds=("001",)) as far_end:
        yield far_end


@pytest.fixture
async def real(database_url: str, tmp_path: Path, asterisk: AsteriskInstance) -> AsyncIterator[RealPlatform]:
    async with real_platform(database_url, tmp_path, asterisk) as one:
        await one.node(asterisk)
        yield one


def sip_of(phone: SippPhone, **more: Any) -> dict[str, Any]:
    return {"host": phone.host, "port": phone.port, "username": USERNAME, "password": PASSWORD} | more


def number(kind: str, place: int = 0) -> str:
    return f"0912{place:03d}{kind}"


def talked_s(phone: SippPhone, number: str) -> float:
    """By the far end's own clock; 0: it never answered."""
    at = {line.event: line.mono for line in phone.lines() if line.number == number}
    return at["BYE"] - at["ANSWER"] if "ANSWER" in at else 0.0


async def all_are_over(phone: SippPhone) -> None:
    """The far end hears of each end in its own time, which may be after we have."""

    def legs(*events: str) -> set[int]:
        return {line.leg for line in phone.lines() if line.event in events}

    await until(lambda: legs("RINGING", "EARLY", "ANSWER") <= legs("BYE", "CANCEL", "REJECT"))


async def test_every_far_end_has_its_outcome_keys_and_seconds(real: RealPlatform, phone: SippPhone) -> None:
    trunk = await real.trunk(sip_of(phone))
    campaign = await real.campaign(MENU, await real.hotline(trunk["id"]), config=PLAIN)
    calls = dict(zip(OUTCOMES, await real.give(campaign, *map(number, OUTCOMES)), strict=True))
    async with real.dialing():
        done = {kind: await real.done(call) for kind, call in calls.items()}

    await all_are_over(phone)
    assert {kind: call["outcome"] for kind, call in done.items()} == OUTCOMES
    assert {kind: call["key_press"][:1] for kind, call in done.items() if call["key_press"]} == KEYS
    # Whole seconds since the answer: 0 or 1 for what is pressed as the first ends.
    assert {done[kind]["key_press"][1:] for kind in KEYS} <= {" (0)", " (1)"}
    assert phone.invited_more_than_once() == {}
    for kind, call in done.items():
        assert call["duration_s"] == pytest.approx(talked_s(phone, number(kind)), abs=1.5), kind
        [attempt] = call["history"]
        assert [leg["state"] for leg in attempt["legs"]] == ["ended"]
    rang = {kind: call["history"][0]["ring_s"] for kind, call in done.items()}
    assert rang["002"] == pytest.approx(5.0, abs=1.0)
    assert phone.events_of(number("002")) == ["INVITE", "RINGING", "CANCEL"]
    assert phone.events_of(number("014"))[:3] == ["INVITE", "EARLY", "ANSWER"]
    assert await rows(real.platform.db, "SELECT live FROM limits WHERE live <> 0") == []


async def test_machines_and_calls_without_an_end_are_told_apart_and_ended(
    real: RealPlatform, phone: SippPhone
) -> None:
    """A machine's greeting is voicemail; who vanished without a word is let go at the limit of the call."""
    trunk = await real.trunk(sip_of(phone))
    line = await real.hotline(trunk["id"])
    looking = await real.campaign(MENU, line, config={"ring_seconds": 5})
    limited = await real.campaign(LONG, line, name="Dài", config=PLAIN | {"max_call_seconds": 5})
    machine, person = await real.give(looking, number("006", 1), number("023", 1))
    vanished, listens = await real.give(limited, number("018", 1), number("001", 1))
    async with real.dialing():
        done = [await real.done(call) for call in (machine, person, vanished, listens)]
    await all_are_over(phone)
    assert [call["outcome"] for call in done] == ["voicemail", "answered", "answered", "answered"]
    assert [call["duration_s"] for call in done[2:]] == pytest.approx([5, 5], abs=1)
    assert talked_s(phone, number("001", 1)) == pytest.approx(5.0, abs=1.0)
    assert "BYE" in phone.events_of(number("018", 1))


async def test_a_corrected_table_of_causes_changes_the_outcome_of_the_next_call(
    real: RealPlatform, phone: SippPhone
) -> None:
    trunk = await real.trunk(sip_of(phone))
    campaign = await real.campaign(BRIEF, await real.hotline(trunk["id"]), config=PLAIN)
    async with real.dialing():
        [before] = await real.give(campaign, number("012", 2))
        assert (await real.done(before))["outcome"] == "unreachable"
        corrected = trunk["sip"] | {"causes": {"480": "busy"}}
        del corrected["has_password"]
        answer = await real.owner.send("PATCH", f"/trunks/{trunk['id']}", {"sip": corrected})
        assert answer.status_code == 200, answer.text
        corrected_at = time.monotonic()
        places = itertools.count(3)
        after = before
        while (await real.done(after))["outcome"] == "unreachable":
            assert time.monotonic() - corrected_at < KNOWN_S + SLACK_S
            [after] = await real.give(campaign, number("012", next(places)))
        [digest] = await real.give(campaign, number("019", 3))
        assert (await real.done(after))["outcome"] == "busy"
        # The password is still there: it was left out, not taken away.
        assert (await real.done(digest))["outcome"] == "answered"


# ------------------------------------------------------------------ what it costs, and who is told


async def test_talk_is_charged_by_the_second_and_the_ledger_sums_to_the_wallet(
    real: RealPlatform, phone: SippPhone
) -> None:
    trunk = await real.trunk(sip_of(phone))
    await real.pays(WALLET, RATE)
    campaign = await real.campaign(MENU, await real.hotline(trunk["id"]), config=PLAIN)
    kinds = ("001", "003", "004", "007", "009", "015", "022")
    calls = await real.give(campaign, *(number(kind, 4) for kind in kinds))
    async with real.dialing():
        done = {call: await real.done(call) for call in calls}

    top_up, *lines = (await real.got("/ledger", limit=100))["items"]
    postage = {line["call_id"]: line for line in lines if line["kind"] == "postage"}
    answered = {call for call, told in done.items() if told["outcome"] == "answered"}
    assert set(postage) == {call for call in answered if done[call]["duration_s"]}
    for call, line in postage.items():
        seconds = line["billable_s"]
        talked = talked_s(phone, done[call]["number"])
        assert seconds == done[call]["duration_s"]
        assert talked - 1.0 <= seconds <= talked + 2.0
        assert line["net"] == -POSTAGE_A_SECOND * seconds
        assert line["amount"] == line["net"] + line["vat"] < 0
    service = [line for line in lines if line["kind"] == "service_charge"]
    assert {line["call_id"] for line in service} == answered
    assert {line["net"] for line in service} == {-PER_ANSWER}
    wallet = await real.got("/wallet")
    assert wallet["balance"] == top_up["amount"] + sum(line["amount"] for line in lines)
    assert (wallet["reserved"], wallet["available"]) == (0, wallet["balance"])
    async with real.platform.db.transaction() as tx:
        found = await billing.audit(tx, real.account_id)
    assert found is not None
    assert found.agrees


async def test_a_customers_server_is_told_of_each_call_in_the_vendors_words(
    real: RealPlatform, phone: SippPhone
) -> None:
    trunk = await real.trunk(sip_of(phone))
    await real.pays(WALLET, RATE)
    campaign = await real.campaign(MENU, await real.hotline(trunk["id"]), config=PLAIN)
    fields = {"name": "Chị Lan", "description": "đơn 17"}
    async with receiving() as server, real.dialing(), real.working():
        for path, format_ in (("/auto", "vbot_auto_call"), ("/history", "vbot_call_history")):
            await real.owner.made("/webhook-endpoints", {"url": server.url(path), "format": format_})
        contacts = [{"number": number(kind, 5), "fields": fields} for kind in ("007", "003")]
        pressed, busy = await real.give(campaign, *contacts)
        calls = [await real.done(call) for call in (pressed, busy)]
        bodies = {
            path: {phone_of(one.json): one.json for one in await server.until_got(path, 2)}
            for path in ("/auto", "/history")
        }
    paid = {line["call_id"]: -line["amount"] for line in (await real.got("/ledger", kind="postage"))["items"]}
    assert calls[0]["duration_s"] > 0
    assert calls[0]["key_press"][:3] == "1 ("
    for call, status, disposition, keys in zip(
        calls, (200, 3), ("ANSWER", "BUSY"), (calls[0]["key_press"], ""), strict=True
    ):
        postage = paid.get(call["id"], 0)
        assert bodies["/auto"][call["number"]] == {
            "campaign_id": campaign,
            "create_at": vendors_date(call["called_at"]),
            "hotline": HOTLINE,
            "phone": call["number"],
            "name": "Chị Lan",
            "description": "đơn 17",
            "status": status,
            "time_call": call["duration_s"],
            "postage": postage,
            "service_charge": 55 if status == 200 else 0,
            "action_log": keys,
            "event_data": "CAMPAIGN_CALL",
        }
        assert bodies["/history"][call["number"]] == history_of(call, disposition, postage)


def phone_of(body: dict[str, Any]) -> str:
    """Whom a body of either kind is about."""
    return str(body["phone"] if "phone" in body else body["data"][0]["callee"][0]["phone"])


def history_of(call: dict[str, Any], disposition: str, postage: int) -> dict[str, Any]:
    """The call history's body of a campaign's call of less than a minute."""
    date, talked = vendors_date(call["called_at"]), f"00:00:{call['duration_s']:02d}"
    party = {"vbot_id": "", "date_create": date, "time_call": talked, "postage": postage, "member_no": ""}
    caller = {"phone": HOTLINE, "disposition": "", "source": "Campaign"}
    callee = {"phone": call["number"], "disposition": disposition, "source": "Phone"}
    told = {
        "hotline_number": HOTLINE,
        "date_create": date,
        "time_call": talked,
        "type_call": "CALLOUT",
        "caller": [party | caller],
        "callee": [party | callee],
        "postage": f"{postage:.2f}",
        "source": "Campaign",
        "disposition": disposition,
        "record_file": [],
    }
    return {"status": 1, "error": 0, "message": "success", "event_data": "HISTORY_CALL", "data": [told]}


def vendors_date(moment: str) -> str:
    """A moment as our API shows it, which is in Vietnam's time, as the vendor writes it."""
    return datetime.fromisoformat(moment).strftime("%m/%d/%Y %H:%M:%S")
