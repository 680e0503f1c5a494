"""One endpoint while this process sends to it: what waits, what is under way, how fast it may go. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from standardwebhooks.webhooks import Webhook

from tongdai.domain.webhooks.model import parse_auth_header, webhook_id
from tongdai.domain.webhooks.rules import Health
from tongdai.domain.webhooks.store.sending import Claimed, TargetRow
from tongdai.kit.crypto import Keyring

FIRST_CLAIM = 16
LARGEST_CLAIM = 512
"""Deliveries of one endpoint that are read at a time: the first claim asks for twice as many as may be under
way, but no fewer than this. One that comes back full is followed by one of twice the size."""


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint, opened: how a request to it is addressed and signed."""

    id: int
    account_id: int
    version: int
    url: str
    format: str
    options: Mapping[str, Any]
    max_in_flight: int
    is_open: bool
    """False: it was disabled or deleted."""
    signer: Webhook
    old_signer: Webhook | None
    old_until: datetime | None
    headers: Mapping[str, str]

    def signed(self, event_id: int, body: str, now: datetime) -> dict[str, str]:
        """The headers of one request."""
        id_ = webhook_id(event_id, self.id)
        signature = self.signer.sign(id_, now, body)
        if self.old_signer is not None and self.old_until is not None and now < self.old_until:
            signature += " " + self.old_signer.sign(id_, now, body)
        return {
            **self.headers,
            "Content-Type": "application/json; charset=utf-8",
            "webhook-id": id_,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }


def open_target(row: TargetRow, keyring: Keyring, context: str) -> Target:
    """Raises SealBrokenError."""

    def opened(sealed: bytes) -> str:
        return keyring.open(sealed, context=context).decode()

    header = None if row.auth_header is None else parse_auth_header(opened(row.auth_header))
    return Target(
        id=row.id,
        account_id=row.account_id,
        version=row.version,
        url=row.url,
        format=row.format,
        options=row.options,
        max_in_flight=row.max_in_flight,
        is_open=row.is_open,
        signer=Webhook(opened(row.secret)),
        old_signer=None if row.old_secret is None else Webhook(opened(row.old_secret)),
        old_until=row.old_secret_until,
        headers={} if header is None else {header[0]: header[1]},
    )


@dataclass(slots=True)
class Chain:
    """The deliveries of one call: the first is queued or under way, the later ones wait for it here."""

    last_id: int
    later: deque[Claimed] = field(default_factory=deque)

    def append(self, one: Claimed) -> None:
        self.later.append(one)
        self.last_id = one.id


@dataclass(slots=True)
class Lane:
    """What this process holds of one endpoint.

    Of each call one delivery is in `queue` or under way, and those that come right after it are in `chains`.
    Replays of a call are a chain of their own.
    """

    target: Target
    health: Health
    queue: deque[Claimed] = field(default_factory=deque)
    chains: dict[tuple[int, bool], Chain] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    """What must not be claimed again: queued, behind one that is, under way, or its result unwritten."""
    in_flight: int = 0
    speed: int = 1
    """How many may be under way now: doubled by each success up to the endpoint's own number, 1 after a
    failure."""
    more: bool = True
    """False: nothing was due when it was last asked for."""
    want: int = 0
    """How many the next claim asks for."""
    leaving: bool = False
    """Another sender is to have it."""
    idle_since: float | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None
    last_delivered_at: datetime | None = None
    told_delivered_at: datetime | None = None
    """What the endpoint's row was last told of its successes."""

    def __post_init__(self) -> None:
        self.want = self.first_claim

    @property
    def first_claim(self) -> int:
        return max(FIRST_CLAIM, 2 * self.target.max_in_flight)

    @property
    def waiting(self) -> int:
        return len(self.queue)

    @property
    def wants_more(self) -> bool:
        return self.more and not self.leaving and self.waiting <= self.want // 2

    @property
    def is_idle(self) -> bool:
        return not self.held and not self.in_flight

    def is_open(self, now: datetime) -> bool:
        return self.target.is_open and not self.leaving and not self.health.is_paused(now)

    def may_start(self, now: datetime) -> bool:
        has_room = self.in_flight < min(self.speed, self.target.max_in_flight)
        return bool(self.queue) and has_room and self.is_open(now)

    def accept(self, claimed: Sequence[Claimed], asked: int) -> dict[int, datetime]:
        """Take in what was claimed for it. Returns those to be put off, with the moment when they are due."""
        self.more = len(claimed) >= asked
        self.want = min(self.want * 2, LARGEST_CLAIM) if self.more else self.first_claim
        off: dict[int, datetime] = {}
        for one in claimed:
            self.held.add(one.id)
            key = (one.call_id, one.is_replay)
            chain = self.chains.get(key)
            if chain is not None and one.blocker_id in (None, chain.last_id):
                chain.append(one)
            elif one.blocker_id is not None and one.blocker_due_at is not None:
                off[one.id] = one.blocker_due_at
            else:
                self.queue.append(one)
                if one.call_id > 0:  # test events and Zalo's are of no call, and wait for nothing
                    self.chains[key] = Chain(one.id)
        return off

    def started(self) -> Claimed:
        self.in_flight += 1
        return self.queue.popleft()

    def delivered(self, one: Claimed) -> None:
        """The next of its call may go."""
        self.speed = min(self.speed * 2, self.target.max_in_flight)
        self._next_of(one)

    def parked(self, one: Claimed) -> None:
        self._next_of(one)

    def put_back(self, one: Claimed) -> list[int]:
        """It is tried again later: the others of its call, which are returned, wait for that."""
        chain = self.chains.pop((one.call_id, one.is_replay), None)
        return [] if chain is None else [later.id for later in chain.later]

    def written(self, delivery_ids: Iterable[int]) -> None:
        self.held.difference_update(delivery_ids)

    def drop_waiting(self) -> None:
        """Give up what has not begun; it is claimed again when its time comes."""
        for one in self.queue:
            chain = self.chains.pop((one.call_id, one.is_replay), None)
            self.held.discard(one.id)
            if chain is not None:
                self.held.difference_update(later.id for later in chain.later)
        self.queue.clear()
        self.more = False
        self.want = self.first_claim

    def _next_of(self, one: Claimed) -> None:
        key = (one.call_id, one.is_replay)
        chain = self.chains.get(key)
        if chain is None:
            return
        if chain.later:
            self.queue.append(chain.later.popleft())
        else:
            del self.chains[key]
