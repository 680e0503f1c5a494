"""Use cases of calls that come in: taking them, ending them, and showing what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from tongdai.domain import billing, calls, compliance, recordings, scripts, webhooks
from tongdai.domain.calls import HistoryRow, HistoryTooDeepError
from tongdai.domain.inbound.errors import AnsweringScriptInvalidError, IncomingCallNotFoundError
from tongdai.domain.inbound.model import (
    FIELDS,
    TIED_FOR,
    Arrival,
    Disposition,
    InboundResult,
    IncomingCall,
    IncomingFilter,
    IncomingList,
    Line,
    Rules,
    Taken,
    Tie,
    canonical,
    kept_text,
    node_of,
    user_part,
)
from tongdai.domain.inbound.store import keeping, reading
from tongdai.domain.inbound.store import taking as store
from tongdai.domain.live import transfers
from tongdai.domain.recordings import NewRecording
from tongdai.domain.webhooks import INCOMING_ENDED, IncomingEvent, RungPhone
from tongdai.kit.db import Tx

EXAMINED: Final = 20_000
"""Calls that one listing looks at, at most."""
DEEPEST: Final = 10_000
"""Rows of the call history to which one may page, from the newest of the times that are asked for: some tens
of milliseconds."""
OF_ONE_NUMBER: Final = 1000
"""Calls to one number, and from it, the newest ones, that a call history looks at."""
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2999, 12, 31, tzinfo=UTC)
_LAST_ID: Final = 2**63 - 1


# --------------------------------------------------------------------------- hotlines


async def answering_script(tx: Tx, account_id: int, script_id: int) -> int:
    """The version of a script that a hotline is to answer with: its current one.

    Raises ScriptNotFoundError; AnsweringScriptInvalidError for a script of one-time codes, and for one that
    speaks what nobody gives: a caller has no fields but `FIELDS`.
    """
    row = await scripts.get_script(tx, account_id, script_id)
    faults = []
    if row.archived_at is not None:
        faults.append("is archived")
    if row.body.kind != "voice":
        faults.append("reads one-time codes, which nobody who calls has")
    unknown = sorted(scripts.required_fields(row.body) - set(FIELDS))
    if unknown:
        faults.append(f"speaks {', '.join(unknown)}, but a caller has only {', '.join(FIELDS)}")
    if faults:
        raise AnsweringScriptInvalidError(errors=[("inbound_script_id", fault) for fault in faults])
    return row.version


# --------------------------------------------------------------------------- taking


async def take(tx: Tx, arrival: Arrival, keeper_id: int, rules: Rules) -> Taken:
    """Write a call down before it is accepted, with its leg and a channel of all that caps it.

    What cannot be taken (nobody answers there, or a cap is full) is written down as missed, and told. A
    channel that a keeper before had written down, and not accepted, keeps its leg.

    Locks the caps, in id order.
    """
    line = await _line(tx, arrival)
    if line is None:
        return Taken(None, known=False)
    before = await store.taken_before(tx, arrival.engine, arrival.channel, keeper_id)
    if before is not None:
        found = await keeping.facts(tx, [before])
        return Taken(found[0] if found else None)
    why = _unanswered(line)
    if why is None and not await store.take_channels(tx, line.limit_ids):
        why = Disposition.BUSY
    caller = canonical(arrival.caller)
    now = await store.now(tx)
    tie = await store.tie(tx, line, caller, now, TIED_FOR) if caller else None
    if why is None:
        return await _taken(tx, arrival, line, keeper_id, caller, tie, now, rules)
    missed = await store.add_call(
        tx,
        arrival,
        line,
        caller=caller,
        given=_given(arrival),
        tie=tie,
        now=now,
        leg_id=None,
        disposition=why.value,
    )
    await _tell(tx, {line.account_id}, [missed], {})
    return Taken(None)


async def _line(tx: Tx, arrival: Arrival) -> Line | None:
    """By the number; where the carrier gives none that can be read, the trunk's only hotline."""
    node, number = node_of(arrival.engine), canonical(arrival.called)
    if number:
        return await store.line_by_number(tx, arrival.trunk_id, node, number)
    if any(character.isdigit() for character in user_part(arrival.called)):
        return None
    return await store.only_line(tx, arrival.trunk_id, node)


