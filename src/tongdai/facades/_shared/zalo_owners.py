"""Whose Official Accounts are, in both vendors' words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tongdai.domain import accounts
from tongdai.domain.zalo import Oa
from tongdai.kit.db import Tx


async def owned(tx: Tx, account_id: int, rows: Sequence[Oa]) -> list[Oa]:
    """The same, with the account's owner in place of whoever connected each: the vendors' tables say that
    `owner_id` is the shop's owner. Where nobody owns the account any more, it stays whoever connected it.
    """
    owner_id = await accounts.get_owner_id(tx, account_id)
    return [row if owner_id is None else replace(row, owner_id=owner_id) for row in rows]
