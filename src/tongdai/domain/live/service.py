"""The end of a leg: outcome, duration, key presses, the next retry, the freed channel and the counters, all
in one transaction, for all legs that ended close together (ARCHITECTURE section 5.8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from tongdai.domain import calls, campaigns
from tongdai.domain.calls import Outcome, ResultMove
from tongdai.domain.live import store
from tongdai.domain.live.model import LegResult
from tongdai.domain.live.store import EndRow
from tongdai.kit.db import Tx


async def end_legs(tx: Tx, results: Sequence[LegResult], now: datetime) -> set[int]:
    """Write the end of each leg that has not ended yet, once, whoever asks and however often.

    Returns the ids of the legs that ended now; the others had ended before, and nothing of them is changed.
    """
    rows = [_next_row(result, now) for result in results]
    await store.lock(tx, results)
    ended = await store.end_legs(tx, rows, now)
    await _count(tx, [row for row in rows if row.result.facts.leg_id in ended])
    return ended


async def mark_unknown(tx: Tx, leg_ids: Sequence[int]) -> None:
    """Say that the engine cannot be asked about these legs. They keep all that they hold."""
    await store.mark_unknown(tx, leg_ids)


def _next_row(result: LegResult, now: datetime) -> EndRow:
    facts = result.facts
    if result.outcome is None:
        return EndRow(result, "queued", now, None)
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
    if isinstance(step, campaigns.RetryAt) and in_time and not result.final:
        return EndRow(result, "queued", step.at, counts)
    return EndRow(result, "done", None, counts)


async def _count(tx: Tx, rows: Sequence[EndRow]) -> None:
    counted = [row.result for row in rows if row.result.outcome is not None]
    if counted:
        await calls.count_results(tx, [_move(result) for result in counted])
    finals: Counter[tuple[int, int, Outcome]] = Counter(
        (row.result.facts.account_id, row.result.facts.campaign_id, row.result.outcome)
        for row in rows
        if row.state == "done" and row.result.outcome is not None
    )
    if finals:
        await calls.count_finals(tx, [(*key, number) for key, number in finals.items()])


def _move(result: LegResult) -> ResultMove:
    facts = result.facts
    return ResultMove(
        account_id=facts.account_id,
        campaign_id=facts.campaign_id,
        user_id=facts.user_id,
        before=facts.called_before,
        after=facts.dial_at,
    )