def _unanswered(line: Line) -> Disposition | None:
    """Why nobody will answer, and the caller is to hear that at once."""
    rings = line.script_id is not None or line.unanswered == "ring"
    return None if line.enabled and rings else Disposition.CHANUNAVAIL


async def _taken(
    tx: Tx,
    arrival: Arrival,
    line: Line,
    keeper_id: int,
    caller: str,
    tie: Tie | None,
    now: datetime,
    rules: Rules,
) -> Taken:
    max_s = rules.ring_s if line.script_id is None else rules.max_s
    times = (now, now + rules.accept_within, now + rules.longest(max_s))
    leg_id = await store.add_leg(tx, arrival, line, keeper_id, caller, times, max_s)
    call_id = await store.add_call(
        tx, arrival, line, caller=caller, given=_given(arrival), tie=tie, now=now, leg_id=leg_id
    )
    facts = store.facts_of(
        arrival,
        line,
        leg_id=leg_id,
        call_id=call_id,
        caller=caller,
        tie=tie,
        times=times,
        max_s=max_s,
    )
    return Taken(facts)


def _given(arrival: Arrival) -> tuple[str, str]:
    return kept_text(arrival.caller), kept_text(arrival.called)


# --------------------------------------------------------------------------- ending


async def end_calls(tx: Tx, results: Sequence[InboundResult], now: datetime) -> set[int]:
    """Write the end of each call that has not ended yet, once, whoever asks and however often: its channels,
    what became of it, its recordings, and what the account's webhooks are told.

    Phones that it was transferred to end with it. Locks the caps in id order, then persons, then wallets, as
    claims do. Returns the ids of the legs that ended now.
    """
    await keeping.lock_limits(tx, [id_ for one in results for id_ in one.facts.limit_ids])
    phones = await transfers.open_with(tx, [one.facts.leg_id for one in results])
    await _follow_persons(tx, results, now)
    await billing.lock_wallets(tx, transfers.payers(phones))
    ended = await keeping.end(tx, results, now)
    done = [one for one in results if one.facts.leg_id in ended]
    await transfers.end(tx, phones, {one.facts.leg_id: one.talks for one in results})
    noted = await _note_recordings(tx, done, now)
    await _tell(tx, {one.facts.account_id for one in done}, [one.facts.call_id for one in done], noted)
    return ended


async def _follow_persons(tx: Tx, results: Sequence[InboundResult], now: datetime) -> None:
    """Who wants no more calls is written down; once more changes nothing. In the order of their keys, because
    that locks them."""
    wanted = {
        (one.facts.account_id, one.facts.advertiser, one.facts.caller)
        for one in results
        if one.opted_out and one.facts.caller
    }
    for account_id, advertiser, caller in sorted(wanted):
        await compliance.mark_opted_out(tx, account_id, [caller], advertiser, "script", now)


async def _note_recordings(tx: Tx, results: Sequence[InboundResult], now: datetime) -> dict[int, list[int]]:
    """The recordings that may be heard, by call."""
    rows = [
        NewRecording(
            account_id=one.facts.account_id,
            leg_id=one.facts.leg_id,
            engine=one.facts.engine,
            name=recording.storage_key,
            kind="inbound",
            seconds=recording.seconds,
            at=now,
            step_id=recording.step,
            incoming_call_id=one.facts.call_id,
        )
        for one in results
        for recording in one.recordings
    ]
    noted: dict[int, list[int]] = {}
    for row, recording_id in zip(rows, await recordings.note(tx, rows), strict=True):
        if recording_id is not None:
            noted.setdefault(row.incoming_call_id or 0, []).append(recording_id)
    return noted


