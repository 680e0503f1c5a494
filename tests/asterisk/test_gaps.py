"""Calls on which something is missing: a client that listens, a trunk that can be read, a prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from psycopg import OperationalError
from tests.fakes.dialling import until
from tests.fakes.ear import Ear, hearing
from tests.fakes.one_trunk import Tones, Trunks
from tests.fakes.real_calls import TRUNK, Lab, new_leg, real_lab, ref, request

from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.ports.sip import SipTrunk
from tongdai.ports.speech import Sound
from tongdai.ports.telephony import (
    Answered,
    AudioClip,
    EndCause,
    EngineBack,
    EngineGone,
    HangUp,
    LegKnowledge,
    Play,
    PromptItem,
    Transfer,
    TransferEnded,
    TransferLeg,
)

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with real_lab() as started:
        yield started


@pytest.fixture(autouse=True)
def healthy(lab: Lab) -> Iterator[None]:
    yield
    lab.asterisk.heal()
    lab.asterisk.cli("channel request hangup all")


def to(kind: str, phone: int, *, trunk: int = TRUNK) -> Transfer:
    """To a telephone of that kind."""
    target = f"0912345{kind}"
    return Transfer(7, target, 20.0, legs=(TransferLeg(phone, trunk, target, str(phone), 60.0),))


def up(lab: Lab) -> int:
    """How many calls are answered."""
    return lab.asterisk.cli("core show channels concise").count("!Up!")


async def _gone(ear: Ear) -> None:
    await ear.until(lambda: ear.news[-1] == EngineGone(), within=10.0)


async def test_a_phone_does_not_stay_up_alone_when_the_caller_leaves_while_nobody_listens(lab: Lab) -> None:
    leg, phone = new_leg(), new_leg()
    async with hearing(lab.client()) as one, hearing(lab.client(direct=True)) as other:
        await one.engine.originate(request("022", leg))
        await one.until_heard(leg, Answered)
        await one.command(leg, to("001", phone))
        await until(lambda: up(lab) == 2 and "td-" in lab.asterisk.cli("bridge show all"))
        lab.asterisk.cut(refuse=True)
        await _gone(one)
        await until(lambda: len(lab.asterisk.channels()) == 1)
        assert await other.engine.adopt([ref(leg)]) == {leg: LegKnowledge.REPLAYED}
        await other.until_ended(leg)
        assert other.kinds(leg)[-2:] == ["TransferEnded", "Ended"]
        await lab.released()


async def test_a_phone_that_was_answered_before_its_call_was_taken_over_is_connected(lab: Lab) -> None:
    leg, phone = new_leg(), new_leg()
    async with hearing(lab.client()) as ear:
        await ear.engine.originate(request("001", leg))
        await ear.until_heard(leg, Answered)
        await ear.command(leg, to("011", phone))
        await until(lambda: len(lab.asterisk.channels()) == 2)
        lab.asterisk.cut(refuse=True)
        await _gone(ear)
        lab.asterisk.heal()
        await ear.until(lambda: ear.news[-1] == EngineBack())
        await until(lambda: up(lab) == 2)
        assert await ear.engine.adopt([ref(leg)]) == {leg: LegKnowledge.REPLAYED}
        await until(lambda: "td-" in lab.asterisk.cli("bridge show all"))
        await ear.command(leg, HangUp())
        told = await ear.until_heard(leg, TransferEnded)
        await lab.released()
    assert isinstance(told, TransferEnded)
    assert (told.connected, told.leg_id_connected) == (True, phone)


class _Unreadable(Trunks):
    """Whose database is away when a trunk is asked for that nobody asked for before."""

    async def trunk(self, trunk_id: int) -> SipTrunk:
        if trunk_id not in self.by_id:
            raise OperationalError("the connection is lost")
        return await super().trunk(trunk_id)


async def test_a_transfer_over_a_trunk_that_cannot_be_read_fails_at_once(lab: Lab) -> None:
    leg = new_leg()
    async with hearing(lab.client(trunks=_Unreadable(lab.phone.sip_trunk(TRUNK)))) as ear:
        await ear.engine.originate(request("001", leg))
        await ear.until_heard(leg, Answered)
        await ear.command(leg, to("001", new_leg(), trunk=TRUNK + 1))
        async with asyncio.timeout(5.0):
            told = await ear.until_heard(leg, TransferEnded)
        await ear.command(leg, HangUp())
        await ear.until_ended(leg)
    assert isinstance(told, TransferEnded)
    assert not told.connected


class _FullDisk(Tones):
    async def sounds(self, items: Sequence[PromptItem]) -> Sequence[Sound]:
        raise OSError("no space left on device")


async def test_a_call_whose_prompts_cannot_be_written_ends_and_is_not_silent(lab: Lab) -> None:
    leg = new_leg()
    engine = AsteriskEngine(
        lab.asterisk.node, Trunks(lab.phone.sip_trunk(TRUNK)), _FullDisk(lab.asterisk.sounds)
    )
    async with hearing(engine) as ear:
        await engine.originate(request("001", leg))
        await ear.until_heard(leg, Answered)
        await ear.command(leg, Play(1, (AudioClip("clip", 1.0),)))
        async with asyncio.timeout(5.0):
            ended = await ear.until_ended(leg)
    assert (ended.cause, ended.answered_at is not None) == (EndCause.FAILURE, True)
