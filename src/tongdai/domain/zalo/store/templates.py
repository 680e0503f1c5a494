"""SQL of templates: what Zalo said of them, kept so that a message need not wait for Zalo twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tongdai.domain.zalo.model import Paging, TemplateFilter, ZnsTemplate
from tongdai.kit.clock import VIETNAM
from tongdai.kit.db import Sql, Tx
from tongdai.ports.zalo import Template, TemplateParam, TemplateSummary

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When details were read that must be read again."""

_COLUMNS: Sql = """
    t.id, t.oa_ref, o.oa_id, t.template_id, t.name, t.status, t.quality, t.tag, t.params, t.timeout_ms,
    t.preview_url, t.price, t.reason, t.apply_quota, t.daily_quota, t.remaining_quota, t.created_at,
    t.updated_at, t.detailed_at, t.one_time"""

# One template of an Official Account. By primary keys.
GET: Sql = f"""
    SELECT {_COLUMNS} FROM zalo_templates AS t JOIN zalo_oas AS o ON o.id = t.oa_ref
     WHERE t.oa_ref = %(oa_ref)s AND t.template_id = %(template_id)s AND t.account_id = %(account_id)s"""  # noqa: S608

# Templates of connections that are not given up, but not those that Zalo has no more. Each side of the range
# is open. Index zalo_templates_listed.
_LISTED: Sql = f"""
    SELECT {_COLUMNS} FROM zalo_templates AS t JOIN zalo_oas AS o ON o.id = t.oa_ref
     WHERE t.account_id = %(account_id)s AND o.account_id = t.account_id AND o.state <> 'disconnected'
       AND t.status <> 'DELETE' AND t.id > %(above)s AND t.id < %(below)s
       AND (%(oa_id)s::numeric IS NULL OR o.oa_id = %(oa_id)s)
       AND (%(template_id)s::numeric IS NULL OR t.template_id = %(template_id)s)
       AND (%(name)s::text IS NULL OR position(lower(%(name)s) IN lower(t.name)) > 0)
       AND (%(type)s::text IS NULL OR %(type)s = CASE WHEN t.one_time THEN 'otp' ELSE 'unknown' END)
       AND (%(since)s::timestamptz IS NULL OR t.created_at >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR t.created_at < %(until)s)"""  # noqa: S608
LIST_UP: Sql = f"{_LISTED} ORDER BY t.id LIMIT %(limit)s"
LIST_DOWN: Sql = f"{_LISTED} ORDER BY t.id DESC LIMIT %(limit)s"

# Connected Official Accounts, and when their lists were last read. Index zalo_oas_listed.
LISTS: Sql = """
    SELECT o.id, o.oa_id, l.listed_at
      FROM zalo_oas AS o LEFT JOIN zalo_template_lists AS l ON l.oa_ref = o.id
     WHERE o.account_id = %(account_id)s AND o.state <> 'disconnected'
       AND (%(oa_id)s::numeric IS NULL OR o.oa_id = %(oa_id)s)
     ORDER BY o.id"""

# What a list of Zalo's holds, in the order of the ids, in which they are locked. By primary key.
PUT_SUMMARIES: Sql = """
    INSERT INTO zalo_templates AS t
           (oa_ref, template_id, account_id, name, status, quality, listed_at, created_at, updated_at)
    SELECT %(oa_ref)s, g.template_id, %(account_id)s, g.name, g.status, g.quality, %(now)s,
           coalesce(g.created_at, %(now)s), %(now)s
      FROM unnest(%(ids)s::bigint[], %(names)s::text[], %(statuses)s::text[], %(qualities)s::text[],
                  %(created)s::timestamptz[]) AS g (template_id, name, status, quality, created_at)
     ORDER BY g.template_id
    ON CONFLICT (oa_ref, template_id) DO UPDATE
       SET name = excluded.name, status = excluded.status, quality = excluded.quality,
           listed_at = excluded.listed_at,
           updated_at = CASE WHEN (t.name, t.status, t.quality)
                                  IS DISTINCT FROM (excluded.name, excluded.status, excluded.quality)
                             THEN excluded.updated_at ELSE t.updated_at END"""

# What the whole list does not hold is not there any more. By primary key.
DROP_UNLISTED: Sql = """
    WITH gone AS (
        SELECT template_id FROM zalo_templates
         WHERE oa_ref = %(oa_ref)s AND account_id = %(account_id)s AND listed_at < %(now)s
           AND status <> 'DELETE'
         ORDER BY template_id FOR NO KEY UPDATE
    )
    UPDATE zalo_templates AS t SET status = 'DELETE', updated_at = %(now)s FROM gone
     WHERE t.oa_ref = %(oa_ref)s AND t.template_id = gone.template_id"""

LIST_READ: Sql = """
    INSERT INTO zalo_template_lists (oa_ref, account_id, listed_at)
    VALUES (%(oa_ref)s, %(account_id)s, %(now)s)
    ON CONFLICT (oa_ref) DO UPDATE SET listed_at = excluded.listed_at"""