async def _tell(
    tx: Tx, account_ids: set[int], call_ids: Sequence[int], noted: Mapping[int, list[int]]
) -> None:
    heard = await webhooks.subscribed(tx, account_ids)
    if heard:
        rows = [row for row in await reading.ended(tx, call_ids) if row["account_id"] in heard]
        await webhooks.publish(tx, [_event(row, noted.get(row["id"], [])) for row in rows])


def _event(row: Mapping[str, Any], recording_ids: list[int]) -> IncomingEvent:
    same = {name: row[name] for name in _SAME}
    return IncomingEvent(
        type=INCOMING_ENDED,
        incoming_call_id=row["id"],
        key_presses=row["key_press"] or "",
        answers=row["answers"] or {},
        transfers=msgspec.convert(row["transfers"] or [], list[RungPhone]),
        record_files=[],
        recording_ids=recording_ids,
        **same,
    )


_SAME: Final = (
    "account_id",
    "kind",
    "disposition",
    "hotline",
    "caller",
    "caller_given",
    "called_given",
    "came_at",
    "answered_at",
    "ended_at",
    "ring_s",
    "duration_s",
    "billable_s",
    "end_code",
    "campaign_call_id",
    "campaign_id",
    "campaign_name",
)


# --------------------------------------------------------------------------- showing


async def get_incoming_call(tx: Tx, account_id: int, call_id: int) -> IncomingCall:
    """Raises IncomingCallNotFoundError, for a stranger's call too."""
    call = await reading.get(tx, account_id, call_id)
    if call is None:
        raise IncomingCallNotFoundError(incoming_call_id=call_id)
    return call


async def list_incoming_calls(
    tx: Tx,
    account_id: int,
    wanted: IncomingFilter = IncomingFilter(),  # noqa: B008 - frozen
    *,
    before: int | None = None,
    limit: int = 100,
) -> IncomingList:
    """Newest first, those with an id below `before`. It looks at `EXAMINED` at most, so that a page may hold
    few or none although there are more."""
    first = _LAST_ID if before is None else before
    rows = await reading.list_(tx, account_id, wanted, before=first, limit=limit + 1, examine=EXAMINED)
    if len(rows) > limit:
        return IncomingList(tuple(rows[:limit]), rows[limit - 1].id)
    last = await reading.last_looked_at(tx, account_id, wanted, first, EXAMINED)
    return IncomingList(tuple(rows), last)


async def call_backs(
    tx: Tx, account_id: int, campaign_call_id: int, limit: int = 100
) -> Sequence[IncomingCall]:
    """The calls that answered a campaign's call, newest first."""
    wanted = IncomingFilter(campaign_call_id=campaign_call_id)
    return (await list_incoming_calls(tx, account_id, wanted, limit=limit)).calls


async def history_page(
    tx: Tx,
    account_id: int,
    *,
    number: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    offset: int,
    limit: int,
) -> list[HistoryRow | IncomingCall]:
    """What an account dialled and what came in, newest first, with `start <= time <= end`, both aware.

    `number` is canonical: whom it dialled, or who called. Of one number the newest calls are looked at.

    Raises:
        HistoryTooDeepError: the page ends beyond `DEEPEST`; narrower times bring it nearer.
    """
    if offset + limit > DEEPEST:
        raise HistoryTooDeepError(deepest=DEEPEST)
    page = await reading.history(
        tx,
        account_id,
        number=number,
        since=max(start or _EARLIEST, _EARLIEST),
        until=min(end or _LATEST, _LATEST),
        offset=offset,
        limit=limit,
        examine=OF_ONE_NUMBER,
    )
    came_in = {
        call.id: call for call in await reading.of_ids(tx, account_id, [id_ for way, id_ in page if way])
    }
    dialled = {
        row.attempt_id: row
        for row in await calls.history_rows(tx, account_id, [id_ for way, id_ in page if not way])
    }
    found: list[HistoryRow | IncomingCall | None] = [
        came_in.get(id_) if way else dialled.get(id_) for way, id_ in page
    ]
    return [row for row in found if row is not None]
