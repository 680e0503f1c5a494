"""All SQL of looking around: which campaigns run, over which lines, and why those that do not dial wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import msgspec
from psycopg.rows import class_row

from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.contacts import DialFormat
from tongdai.domain.dialer.model import Line, Station
from tongdai.kit.clock import VIETNAM
from tongdai.kit.db import Sql, Tx

# Every running campaign with the moment of its next due call. The probe starts at the campaign's floor and
# reads one entry of calls_due, so a campaign costs some microseconds however many calls it holds.
RUNNING_CAMPAIGNS: Sql = """
SELECT c.id, c.account_id, c.user_id, c.kind, c.purpose, c.advertiser, c.attestation_id, c.script_id,
       c.script_version, c.config::text AS config, c.limit_id, a.limit_id AS account_limit_id, c.hotline_ids,
       due.due_at AS next_due_at, due.deferred_reason AS next_deferred
FROM campaigns c
JOIN accounts a ON a.id = c.account_id
LEFT JOIN LATERAL (
    SELECT due_at, deferred_reason FROM calls
    WHERE campaign_id = c.id AND state = 'queued' AND (due_at, id) >= (c.floor_at, c.floor_id)
    ORDER BY due_at, id LIMIT 1
) due ON true
WHERE c.state = 'running'
ORDER BY c.id
"""

# What the next calls of a campaign bring to be spoken. Reads the front of calls_due from its floor.
NEXT_FIELDS: Sql = """
SELECT q.id, q.fields FROM calls q JOIN campaigns c ON c.id = q.campaign_id
WHERE q.campaign_id = %s AND q.state = 'queued' AND (q.due_at, q.id) >= (c.floor_at, c.floor_id)
ORDER BY q.due_at, q.id LIMIT %s
"""

# The scripts that answer calls over one engine's trunks. There are as many hotlines as somebody has numbers.
ANSWERING: Sql = """
SELECT DISTINCT h.account_id, h.inbound_script_id, h.inbound_script_version
FROM hotlines h JOIN trunks t ON t.id = h.trunk_id
WHERE h.inbound_script_id IS NOT NULL AND h.enabled AND t.enabled AND t.engine = %s
"""

# The lines of all hotlines that running campaigns name, whether enabled or not.
LINES: Sql = """
SELECT h.id AS hotline_id, h.trunk_id, t.engine, h.number, h.network, t.dial_format, t.presented_format,
       h.limit_id AS hotline_limit, t.limit_id AS trunk_limit, h.enabled AND t.enabled AS enabled,
       t.networks AS trunk_networks, t.node_ids, h.brand_name, h.brand_until, h.valid_from, h.valid_until
FROM hotlines h JOIN trunks t ON t.id = h.trunk_id AND t.account_id = h.account_id
WHERE h.id = ANY(%s)
"""

# The networks that accounts' trunks carry, whether a campaign uses those trunks or not; NULL: all. Accounts
# have tens of trunks, found by the unique index on (account_id, name).
SERVED: Sql = """
SELECT t.account_id, CASE WHEN bool_and(t.networks IS NOT NULL) THEN array_agg(DISTINCT n.name)
                               FILTER (WHERE n.name IS NOT NULL) END AS networks
FROM trunks t LEFT JOIN LATERAL unnest(t.networks) AS n(name) ON true
WHERE t.account_id = ANY(%s) AND t.enabled
GROUP BY t.account_id
"""

# Why a campaign dials nothing, written only where it changed. Locked in id order, as claims lock campaigns.
SAY_WAITING: Sql = """
UPDATE campaigns c SET waiting_reason = w.reason, waiting_until = w.until,
       waiting_since = CASE WHEN w.reason IS NULL THEN NULL
                            WHEN w.reason IS DISTINCT FROM c.waiting_reason THEN %(now)s
                            ELSE c.waiting_since END
