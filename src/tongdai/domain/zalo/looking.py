"""How much of a long list one request looks through."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from tongdai.domain.zalo.model import JourneyFilter, MessageFilter

EXAMINED: Final = 10_000
"""Rows that one request looks through for those that match what no index finds. Where they lie apart, as
those to one number do, that is a second's work for a busy disk."""
DISORDER: Final = timedelta(minutes=2)
"""By how much a row may be older than one that was written before it: a journey is dated before Zalo is asked
for it, and clocks of several machines differ."""
UNDERWAY: Final = timedelta(days=7)
"""How long after a message was asked for Zalo may still take it or bring it: templates end within days."""


def journeys_are_sifted(wanted: JourneyFilter) -> bool:
    """Whether there may be many journeys that an index finds, and few of them that match."""
    if wanted.journey_id is not None:
        return False
    sieves = (wanted.charged, wanted.states, wanted.oa_id if wanted.phone is not None else None)
    return any(sieve is not None for sieve in sieves)


def messages_are_sifted(where: MessageFilter) -> bool:
    """The same of messages."""
    if where.msg_id is not None or where.journey_id is not None:
        return False
    found_by = [name for name in ("phone", "tracking_id", "oa_id") if getattr(where, name) is not None]
    timed = where.time_type != "created_at" and (where.since is not None or where.until is not None)
    sieves = (
        where.template_id,
        where.type,
        where.states,
        where.delivery,
        where.charged,
        where.development,
        where.user_id,
    )
    return timed or len(found_by) > 1 or any(sieve is not None for sieve in sieves)
