"""Ending queued calls without dialling them: by cancelling, by refusal and by expiry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from tests import factories
from tests.fakes.clock import FakeClock

from tongdai.domain import calls, campaigns
from tongdai.domain.calls import CallFilter, CampaignScope, Outcome, Refusal
from tongdai.domain.campaigns import Campaign, NewContact
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


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


async def row(db: Database, call_id: int, columns: str) -> tuple[Any, ...]:
    async with db.autocommit() as tx:
        found = await (await tx.execute(f"SELECT {columns} FROM calls WHERE id = %s", (call_id,))).fetchone()
    assert found is not None
    return found


async def set_state(db: Database, call_id: int, state: str) -> None:
    async with db.autocommit() as tx:
        await tx.execute("UPDATE calls SET state = %s WHERE id = %s", (state, call_id))


async def test_a_cancelled_call_is_done_and_shows_in_the_results(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    first, second = await queue(db, campaign, "0912345678", "0912345679")
    async with db.transaction() as tx:
        assert await calls.cancel_calls(tx, campaign.account_id, now=NOW, call_ids=[first]) == [first]
    assert await row(db, first, "state, outcome, called_at, done_at") == ("done", "cancelled", NOW, NOW)
    assert (await row(db, second, "state"))[0] == "queued"
    async with db.autocommit() as tx:
        page = await calls.export_page(
            tx, CampaignScope(campaign.account_id, campaign.id), limit=10, offset=0
        )
        state = await campaigns.progress(tx, campaign.account_id, campaign.id)
    assert [(result.id, result.outcome, result.duration_s) for result in page.rows] == [
        (first, "cancelled", 0)
    ]
    assert (state.accepted, state.queued, state.done, state.outcomes) == (2, 1, 1, {"cancelled": 1})


async def test_a_call_cancelled_while_it_waits_for_a_retry_counts_once(
    db: Database, cast: factories.Cast
) -> None:
    campaign = await factories.campaign(db, cast.owner)
    (call_id,) = await queue(db, campaign, "0912345678")
    earlier = NOW - timedelta(days=2)
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE calls SET attempts = 1, outcome = 'busy', called_at = %s WHERE id = %s",
            (earlier, call_id),
        )
        move = calls.ResultMove(campaign.account_id, campaign.id, campaign.user_id, None, earlier)
        await calls.count_results(tx, [move])
    async with db.transaction() as tx:
        await calls.cancel_calls(tx, campaign.account_id, now=NOW, campaign_id=campaign.id)
    scope = CampaignScope(campaign.account_id, campaign.id)
    async with db.autocommit() as tx:
        assert (await calls.export_page(tx, scope, end=earlier, limit=9, offset=0)).total == 0
        page = await calls.export_page(tx, scope, limit=9, offset=0)
    assert (page.total, page.rows[0].called_at, page.rows[0].outcome) == (1, NOW, "cancelled")


@pytest.mark.parametrize("state", ["dialing", "done"])
async def test_only_what_is_queued_is_cancelled(db: Database, cast: factories.Cast, state: str) -> None:
    campaign = await factories.campaign(db, cast.owner)
    (call_id,) = await queue(db, campaign, "0912345678")
    await set_state(db, call_id, state)
    for target in ({"call_ids": [call_id]}, {"number": "84912345678"}, {"campaign_id": campaign.id}):
        async with db.transaction() as tx:
            assert await calls.cancel_calls(tx, campaign.account_id, now=NOW, **target) == []
    assert await row(db, call_id, "state, outcome") == (state, None)


async def test_a_number_is_cancelled_in_every_campaign_or_in_one(db: Database, cast: factories.Cast) -> None:
    first, second = [await factories.campaign(db, cast.owner) for _ in range(2)]
    (here,) = await queue(db, first, "0912345678")
    (there,) = await queue(db, second, "+84 912 345 678")
    await queue(db, second, "0912345679")
    async with db.transaction() as tx:
        ids = await calls.cancel_calls(
            tx, first.account_id, now=NOW, number="84912345678", campaign_id=second.id
        )
        assert ids == [there]
        assert await calls.cancel_calls(tx, first.account_id, now=NOW, number="84912345678") == [here]


async def test_a_big_cancel_goes_in_bounded_steps(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    await queue(db, campaign, *(f"09123456{n:02d}" for n in range(25)))
    sizes: list[int] = []
    while not sizes or sizes[-1] == 10:
        async with db.transaction() as tx:
            ids = await calls.cancel_calls(
                tx, campaign.account_id, now=NOW, campaign_id=campaign.id, limit=10
            )
            sizes.append(len(ids))
    assert sizes == [10, 10, 5]


async def test_a_cancel_by_number_does_not_wait_for_a_claim_that_holds_the_call(
    db: Database, cast: factories.Cast
) -> None:
    campaign = await factories.campaign(db, cast.owner)
    (call_id,) = await queue(db, campaign, "0912345678")
    async with db.transaction() as claim:
        await claim.execute("SELECT FROM calls WHERE id = %s FOR UPDATE", (call_id,))
        with anyio.fail_after(3):
            async with db.transaction() as tx:
                assert await calls.cancel_calls(tx, campaign.account_id, now=NOW, number="84912345678") == []


async def test_a_cancel_must_say_what(tx: Tx, cast: factories.Cast) -> None:
    with pytest.raises(calls.CancelTargetError):
        await calls.cancel_calls(tx, cast.owner.account_id, now=NOW)


async def test_a_stranger_cancels_nothing_and_sees_nothing(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    (call_id,) = await queue(db, campaign, "0912345678")
    stranger = cast.stranger.account_id
    async with db.transaction() as tx:
        for target in ({"call_ids": [call_id]}, {"number": "84912345678"}, {"campaign_id": campaign.id}):
            assert await calls.cancel_calls(tx, stranger, now=NOW, **target) == []
        with pytest.raises(calls.CallNotFoundError):
            await calls.get_call(tx, stranger, call_id)
        for wanted in (CallFilter(), CallFilter(campaign_id=campaign.id), CallFilter(number="84912345678")):
            found = await calls.list_calls(tx, stranger, wanted, after=0, limit=10)
            assert found == calls.CallList((), None)
        colleague = cast.colleague.account_id
        assert (await calls.get_call(tx, colleague, call_id)).call.number == "84912345678"
        assert await calls.cancel_calls(tx, colleague, now=NOW, call_ids=[call_id]) == [call_id]


@pytest.mark.parametrize("call_id", [0, -1, 2**63, 10**12])
async def test_an_unknown_call_is_not_found(tx: Tx, cast: factories.Cast, call_id: int) -> None:
    with pytest.raises(calls.CallNotFoundError):
        await calls.get_call(tx, cast.owner.account_id, call_id)


async def test_a_refusal_keeps_its_note_and_wipes_the_code(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner, kind="otp")
    (call_id,) = await queue(db, campaign, "0912345678", code="123456")
    assert (await row(db, call_id, "secret IS NOT NULL"))[0]
    async with db.transaction() as tx:
        refusal = Refusal(call_id, Outcome.BLOCKED, "do_not_call")
        assert await calls.refuse_calls(tx, [refusal], NOW) == [call_id]
        assert await calls.refuse_calls(tx, [refusal], NOW + timedelta(seconds=1)) == []
        assert await calls.refuse_calls(tx, [], NOW) == []
    assert await row(db, call_id, "outcome, note, secret, called_at") == ("blocked", "do_not_call", None, NOW)


async def test_an_otp_expires_when_its_time_is_up_and_not_before(db: Database, cast: factories.Cast) -> None:
    otp = await factories.campaign(db, cast.owner, kind="otp")
    voice = await factories.campaign(db, cast.owner)
    late, later = await queue(db, otp, "0912345678", "0912345679", code="123456")
    await queue(db, voice, "0912345678")
    (expires_at,) = await row(db, late, "expires_at")
    async with db.autocommit() as tx:
        await tx.execute(
            "UPDATE calls SET expires_at = %s WHERE id = %s", (expires_at + timedelta(seconds=9), later)
        )
    async with db.transaction() as tx:
        assert await calls.expire_otps(tx, expires_at - timedelta(microseconds=1), 10) == []
        assert await calls.expire_otps(tx, expires_at, 10) == [late]
    assert await row(db, late, "state, outcome, secret, called_at") == ("done", "expired", None, expires_at)
    async with db.transaction() as tx:
        assert await calls.expire_otps(tx, expires_at + timedelta(days=1), 10) == [later]
        assert await calls.expire_otps(tx, expires_at + timedelta(days=9), 10) == []


async def test_an_otp_that_waits_for_a_retry_when_its_time_is_up_keeps_what_came_of_its_last_attempt(
    db: Database, cast: factories.Cast
) -> None:
    otp = await factories.campaign(db, cast.owner, kind="otp")
    dialled, never = await queue(db, otp, "0912345678", "0912345679", code="123456")
    earlier = NOW - timedelta(seconds=30)
    async with db.transaction() as tx:
        await tx.execute("UPDATE calls SET expires_at = %s", (NOW,))
        await tx.execute(
            "UPDATE calls SET attempts = 1, outcome = 'busy', called_at = %s, duration_s = 3,"
            " key_press = '1 (2)', caller = '842473001234', deferred_reason = 'person_busy' WHERE id = %s",
            (earlier, dialled),
        )
        move = calls.ResultMove(otp.account_id, otp.id, otp.user_id, None, earlier)
        await calls.count_results(tx, [move])
    async with db.transaction() as tx:
        assert sorted(await calls.expire_otps(tx, NOW, 10)) == [dialled, never]
        assert await calls.expire_otps(tx, NOW, 10) == []
    assert await row(
        db, dialled, "state, outcome, called_at, duration_s, key_press, caller, secret, done_at"
    ) == (("done", "busy", earlier, 3, "1 (2)", "842473001234", None, NOW))
    assert await row(db, never, "state, outcome, called_at, secret") == ("done", "expired", NOW, None)
    async with db.autocommit() as tx:
        page = await calls.export_page(tx, CampaignScope(otp.account_id, otp.id), limit=9, offset=0)
        state = await campaigns.progress(tx, otp.account_id, otp.id)
    assert (page.total, [result.id for result in page.rows]) == (2, [dialled, never])
    assert (state.queued, state.done, state.outcomes) == (0, 2, {"busy": 1, "expired": 1})


async def test_expiry_takes_the_oldest_first_and_no_more_than_asked(
    db: Database, cast: factories.Cast
) -> None:
    otp = await factories.campaign(db, cast.owner, kind="otp")
    ids = await queue(db, otp, *(f"091234567{n}" for n in range(5)), code="123456")
    async with db.transaction() as tx:
        await tx.execute("UPDATE calls SET expires_at = to_timestamp(1000 - id)")
        assert sorted(await calls.expire_otps(tx, NOW, 2)) == ids[3:]


async def test_calls_are_listed_by_id_with_any_filter(db: Database, cast: factories.Cast) -> None:
    first, second = [await factories.campaign(db, cast.owner) for _ in range(2)]
    a = await queue(db, first, "0912345678", "0912345679")
    b = await queue(db, second, "0912345678", "0912345680")
    c = await queue(db, first, "0912345681")
    async with db.transaction() as tx:
        await calls.cancel_calls(tx, first.account_id, now=NOW, call_ids=[a[0]])

        async def listed(after: int = 0, limit: int = 10, **wanted: Any) -> list[int]:
            found = await calls.list_calls(
                tx, first.account_id, CallFilter(**wanted), after=after, limit=limit
            )
            return [call.id for call in found.calls]

        assert await listed() == [*a, *b, *c]
        assert await listed(after=a[1], limit=2) == b
        assert await listed(campaign_id=first.id) == [*a, *c]
        assert await listed(campaign_id=first.id, after=a[0], limit=1) == [a[1]]
        assert await listed(number="84912345678") == [a[0], b[0]]
        assert await listed(number="84912345678", campaign_id=second.id) == [b[0]]
        assert await listed(number="84912345678", state="queued") == [b[0]]
        assert await listed(state="done", campaign_id=first.id) == [a[0]]
        assert await listed(outcome="cancelled", campaign_id=first.id) == [a[0]]
        assert await listed(outcome="busy", campaign_id=first.id) == []
        with pytest.raises(calls.FilterTooWideError):
            await listed(state="done")


@pytest.mark.parametrize(
    ("wanted", "pages"),
    [
        ({"state": "done"}, [([], 2), ([3], 4), ([5], 6), ([], None)]),
        ({"outcome": "cancelled", "number": "84912345678"}, [([], 2), ([3], 4), ([5], 6), ([], None)]),
        ({}, [([1, 2, 3, 4, 5], 5), ([6, 7], None)]),
    ],
)
async def test_a_filter_looks_at_so_many_calls_and_then_says_where_to_go_on(
    db: Database, cast: factories.Cast, wanted: dict[str, Any], pages: list[tuple[list[int], int | None]]
) -> None:
    campaign = await factories.campaign(db, cast.owner)
    ids = [(await queue(db, campaign, "0912345678"))[0] for _ in range(7)]
    told: list[tuple[list[int], int | None]] = []
    async with db.transaction() as tx:
        await calls.cancel_calls(tx, campaign.account_id, now=NOW, call_ids=[ids[2], ids[4]])
        after: int | None = 0
        while after is not None:
            found = await calls.list_calls(
                tx,
                campaign.account_id,
                CallFilter(campaign_id=campaign.id, **wanted),
                after=after,
                limit=5,
                examine=2,
            )
            after = found.further
            places = [ids.index(call.id) + 1 for call in found.calls]
            told.append((places, None if after is None else ids.index(after) + 1))
    assert told == pages


async def test_a_call_comes_with_its_attempts_and_their_legs(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    (call_id,) = await queue(db, campaign, "0912345678")
    async with db.transaction() as tx:
        for ordinal, legs in ((2, 1), (1, 2)):
            cursor = await tx.execute(
                "INSERT INTO attempts (account_id, call_id, campaign_id, ordinal, hotline_id, dialled_at,"
                " timeline) VALUES (%s, %s, %s, %s, 1, %s, %s) RETURNING id",
                (campaign.account_id, call_id, campaign.id, ordinal, NOW, '[[0.5, "ringing", null]]'),
            )
            attempt = await cursor.fetchone()
            assert attempt is not None
            for _ in range(legs):
                await tx.execute(
                    "INSERT INTO legs (account_id, attempt_id, call_id, campaign_id, trunk_id, hotline_id,"
                    " engine, dialer_id, number, limit_ids, dial_at, dial_before, gives_up_at)"
                    " VALUES (%s, %s, %s, %s, 1, 1, 'sandbox', 1, '84912345678', '{}', %s, %s, %s)",
                    (campaign.account_id, attempt[0], call_id, campaign.id, NOW, NOW, NOW),
                )
        detail = await calls.get_call(tx, campaign.account_id, call_id)
    assert detail.call.id == call_id
    assert [(one.attempt.ordinal, len(one.legs)) for one in detail.attempts] == [(1, 2), (2, 1)]
    assert detail.attempts[0].attempt.timeline == [[0.5, "ringing", None]]