FROM (
    SELECT held.id, told.reason, told.until
    FROM unnest(%(campaign_id)s::bigint[], %(reason)s::text[], %(until)s::timestamptz[])
         AS told(campaign_id, reason, until)
    JOIN campaigns held ON held.id = told.campaign_id AND held.state = 'running'
     AND (held.waiting_reason, held.waiting_until) IS DISTINCT FROM (told.reason, told.until)
    ORDER BY held.id FOR NO KEY UPDATE OF held
) w
WHERE c.id = w.id
"""


@dataclass(frozen=True, slots=True)
class CampaignRow:
    id: int
    account_id: int
    user_id: int
    kind: str
    purpose: str
    advertiser: str
    attestation_id: int | None
    script_id: int
    script_version: int
    config: str
    limit_id: int
    account_limit_id: int
    hotline_ids: list[int]
    next_due_at: datetime | None
    next_deferred: str | None
    """Why that call was put off, when it was."""


@dataclass(frozen=True, slots=True)
class LineRow:
    hotline_id: int
    trunk_id: int
    engine: str
    number: str
    network: str | None
    dial_format: DialFormat
    presented_format: DialFormat
    hotline_limit: int
    trunk_limit: int
    enabled: bool
    trunk_networks: list[str] | None
    node_ids: list[int] | None
    """The nodes that its carrier knows; None: all."""
    brand_name: str | None
    brand_until: date | None
    valid_from: datetime | None
    valid_until: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Whether the contract for the number covers that moment."""
        return (self.valid_from is None or self.valid_from <= now) and (
            self.valid_until is None or now < self.valid_until
        )

    def has_brand_name(self, now: datetime) -> bool:
        """Whether its brand name is registered on that day of Vietnam."""
        today = now.astimezone(VIETNAM).date()
        return self.brand_name is not None and (self.brand_until is None or today <= self.brand_until)

    def line(self, station: Station) -> Line:
        """The way out over one station of its engine."""
        return Line(
            self.hotline_id,
            self.trunk_id,
            station.engine,
            self.number,
            self.network,
            self.dial_format,
            self.presented_format,
            self.hotline_limit,
            self.trunk_limit,
            None if self.trunk_networks is None else frozenset(self.trunk_networks),
            station.limit_id,
        )


async def running_campaigns(tx: Tx) -> list[CampaignRow]:
    async with tx.cursor(row_factory=class_row(CampaignRow)) as cursor:
        await cursor.execute(RUNNING_CAMPAIGNS)
        return await cursor.fetchall()


async def lines(tx: Tx, hotline_ids: Iterable[int]) -> dict[int, LineRow]:
    async with tx.cursor(row_factory=class_row(LineRow)) as cursor:
        await cursor.execute(LINES, [sorted(set(hotline_ids))])
        return {row.hotline_id: row for row in await cursor.fetchall()}


async def next_fields(tx: Tx, campaign_id: int, most: int) -> list[tuple[int, dict[str, Any]]]:
    """(call, its contact's fields) of the calls that are due next, in that order."""
    return await (await tx.execute(NEXT_FIELDS, [campaign_id, most])).fetchall()


async def answering_scripts(tx: Tx, engine: str) -> list[tuple[int, int, int]]:
    """(account, script, version) of each script that answers calls."""
    return await (await tx.execute(ANSWERING, [engine])).fetchall()


async def served_networks(tx: Tx, account_ids: Iterable[int]) -> dict[int, frozenset[str] | None]:
    """Of each account that has an enabled trunk; None: all."""
    cursor = await tx.execute(SERVED, [sorted(set(account_ids))])
    return {
        account_id: None if networks is None else frozenset(networks)
        for account_id, networks in await cursor.fetchall()
    }


async def say_waiting(
    tx: Tx, reasons: Mapping[int, tuple[str | None, datetime | None]], now: datetime
) -> None:
    await tx.execute(
        SAY_WAITING,
        {
            "campaign_id": list(reasons),
            "reason": [reason for reason, _ in reasons.values()],
            "until": [until for _, until in reasons.values()],
            "now": now,
        },
    )


@lru_cache(maxsize=4096)
def decode_config(stored: str) -> CampaignConfig:
    """Memorised by its text: every running campaign's is needed every second.

    Raises msgspec.MsgspecError: a campaign that cannot be understood is not dialled.
    """
    return msgspec.json.decode(stored, type=CampaignConfig)
