"""Sends one delivery once: makes its body, signs it, posts it, and says what came of it."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import datetime, timedelta

import msgspec

from tongdai.domain.webhooks.events import FORMATS, ZALO_RECEIVED, Event, zalo_headers
from tongdai.domain.webhooks.lane import Lane
from tongdai.domain.webhooks.model import Renderers
from tongdai.domain.webhooks.rules import HEALTHY, SendingRules, asked_wait, refusal_of
from tongdai.domain.webhooks.store.deliveries import decode_event
from tongdai.domain.webhooks.store.sending import Claimed, Result
from tongdai.domain.webhooks.writer import Outcome
from tongdai.kit.clock import Clock
from tongdai.ports.posting import Answer, Poster, PostFailedError, PostFailure

log = logging.getLogger(__name__)

UNRENDERED = "unrendered"
TELL_DELIVERED = timedelta(seconds=10)
"""How far the row of an endpoint may be behind with its last success."""


class _Attempt(msgspec.Struct, frozen=True, gc=False):
    """What came of one request, or of not getting so far."""

    at: datetime
    body: bytes | None
    ms: int = 0
    answer: Answer | None = None
    error: str | None = None
    for_good: bool = False
    """Trying again cannot help."""

    @property
    def is_theirs(self) -> bool:
        """False: the endpoint has nothing to do with the failure."""
        return self.error not in (UNRENDERED, PostFailure.OURS.value)


class Courier:
    def __init__(self, clock: Clock, poster: Poster, renderers: Renderers, rules: SendingRules) -> None:
        self._clock = clock
        self._poster = poster
        self._renderers = renderers
        self._rules = rules

    async def send(self, lane: Lane, one: Claimed) -> Outcome:
        """Never raises, but when it is cancelled: the delivery then stays as it was."""
        return self._outcome(lane, one, await self._attempt(lane, one))

    # ------------------------------------------------------------------ trying

    async def _attempt(self, lane: Lane, one: Claimed) -> _Attempt:
        now = self._clock.now()
        if one.body is None and one.type not in FORMATS.get(lane.target.format, ()):
            return _Attempt(now, None, error=UNRENDERED, for_good=True)
        try:
            body = one.body or self._render(lane, one)
            headers = lane.target.signed(one.event_id, body.decode(), now)
            if one.type == ZALO_RECEIVED:
                headers |= zalo_headers(_event(one))
        except Exception:
            log.exception("a webhook body cannot be made", extra={"delivery": one.id})
            return _Attempt(now, None, error=UNRENDERED)
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer, error = None, None
        try:
            answer = await self._poster.post(lane.target.url, headers, body)
            error = refusal_of(answer.status)
        except PostFailedError as failure:
            error = failure.reason.value
        except Exception:
            log.exception("a webhook cannot be posted", extra={"delivery": one.id})
            error = PostFailure.OURS.value
        return _Attempt(now, body, int((loop.time() - began) * 1000), answer, error)

    def _render(self, lane: Lane, one: Claimed) -> bytes:
        return self._renderers[lane.target.format](_event(one), lane.target.options)

    # ------------------------------------------------------------------ judging

    def _outcome(self, lane: Lane, one: Claimed, attempt: _Attempt) -> Outcome:
        now = self._clock.now()
        if attempt.error is None:
            lane.delivered(one)
            result = _result(lane, one, attempt, "delivered", None)
            return Outcome(lane, result, health_changed=self._note_success(lane, now))
        wait = asked_wait(None if attempt.answer is None else attempt.answer.retry_after, now)
        if attempt.is_theirs:
            self._note_failure(lane, attempt, now, wait)
        due_at = None if attempt.for_good else self._next_try(one, now, wait)
        if due_at is None:
            lane.parked(one)
            result = _result(lane, one, attempt, "parked", None)
            return Outcome(lane, result, health_changed=attempt.is_theirs)
        put_off = tuple(lane.put_back(one))
        result = _result(lane, one, attempt, "pending", due_at)
        return Outcome(lane, result, put_off, due_at, health_changed=attempt.is_theirs)

    def _next_try(self, one: Claimed, now: datetime, wait: timedelta | None) -> datetime | None:
        due_at = self._rules.next_try(one.tries + 1, one.created_at, now, random.random())  # noqa: S311 - no secret
        if due_at is None or wait is None:
            return due_at
        asked = now + min(wait, self._rules.longest_wait)
        return min(max(due_at, asked), one.created_at + self._rules.give_up)

    def _note_success(self, lane: Lane, now: datetime) -> bool:
        """Whether the endpoint's row is to be told."""
        before, lane.health = lane.health, lane.health.after_success()
        lane.last_delivered_at = now
        told = lane.told_delivered_at
        if before is HEALTHY and told is not None and now - told < TELL_DELIVERED:
            return False
        lane.told_delivered_at = now
        return True

    def _note_failure(self, lane: Lane, attempt: _Attempt, now: datetime, wait: timedelta | None) -> None:
        lane.speed = 1
        lane.last_error, lane.last_error_at = _described(attempt), now
        lane.health = lane.health.after_failure(
            now,
            self._rules,
            random.random(),  # noqa: S311 - no secret
            gone=attempt.error == "gone",
            wait=wait,
        )


def _event(one: Claimed) -> Event:
    if one.payload is None:
        raise LookupError("the event is not kept any more")
    return decode_event(one.type, one.payload)


def _described(attempt: _Attempt) -> str | None:
    return attempt.error if attempt.answer is None else f"{attempt.error} {attempt.answer.status}"


def _result(lane: Lane, one: Claimed, attempt: _Attempt, state: str, due_at: datetime | None) -> Result:
    answer = attempt.answer
    return Result(
        delivery_id=one.id,
        account_id=lane.target.account_id,
        at=attempt.at,
        status=None if answer is None else answer.status,
        error=attempt.error,
        ms=attempt.ms,
        answer=None if answer is None else answer.body,
        body=attempt.body if one.body is None else None,
        state=state,
        due_at=due_at,
    )