# The details of one. A list that never had it will. By primary key.
PUT_DETAILS: Sql = """
    INSERT INTO zalo_templates AS t
           (oa_ref, template_id, account_id, name, status, quality, tag, params, timeout_ms, preview_url,
            price, reason, apply_quota, daily_quota, remaining_quota, quota_day, one_time, listed_at,
            detailed_at, created_at, updated_at)
    VALUES (%(oa_ref)s, %(template_id)s, %(account_id)s, %(name)s, %(status)s, %(quality)s, %(tag)s,
            %(params)s, %(timeout_ms)s, %(preview_url)s, %(price)s, %(reason)s, %(apply_quota)s,
            %(daily_quota)s, %(remaining_quota)s, %(day)s, %(one_time)s, %(now)s, %(now)s, %(now)s, %(now)s)
    ON CONFLICT (oa_ref, template_id) DO UPDATE
       SET name = excluded.name, status = excluded.status, quality = excluded.quality, tag = excluded.tag,
           params = excluded.params, timeout_ms = excluded.timeout_ms, preview_url = excluded.preview_url,
           price = excluded.price, reason = excluded.reason,
           apply_quota = coalesce(excluded.apply_quota, t.apply_quota),
           daily_quota = coalesce(excluded.daily_quota, t.daily_quota),
           remaining_quota = excluded.remaining_quota,
           quota_day = coalesce(excluded.quota_day, t.quota_day),
           one_time = excluded.one_time, listed_at = excluded.listed_at, detailed_at = excluded.detailed_at,
           updated_at = CASE WHEN (t.name, t.status, t.quality, t.tag, t.params, t.price, t.reason)
                                  IS DISTINCT FROM (excluded.name, excluded.status, excluded.quality,
                                      excluded.tag, excluded.params, excluded.price, excluded.reason)
                             THEN excluded.updated_at ELSE t.updated_at END"""

# What the template's quota looks like, held. By primary key.
HELD_QUOTA: Sql = """
    SELECT remaining_quota, in_flight, settled FROM zalo_templates
     WHERE oa_ref = %(oa_ref)s AND template_id = %(template_id)s AND account_id = %(account_id)s
       FOR NO KEY UPDATE"""
MARK: Sql = """
    SELECT settled FROM zalo_templates
     WHERE oa_ref = %(oa_ref)s AND template_id = %(template_id)s AND account_id = %(account_id)s"""

# Zalo has no such template for this Official Account. By primary key.
DROP: Sql = """
    UPDATE zalo_templates SET status = 'DELETE', detailed_at = NULL, updated_at = %(now)s
     WHERE oa_ref = %(oa_ref)s AND template_id = %(template_id)s AND account_id = %(account_id)s"""

# Its details are to be read before it is used again. By primary key.
DOUBT: Sql = """
    UPDATE zalo_templates SET detailed_at = %(never)s
     WHERE oa_ref = %(oa_ref)s AND template_id = %(template_id)s AND account_id = %(account_id)s
       AND detailed_at IS NOT NULL"""

# Whoever changes it reads the details; for the others they are good for a little longer. By primary key.
TAKE_TURN: Sql = """
    UPDATE zalo_templates SET detailed_at = %(until)s
     WHERE oa_ref = %(oa_ref)s AND template_id = %(template_id)s AND account_id = %(account_id)s
       AND detailed_at = %(read_at)s"""

