"""Real calls that a real dialer transfers: who rings, what it holds and costs, and who takes over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.dialling import eventually, rows
from tests.fakes.real_desk import RealDesk
from tests.fakes.sipp import SippPhone
from tests.integration.test_dialer_money import prepaid, wallet

from tongdai.domain.campaigns import CampaignConfig
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

BUSY, RINGS_OUT, TALKS, LISTENS = "0912345003", "0912345002", "0912345022", "0912345001"
"""TALKS answers, and hangs up after two seconds; LISTENS never does."""

CONFIG = CampaignConfig(detect_voicemail=False, ring_seconds=10, max_call_seconds=60)


def talk(*targets: str, **more: object) -> dict[str, object]:
    step = {
        "kind": "transfer",
        "targets": list(targets),
        "ring_s": 5,
        "next": "bye",
        "on_failed": "bye",
        **more,
    }
    return {"start": "talk", "steps": {"talk": step, "bye": {"kind": "say", "text": "Xin cảm ơn"}}}


@pytest.fixture
async def desk(db: Database, keyring: Keyring) -> Desk:
    return Desk(db, keyring, (await factories.cast(db, keyring)).owner)


@pytest.fixture
def phone() -> Iterator[SippPhone]:
    with SippPhone(kinds=("001", "002", "022")) as phone:
        yield phone


def heard_of(phone: SippPhone, number: str) -> list[str]:
    return [line.event for line in phone.lines() if line.number == number]


async def heard_all(phone: SippPhone, number: str, *events: str) -> None:
    """It hears of each in its own time, which may be after we have."""

    async def look() -> bool:
        return heard_of(phone, number) == list(events)

    await eventually(look)


def open_phones(desk: Desk, most: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        found = await rows(desk.db, "SELECT count(*) FROM legs WHERE kind = 'transfer' AND state <> 'ended'")
        return bool(found[0][0] == most)

    return look


async def outcomes(desk: Desk) -> list[tuple[str, str]]:
    """(number, outcome) of each phone, in the order in which they were taken."""
    found = await rows(desk.db, "SELECT number, outcome FROM legs WHERE kind = 'transfer' ORDER BY id")
    return [(f"0{number[2:]}", outcome) for number, outcome in found]


@pytest.mark.parametrize("strategy", ["all", "in_turn"])
async def test_a_ring_group_rings_as_written_and_its_talk_is_paid_by_the_second(
    desk: Desk, asterisk: AsteriskInstance, phone: SippPhone, strategy: str
) -> None:
    await prepaid(desk, 100_000)
    real = RealDesk(desk, phone, asterisk)
    script = talk(BUSY, RINGS_OUT, TALKS, strategy=strategy, ring_s=2)
    campaign = await real.campaign(script, channels=4, config=CONFIG)
    async with real.dialing():
        (call,) = await real.give(campaign, 1)
        end = await desk.done(call)
    assert (end["outcome"], await desk.live()) == ("answered", [])
    assert await outcomes(desk) == [(BUSY, "no_answer"), (RINGS_OUT, "no_answer"), (TALKS, "answered")]
    await heard_all(phone, TALKS, "INVITE", "RINGING", "ANSWER", "BYE")
    assert (heard_of(phone, BUSY)[-1], heard_of(phone, RINGS_OUT)[-1]) == ("REJECT", "CANCEL")
    assert phone.most_channels() == (4 if strategy == "all" else 2)
    # Two seconds are charged as the first block of six: 66 đồng, and 110 for the answer.
    charged = await rows(
        desk.db,
        """SELECT sum(amount)::int FROM ledger JOIN legs ON legs.id = leg_id WHERE legs.kind = 'transfer'""",
    )
    assert charged == [(-176,)]
    assert (await wallet(desk))[1] == 0


async def test_a_talk_goes_on_when_its_dialer_is_gone_and_is_settled_by_the_next(
    desk: Desk, asterisk: AsteriskInstance, phone: SippPhone
) -> None:
    await prepaid(desk, 100_000)
    real = RealDesk(desk, phone, asterisk)
    campaign = await real.campaign(
        talk(LISTENS), config=CampaignConfig(detect_voicemail=False, max_call_seconds=9)
    )
    async with real.dialing():
        (call,) = await real.give(campaign, 1)

        async def talks() -> bool:
            return "ANSWER" in heard_of(phone, LISTENS)

        await eventually(talks)
    assert "BYE" not in heard_of(phone, LISTENS)
    async with real.dialing():
        end = await desk.done(call)
        await eventually(open_phones(desk, 0))
    assert (end["outcome"], await desk.live()) == ("answered", [])
    await heard_all(phone, LISTENS, "INVITE", "RINGING", "ANSWER", "BYE")
    assert await outcomes(desk) == [(LISTENS, "answered")]
    [(seconds, lines)] = await rows(
        desk.db,
        """SELECT max(billable_s), count(*)::int FROM ledger JOIN legs ON legs.id = leg_id
           WHERE legs.kind = 'transfer'""",
    )
    assert 6 <= seconds <= 9
    assert lines == 2
    assert (await wallet(desk))[1] == 0


async def test_many_transfers_at_once_keep_within_the_trunk(
    desk: Desk, asterisk: AsteriskInstance, phone: SippPhone
) -> None:
    real = RealDesk(desk, phone, asterisk)
    campaign = await real.campaign(talk(TALKS, RINGS_OUT), channels=12, cps=20, config=CONFIG)
    await rows(desk.db, "UPDATE limits SET max_channels = 6 WHERE kind = 'campaign' RETURNING 1")
    async with real.dialing(3):
        calls = await real.give(campaign, 18)

        async def all_done() -> bool:
            return await desk.all_done()

        await eventually(all_done, 90)
        await eventually(open_phones(desk, 0))
    assert phone.invited_more_than_once().keys() <= {TALKS, RINGS_OUT}
    assert 6 < phone.most_channels() <= 12
    assert phone.most_in_any_second() <= 20
    ends = Counter(outcome for _, outcome in await outcomes(desk))
    # Who finds that others have taken the trunk's last channels hears the fallback.
    assert len(calls) > ends["answered"] > len(calls) / 4
    assert heard_of(phone, TALKS).count("ANSWER") == ends["answered"]
    assert await desk.live() == []
