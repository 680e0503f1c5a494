"""Calls that come in over a real Asterisk from a telephone that is not ours, through each kind of script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests import factories
from tests.fakes.answering import GREETING, MENU, MESSAGE, Shop, answering, shop, transfer
from tests.fakes.asterisk import AsteriskInstance, asterisk_instance
from tests.fakes.dialling import eventually, rows
from tests.fakes.handset import Handset, Plan, Press
from tests.fakes.one_trunk import Tones, Trunks
from tests.fakes.sipp import SippPhone

from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.domain.inbound import IncomingCall
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

ENGINE = "asterisk/1"
CALLER = "0912345678"
ANSWERS, RINGS_OUT = "0987654001", "0987654002"


@pytest.fixture(scope="module")
def node() -> Iterator[AsteriskInstance]:
    with asterisk_instance() as running:
        yield running


@pytest.fixture
def handset() -> Iterator[Handset]:
    with Handset() as one:
        yield one


@asynccontextmanager
async def open_for_calls(
    db: Database, keyring: Keyring, node: AsteriskInstance, one: Shop, phones: SippPhone, caller: Handset
) -> AsyncIterator[None]:
    """A dialer with a desk on the node; calls come in from the handset, and go out to sipp."""
    trunk = replace(phones.sip_trunk(one.trunk.id), match=(caller.host,))
    engine = AsteriskEngine(node.node, Trunks(trunk), Tones(node.sounds, pace=4.0))
    async with answering(db, keyring, {ENGINE: engine}):

        async def hears() -> bool:
            applications = node.cli("ari show apps")
            return "td-in" in applications and f"td{one.trunk.id}" in node.cli("pjsip show identifies")

        await eventually(hears)
        yield


async def call(
    db: Database,
    keyring: Keyring,
    node: AsteriskInstance,
    handset: Handset,
    script: dict[str, Any] | None,
    plan: Plan | None = None,
) -> tuple[Shop, IncomingCall, int]:
    """One call to a hotline that answers with this, once it has ended; and the SIP status of its end."""
    one = await shop(db, (await factories.cast(db)).owner.account_id, script)
    with SippPhone(trunk=one.trunk.id) as phones:
        async with open_for_calls(db, keyring, node, one, phones, handset):
            address = f"sip:{one.number}@127.0.0.1:{node.sip_port}"
            placed = handset.call(address, caller=CALLER, plan=plan or Plan())
            (ended,) = await one.ended()
            status = (await handset.until("ended", call=placed)).status
    assert await one.live() == []
    return one, ended, status


async def test_a_telephone_hears_the_greeting_of_a_hotline(
    db: Database, keyring: Keyring, node: AsteriskInstance, handset: Handset
) -> None:
    one, ended, _ = await call(db, keyring, node, handset, GREETING)
    assert (ended.kind, ended.disposition, ended.end_code) == ("CALLIN", "ANSWER", "completed")
    assert (ended.caller, ended.hotline) == ("84912345678", one.hotline.number)
    heard = handset.heard(handset.seen("answered")[0].call)
    assert float(abs(heard).max()) > 0.05


@pytest.mark.parametrize("how", ["rfc4733", "info"])
async def test_a_key_that_a_telephone_presses_chooses_in_the_menu(
    db: Database, keyring: Keyring, node: AsteriskInstance, handset: Handset, how: Any
) -> None:
    plan = Plan(presses=(Press(0.5, "2", how=how),))
    _, ended, _ = await call(db, keyring, node, handset, MENU, plan)
    assert (ended.kind, ended.end_code, ended.answers) == ("CALLIN", "booked", {"menu": "2"})
    assert (ended.key_press or "").startswith("2 (")


async def test_a_message_is_recorded_and_noted_to_be_fetched(
    db: Database, keyring: Keyring, node: AsteriskInstance, handset: Handset
) -> None:
    script = {"start": "ask", "steps": MESSAGE["steps"] | {"record": {"kind": "record", "max_s": 2}}}
    _, ended, _ = await call(db, keyring, node, handset, script)
    assert (ended.kind, ended.disposition) == ("CALLIN", "ANSWER")
    kept = await rows(db, "SELECT kind, engine, incoming_call_id, step_id, seconds > 1 FROM recordings")
    assert kept == [("inbound", ENGINE, ended.id, "record", True)]


async def test_a_phone_that_answers_has_the_caller(
    db: Database, keyring: Keyring, node: AsteriskInstance, handset: Handset
) -> None:
    script = transfer(ANSWERS, ring_s=10)
    plan = Plan(hangs_up_after_s=2.0)
    _, ended, _ = await call(db, keyring, node, handset, script, plan)
    assert (ended.kind, ended.disposition) == ("CALLIN", "ANSWER")
    assert [phone["disposition"] for phone in ended.transfers or []] == ["ANSWER"]


async def test_a_caller_whom_nobody_answers_was_never_picked_up(
    db: Database, keyring: Keyring, node: AsteriskInstance, handset: Handset
) -> None:
    _, ended, status = await call(db, keyring, node, handset, transfer(RINGS_OUT, ring_s=5))
    assert (ended.kind, ended.disposition, ended.answered_at) == ("MISSCALL", "NOANSWER", None)
    assert status >= 400
    assert handset.seen("answered") == []


async def test_without_a_script_the_line_is_busy(
    db: Database, keyring: Keyring, node: AsteriskInstance, handset: Handset
) -> None:
    _, ended, status = await call(db, keyring, node, handset, None)
    assert (ended.kind, ended.disposition, status) == ("MISSCALL", "CHANUNAVAIL", 486)
