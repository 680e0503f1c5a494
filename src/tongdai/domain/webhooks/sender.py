"""The sender: one process that posts what is due. Any number may run on one database.

Everything that must last is in PostgreSQL: a delivery is pending until what came of it is written. What is
held here can be lost at any moment, and is then sent again by whoever takes the endpoint over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tongdai.domain.webhooks.courier import Courier
from tongdai.domain.webhooks.lane import Lane, open_target
from tongdai.domain.webhooks.lease import Lease
from tongdai.domain.webhooks.model import Renderers
from tongdai.domain.webhooks.rules import SendingRules
from tongdai.domain.webhooks.service import SEAL
from tongdai.domain.webhooks.store import sending
from tongdai.domain.webhooks.store.sending import Claimed, TargetRow, Waiting
from tongdai.domain.webhooks.writer import Outcome, Writer
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring, SealBrokenError
from tongdai.kit.db import Database, DatabaseError
from tongdai.kit.running import cancel_all, keep_going
from tongdai.ports.posting import Poster

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SenderConfig:
    rules: SendingRules = field(default_factory=SendingRules)
    max_in_flight: int = 500
    """Requests under way in one process. The first of each endpoint is free, so that no others hold it up."""
    lease_s: float = 15.0
    """After so long without a sign of life others take the endpoints over."""
    poll_s: float = 0.1
    """Between looks for what is due; longer, up to `longest_poll_s`, where a look takes long."""
    longest_poll_s: float = 1.0
    idle_s: float = 30.0
    """An endpoint that nothing was sent to for so long is given back."""
    sweep_s: float = 10.0
    """How often what became too old at paused endpoints is parked."""
    grace_s: float = 5.0
    """At a stop, how long requests under way may take to end."""
    most_queued: int = 10_000
    """Deliveries held in memory, and a few for each endpoint besides."""
    most_claimed: int = 2_000
    """Deliveries read by one query."""


class Sender:
    """`run` until told to stop."""

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        clock: Clock,
        poster: Poster,
        renderers: Renderers,
        config: SenderConfig | None = None,
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._clock = clock
        self._poster = poster
        self._config = config or SenderConfig()
        self._lanes: dict[int, Lane] = {}
        self._pumps: set[asyncio.Task[None]] = set()
        self._held_back: dict[int, Lane] = {}
        self._wants_claim = asyncio.Event()
        self._stopping = False
        self._swept_at = 0.0
        self._totals: Counter[str] = Counter()
        self._lease = Lease(db, self._config.lease_s, self._drop_everything)
        self._writer = Writer(db, self._feed_held_back)
        self._courier = Courier(clock, poster, renderers, self._config.rules)

    # ------------------------------------------------------------------ life

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set. The database may come and go."""
        await self._poster.start()
        loops: list[Coroutine[Any, Any, None]] = [
            self._writer.run(),
            keep_going("looking", self._looking),
            keep_going("claiming", self._claiming),
        ]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            await stop.wait()
            await self._wind_up()
        finally:
            await cancel_all([*tasks, *self._pumps])
            await self._poster.stop()

    async def _wind_up(self) -> None:
        """End what is under way, write it, and give everything back."""
        self._stopping = True
        for lane in self._lanes.values():
            lane.drop_waiting()
        if self._pumps:
            await asyncio.wait(self._pumps, timeout=self._config.grace_s)
        try:
            async with asyncio.timeout(self._config.grace_s):
                await self._writer.drained()
                await self._tell_totals()
                await self._lease.leave()
        except (TimeoutError, DatabaseError):
            log.warning("the sender stopped before everything was written", exc_info=True)

    # ------------------------------------------------------------------ which endpoints

    async def _looking(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if self._lease.is_due:
                await self._lease.keep()
                await self._tell_totals()
            if self._lease.is_held:
                await self._look()
            took = loop.time() - began
            await asyncio.sleep(min(max(self._config.poll_s, 20 * took), self._config.longest_poll_s))

    async def _look(self) -> None:
        now = self._clock.now()
        async with self._db.autocommit() as connection:
            found = await sending.look(connection)
        due = [one for one in found if one.due_at <= now and one.is_open(now)]
        await self._take(due, now)
        await self._follow(found, now)
        for one in due:
            lane = self._lanes.get(one.id)
            if lane is not None:
                lane.more = True
                self._feed(lane)  # it may hold what was read just when it was paused
        if due:
            self._wants_claim.set()
        await self._give_back(len(due))
        await self._sweep([one for one in found if not one.is_open(now)], now)

    async def _take(self, due: Sequence[Waiting], now: datetime) -> None:
        """Make ours what is nobody's, up to our share."""
        free = [
            one.id
            for one in due
            if one.id not in self._lanes and one.sender_id in (None, self._lease.sender_id)
        ]
        busy = sum(one.id in self._lanes for one in due)
        free = free[: max(self._share(len(due)) - busy, 0)]
        if not free:
            return
        sender_id = self._lease.sender_id
        async with self._db.transaction() as tx:
            taken = await sending.take(tx, sender_id, free)
            rows = await sending.targets(tx, sender_id, taken, now)
        if self._lease.sender_id == sender_id:
            self._open(rows)

    async def _follow(self, found: Sequence[Waiting], now: datetime) -> None:
        """Take in what people changed, and let go of what is not ours any more."""
        sender_id = self._lease.sender_id
        changed = []
        for one in found:
            lane = self._lanes.get(one.id)
            if lane is None:
                continue
            if one.sender_id != sender_id:
                self._drop(lane)
            elif one.version != lane.target.version:
                changed.append(one.id)
        if not changed:
            return
        async with self._db.autocommit() as connection:
            rows = await sending.targets(connection, sender_id, changed, now)
        if self._lease.sender_id == sender_id:
            self._open(rows)

    def _open(self, rows: Sequence[TargetRow]) -> None:
        for row in rows:
            try:
                target = open_target(row, self._keyring, SEAL)
            except SealBrokenError:
                log.error("the secret of a webhook endpoint cannot be opened", extra={"endpoint": row.id})
                continue
            lane = self._lanes.get(row.id)
            if lane is None:
                self._lanes[row.id] = Lane(
                    target, row.health, speed=1 if row.failures else target.max_in_flight
                )
            else:
                lane.target, lane.health = target, row.health
                lane.speed = 1 if row.failures else target.max_in_flight
                lane.drop_waiting()

    async def _give_back(self, busy: int) -> None:
        """Endpoints that are idle, and what is more than our share once nothing of it is under way."""
        self._say_who_leaves(busy)
        done = [lane for lane in self._lanes.values() if self._is_done_with(lane)]
        if done:
            for lane in done:
                self._drop(lane)
            async with self._db.autocommit() as connection:
                await sending.release(connection, self._lease.sender_id, [lane.target.id for lane in done])

    def _say_who_leaves(self, busy: int) -> None:
        staying = [lane for lane in self._lanes.values() if not (lane.leaving or lane.is_idle)]
        if self._lease.senders > 1:
            for lane in staying[self._share(busy) :]:
                lane.leaving = True

    def _is_done_with(self, lane: Lane) -> bool:
        now = asyncio.get_running_loop().time()
        if not lane.is_open(self._clock.now()):
            lane.drop_waiting()
        if not lane.is_idle:
            lane.idle_since = None
            return False
        lane.idle_since = lane.idle_since or now
        return lane.leaving or now - lane.idle_since > self._config.idle_s

    def _share(self, busy: int) -> int:
        """How many of the busy endpoints one sender is to have, with some to spare."""
        senders = self._lease.senders
        return busy + 1 if senders == 1 else -(-busy * 11 // (senders * 10)) + 1

    async def _sweep(self, closed: Sequence[Waiting], now: datetime) -> None:
        """Park what is too old at endpoints that nothing is sent to."""
        at = asyncio.get_running_loop().time()
        if not closed or at - self._swept_at < self._config.sweep_s:
            return
        oldest = now - self._config.rules.give_up
        before = {one.id: now + timedelta(days=1) if one.deleted else oldest for one in closed}
        async with self._db.transaction() as tx:
            parked = await sending.park(tx, before, now)
        self._totals["parked"] += parked
        if parked < 1000:  # else there may be more, and the next look goes on
            self._swept_at = at

    async def _tell_totals(self) -> None:
        totals, self._totals = self._totals, Counter()
        if totals:
            async with self._db.autocommit() as connection:
                await sending.add_totals(connection, totals)

    # ------------------------------------------------------------------ which deliveries

    async def _claiming(self) -> None:
        while True:
            await self._wants_claim.wait()
            self._wants_claim.clear()
            while not self._stopping and (wanted := self._wanted()):
                await self._claim(wanted)

    def _wanted(self) -> dict[int, int]:
        """How many deliveries of which endpoints are to be read now.

        Who has nothing to send may always read some, or the queues of slow endpoints would fill the memory
        that is set aside and hold up the others. Those who were asked for come last the next time.
        """
        room = self._config.most_queued - sum(len(lane.held) for lane in self._lanes.values())
        now = self._clock.now()
        wanted: dict[int, int] = {}
        asked = 0
        for id_, lane in self._lanes.items():
            if not lane.wants_more or lane.health.is_paused(now):
                continue
            number = min(lane.want, room) if room > 0 else 0 if lane.queue else lane.first_claim
            if number:
                wanted[id_] = number
                room -= number
                asked += number
            if asked >= self._config.most_claimed:
                break
        for id_ in wanted:
            self._lanes[id_] = self._lanes.pop(id_)
        return wanted

    async def _claim(self, wanted: dict[int, int]) -> None:
        sender_id = self._lease.sender_id
        held = [delivery_id for id_ in wanted for delivery_id in self._lanes[id_].held]
        async with self._db.autocommit() as connection:
            claimed = await sending.claim(connection, wanted, held, self._clock.now())
        if not self._lease.is_held or self._lease.sender_id != sender_id:
            return
        per_lane: dict[int, list[Claimed]] = defaultdict(list)
        for one in claimed:
            per_lane[one.endpoint_id].append(one)
        for id_, asked in wanted.items():
            lane = self._lanes.get(id_)
            if lane is not None:
                for delivery_id, due_at in lane.accept(per_lane[id_], asked).items():
                    self._writer.put(Outcome(lane, None, (delivery_id,), due_at))
                self._feed(lane)

    # ------------------------------------------------------------------ sending

    def _feed(self, lane: Lane) -> None:
        """Begin as many requests to an endpoint as may be."""
        if self._stopping or not self._lease.is_held:
            return
        now = self._clock.now()
        while lane.may_start(now):
            if self._writer.is_full or (lane.in_flight and len(self._pumps) >= self._config.max_in_flight):
                self._held_back[lane.target.id] = lane
                return
            pump = asyncio.create_task(self._pump(lane, lane.started()))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, lane: Lane, one: Claimed) -> None:
        """Send one delivery after the other, as long as there are any and the endpoint may have so many."""
        while True:
            try:
                outcome = await self._courier.send(lane, one)
            finally:
                lane.in_flight -= 1
            self._writer.put(outcome)
            result = outcome.result
            if result is not None:
                self._totals["failed" if result.state == "pending" else result.state] += 1
            now = self._clock.now()
            if lane.health.is_paused(now):
                lane.drop_waiting()
            if lane.wants_more:
                self._wants_claim.set()
            if self._stopping or not self._lease.is_held or self._writer.is_full or not lane.may_start(now):
                break
            one = lane.started()
        self._feed(lane)
        self._feed_held_back()

    def _feed_held_back(self) -> None:
        lanes, self._held_back = self._held_back, {}
        for lane in lanes.values():
            if self._lanes.get(lane.target.id) is lane:
                self._feed(lane)

    def _drop(self, lane: Lane) -> None:
        """Send nothing more of it; what is under way ends by itself."""
        lane.leaving = True
        lane.drop_waiting()
        self._lanes.pop(lane.target.id, None)

    def _drop_everything(self) -> None:
        """The lease is lost: others may be sending by now, so that what is under way is broken off."""
        for lane in list(self._lanes.values()):
            self._drop(lane)
        self._held_back.clear()
        for pump in self._pumps:
            pump.cancel()
