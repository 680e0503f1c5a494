"""SQL of the rules that recordings are kept by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from tongdai.domain.recordings.model import DEFAULT_KEEP_DAYS, Rule
from tongdai.kit.db import Sql, Tx

# The rule of an account, or of one of its campaigns. Index recording_rules_of.
GET: Sql = """
    SELECT keep_days, mp3 FROM recording_rules
     WHERE account_id = %(account_id)s AND active
       AND campaign_id IS NOT DISTINCT FROM %(campaign_id)s::bigint"""

# Sets it, or takes it away; what was recorded before follows, a piece at a time.
SET: Sql = """
    INSERT INTO recording_rules (account_id, campaign_id, active, keep_days, mp3, changed_at, walked_to)
    VALUES (%(account_id)s, %(campaign_id)s, %(active)s, %(keep_days)s, %(mp3)s, %(now)s, 0)
    ON CONFLICT (account_id, campaign_id) DO UPDATE
       SET active = excluded.active, keep_days = excluded.keep_days, mp3 = excluded.mp3,
           changed_at = excluded.changed_at, walked_to = 0"""

# A rule that not all recordings follow yet, changed so long ago that nobody writes down new ones by the rule
# before. Index recording_rules_changed.
NEXT_CHANGED: Sql = """
    SELECT id, account_id, campaign_id, walked_to FROM recording_rules
     WHERE walked_to IS NOT NULL AND changed_at < %(before)s
     ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"""

# Where the next piece of an account's recordings ends; NULL: behind it there are none. Index
# recordings_account, and of a campaign's recordings_campaign.
END_OF_PIECE_OF_ACCOUNT: Sql = """
    SELECT max(id) FROM (SELECT id FROM recordings WHERE account_id = %(account_id)s AND id > %(after)s
                          ORDER BY id LIMIT %(most)s) AS piece"""
END_OF_PIECE_OF_CAMPAIGN: Sql = """
    SELECT max(id) FROM (SELECT id FROM recordings WHERE campaign_id = %(campaign_id)s AND id > %(after)s
                          ORDER BY id LIMIT %(most)s) AS piece"""

# Gives a piece of an account's recordings the time that they are kept until now. Index recordings_account.
FOLLOW: Sql = """
    UPDATE recordings AS r
       SET keep_until = r.created_at + make_interval(days => ruled.days)
      FROM (SELECT p.id, CASE WHEN c.id IS NOT NULL THEN c.keep_days
                              WHEN a.id IS NOT NULL THEN a.keep_days ELSE %(default_days)s END AS days
              FROM recordings AS p
              LEFT JOIN recording_rules AS c
                ON c.account_id = p.account_id AND c.campaign_id = p.campaign_id AND c.active
              LEFT JOIN recording_rules AS a
                ON a.account_id = p.account_id AND a.campaign_id IS NULL AND a.active
             WHERE p.account_id = %(account_id)s AND p.id > %(after)s AND p.id <= %(through)s
               AND (%(campaign_id)s::bigint IS NULL OR p.campaign_id = %(campaign_id)s)) AS ruled
     WHERE r.id = ruled.id AND r.state <> 'deleted' AND r.id > %(after)s AND r.id <= %(through)s
       AND r.keep_until IS DISTINCT FROM r.created_at + make_interval(days => ruled.days)"""

# How far a change has come; NULL: to the end.
WALKED: Sql = "UPDATE recording_rules SET walked_to = %(to)s WHERE id = %(id)s"


@dataclass(frozen=True, slots=True)
class Changed:
    """A rule that was changed, and up to which recording they follow it."""

    id: int
    account_id: int
    campaign_id: int | None
    walked_to: int


async def get(tx: Tx, account_id: int, campaign_id: int | None) -> Rule | None:
    async with tx.cursor(row_factory=class_row(Rule)) as cursor:
        await cursor.execute(GET, {"account_id": account_id, "campaign_id": campaign_id})
        return await cursor.fetchone()


async def put(tx: Tx, account_id: int, campaign_id: int | None, rule: Rule | None, now: datetime) -> None:
    """None: there is no rule any more."""
    values = {
        "account_id": account_id,
        "campaign_id": campaign_id,
        "active": rule is not None,
        "keep_days": None if rule is None else rule.keep_days,
        "mp3": rule is not None and rule.mp3,
        "now": now,
    }
    await tx.execute(SET, values)


async def next_changed(tx: Tx, before: datetime) -> Changed | None:
    async with tx.cursor(row_factory=class_row(Changed)) as cursor:
        await cursor.execute(NEXT_CHANGED, {"before": before})
        return await cursor.fetchone()


async def follow(tx: Tx, changed: Changed, most: int) -> None:
    """Let the next piece of recordings, `most` at most, follow the rules as they are now."""
    values: dict[str, object] = {
        "account_id": changed.account_id,
        "campaign_id": changed.campaign_id,
        "after": changed.walked_to,
        "most": most,
        "default_days": DEFAULT_KEEP_DAYS,
    }
    query = END_OF_PIECE_OF_ACCOUNT if changed.campaign_id is None else END_OF_PIECE_OF_CAMPAIGN
    row = await (await tx.execute(query, values)).fetchone()
    through = None if row is None else row[0]
    if through is not None:
        await tx.execute(FOLLOW, values | {"through": through})
    await tx.execute(WALKED, {"id": changed.id, "to": through})
