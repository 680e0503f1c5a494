"""Promise 4 for transfers: many at once on the sandbox carrier, whose log is the witness."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.desk import Desk
from tests.fakes.carrier import CarrierProcess
from tests.fakes.dialling import dialing, eventually, rows
from tests.integration.test_dialer_money import prepaid, wallet
from tests.integration.test_transfers import Office

from tongdai.adapters.sandbox.engine import SandboxEngine
from tongdai.adapters.sandbox.log import busiest_second, invited_more_than_once, most_channels
from tongdai.domain.campaigns import CampaignConfig

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

CALLS = 20
CHANNELS = 9
OF_CAMPAIGN = 5
CPS = 20

LISTENS = "0912345001"
RINGS_OUT = "0912345002"
BUSY = "0912345003"


@pytest.mark.parametrize("strategy", ["all", "in_turn"])
async def test_simultaneous_transfers_of_three_dialers_keep_within_every_cap_and_every_dong(
    desk: Desk, tmp_path: Path, strategy: str
) -> None:
    await prepaid(desk, 100_000)
    office = Office(desk)
    config = CampaignConfig(max_call_seconds=60)
    targets = (LISTENS, RINGS_OUT, BUSY) if strategy == "all" else (BUSY, RINGS_OUT, LISTENS)
    await office.open(
        *targets, strategy=strategy, config=config, max_channels=CHANNELS, max_cps=CPS, ring_s=14
    )
    # What the campaign leaves of the trunk is fought for by the phones of its transfers.
    await rows(
        desk.db, "UPDATE limits SET max_channels = %s WHERE kind = 'campaign' RETURNING 1", OF_CAMPAIGN
    )
    with CarrierProcess(tmp_path, speed=20.0) as carrier:
        async with AsyncExitStack() as dialers:
            for _ in range(3):
                engine = SandboxEngine(carrier.address)
                await dialers.enter_async_context(dialing(desk.db, desk.keyring, {"sandbox": engine}))
            await desk.give(office.campaign_id, *(f"09123{n:02d}001" for n in range(CALLS)))
            await eventually(desk.all_done, 90)
            await office.freed()
        lines = carrier.lines()
    assert invited_more_than_once(lines) == {}
    assert OF_CAMPAIGN < most_channels(lines)[office.trunk_id] <= CHANNELS
    assert busiest_second(lines)[office.trunk_id] <= CPS
    phones = await office.phones()
    assert {outcome for _, _, outcome, _ in phones} == {"answered", "no_answer"}
    # Nobody is rung who was not taken. Who was taken is not rung where the call is at its limit before that.
    # Calls that missed their slots on a busy machine went back and are not among these.
    rung = {line.leg for line in lines if line.event == "INVITE"}
    legs = await rows(desk.db, "SELECT id, kind, outcome FROM legs WHERE outcome IS NOT NULL")
    assert rung <= {leg_id for leg_id, _, _ in legs}
    assert rung >= {leg_id for leg_id, kind, outcome in legs if kind != "transfer" or outcome == "answered"}
    assert len(legs) == CALLS + len(phones)
    balance, reserved = await wallet(desk)
    [(spent, charged)] = await rows(
        desk.db,
        """SELECT -sum(amount), count(DISTINCT leg_id) FROM ledger WHERE kind <> 'top_up'""",
    )
    assert (balance, reserved) == (100_000 - spent, 0)
    assert charged == CALLS + sum(outcome == "answered" for _, _, outcome, _ in phones)
