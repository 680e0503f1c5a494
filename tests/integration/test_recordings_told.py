"""What an engine recorded of a call is written down with its end, and told with an address that opens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.call_events import ANSWERED
from tests.desk import Desk
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import dialing, eventually, rows
from tests.fakes.engine import PlayedEngine
from tests.integration.test_dialer_events import listen, told

from tongdai.bootstrap import RENDERERS
from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.recordings import Links, with_addresses
from tongdai.domain.webhooks import CallEvent
from tongdai.kit.crypto import Keyring
from tongdai.ports.services import RecordingOptions
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    DialRequest,
    EndCause,
    Ended,
    RecordingEnded,
    Ringing,
)

pytestmark = pytest.mark.anyio

OPTIONS = RecordingOptions("https://tongdai.example.vn", timedelta(hours=1), timedelta(days=7))


def is_recorded(engine: PlayedEngine, request: DialRequest) -> None:
    leg_id = request.leg_id
    engine.tell(Ringing(leg_id, 1, 1.0))
    engine.tell(Answered(leg_id, 2, 5.0, 5.0, AnsweredBy.HUMAN))
    engine.tell(RecordingEnded(leg_id, 3, 12.9, 0, 7.9, f"td-{leg_id}-0"))
    engine.tell(Ended(leg_id, 4, 13.0, EndCause.NORMAL, 5.0))


async def test_a_recording_is_written_down_with_the_end_of_its_call_and_told_with_it(desk: Desk) -> None:
    await listen(desk, desk.owner.account_id)
    campaign = await desk.campaign(config=CampaignConfig(record=True))
    [call_id] = await desk.give(campaign, "0912345678")

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(is_recorded)}):
        await desk.done(call_id)

    [row] = await rows(
        desk.db,
        """SELECT r.id, r.account_id, r.call_id, r.campaign_id, r.kind, r.name = 'td-' || r.leg_id || '-0',
                  r.engine = l.engine AND r.attempt_id = l.attempt_id, r.state, r.seconds::text
             FROM recordings r JOIN legs l ON l.id = r.leg_id""",
    )
    recording_id = row[0]
    assert row[1:] == (desk.owner.account_id, call_id, campaign, "call", True, True, "pending", "7.9")
    [event] = await told(desk)
    assert event["recording_ids"] == [recording_id]
    assert event["record_files"] == [], "addresses are made with the body: they expire"


async def test_a_one_time_codes_call_tells_of_no_recording(desk: Desk) -> None:
    await listen(desk, desk.owner.account_id)
    otp = await desk.campaign(kind="otp")
    [call_id] = await desk.give(otp, "0912345678", otp="123456")

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(is_recorded)}):
        await desk.done(call_id)

    async def written() -> list[dict[str, object]]:
        return await told(desk)

    [event] = await eventually(written)
    assert event["recording_ids"] == []
    assert await rows(desk.db, "SELECT 1 FROM recordings WHERE state <> 'deleted'") == []


@pytest.fixture
def event() -> CallEvent:
    return replace(ANSWERED, record_files=[], recording_ids=[41, 42])


@pytest.mark.parametrize("format", ["tongdai", "vbot_call_history", "aicallcenter"])
async def test_bodies_carry_addresses_that_open_for_a_week(
    keyring: Keyring, clock: FakeClock, event: CallEvent, format: str
) -> None:
    links = Links(keyring, OPTIONS)

    body = with_addresses(RENDERERS, links, clock)[format](event, {}).decode()

    for recording_id in (41, 42)[: 1 if format == "aicallcenter" else 2]:
        address = links.told_address(recording_id, clock.now())
        assert address in body
        assert address.startswith(f"https://tongdai.example.vn/v1/recordings/{recording_id}/file?expires=")
        expires, signature = address.partition("expires=")[2].split("&signature=")
        assert links.opens(recording_id, expires, signature, clock.now() + timedelta(days=6, hours=23))
        assert not links.opens(recording_id, expires, signature, clock.now() + timedelta(days=7))
