"""Writing and reading the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tongdai.domain.audit import store
from tongdai.domain.audit.model import Action, Entry
from tongdai.kit.db import Tx


async def record(
    tx: Tx,
    account_id: int,
    user_id: int | None,
    action: Action,
    subject_id: int,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Says, in the transaction of the change, who made it; None: the platform. Values as JSON has them."""
    await store.insert_entry(tx, account_id, user_id, action, subject_id, before, after)


async def list_entries(tx: Tx, account_id: int, *, after: int, limit: int) -> list[Entry]:
    """Entries in id order, which is the order of the changes, from the first id above `after` on."""
    return await store.list_entries(tx, account_id, after, limit)
