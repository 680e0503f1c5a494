"""An account's call history: what was dialled and has ended, newest first, paged at a bounded cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from tongdai.domain.calls.errors import HistoryTooDeepError
from tongdai.domain.calls.model import HistoryRow
from tongdai.domain.calls.service import EARLIEST, LATEST
from tongdai.domain.calls.store import history as store
from tongdai.kit.db import Tx

DEEPEST: Final = 10_000
"""Rows to which one may page, from the newest of the times that are asked for: some tens of milliseconds."""

EXAMINED: Final = 1000
"""Calls to one number, the newest ones, whose attempts are looked at."""


async def history_page(
    tx: Tx,
    account_id: int,
    *,
    number: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    offset: int,
    limit: int,
) -> Sequence[HistoryRow]:
    """Ended attempts with `start <= dialled_at <= end`, both aware, by the time of the dial, newest first.

    `number` is canonical. Of one number the attempts of its newest calls are shown.

    Raises:
        HistoryTooDeepError: the page ends beyond `DEEPEST`; narrower times bring it nearer.
    """
    if offset + limit > DEEPEST:
        raise HistoryTooDeepError(deepest=DEEPEST)
    return await store.page(
        tx,
        account_id,
        number=number,
        since=max(start or EARLIEST, EARLIEST),
        until=min(end or LATEST, LATEST),
        offset=offset,
        limit=limit,
        examine=EXAMINED,
    )