# What Zalo's event says of it. Index zalo_oas_account, then the primary key.
CHANGE: Sql = f"""
    WITH changed AS (
        UPDATE zalo_templates AS t
           SET status = coalesce(%(status)s, t.status), quality = coalesce(%(quality)s, t.quality),
               reason = coalesce(%(reason)s, t.reason), updated_at = %(now)s,
               detailed_at = CASE WHEN t.detailed_at IS NULL THEN NULL ELSE %(never)s END
          FROM zalo_oas AS o
         WHERE o.account_id = %(account_id)s AND o.oa_id = %(oa_id)s AND t.oa_ref = o.id
           AND t.template_id = %(template_id)s
           AND (t.status, t.quality, t.reason) IS DISTINCT FROM
               (coalesce(%(status)s, t.status), coalesce(%(quality)s, t.quality),
                coalesce(%(reason)s, t.reason))
        RETURNING t.*
    )
    SELECT {_COLUMNS} FROM changed AS t JOIN zalo_oas AS o ON o.id = t.oa_ref"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Known:
    """A template, and how well we know it."""

    template: ZnsTemplate
    detailed_at: datetime | None
    """When its details were read; None: never."""
    one_time: bool
    """It carries one-time codes."""


@dataclass(frozen=True, slots=True)
class TemplateList:
    """Of one Official Account."""

    oa_ref: int
    oa_id: int
    listed_at: datetime | None


@dataclass(frozen=True, slots=True)
class TemplateQuota:
    remaining: int | None
    in_flight: int
    settled: int


def _known(row: dict[str, Any]) -> Known:
    detailed_at, one_time = row.pop("detailed_at"), row.pop("one_time")
    row["params"] = msgspec.convert(row["params"], list[TemplateParam])
    return Known(ZnsTemplate(**row), detailed_at, one_time)


async def get(tx: Tx, account_id: int, oa_ref: int, template_id: int) -> Known | None:
    values = {"account_id": account_id, "oa_ref": oa_ref, "template_id": template_id}
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(GET, values)).fetchone()
    return None if row is None else _known(row)


async def list_(tx: Tx, account_id: int, where: TemplateFilter, paging: Paging) -> list[Known]:
    """One more than the page holds, where there is one; in the order that `Paging.span` reads them."""
    above, below, newest_first = paging.span()
    values: dict[str, Any] = {
        "account_id": account_id,
        "above": above,
        "below": below,
        "oa_id": where.oa_id,
        "template_id": where.template_id,
        "name": where.name,
        "type": where.type,
        "since": where.since,
        "until": where.until,
        "limit": paging.limit + 1,
    }
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(LIST_DOWN if newest_first else LIST_UP, values)
        return [_known(row) for row in await cursor.fetchall()]


async def lists(tx: Tx, account_id: int, oa_id: int | None) -> list[TemplateList]:
    rows = await (await tx.execute(LISTS, {"account_id": account_id, "oa_id": oa_id})).fetchall()
    return [TemplateList(*row) for row in rows]


async def put_list(
    tx: Tx, account_id: int, oa_ref: int, found: Sequence[TemplateSummary], now: datetime
) -> None:
    """The whole list, as Zalo has it now. Two lists of one Official Account are put one after the other."""
    one = {"account_id": account_id, "oa_ref": oa_ref, "now": now}
    values = one | {
        "ids": [summary.template_id for summary in found],
        "names": [summary.name for summary in found],
        "statuses": [summary.status for summary in found],
        "qualities": [summary.quality for summary in found],
        "created": [summary.created_at for summary in found],
    }
    await tx.execute(LIST_READ, one)
    await tx.execute(PUT_SUMMARIES, values)
    await tx.execute(DROP_UNLISTED, one)


async def put_details(
    tx: Tx,
    account_id: int,
    oa_ref: int,
    template_id: int,
    found: Template,
    *,
    price: Decimal | None,
    remaining: int | None,
    one_time: bool,
    now: datetime,
) -> None:
    """`remaining`: of its own quota, as agreed with Zalo."""
    values = {
        "account_id": account_id,
        "oa_ref": oa_ref,
        "template_id": template_id,
        "name": found.name,
        "status": found.status,
        "quality": found.quality,
        "tag": found.tag,
        "params": Jsonb(msgspec.to_builtins(found.params)),
        "timeout_ms": None if found.timeout is None else found.timeout // timedelta(milliseconds=1),
        "preview_url": found.preview_url,
        "price": price,
        "reason": found.reason,
        "apply_quota": found.apply_quota,
        "daily_quota": found.daily_quota,
        "remaining_quota": remaining,
        "day": None if remaining is None else now.astimezone(VIETNAM).date(),
        "one_time": one_time,
        "now": now,
    }
    await tx.execute(PUT_DETAILS, values)


async def held_quota(tx: Tx, account_id: int, oa_ref: int, template_id: int) -> TemplateQuota | None:
    """Locks the template."""
    values = {"account_id": account_id, "oa_ref": oa_ref, "template_id": template_id}
    row = await (await tx.execute(HELD_QUOTA, values)).fetchone()
    return None if row is None else TemplateQuota(*row)


async def mark(tx: Tx, account_id: int, oa_ref: int, template_id: int) -> int:
    """How many places of its quota were settled so far."""
    values = {"account_id": account_id, "oa_ref": oa_ref, "template_id": template_id}
    row = await (await tx.execute(MARK, values)).fetchone()
    return 0 if row is None else int(row[0])


async def drop(tx: Tx, account_id: int, oa_ref: int, template_id: int, now: datetime) -> None:
    values = {"account_id": account_id, "oa_ref": oa_ref, "template_id": template_id, "now": now}
    await tx.execute(DROP, values)


async def take_turn(
    tx: Tx, account_id: int, oa_ref: int, template_id: int, read_at: datetime | None, until: datetime
) -> bool:
    """False: another one has taken it. `read_at`: of the details that are to be read again."""
    values = {"account_id": account_id, "oa_ref": oa_ref, "template_id": template_id}
    return (await tx.execute(TAKE_TURN, values | {"read_at": read_at, "until": until})).rowcount == 1


async def doubt(tx: Tx, account_id: int, oa_ref: int, template_id: int) -> None:
    values = {"account_id": account_id, "oa_ref": oa_ref, "template_id": template_id, "never": NEVER}
    await tx.execute(DOUBT, values)


async def change(
    tx: Tx,
    account_id: int,
    oa_id: int,
    template_id: int,
    *,
    status: str | None,
    quality: str | None,
    reason: str | None,
    now: datetime,
) -> ZnsTemplate | None:
    """None: it is unknown, or like this already."""
    values = {
        "account_id": account_id,
        "oa_id": oa_id,
        "template_id": template_id,
        "status": status,
        "quality": quality,
        "reason": reason,
        "now": now,
        "never": NEVER,
    }
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(CHANGE, values)).fetchone()
    return None if row is None else _known(row).template
