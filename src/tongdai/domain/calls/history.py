"""Ended attempts as a call history shows them; `inbound.history_page` says which, beside what came in."""

from __future__ import annotations

from collections.abc import Sequence

from tongdai.domain.calls.model import HistoryRow
from tongdai.domain.calls.store import history as store
from tongdai.kit.db import Tx


async def history_rows(tx: Tx, account_id: int, attempt_ids: Sequence[int]) -> list[HistoryRow]:
    """The attempts with these ids, in no certain order."""
    return await store.of_ids(tx, account_id, attempt_ids) if attempt_ids else []
