"""The loop that claims: looks around once a second, and claims when something is due and there is room."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tongdai.domain import compliance, contacts
from tongdai.domain.dialer.bench import Bench
from tongdai.domain.dialer.claim import Claim, Claimer, ClaimRules, claim
from tongdai.domain.dialer.driver import Driver
from tongdai.domain.dialer.model import Plan, Stations, without_nodes
from tongdai.domain.dialer.planner import Plans, Waiting, plan
from tongdai.domain.dialer.presence import Presence
from tongdai.domain.dialer.store import claiming as store
from tongdai.domain.dialer.store import planning
from tongdai.domain.dialer.turns import Floors, Used
from tongdai.domain.live.pacing import LEAD
from tongdai.kit.db import TRANSIENT_ERRORS, Database, DatabaseError

log = logging.getLogger(__name__)

PREFIXES_KEPT_S = 60.0
"""How long a change of the prefix table takes to be followed."""

BENCH_KEPT_S = 10.0
"""How long calls are looked past that found every line of theirs busy, though somebody has changed those."""

LOOK_APART_S = 0.1
"""The least time between two looks at all campaigns, however many hints ask for one."""

WITHOUT_CODES = 2.0
"""By how much farther slots are given ahead where no one-time code can come that would have to wait behind
them: a claim costs much the same for ten calls as for twenty."""

COME_BACK = 0.7
"""After which part of the horizon to claim again where slots up to it are used. The rest is for the claim."""

LONGEST_LEAD = timedelta(seconds=2)
"""Where claims take longer than this, paced calls miss their slots. A longer lead would have the next call of
an idle trunk wait for long after the database is quick again."""

CAMPAIGNS_AT_ONCE = 50
"""In one claim: it locks the caps of each. The others have their turn in the next."""


class Claiming:
    """Run `run` for as long as the dialer lives. `hint` and `wake` have it look sooner."""

    def __init__(
        self,
        db: Database,
        driver: Driver,
        presence: Presence,
        *,
        rules: ClaimRules,
        max_calls: int,
        refresh_s: float,
        pause_s: float,
        is_reachable: Callable[[str], bool],
        preload: Callable[[int, int, int], Awaitable[Any]],
        policies: compliance.PolicyBook,
        stations: Stations = without_nodes,
        why_mute: Callable[[Plan], str | None] = lambda plan: None,
    ) -> None:
        self._db = db
        self._lane = db.lane()
        self._driver = driver
        self._presence = presence
        self._rules = rules
        self._max_calls = max_calls
        self._refresh_s = refresh_s
        self._pause_s = pause_s
        self._is_reachable = is_reachable
        self._preload = preload
        self._policies = policies
        self._stations = stations
        self._why_mute = why_mute
        self._policy: compliance.Policy = compliance.CLOSED
        self._is_holiday = compliance.vietnam_holidays()
        self._wake = asyncio.Event()
        self._starved = True
        """Whether a channel that comes free may let something out that could not go out."""
        self._hinted: set[int] = set()
        self._refresh_at = 0.0
        self._looked_at = 0.0
        self._prefixes = contacts.PrefixTable.from_rows([])
        self._prefixes_until = 0.0
        self._plans = Plans({}, frozenset(), {})
        self._full: dict[int, Waiting] = {}
        self._bench = Bench()
        self._bench_until = 0.0
        self._turn = 0
        self._next = 0
        self._used = Used()
        self._floors = Floors(rules.floors_apart.total_seconds())
        self._took: deque[float] = deque(maxlen=20)

    def hint(self, campaign_ids: Iterable[int] | None) -> None:
        """These campaigns were given calls; None: anything may have changed."""
        if campaign_ids is None:
            self._refresh_at = 0.0
        else:
            self._hinted.update(campaign_ids)
        self._wake.set()

    def wake(self) -> None:
        """A channel came free. Nothing waits for one while only the calls per second hold calls up."""
        if self._starved:
            self._wake.set()

    @property
    def is_starved(self) -> bool:
        """True while calls may be waiting for channels."""
        return self._starved

    async def run(self) -> None:
        await self._lane.open()
        try:
            await self._claim_and_rest()
        finally:
            await self._lane.close()
            self._lane = self._db.lane()

    async def _claim_and_rest(self) -> None:
        due: set[int] = set()
        while True:
            await self._presence.wait()
            hinted, self._hinted = self._hinted, set()
            if not hinted <= self._plans.dialable.keys():
                self._refresh_at = min(self._refresh_at, self._looked_at + LOOK_APART_S)
            if self._is_time_to_look():
                due = await self._look_around()
            due = (due | hinted) & self._plans.dialable.keys()
            loop = asyncio.get_running_loop()
            wait_s = None if self._starved else self._used.left_s(due, loop.time())
            if wait_s is None:
                wait_s = await self._claim_due(due)
                self._used.note(due, wait_s, loop.time())
            await self._rest(wait_s)

    def _is_time_to_look(self) -> bool:
        return asyncio.get_running_loop().time() >= self._refresh_at

    async def _rest(self, wait_s: float | None) -> None:
        """Until there may be more to claim: time moved on, a channel came free, or a hint arrived."""
        until_look = self._refresh_at - asyncio.get_running_loop().time()
        longest = max(0.0, until_look if wait_s is None else min(wait_s, until_look))
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._wake.wait()
        if self._wake.is_set() and not self._hinted:
            await asyncio.sleep(self._pause_s)
        self._wake.clear()

    # ------------------------------------------------------------------ looking around

    async def _look_around(self) -> set[int]:
        loop = asyncio.get_running_loop()
        async with self._db.transaction() as tx:
            now = await self._presence.read_clock(tx)
            if loop.time() >= self._prefixes_until:
                self._prefixes = await contacts.load_prefixes(tx)
                self._prefixes_until = loop.time() + PREFIXES_KEPT_S
            self._policy = self._policies.at(now)
            plans = await plan(
                tx,
                now,
                policy=self._policy,
                is_reachable=self._is_reachable,
                is_holiday=self._is_holiday,
                stations=self._stations,
            )
        self._plans = self._that_may_speak(plans.without(await self._unspeakable(plans), "script_invalid"))
        if self._plans.waiting:
            async with self._db.transaction() as tx:
                await planning.say_waiting(tx, {**self._plans.waiting, **self._still_full()}, now)
        self._looked_at = loop.time()
        if self._looked_at >= self._bench_until:
            self._bench.clear()
            self._bench_until = self._looked_at + BENCH_KEPT_S
        self._refresh_at = self._looked_at + self._refresh_s
        return set(self._plans.due)

    def _that_may_speak(self, plans: Plans) -> Plans:
        """The same without those whose words are not spoken yet: nobody is called to hear nothing. Those with
        nothing due are asked about too, which has them ready for their first call."""
        mute: dict[str, list[int]] = {}
        for campaign, one in plans.dialable.items():
            reason = self._why_mute(one)
            if reason is not None:
                mute.setdefault(reason, []).append(campaign)
        for reason, campaigns in mute.items():
            plans = plans.without(campaigns, reason)
        return plans

    async def _unspeakable(self, plans: Plans) -> list[int]:
        """Have the scripts at hand before the first slot, which does not wait; those that cannot be had."""
        missing = []
        for campaign in plans.due:
            one = plans.dialable[campaign]
            try:
                await self._preload(one.account_id, one.script_id, one.script_version)
            except DatabaseError:
                raise
            except Exception:
                log.exception("a campaign's script cannot be loaded", extra={"campaign": campaign})
                missing.append(campaign)
        return missing

    # ------------------------------------------------------------------ claiming

    async def _claim_due(self, due: set[int]) -> float | None:
        """Claim until nothing is due or no room is left. Returns when to come back, None: when woken."""
        idle_turns = 0
        while due and self._may_go_on():
            plans = self._next_plans(due)
            result = await self._claim_some(plans, due)
            due -= result.dry | result.unpaid
            await self._say_full(plans, result)
            idle = result.filled or not result.handled
            idle_turns = idle_turns + len(plans) if idle else 0
            self._starved = result.starved or not result.paced
            if idle_turns >= len(due):
                return self._horizon().total_seconds() * COME_BACK if result.paced and due else None
        self._starved = self._starved or not due or self._driver.room(self._max_calls) == 0
        return None

    def _may_go_on(self) -> bool:
        return (
            self._driver.room(self._max_calls) > 0
            and self._presence.is_here
            and not self._hinted
            and not self._is_time_to_look()
        )

    def _next_plans(self, due: set[int]) -> list[Plan]:
        """One-time codes always; of the others, as many as one claim can serve, in turn."""
        plans = [self._plans.dialable[campaign] for campaign in sorted(due)]
        codes = [one for one in plans if one.is_otp][:CAMPAIGNS_AT_ONCE]
        others = [one for one in plans if not one.is_otp]
        start = 0
        if len(others) > CAMPAIGNS_AT_ONCE:
            start = self._next % len(others)
            self._next = start + CAMPAIGNS_AT_ONCE
        return codes + (others[start:] + others[:start])[:CAMPAIGNS_AT_ONCE]

    async def _claim_some(self, plans: list[Plan], due: set[int]) -> Claim:
        """Claim for these campaigns. One that breaks the claim waits for the next look; the others go on."""
        try:
            return await self._claim_once(plans)
        except TRANSIENT_ERRORS:
            raise
        except Exception:
            if len(plans) == 1:
                log.exception("a campaign cannot be claimed", extra={"campaign": plans[0].campaign_id})
                due.discard(plans[0].campaign_id)
                return Claim(dry=frozenset({plans[0].campaign_id}))
        results = [await self._claim_some([one], due) for one in plans]
        return Claim(
            dry=frozenset().union(*(result.dry for result in results)),
            unpaid=frozenset().union(*(result.unpaid for result in results)),
            full={campaign: why for result in results for campaign, why in result.full.items()},
            handled=sum(result.handled for result in results),
            filled=all(result.filled for result in results),
            starved=any(result.starved for result in results),
            paced=any(result.paced for result in results),
        )

    async def _claim_once(self, plans: list[Plan]) -> Claim:
        loop = asyncio.get_running_loop()
        began = loop.time()
        budget = min(self._rules.budget, self._driver.room(self._max_calls))
        claimer = Claimer(
            self._presence.dialer_id,
            replace(self._rules, budget=budget, horizon=self._horizon()),
            self._prefixes,
            self._plans.code_limits(),
            self._lead(),
            self._policy,
            self._bench,
            moves_floors=self._floors.are_due(began),
        )
        async with self._lane.brisk_transaction() as tx:
            result = await claim(tx, claimer, plans, turn=self._turn)
        self._floors.note(result.handled, moved_at=began if claimer.moves_floors else None)
        legs = await result.read_legs()
        await self._driver.send(legs)
        if legs:
            self._turn += 1
            self._took.append(loop.time() - began)
        return result

    def _horizon(self) -> timedelta:
        return self._rules.horizon * (1.0 if self._plans.code_limits() else WITHOUT_CODES)

    def _lead(self) -> timedelta:
        """What a claim takes lately, with a margin: nothing due now may miss its slot by our own doing."""
        if not self._took:
            return LEAD
        usual = sorted(self._took)[int(len(self._took) * 0.9)]
        return min(max(LEAD, timedelta(seconds=usual * 1.5)), LONGEST_LEAD)

    async def _say_full(self, plans: list[Plan], result: Claim) -> None:
        """A campaign without a line that has room says so until a claim finds room for it."""
        for one in plans:
            self._full.pop(one.campaign_id, None)
        self._full.update(result.full)
        if result.full:
            async with self._db.transaction() as tx:
                await planning.say_waiting(tx, self._still_full(), await store.database_now(tx))

    def _still_full(self) -> dict[int, Waiting]:
        return {campaign: why for campaign, why in self._full.items() if campaign in self._plans.due}
