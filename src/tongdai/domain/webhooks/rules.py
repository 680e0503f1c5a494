"""When a delivery is tried again, and how an endpoint fares. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from tongdai.domain.webhooks.model import PauseReason


@dataclass(frozen=True, slots=True)
class SendingRules:
    """How long and how often a delivery is tried, and what an endpoint's failures lead to."""

    delays_s: tuple[float, ...] = (5, 30, 120, 300, 900, 1800, 3600, 7200, 14400)
    """After the first failed try, the second, …; the last one from then on."""
    jitter: float = 0.2
    """Each delay is longer or shorter by up to this part of it, so that those who failed together do not come
    back together."""
    give_up: timedelta = timedelta(hours=24)
    """A try that fails so long after the event parks the delivery."""
    longest_wait: timedelta = timedelta(hours=1)
    """What `Retry-After` may ask for at most."""
    failures_to_pause: int = 5
    """In a row."""
    pause_s: float = 10
    """The first pause; each one that follows without a delivery between is twice as long."""
    longest_pause_s: float = 300

    def next_try(self, tries: int, created_at: datetime, now: datetime, luck: float) -> datetime | None:
        """When to try again after `tries` failed ones; None: park it.

        The last try falls on the very end of the 24 hours. `luck` is random, 0 to 1.
        """
        end = created_at + self.give_up
        if now >= end:
            return None
        delay = self.delays_s[min(max(tries, 1), len(self.delays_s)) - 1]
        return min(now + timedelta(seconds=self._jittered(delay, luck)), end)

    def pause(self, pauses: int, luck: float) -> timedelta:
        """How long an endpoint is left alone that paused `pauses` times in a row before."""
        seconds = min(self.pause_s * 2.0 ** min(pauses, 30), self.longest_pause_s)
        return timedelta(seconds=self._jittered(seconds, luck))

    def _jittered(self, seconds: float, luck: float) -> float:
        return seconds * (1 + self.jitter * (2 * luck - 1))


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint fares."""

    failures: int = 0
    failing_since: datetime | None = None
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    pause_reason: str | None = None
    pauses: int = 0

    def is_paused(self, now: datetime) -> bool:
        return self.paused_at is not None and (self.paused_until is None or now < self.paused_until)

    def after_success(self) -> Health:
        """A delivery ends whatever the endpoint's own failures led to. What a customer paused stays so."""
        return self if self._waits_for_somebody else HEALTHY

    def after_failure(
        self,
        now: datetime,
        rules: SendingRules,
        luck: float,
        *,
        gone: bool = False,
        wait: timedelta | None = None,
    ) -> Health:
        """`gone`: it said that it is no more (410). `wait`: what it asked for with `Retry-After`."""
        if self._waits_for_somebody:
            return self
        failed = replace(self, failures=self.failures + 1, failing_since=self.failing_since or now)
        if gone:
            return failed._paused(now, None, "gone")
        until = now if wait is None else now + min(wait, rules.longest_wait)
        reason: PauseReason = "retry_after"
        if failed.failures >= rules.failures_to_pause and not self.is_paused(now):
            pause = rules.pause(self.pauses, luck)
            failed = replace(failed, pauses=self.pauses + 1)
            if now + pause >= until:
                until, reason = now + pause, "failures"
        if until <= (now if self.paused_until is None else max(now, self.paused_until)):
            return failed
        return failed._paused(now, until, reason)

    def _paused(self, now: datetime, until: datetime | None, reason: PauseReason) -> Health:
        return replace(self, paused_at=self.paused_at or now, paused_until=until, pause_reason=reason)

    @property
    def _waits_for_somebody(self) -> bool:
        return self.paused_at is not None and self.paused_until is None


HEALTHY: Final = Health()


def asked_wait(retry_after: str | None, now: datetime) -> timedelta | None:
    """What a `Retry-After` header asks for: seconds, or a date (RFC 9110, section 10.2.3). None: nothing that
    one can follow."""
    text = (retry_after or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return timedelta(seconds=int(text))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter of a year or an offset that no integer holds
        return None
    if until.tzinfo is None:  # "-0000": UTC, from who knows where
        until = until.replace(tzinfo=UTC)
    return max(until - now, timedelta(0))


def refusal_of(status: int) -> str | None:
    """None: it took the delivery. A redirect is never followed: it would send what is signed for one address
    to another."""
    if 200 <= status < 300:
        return None
    if status == 410:
        return "gone"
    return "redirect" if 300 <= status < 400 else "status"
