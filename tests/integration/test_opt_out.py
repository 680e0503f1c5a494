"""Nobody who opted out is called by a retry or another campaign: what is queued for them ends, at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tests import factories
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import eventually, rows

from tongdai.domain import calls, campaigns, compliance
from tongdai.domain.campaigns import Campaign, NewContact
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
NUMBER, OTHER = "84912345678", "84987654321"


@pytest.fixture
async def cast(db: Database) -> factories.Cast:
    return await factories.cast(db)


async def queue(db: Database, campaign: Campaign, *numbers: str, code: str | None = None) -> list[int]:
    keys = Keyring(factories.MASTER_KEY)
    contacts = [NewContact(number, {}, code) for number in numbers]
    async with db.transaction() as tx:
        report = await campaigns.import_contacts(
            tx, keys, FakeClock(), campaign.account_id, campaign.id, contacts
        )
    return [call_id for _, call_id in report.accepted]


async def opt_out(db: Database, account_id: int, *numbers: str, **more: Any) -> list[int]:
    async with db.transaction() as tx:
        return await calls.opt_out(tx, account_id, numbers, source="api", now=NOW, **more)


async def state(db: Database, call_id: int) -> tuple[Any, ...]:
    found = await rows(db, "SELECT state, outcome, note FROM calls WHERE id = %s", call_id)
    return found[0]


BLOCKED = ("done", "blocked", "opted_out")


async def test_everything_that_is_queued_for_them_ends_in_every_campaign(
    db: Database, cast: factories.Cast
) -> None:
    first, second = [await factories.campaign(db, cast.owner) for _ in range(2)]
    [one, other] = await queue(db, first, NUMBER, OTHER)
    [again] = await queue(db, second, NUMBER)
    assert sorted(await opt_out(db, cast.owner.account_id, NUMBER)) == [one, again]
    assert [await state(db, call_id) for call_id in (one, again)] == [BLOCKED, BLOCKED]
    assert (await state(db, other))[0] == "queued"


async def test_a_call_that_waits_for_its_retry_ends_too(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    [call] = await queue(db, campaign, NUMBER)
    await rows(
        db,
        """UPDATE calls SET attempts = 1, outcome = 'busy', due_at = now() + interval '1 h' WHERE id = %s
           RETURNING id""",
        call,
    )
    assert await opt_out(db, cast.owner.account_id, NUMBER) == [call]
    assert await state(db, call) == BLOCKED


async def test_codes_other_advertisers_and_other_accounts_are_not_touched(
    db: Database, cast: factories.Cast
) -> None:
    lotus = await factories.campaign(db, cast.owner, advertiser="Hoa Sen")
    peace = await factories.campaign(db, cast.owner, advertiser="An Bình")
    code = await factories.campaign(db, cast.owner, kind="otp")
    elsewhere = await factories.campaign(db, cast.stranger)
    [of_lotus] = await queue(db, lotus, NUMBER)
    [of_peace] = await queue(db, peace, NUMBER)
    [of_code] = await queue(db, code, NUMBER, code="493817")
    [of_stranger] = await queue(db, elsewhere, NUMBER)
    assert await opt_out(db, cast.owner.account_id, NUMBER, advertiser="Hoa Sen") == [of_lotus]
    assert await opt_out(db, cast.owner.account_id, NUMBER) == [of_peace]
    assert [(await state(db, call))[0] for call in (of_code, of_stranger)] == ["queued", "queued"]


async def test_it_may_be_repeated_and_is_counted_once(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    await queue(db, campaign, NUMBER)
    assert len(await opt_out(db, cast.owner.account_id, NUMBER, NUMBER)) == 1
    assert await opt_out(db, cast.owner.account_id, NUMBER) == []
    assert await opt_out(db, cast.owner.account_id) == []
    async with db.transaction() as tx:
        progress = await campaigns.progress(tx, cast.owner.account_id, campaign.id)
        said = await compliance.list_opt_outs(tx, cast.owner.account_id, after=0, limit=10)
    assert (progress.outcomes, progress.done) == ({"blocked": 1}, 1)
    assert [(one.number, one.action) for one in said] == [(NUMBER, "opted_out")]


async def test_one_transaction_refuses_so_many_calls_at_most(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    numbers = [f"8491234{n:04d}" for n in range(5)]
    await queue(db, campaign, *numbers)
    assert len(await opt_out(db, cast.owner.account_id, *numbers, limit=3)) == 3
    assert len(await opt_out(db, cast.owner.account_id, *numbers, limit=3)) == 2


async def test_a_claim_that_holds_the_call_does_not_hold_up_the_opt_out_and_finds_it_afterwards(
    db: Database, cast: factories.Cast
) -> None:
    campaign = await factories.campaign(db, cast.owner)
    [call] = await queue(db, campaign, NUMBER)
    key = (cast.owner.account_id, "", NUMBER)
    async with db.transaction() as claim:
        await claim.execute("SELECT FROM calls WHERE id = %s FOR UPDATE", (call,))
        assert await opt_out(db, cast.owner.account_id, NUMBER) == []
        locked = await compliance.lock_persons(claim, [key])
        assert locked[key].opted_out


async def test_an_opt_out_that_waits_for_a_claim_leaves_its_call_alone(
    db: Database, cast: factories.Cast
) -> None:
    campaign = await factories.campaign(db, cast.owner)
    [dialled, queued] = [(await queue(db, campaign, NUMBER))[0] for _ in range(2)]

    async def waits() -> bool:
        found = await rows(
            db,
            """SELECT count(*) FROM pg_stat_activity
               WHERE wait_event_type = 'Lock' AND datname = current_database()""",
        )
        return bool(found[0][0])

    async with db.transaction() as claim:
        await claim.execute("SELECT FROM calls WHERE id = %s FOR UPDATE", (dialled,))
        await compliance.lock_persons(claim, [(cast.owner.account_id, "", NUMBER)])
        opting_out = asyncio.create_task(opt_out(db, cast.owner.account_id, NUMBER))
        await eventually(waits)
        await claim.execute("UPDATE calls SET state = 'dialing' WHERE id = %s", (dialled,))
    assert await opting_out == [queued]
    assert (await state(db, dialled))[0] == "dialing"
