"""Use cases of numbers: the shipped prefixes, and the network of each number."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date
from importlib import resources

from tongdai.domain.contacts import store
from tongdai.domain.contacts.errors import NumberInvalidError
from tongdai.domain.contacts.model import Network, Prefix, PrefixTable, normalise
from tongdai.kit.db import Tx


def default_prefixes() -> list[Prefix]:
    """The rows of `prefixes.csv`, the data that ships with the product."""
    text = resources.files("tongdai.domain.contacts").joinpath("prefixes.csv").read_text("utf-8")
    return [
        Prefix(
            prefix=row["prefix"],
            valid_from=date.fromisoformat(row["valid_from"]),
            operator=row["operator"],
            routing_group=row["routing_group"],
            source=row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    ]


async def load_default_prefixes(tx: Tx) -> int:
    """Put the shipped prefixes into the database; returns how many were new.

    Idempotent, and safe from several processes: what an administrator changed is kept. A correction that we
    ship later is a row with a later `valid_from`.
    """
    return await store.add_prefixes(tx, default_prefixes())


async def load_prefixes(tx: Tx, on: date | None = None) -> PrefixTable:
    """The prefix table in force on a day, by default today in Vietnam. Meant to be kept for many calls."""
    return PrefixTable.from_rows(await store.prefixes(tx, on))


async def routing_groups(tx: Tx) -> frozenset[str]:
    """Every routing group that a prefix names: as shipped, and as an administrator added, in force or not."""
    shipped = {row.routing_group for row in default_prefixes()}
    return frozenset(shipped | set(await store.routing_groups(tx)))


async def networks_of(
    tx: Tx, account_id: int, numbers: Sequence[str], table: PrefixTable
) -> dict[str, Network]:
    """The network of each canonical number: the account's override first, then the longest prefix."""
    found = {number: table.network(number) for number in numbers}
    found.update(await store.overrides(tx, account_id, numbers))
    return found


async def override_network(
    tx: Tx, account_id: int, number: str, *, operator: str, routing_group: str, source: str
) -> str:
    """Remember that a number was ported to another network; returns the canonical number.

    Raises NumberInvalidError when it is not a mobile or fixed number.
    """
    read = normalise(number)
    if not read.callable:
        raise NumberInvalidError(errors=[("number", read.reason)])
    await store.set_override(tx, account_id, read.number, operator, routing_group, source)
    return read.number
