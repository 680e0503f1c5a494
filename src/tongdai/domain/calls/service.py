"""Use cases of calls: refusing and cancelling them, counting what came of them, finding and showing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from tongdai.domain.calls.errors import CallNotFoundError, CancelTargetError, FilterTooWideError
from tongdai.domain.calls.model import (
    AttemptDetail,
    CallDetail,
    CallFilter,
    CallList,
    Outcome,
    Refusal,
    ResultMove,
    ResultPage,
    Scope,
)
from tongdai.domain.calls.store import calls as store
from tongdai.domain.calls.store import listing
from tongdai.domain.calls.telling import tell_refused
from tongdai.kit.db import Tx

# No result lies outside these; they stand for "no limit" and have room for the spans around them.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2999, 12, 31, tzinfo=UTC)

CANCEL_LIMIT = 1000
"""Calls that one `cancel_calls` ends at most, so that its transaction stays short."""

EXAMINED = 50_000
"""Calls that one `list_calls` looks at with a filter, at most: some tens of milliseconds."""

_BIGINT_MAX = 2**63 - 1


# --------------------------------------------------------------------------- counting


async def count_results(tx: Tx, moves: Sequence[ResultMove]) -> None:
    """Moves calls between the counters of their campaign and their user, in one statement.

    The counters are locked until the transaction ends, so call it late, and always before `count_finals`:
    two transactions that took these locks in different orders could wait for each other.
    """
    if moves:
        await store.count_results(tx, moves)


async def count_finals(tx: Tx, finals: Sequence[tuple[int, int, Outcome, str, int]]) -> None:
    """Adds finished calls to their campaign's outcomes: (account, campaign, outcome, rule, how many).

    `rule` is the note of a call that a rule refused (outcome `blocked`), else ''.
    """
    if finals:
        await store.count_finals(tx, finals)


# --------------------------------------------------------------------------- ending without a dial


async def refuse_calls(tx: Tx, refusals: Sequence[Refusal], now: datetime) -> list[int]:
    """Ends queued calls without dialling them: outcome, note and `called_at = now`; the secret is wiped.

    Returns the ids that changed; a call that is no longer queued is left alone. The caller should hold the
    calls' row locks already: here they are taken in no certain order. Counts the results and tells them to
    the account's webhooks, so it belongs at the end of a transaction.
    """
    return await _end(tx, [], refusals, now)


async def _end(
    tx: Tx, concluded: Sequence[store.EndedCall], refusals: Sequence[Refusal], now: datetime
) -> list[int]:
    """Refuses, then counts all that ended at once: what was concluded has its place among the results."""
    refused = await store.refuse(tx, refusals, now) if refusals else []
    moves = [
        ResultMove(call.account_id, call.campaign_id, call.user_id, call.before, now) for call in refused
    ]
    await count_results(tx, moves)
    ended = [*concluded, *refused]
    finals = Counter(
        (call.account_id, call.campaign_id, Outcome(call.outcome), _rule(call)) for call in ended
    )
    await count_finals(tx, [(*key, count) for key, count in finals.items()])
    await tell_refused(tx, [(call.account_id, call.id) for call in ended])
    return [call.id for call in ended]


def _rule(call: store.EndedCall) -> str:
    return call.note if call.outcome == Outcome.BLOCKED else ""


async def cancel_calls(
    tx: Tx,
    account_id: int,
    *,
    now: datetime,
    call_ids: Sequence[int] | None = None,
    number: str | None = None,
    campaign_id: int | None = None,
    limit: int = CANCEL_LIMIT,
) -> list[int]:
    """Cancels queued calls and returns their ids. A call that is being dialled is not touched.

    By id (ids of another account are as unknown ones), by canonical number, by campaign, or by number within
    a campaign. At most `limit` in one transaction: while as many come back, there may be more. By id it waits
    for a claim that holds the call; otherwise it passes over such calls, so it may run under a person's lock.

    Raises:
        CancelTargetError: nothing says which calls.
    """
    if call_ids is not None:
        known = [call_id for call_id in call_ids if 0 < call_id <= _BIGINT_MAX]
        ids = await store.lock_queued_by_id(tx, account_id, known, limit)
    elif number is not None:
        ids = await store.lock_queued_by_number(tx, account_id, number, campaign_id, limit)
    elif campaign_id is not None:
        ids = await store.lock_queued_by_campaign(tx, account_id, campaign_id, limit)
    else:
        raise CancelTargetError
    return await refuse_calls(tx, [Refusal(call_id, Outcome.CANCELLED) for call_id in ids], now)


async def expire_otps(tx: Tx, now: datetime, limit: int) -> list[int]:
    """Ends OTPs whose time is up, of every account; at most `limit`, oldest first.

    One that was never dialled ends as `expired`. One that waits for a retry was heard of by its person: it
    keeps the outcome, caller and keys of its last attempt, and is merely done.
    Passes over calls that are being claimed: a claim does not take an expired one.
    """
    ids = await store.lock_expired(tx, now, limit)
    if not ids:
        return []
    dialled = await store.conclude(tx, ids, now)
    done = {call.id for call in dialled}
    refusals = [Refusal(call_id, Outcome.EXPIRED) for call_id in ids if call_id not in done]
    return await _end(tx, dialled, refusals, now)


# --------------------------------------------------------------------------- showing


async def export_page(
    tx: Tx,
    scope: Scope,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int,
    offset: int,
) -> ResultPage:
    """Results with `start <= called_at <= end`, both ends included, by `called_at`, then id.

    `total` counts all of them, whatever the page. Neither the size of the campaign nor the offset changes
    the cost. A campaign or user that is not the account's has no results. Times are aware.
    """
    since = max(start or EARLIEST, EARLIEST)
    until = min(end or LATEST, LATEST)
    if since > until:
        return ResultPage(0, ())
    place = min(max(offset, 0), _BIGINT_MAX // 2)
    located = await store.locate(tx, scope, since=since, until=until, offset=place)
    if located is None:
        return ResultPage(0, ())
    if located.bucket is None or located.skip is None or limit <= 0:
        return ResultPage(located.total, ())
    rows = await store.read_page(
        tx,
        scope,
        bucket=located.bucket,
        until=until,
        skip=located.skip,
        limit=min(limit, located.total - place),
    )
    return ResultPage(located.total, rows)


async def get_call(tx: Tx, account_id: int, call_id: int) -> CallDetail:
    """A call with its attempts, each with its timeline and its legs.

    Raises:
        CallNotFoundError: no such call in this account.
    """
    call = await listing.get_call(tx, account_id, call_id) if 0 < call_id <= _BIGINT_MAX else None
    if call is None:
        raise CallNotFoundError(call_id=call_id)
    attempts = await listing.get_attempts(tx, account_id, call_id)
    legs = await listing.get_legs(tx, account_id, [attempt.id for attempt in attempts])
    return CallDetail(
        call,
        tuple(
            AttemptDetail(attempt, tuple(leg for leg in legs if leg.attempt_id == attempt.id))
            for attempt in attempts
        ),
    )


async def list_calls(
    tx: Tx, account_id: int, wanted: CallFilter, *, after: int, limit: int, examine: int = EXAMINED
) -> CallList:
    """At most `limit` calls in id order, from the first id above `after` on.

    No index knows states and outcomes, whose every change would have to keep it. So of a campaign or a number
    at most `examine` calls are looked at, and a page may hold few calls or none while there are more to come.

    Raises:
        FilterTooWideError: a state or an outcome, of no campaign and no number.
    """
    filtered = wanted.state is not None or wanted.outcome is not None
    if filtered and wanted.campaign_id is None and wanted.number is None:
        raise FilterTooWideError(errors=[("campaign_id", "give this or a number with state or outcome")])
    last = None
    if filtered or (wanted.number is not None and wanted.campaign_id is not None):
        last = await listing.last_examined(tx, account_id, wanted, after, examine)
    through = _BIGINT_MAX if last is None else last
    rows = await listing.list_calls(tx, account_id, wanted, after=after, through=through, limit=limit + 1)
    if len(rows) > limit:
        return CallList(tuple(rows[:limit]), rows[limit - 1].id)
    return CallList(tuple(rows), last)
