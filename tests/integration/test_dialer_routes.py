"""Which line a call goes out on, what becomes of one that has none, and what happens when a trunk fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.dialling import dialing, eventually, rows, until
from tests.fakes.engine import PlayedEngine, answers_and_ends, ends_with, silent

from tongdai.domain import calls, contacts
from tongdai.domain.calls import Outcome, Refusal
from tongdai.domain.campaigns import CampaignConfig, RetryRule
from tongdai.kit.clock import SystemClock
from tongdai.ports.telephony import DialRequest, EndCause, Ended, EngineTooLateError, LegKnowledge

pytestmark = pytest.mark.anyio


class TooLateOnce(PlayedEngine):
    """The first request reaches it after its last moment; it takes the next."""

    async def originate(self, request: DialRequest) -> None:
        if not self.dialled:
            self.dialled.append(request)
            raise EngineTooLateError("too late")
        await super().originate(request)


VIETTEL, VINAPHONE, MOBIFONE = "0981000001", "0912000002", "0903000003"


@pytest.fixture(autouse=True)
async def prefixes(desk: Desk) -> None:
    async with desk.db.transaction() as tx:
        await contacts.load_default_prefixes(tx)


def congested(engine: PlayedEngine, request: DialRequest) -> None:
    """The trunk fails before anything rings."""
    engine.tell(Ended(request.leg_id, 1, 0.5, EndCause.CONGESTION, None))


def fails_on(*trunk_ids: int) -> Callable[[PlayedEngine, DialRequest], None]:
    def behave(engine: PlayedEngine, request: DialRequest) -> None:
        (congested if request.trunk_id in trunk_ids else answers_and_ends)(engine, request)

    return behave


async def line(desk: Desk, network: str | None = None, *, trunk_id: int | None = None) -> int:
    made = await factories.hotline(desk.db, desk.owner.account_id, network=network, trunk_id=trunk_id)
    return made.id


async def two_trunks(desk: Desk) -> tuple[int, int, list[int]]:
    """Two trunks with a hotline each that may call anybody; the first is taken first."""
    trunks = [(await factories.trunk(desk.db, desk.owner.account_id)).id for _ in range(2)]
    return trunks[0], trunks[1], [await line(desk, trunk_id=trunk) for trunk in trunks]


async def change(desk: Desk, table: str, row_id: int, **values: object) -> None:
    """Sets columns past all services."""
    for column, value in values.items():
        await rows(desk.db, f"UPDATE {table} SET {column} = %s WHERE id = %s RETURNING 1", value, row_id)


async def limit_of(desk: Desk, table: str, row_id: int) -> int:
    return int((await rows(desk.db, f"SELECT limit_id FROM {table} WHERE id = %s", row_id))[0][0])


# --------------------------------------------------------------------------- hotlines and networks


async def test_each_number_is_called_from_a_hotline_of_its_own_network(desk: Desk) -> None:
    lines = {network: await line(desk, network) for network in ("viettel", "vinaphone", "mobifone")}
    campaign = await desk.campaign(hotline_ids=[await line(desk), *lines.values()])
    ids = await desk.give(campaign, VIETTEL, VINAPHONE, MOBIFONE)
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        for one in ids:
            await desk.done(one)
    shown = await rows(desk.db, "SELECT hotline_id, network FROM attempts ORDER BY call_id")
    assert shown == [(lines[network], network) for network in ("viettel", "vinaphone", "mobifone")]


async def test_a_network_without_a_hotline_of_its_own_is_called_from_the_pool(desk: Desk) -> None:
    pool = await line(desk)
    campaign = await desk.campaign(hotline_ids=[await line(desk, "viettel"), pool])
    (call,) = await desk.give(campaign, VINAPHONE)
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        assert (await desk.done(call))["outcome"] == "answered"
    assert await rows(desk.db, "SELECT hotline_id FROM attempts") == [(pool,)]


async def test_a_number_whose_network_has_no_hotline_is_refused_for_good(desk: Desk) -> None:
    campaign = await desk.campaign(hotline_ids=[await line(desk, "viettel")])
    refused, called = await desk.give(campaign, VINAPHONE, VIETTEL)
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        end = await desk.done(refused)
        await desk.done(called)
    assert (end["outcome"], end["attempts"]) == ("no_hotline", 0)
    assert [request.number for request in engine.dialled] == [VIETTEL]


async def test_a_network_that_no_trunk_carries_is_refused_for_good(desk: Desk) -> None:
    trunk = await factories.trunk(desk.db, desk.owner.account_id)
    await change(desk, "trunks", trunk.id, networks=["viettel", "mobifone"])
    campaign = await desk.campaign(hotline_ids=[await line(desk, trunk_id=trunk.id)])
    refused, called = await desk.give(campaign, VINAPHONE, VIETTEL)
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        assert (await desk.done(refused))["outcome"] == "network_unsupported"
        assert (await desk.done(called))["outcome"] == "answered"


async def test_a_call_waits_while_the_only_hotline_of_its_network_is_out_of_its_contract(desk: Desk) -> None:
    over = await line(desk, "vinaphone")
    await rows(
        desk.db, "UPDATE hotlines SET valid_until = now() - interval '1 s' WHERE id = %s RETURNING 1", over
    )
    campaign = await desk.campaign(hotline_ids=[over, await line(desk, "viettel")])
    (call,) = await desk.give(campaign, VINAPHONE)

    async def deferred() -> bool:
        return (await desk.call(call))["deferred_reason"] == "hotline_unavailable"

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        await eventually(deferred)
    assert (await desk.call(call))["state"] == "queued"


async def test_a_campaign_whose_hotlines_are_all_out_of_contract_says_so(desk: Desk) -> None:
    over = await line(desk)
    await rows(
        desk.db, "UPDATE hotlines SET valid_until = now() - interval '1 s' WHERE id = %s RETURNING 1", over
    )
    campaign = await desk.campaign(hotline_ids=[over])
    await desk.give(campaign, VIETTEL)

    async def says_so() -> bool:
        return await desk.reason(campaign) == "hotlines_not_valid"

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        await eventually(says_so)


async def test_a_hotline_rests_once_it_has_dialled_as_often_as_a_day_allows(desk: Desk) -> None:
    one = await line(desk)
    await change(desk, "limits", await limit_of(desk, "hotlines", one), daily_cap=2)
    campaign = await desk.campaign(hotline_ids=[one])
    ids = await desk.give(campaign, VIETTEL, VINAPHONE, MOBIFONE)
    engine = PlayedEngine()

    async def says_so() -> bool:
        return await desk.reason(campaign) == "daily_cap_reached"

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await eventually(says_so)
        await eventually(lambda: all_over(desk, ids[:2]))
        assert len(engine.dialled) == 2
        # A new day: what was used was used yesterday.
        await rows(desk.db, "UPDATE limits SET used_on = used_on - 1 WHERE daily_cap = 2 RETURNING 1")
        await desk.done(ids[2])


async def all_over(desk: Desk, ids: list[int]) -> bool:
    return all([(await desk.call(one))["state"] == "done" for one in ids])


# --------------------------------------------------------------------------- failover


async def test_a_trunk_that_fails_is_followed_by_the_next_within_the_same_attempt(desk: Desk) -> None:
    first, second, hotlines = await two_trunks(desk)
    campaign = await desk.campaign(hotline_ids=hotlines)
    (call,) = await desk.give(campaign, VIETTEL)
    engine = PlayedEngine(fails_on(first))
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"]) == ("answered", 1)
    assert [request.trunk_id for request in engine.dialled] == [first, second]
    legs = await rows(desk.db, "SELECT outcome, attempt_id FROM legs ORDER BY id")
    assert [outcome for outcome, _ in legs] == ["congestion", "answered"]
    assert await rows(desk.db, "SELECT id, outcome FROM attempts") == [(legs[0][1], "answered")]
    assert legs[0][1] == legs[1][1]
    assert await desk.live() == []
    assert await desk.outcomes() == {"answered": 1}


@pytest.mark.parametrize("cause", [EndCause.BUSY, EndCause.REJECTED, EndCause.NO_ANSWER, EndCause.CONGESTION])
async def test_nobody_is_called_again_over_another_trunk_once_it_rang(desk: Desk, cause: EndCause) -> None:
    """`ends_with` rings first: not even congestion after that is a failure of the trunk alone."""
    *_, hotlines = await two_trunks(desk)
    campaign = await desk.campaign(hotline_ids=hotlines)
    (call,) = await desk.give(campaign, VIETTEL)
    engine = PlayedEngine(ends_with(cause))
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.done(call)
    assert len(engine.dialled) == 1


@pytest.mark.parametrize(
    "cause", [EndCause.BUSY, EndCause.REJECTED, EndCause.UNALLOCATED, EndCause.UNREACHABLE]
)
async def test_only_a_failure_of_the_trunk_itself_is_followed_by_another(desk: Desk, cause: EndCause) -> None:
    def behave(engine: PlayedEngine, request: DialRequest) -> None:
        engine.tell(Ended(request.leg_id, 1, 0.5, cause, None))

    *_, hotlines = await two_trunks(desk)
    campaign = await desk.campaign(hotline_ids=hotlines)
    (call,) = await desk.give(campaign, VIETTEL)
    engine = PlayedEngine(behave)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.done(call)
    assert len(engine.dialled) == 1


async def test_when_every_trunk_has_failed_the_attempt_is_over_and_its_retry_begins_anew(desk: Desk) -> None:
    first, second, hotlines = await two_trunks(desk)
    config = CampaignConfig(retries={"congestion": RetryRule(1, 0)})
    campaign = await desk.campaign(hotline_ids=hotlines, config=config)
    (call,) = await desk.give(campaign, VIETTEL)
    engine = PlayedEngine(congested)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"]) == ("congestion", 2)
    trunks = [request.trunk_id for request in engine.dialled]
    assert sorted(trunks[:2]) == sorted(trunks[2:]) == sorted([first, second])
    attempts = await rows(desk.db, "SELECT ordinal, outcome FROM attempts ORDER BY ordinal")
    assert attempts == [(1, "congestion"), (2, "congestion")]


async def test_a_call_that_goes_on_over_another_trunk_does_not_queue_behind_the_others(desk: Desk) -> None:
    """The second trunk takes one call at a time and is full; once it is free, the oldest call goes first."""
    first, second, hotlines = await two_trunks(desk)
    await change(desk, "limits", await limit_of(desk, "trunks", second), max_channels=0)
    campaign = await desk.campaign(hotline_ids=hotlines)
    (call,) = await desk.give(campaign, VIETTEL)
    engine = PlayedEngine(congested)

    async def waits() -> bool:
        found = await rows(desk.db, "SELECT open_attempt_id FROM calls WHERE state = 'queued'")
        return found != [] and found[0][0] is not None

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await eventually(waits)
        await change(desk, "limits", await limit_of(desk, "trunks", first), max_channels=0)
        (later,) = await desk.give(campaign, MOBIFONE)
        engine.behave = answers_and_ends
        await change(desk, "limits", await limit_of(desk, "trunks", second), max_channels=1)
        await desk.hint(campaign)
        await desk.done(call)
        await desk.done(later)
    assert [request.number for request in engine.dialled] == [VIETTEL, VIETTEL, MOBIFONE]
    assert [request.trunk_id for request in engine.dialled] == [first, second, second]


async def test_a_call_whose_second_trunk_is_away_waits_for_it_within_its_attempt(desk: Desk) -> None:
    _, second, hotlines = await two_trunks(desk)
    await rows(desk.db, "UPDATE trunks SET engine = 'other' WHERE id = %s RETURNING 1", second)
    campaign = await desk.campaign(hotline_ids=hotlines)
    (call,) = await desk.give(campaign, VIETTEL)
    engine, other = PlayedEngine(), PlayedEngine()

    def fails_as_the_other_goes_away(engine: PlayedEngine, request: DialRequest) -> None:
        other.go_away()
        congested(engine, request)

    engine.behave = fails_as_the_other_goes_away

    async def waits() -> bool:
        return (await desk.call(call))["deferred_reason"] == "hotline_unavailable"

    async with dialing(desk.db, desk.keyring, {"sandbox": engine, "other": other}):
        await eventually(waits)
        other.come_back()
        await rows(desk.db, "UPDATE calls SET due_at = now() RETURNING 1")
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"]) == ("answered", 1)
    assert [request.trunk_id for request in other.dialled] == [second]


async def test_cancelling_a_call_that_waits_for_another_trunk_ends_its_attempt(desk: Desk) -> None:
    _, second, hotlines = await two_trunks(desk)
    await change(desk, "limits", await limit_of(desk, "trunks", second), max_channels=0)
    campaign = await desk.campaign(hotline_ids=hotlines)
    (call,) = await desk.give(campaign, VIETTEL)

    async def waits() -> bool:
        return await rows(desk.db, "SELECT FROM calls WHERE open_attempt_id IS NOT NULL") != []

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(congested)}):
        await eventually(waits)
    async with desk.db.transaction() as tx:
        done = await calls.refuse_calls(tx, [Refusal(call, Outcome.CANCELLED)], SystemClock().now())
    assert done == [call]
    attempts = await rows(desk.db, "SELECT outcome, ended_at IS NOT NULL FROM attempts")
    assert attempts == [("cancelled", True)]
    assert await rows(desk.db, "SELECT open_attempt_id, tried_trunk_ids FROM calls") == [(None, None)]


async def test_another_dialer_goes_on_with_a_failing_trunk_where_a_dead_one_stopped(desk: Desk) -> None:
    """The leg on the first trunk is adopted; its congestion still leads to the second trunk."""
    first, second, hotlines = await two_trunks(desk)
    campaign = await desk.campaign(hotline_ids=hotlines)
    (call,) = await desk.give(campaign, VIETTEL)
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await until(lambda: engine.dialled)
    heir = PlayedEngine(answers_and_ends)

    def replays() -> bool:
        return bool(heir.adopted)

    heir.knows = LegKnowledge.REPLAYED
    async with dialing(desk.db, desk.keyring, {"sandbox": heir}):
        await until(replays)
        congested(heir, engine.dialled[0])
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"]) == ("answered", 1)
    assert [request.trunk_id for request in [*engine.dialled, *heir.dialled]] == [first, second]


# --------------------------------------------------------------------------- places in the queue


async def test_a_call_whose_slot_was_missed_keeps_its_place_in_the_queue(desk: Desk) -> None:
    campaign = await desk.campaign(cps=None)
    (first,) = await desk.give(campaign, VIETTEL)
    due_before = (await desk.call(first))["due_at"]
    engine = TooLateOnce()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        end = await desk.done(first)
    assert end["due_at"] == due_before
    assert (end["outcome"], end["attempts"]) == ("answered", 1)


# --------------------------------------------------------------------------- cooling


async def test_a_trunk_that_keeps_failing_cools_down_and_is_used_again_afterwards(desk: Desk) -> None:
    trunk = await factories.trunk(desk.db, desk.owner.account_id, max_channels=1)
    await change(desk, "limits", trunk.limit_id, cool_after=2, cool_seconds=3600)
    campaign = await desk.campaign(hotline_ids=[await line(desk, trunk_id=trunk.id)])
    ids = await desk.give(campaign, VIETTEL, VINAPHONE, MOBIFONE)
    engine = PlayedEngine(congested)

    async def says_so() -> bool:
        return await desk.reason(campaign) == "trunks_cooling"

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await eventually(says_so)
        assert len(engine.dialled) == 2
        until_at = (await rows(desk.db, "SELECT waiting_until - now() FROM campaigns"))[0][0]
        assert timedelta(minutes=59) < until_at < timedelta(minutes=61)
        engine.behave = answers_and_ends
        await rows(
            desk.db, "UPDATE limits SET cooling_until = now() WHERE id = %s RETURNING 1", trunk.limit_id
        )
        assert (await desk.done(ids[2]))["outcome"] == "answered"


async def test_a_trunk_that_fails_again_after_it_has_cooled_is_sent_back_at_once(desk: Desk) -> None:
    trunk = await factories.trunk(desk.db, desk.owner.account_id, max_channels=1)
    await change(desk, "limits", trunk.limit_id, cool_after=3, cool_seconds=3600)
    campaign = await desk.campaign(hotline_ids=[await line(desk, trunk_id=trunk.id)])
    await desk.give(campaign, *(f"098100000{number}" for number in range(6)))
    engine = PlayedEngine(congested)

    async def cools() -> bool:
        return bool(await rows(desk.db, "SELECT FROM limits WHERE cooling_until > now() AND live = 0"))

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await eventually(cools)
        assert len(engine.dialled) == 3
        await change(desk, "limits", trunk.limit_id, cooling_until=SystemClock().now())
        await eventually(cools)
    assert len(engine.dialled) == 4


async def test_one_call_that_goes_through_is_enough_to_keep_a_trunk_warm(desk: Desk) -> None:
    trunk = await factories.trunk(desk.db, desk.owner.account_id, max_channels=1)
    await change(desk, "limits", trunk.limit_id, cool_after=2, cool_seconds=3600)
    campaign = await desk.campaign(hotline_ids=[await line(desk, trunk_id=trunk.id)])
    engine = PlayedEngine(congested)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        for number, behave in ((VIETTEL, congested), (VINAPHONE, answers_and_ends), (MOBIFONE, congested)):
            engine.behave = behave
            (call,) = await desk.give(campaign, number)
            await desk.hint(campaign)
            await desk.done(call)
    assert await rows(desk.db, "SELECT cooling_until, failures FROM limits WHERE cool_after = 2") == [
        (None, 1)
    ]
