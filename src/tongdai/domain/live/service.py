"""The end of a leg: outcome, duration, key presses, the next retry, the freed channel and the counters, all
in one transaction, for all legs that ended close together (ARCHITECTURE section 5.8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from tongdai.domain import billing, calls, campaigns, compliance, recordings
from tongdai.domain.billing import Charge, Settlement
from tongdai.domain.calls import Outcome, ResultMove
from tongdai.domain.live import store, transfers
from tongdai.domain.live.model import LegFacts, LegRecording, LegResult
from tongdai.domain.live.store import EndRow
from tongdai.domain.recordings import NewRecording
from tongdai.kit.db import Tx


async def end_legs(tx: Tx, results: Sequence[LegResult], now: datetime) -> set[int]:
    """Write the end of each leg that has not ended yet, once, whoever asks and however often.

    Locks limits, campaigns (of calls that take their old place in the queue), persons and wallets, in that
    order, then writes. Returns the ids of the legs that ended now; the others had ended before, and nothing
    of them is changed. The phones that transfers of these legs ring end with them.
    """
    rows = [_next_row(result, now) for result in results]
    await store.lock(tx, results)
    phones = await transfers.open_with(tx, [result.facts.leg_id for result in results if _may_ring(result)])
    await billing.lock_wallets(tx, {*_payers(results), *transfers.payers(phones)})
    ended = await store.end_legs(tx, rows, now)
    written = [row for row in rows if row.result.facts.leg_id in ended]
    returned = [row.result.facts.call_id for row in written if row.result.returns]
    if returned:
        await store.lower_floors(tx, returned)
    await _count(tx, written)
    await _settle(tx, written, now)
    if phones:
        await transfers.end(tx, phones, {row.result.facts.leg_id: row.result.talks for row in written})
    await _follow_persons(tx, [row.result for row in written], now)
    noted = await _note_recordings(tx, [row.result for row in written], now)
    told = [_told(row, noted) for row in written if not row.result.returns]
    await calls.tell_attempts(tx, told)
    return ended


async def mark_unknown(tx: Tx, leg_ids: Sequence[int]) -> None:
    """Say that the engine cannot be asked about these legs. They keep all that they hold."""
    await store.mark_unknown(tx, leg_ids)


def _next_row(result: LegResult, now: datetime) -> EndRow:
    facts = result.facts
    if result.outcome is None or result.fails_over:
        return EndRow(result, "queued", None, None)
    counts = {**facts.outcome_counts, result.outcome: facts.outcome_counts.get(result.outcome, 0) + 1}
    step = campaigns.next_step(
        result.outcome,
        attempts=facts.attempts,
        max_attempts=facts.max_attempts,
        outcome_counts=counts,
        config=facts.config,
        now=now,
    )
    in_time = facts.expires_at is None or (isinstance(step, campaigns.RetryAt) and step.at < facts.expires_at)
    if isinstance(step, campaigns.RetryAt) and in_time and not result.final and not result.opted_out:
        return EndRow(result, "queued", step.at, counts, _charge(result))
    return EndRow(result, "done", None, counts, _charge(result))


def _charge(result: LegResult) -> Charge | None:
    """Never more than the leg holds: what the engine let run on beyond is not the customer's to pay."""
    made = result.charge()
    return None if made is None else billing.within(made, result.facts.reserved)


async def _count(tx: Tx, rows: Sequence[EndRow]) -> None:
    counted = [row.result for row in rows if not row.result.returns]
    if counted:
        await calls.count_results(tx, [_move(result) for result in counted])
    finals: Counter[tuple[int, int, Outcome, str]] = Counter(
        (row.result.facts.account_id, row.result.facts.campaign_id, row.result.outcome, "")
        for row in rows
        if row.state == "done" and row.result.outcome is not None
    )
    if finals:
        await calls.count_finals(tx, [(*key, number) for key, number in finals.items()])


def _may_ring(result: LegResult) -> bool:
    """Whether phones may ring for it: what was never sent was never transferred."""
    return result.transferred and not result.returns


def _payers(results: Sequence[LegResult]) -> set[int]:
    """Accounts whose legs hold money or cost some."""
    return {leg.account_id for leg in (one.facts for one in results) if leg.price is not None or leg.reserved}


async def _settle(tx: Tx, rows: Sequence[EndRow], now: datetime) -> None:
    settlements = [
        Settlement(
            account_id=facts.account_id,
            campaign_id=facts.campaign_id,
            call_id=facts.call_id,
            attempt_id=facts.attempt_id,
            leg_id=facts.leg_id,
            reserved=facts.reserved,
            charge=row.charge,
            rate_id=None if facts.price is None else facts.price.rate_id,
        )
        for row in rows
        if (facts := row.result.facts).price is not None or facts.reserved
    ]
    if settlements:
        await billing.settle(tx, settlements, now)


async def _follow_persons(tx: Tx, results: Sequence[LegResult], now: datetime) -> None:
    """A dial that did not ring counts for no frequency rule; who opted out is not called again.

    What is queued for them ends in a transaction of its own (`refuse_opted_out`), because it counts results,
    which this one has done; a claim that comes before finds them opted out.
    """
    silent = [
        (facts.account_id, facts.person_key, facts.leg_id)
        for result in results
        if (facts := result.facts).person_key is not None and not result.rang
    ]
    if silent:
        await compliance.forget_rings(tx, silent)
    for facts in (result.facts for result in results if result.opted_out):
        await compliance.mark_opted_out(tx, facts.account_id, [facts.number], facts.advertiser, "script", now)


async def _note_recordings(tx: Tx, results: Sequence[LegResult], now: datetime) -> dict[int, list[int]]:
    """Write down what the engines keep of these legs. Returns the recordings that may be heard, by leg."""
    rows = [_recording(result.facts, one, now) for result in results for one in result.recordings]
    noted: dict[int, list[int]] = {}
    for row, recording_id in zip(rows, await recordings.note(tx, rows), strict=True):
        if recording_id is not None:
            noted.setdefault(row.leg_id, []).append(recording_id)
    return noted


def _recording(facts: LegFacts, one: LegRecording, now: datetime) -> NewRecording:
    return NewRecording(
        account_id=facts.account_id,
        leg_id=facts.leg_id,
        engine=facts.engine,
        name=one.name,
        kind=one.kind,
        seconds=one.seconds,
        at=now,
        step_id=one.step_id,
        call_id=facts.call_id,
        attempt_id=facts.attempt_id,
        campaign_id=facts.campaign_id,
    )


def _told(row: EndRow, noted: Mapping[int, list[int]]) -> calls.AttemptEnd:
    facts = row.result.facts
    return calls.AttemptEnd(
        facts.account_id, facts.call_id, facts.attempt_id, row.due_at, tuple(noted.get(facts.leg_id, ()))
    )


def _move(result: LegResult) -> ResultMove:
    facts = result.facts
    return ResultMove(
        account_id=facts.account_id,
        campaign_id=facts.campaign_id,
        user_id=facts.user_id,
        before=facts.called_before,
        after=facts.dial_at,
    )
