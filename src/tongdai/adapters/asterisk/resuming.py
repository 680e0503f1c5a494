"""Going on with a leg from its journal: what happened while nobody listened is made up from what is there."""

from __future__ import annotations

from dataclasses import dataclass

from tongdai.adapters.asterisk.ends import End
from tongdai.adapters.asterisk.leg import Leg, detected


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What Asterisk shows of a leg."""

    up: bool
    rings: bool
    progressed: bool
    """The carrier plays something before the answer, and that is the last it said."""
    in_application: bool
    """False: it has not got there yet, or listens for a machine."""
    detected: str | None
    """What Asterisk said who answered; None: it has not listened."""
    plays: frozenset[int]
    recordings: frozenset[int]
    phones: frozenset[int]
    """Which of those that the journal names are still going on."""
    answered_phones: frozenset[int]
    """Which of these were answered."""
    begun: frozenset[int]
    """Recordings of which there is sound."""
    listeners: frozenset[int]
    """Of the other recordings those whose channel is there."""


def resume(leg: Leg, facts: Facts) -> None:
    """Of a leg that is up: its journal's events were told."""
    leg.begin()
    _resume_call(leg, facts)
    leg.prompts.resume(facts.plays)
    leg.timers.resume()
    for one in list(leg.journal.recordings.values()):
        if one.id in facts.begun:
            leg.recorder.resume(one, goes_on=one.id in facts.recordings)
        else:
            leg.recorder.begin_again(one, listens=one.id in facts.listeners)
    if leg.journal.transfer is not None:
        leg.switch.resume(leg.journal.transfer, facts.phones, facts.answered_phones)
    leg.note()


def _resume_call(leg: Leg, facts: Facts) -> None:
    journal = leg.journal
    now = leg.at()
    if journal.inbound and journal.answered_at is None:
        leg.limit_to(journal.max_s - now)
        return
    if journal.answered_at is None:
        if facts.up and facts.in_application:
            leg.answer(now)
        else:
            if facts.rings and not journal.rang:
                leg.ring(now)
            elif facts.progressed:
                leg.progress(now)
            leg.guard_for(max(0.0, journal.ring_s - now))
        return
    leg.limit_to((0.0 if journal.inbound else journal.answered_at) + journal.max_s - now)
    if not journal.answered_told and facts.in_application:
        if facts.detected is None:
            leg.detect()
        else:
            leg.tell_answer(detected(facts.detected))
    if journal.ending:
        leg.insist()


def replay_end(leg: Leg, at: float, end: End) -> None:
    """Of a leg that has ended, `at` by its own clock: its journal's events were told."""
    journal = leg.journal
    if end.answered and journal.answered_at is None and not journal.inbound:
        # Somebody answered while no client listened, and was cut off at once.
        journal.answered_at = at
    if journal.transfer is not None:
        leg.switch.resume_end(journal.transfer)
    for one in list(journal.recordings.values()):
        leg.recorder.resume(one, goes_on=False)
    note_end(leg, at, end)


def note_end(leg: Leg, at: float, end: End) -> None:
    """A phone may have rung that nobody listened to, or whose client was gone before it had noted that. Since
    when nobody knows: since the last that is known."""
    journal = leg.journal
    if journal.answered_at is None and not journal.inbound:
        since = journal.events[-1].at if journal.events else 0.0
        if end.rang and not journal.rang:
            leg.ring(since)
        elif end.progressed:
            leg.progress(since)
    leg.end_noted(at, end.cause, end.status)
