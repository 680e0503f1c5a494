"""Use cases of recordings: noted when their leg ends, shown, deleted by hand and by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tongdai.domain import audit
from tongdai.domain.recordings.errors import RecordingNotFoundError
from tongdai.domain.recordings.model import NewRecording, Recording, RecordingFilter, Rule, Waiting
from tongdai.domain.recordings.store import recordings as store
from tongdai.domain.recordings.store import rules
from tongdai.kit.db import Database, Tx

EXAMINED: Final = 10_000
"""Recordings that one request looks at, at most."""
MOST_COUNTED: Final = 10_000
"""Waiting recordings that are counted, at most."""
_AT_ONCE: Final = 1000
_SETTLED: Final = timedelta(seconds=10)
"""After which no transaction is under way that began before: none lives half as long."""


async def note(tx: Tx, rows: Sequence[NewRecording]) -> list[int | None]:
    """Write down what engines keep of legs that end in this transaction; it is fetched soon after.

    Returns the ids, in the order given. None: nobody will hear it, because the campaign sends one-time codes;
    its engine is told to forget it.
    """
    if not rows:
        return []
    noted = await store.note(tx, rows)
    return [None if one.state == "deleted" else one.id for one in noted]


# --------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class RecordingList:
    """A page of recordings."""

    recordings: tuple[Recording, ...]
    further: int | None
    """The id after which to go on; None: there are no more."""


async def get_recording(tx: Tx, account_id: int, recording_id: int) -> Recording:
    """Raises RecordingNotFoundError, for a stranger's and for a deleted one too."""
    row = await store.get(tx, account_id, recording_id)
    if row is None or row.state == "deleted":
        raise RecordingNotFoundError(recording_id=recording_id)
    return row


async def linked_recording(tx: Tx, recording_id: int) -> Recording | None:
    """Of any account: for whoever holds a link that was signed for it."""
    return await store.get_linked(tx, recording_id)


async def list_recordings(
    tx: Tx, account_id: int, wanted: RecordingFilter, *, after: int = 0, limit: int = 100
) -> RecordingList:
    """In the order of their ids. Deleted ones are not among them, and it looks at `EXAMINED` at most, so that
    a page may hold few or none although there are more."""
    last = await store.last_examined(tx, account_id, wanted, after, EXAMINED)
    through = _LAST_ID if last is None else last
    rows = await store.page(tx, account_id, wanted, after=after, through=through, limit=limit + 1)
    if len(rows) > limit:
        return RecordingList(tuple(rows[:limit]), rows[limit - 1].id)
    return RecordingList(tuple(rows), last)


_LAST_ID: Final = 2**63 - 1


async def of_calls(tx: Tx, account_id: int, call_ids: Sequence[int]) -> list[Recording]:
    """The recordings of calls of campaigns, oldest first, without deleted ones."""
    return await store.of_calls(tx, account_id, call_ids, incoming=False) if call_ids else []


async def of_incoming_calls(tx: Tx, account_id: int, incoming_call_ids: Sequence[int]) -> list[Recording]:
    """The recordings of calls that came in, oldest first, without deleted ones."""
    if not incoming_call_ids:
        return []
    return await store.of_calls(tx, account_id, incoming_call_ids, incoming=True)


async def waiting(connection: Tx, now: datetime) -> Waiting:
    """How many are still at their nodes, `MOST_COUNTED` at most, of all accounts."""
    return await store.waiting(connection, now, MOST_COUNTED)


# --------------------------------------------------------------------------- deleting


async def delete_recording(
    tx: Tx, account_id: int, user_id: int | None, recording_id: int, now: datetime
) -> None:
    """Nobody can hear it from now on; its files go soon after, and it is in the audit log who wanted that.

    Raises RecordingNotFoundError.
    """
    row = await store.delete(tx, account_id, recording_id, "by_hand", now)
    if row is None:
        raise RecordingNotFoundError(recording_id=recording_id)
    before = {"call_id": row.call_id, "incoming_call_id": row.incoming_call_id, "seconds": row.seconds}
    await audit.record(tx, account_id, user_id, "recording.deleted", recording_id, before=before)


async def expire(db: Database, now: datetime) -> int:
    """Delete what was kept for long enough, of every account. Returns how many."""
    gone = 0
    while True:
        async with db.transaction() as tx:
            some = await store.expire(tx, now, _AT_ONCE)
        gone += some
        if some < _AT_ONCE:
            return gone


# --------------------------------------------------------------------------- rules


async def rule_of(tx: Tx, account_id: int, campaign_id: int | None = None) -> Rule | None:
    """The rule that an account has given for all its campaigns, or for one. None: it has not."""
    return await rules.get(tx, account_id, campaign_id)


async def set_rule(
    tx: Tx, account_id: int, user_id: int | None, campaign_id: int | None, rule: Rule | None, now: datetime
) -> None:
    """Keep recordings so from now on, of an account or of one of its campaigns; None: as if nothing was said.

    What was recorded before follows within minutes (`follow_rules`); no mp3 is made of it. The campaign is
    the account's: that is the caller's to see to. A change is in the audit log.
    """
    before = await rules.get(tx, account_id, campaign_id)
    if before == rule:
        return
    await rules.put(tx, account_id, campaign_id, rule, now)
    await audit.record(
        tx,
        account_id,
        user_id,
        "recording_rule.changed",
        campaign_id or 0,
        before=None if before is None else {"keep_days": before.keep_days, "mp3": before.mp3},
        after=None if rule is None else {"keep_days": rule.keep_days, "mp3": rule.mp3},
    )


async def follow_rules(db: Database, now: datetime) -> None:
    """Give what was recorded before a rule was changed the time that it is kept until now."""
    more = True
    while more:
        async with db.transaction() as tx:
            changed = await rules.next_changed(tx, now - _SETTLED)
            if changed is not None:
                await rules.follow(tx, changed, _AT_ONCE)
        more = changed is not None
