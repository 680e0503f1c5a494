"""The rates of tariffs, read once: they are asked for in every claim, and change every few months.

A revision never means two different sets of rates, in this database or another, so what is kept under it is
never wrong; an old one is only no longer asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

from tongdai.domain.billing.pricing import RateTable
from tongdai.domain.billing.store import catalogue
from tongdai.kit.db import Tx

MOST_KEPT: Final = 1000
"""Revisions; beyond, the one that was read first is forgotten."""

_kept: Final[dict[UUID, RateTable]] = {}


async def rate_tables(tx: Tx, tariffs: Collection[tuple[int, UUID]]) -> dict[int, RateTable]:
    """All rates of each of these tariffs, which are named by id and revision."""
    tables = {tariff_id: _kept[revision] for tariff_id, revision in tariffs if revision in _kept}
    missing = {tariff_id for tariff_id, _ in tariffs} - tables.keys()
    if not missing:
        return tables
    for tariff_id, (revision, rates) in (await catalogue.rates_of(tx, missing)).items():
        # Kept under the revision that came with them: it may be later than the one that was asked for.
        tables[tariff_id] = _kept[revision] = RateTable(rates)
        if len(_kept) > MOST_KEPT:
            del _kept[next(iter(_kept))]
    return tables
