"""SQL of Official Accounts as people see and change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from tongdai.domain.zalo.model import Oa, OaFilter, Paging
from tongdai.kit.db import Sql, Tx

_COLUMNS: Sql = """
    o.id, o.account_id, o.app_ref, a.app_id, o.oa_id, o.owner_id, o.state, o.reason, o.reason_at,
    o.access_expires_at, o.expires_at, o.refreshed_at, o.refresh_error, o.name, o.description, o.avatar,
    o.cover, o.is_verified, o.oa_type, o.category, o.followers, o.package_name, o.package_valid_through,
    o.linked_zca, o.current_quality, o.last_week_quality, q.daily AS daily_quota,
    q.remaining AS remaining_quota, q.daily_promotion AS daily_quota_promotion,
    q.remaining_promotion AS remaining_quota_promotion, q.monthly_promotion AS monthly_promotion_quota,
    q.remaining_monthly_promotion AS remaining_monthly_promotion_quota,
    q.estimated_next_month_promotion AS estimated_next_month_promotion_quota, o.webhook_url, o.facts_at,
    o.created_at, o.updated_at"""

_FROM: Sql = """
    zalo_oas AS o JOIN zalo_apps AS a ON a.id = o.app_ref LEFT JOIN zalo_quotas AS q ON q.oa_ref = o.id"""

# One of an account. Index zalo_oas_account.
GET: Sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE o.account_id = %s AND o.oa_id = %s"  # noqa: S608

# What may be meant where none is named: the connected ones first. Index zalo_oas_account.
MEANT: Sql = """
    SELECT oa_id, state FROM zalo_oas WHERE account_id = %s AND state <> 'disconnected'
     ORDER BY state = 'connected' DESC LIMIT 2"""

# An account's in pages. Index zalo_oas_listed.
_LIST: Sql = f"""
    SELECT {_COLUMNS} FROM {_FROM}
     WHERE o.account_id = %(account_id)s AND o.id > %(over)s AND o.id < %(under)s
       AND (%(app_id)s::bigint IS NULL OR a.app_id = %(app_id)s)
       AND (%(oa_id)s::bigint IS NULL OR o.oa_id = %(oa_id)s)
       AND (%(name)s::text IS NULL OR strpos(lower(o.name), lower(%(name)s)) > 0)
       AND (%(since)s::timestamptz IS NULL OR o.created_at >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR o.created_at < %(until)s)"""  # noqa: S608
LIST_RISING: Sql = _LIST + " ORDER BY o.id LIMIT %(limit)s"
LIST_FALLING: Sql = _LIST + " ORDER BY o.id DESC LIMIT %(limit)s"

# Its row and the endpoint that passes its events on, held against changes. Index zalo_oas_account.
HOLD: Sql = "SELECT id FROM zalo_oas WHERE account_id = %s AND oa_id = %s FOR NO KEY UPDATE"

SET_WEBHOOK: Sql = """
    UPDATE zalo_oas SET webhook_url = %s, relay_endpoint_id = %s, updated_at = clock_timestamp()
     WHERE account_id = %s AND oa_id = %s"""

# Index zalo_oas_account.
LEAD_BACK: Sql = """
    UPDATE zalo_oas AS o SET redirect_uri = %(redirect_uri)s
      FROM zalo_apps AS a
     WHERE a.id = o.app_ref AND o.account_id = %(account_id)s AND a.app_id = %(app_id)s"""

# Tokens are forgotten, and a refresh under way loses its right to write new ones.
DISCONNECT: Sql = """
    UPDATE zalo_oas
       SET state = 'disconnected', reason = %(reason)s, reason_at = %(now)s, access_token = NULL,
           refresh_token = NULL, tokens_version = tokens_version + 1, refresh_due_at = NULL,
           refresh_begun_at = NULL, refresh_probe_at = NULL, refresh_last_try = false, refresh_failures = 0,
           refresh_error = NULL, updated_at = %(now)s
     WHERE account_id = %(account_id)s AND oa_id = %(oa_id)s AND state <> 'disconnected'"""

# What is needed to ask Zalo something. Secrets are sealed. Index zalo_oas_account.
_HELD: Sql = """
    SELECT o.id AS oa_ref, o.account_id, o.oa_id, a.app_id, o.state, o.access_token,
           o.tokens_version AS version, CASE WHEN a.use_proof THEN a.secret END AS proof_secret
      FROM zalo_oas AS o JOIN zalo_apps AS a ON a.id = o.app_ref"""
HELD: Sql = _HELD + " WHERE o.account_id = %s AND o.oa_id = %s"
# Of several, whichever account they are of: each by zalo_oas_account.
HELD_EACH: Sql = (
    _HELD
    + """
    JOIN unnest(%s::bigint[], %s::bigint[]) AS w (account_id, oa_id)
      ON o.account_id = w.account_id AND o.oa_id = w.oa_id"""
)
# All that may be meant where none is named, the connected ones first.
HELD_MEANT: Sql = (
    _HELD
    + " WHERE o.account_id = %s AND o.state <> 'disconnected' ORDER BY o.state = 'connected' DESC LIMIT 2"
)


@dataclass(frozen=True, slots=True)
class HeldRow:
    """Secrets are sealed."""

    oa_ref: int
    account_id: int
    oa_id: int
    app_id: int
    state: str
    access_token: bytes | None = field(repr=False)
    version: int
    proof_secret: bytes | None = field(repr=False)


async def get(tx: Tx, account_id: int, oa_id: int) -> Oa | None:
    async with tx.cursor(row_factory=class_row(Oa)) as cursor:
        return await (await cursor.execute(GET, (account_id, oa_id))).fetchone()


async def meant(tx: Tx, account_id: int) -> list[tuple[int, str]]:
    """Zalo's ids and states of two at most."""
    rows = await (await tx.execute(MEANT, (account_id,))).fetchall()
    return [(oa_id, state) for oa_id, state in rows]


async def list_(tx: Tx, account_id: int, wanted: OaFilter, paging: Paging) -> list[Oa]:
    """One more than the page has, if there are more, in the direction in which `paging` reads."""
    over, under, falling = paging.span()
    parameters: dict[str, Any] = {
        "account_id": account_id,
        "app_id": wanted.app_id,
        "oa_id": wanted.oa_id,
        "name": wanted.name,
        "since": wanted.since,
        "until": wanted.until,
        "over": over,
        "under": under,
        "limit": paging.limit + 1,
    }
    async with tx.cursor(row_factory=class_row(Oa)) as cursor:
        await cursor.execute(LIST_FALLING if falling else LIST_RISING, parameters)
        return await cursor.fetchall()


async def hold(tx: Tx, account_id: int, oa_id: int) -> int | None:
    """Its id of ours; nobody else changes it until the transaction ends. None: there is none."""
    row = await (await tx.execute(HOLD, (account_id, oa_id))).fetchone()
    return None if row is None else int(row[0])


async def set_webhook(tx: Tx, account_id: int, oa_id: int, url: str, endpoint_id: int | None) -> None:
    await tx.execute(SET_WEBHOOK, (url, endpoint_id, account_id, oa_id))


async def lead_back(tx: Tx, account_id: int, app_id: int, redirect_uri: str) -> None:
    await tx.execute(LEAD_BACK, {"account_id": account_id, "app_id": app_id, "redirect_uri": redirect_uri})


async def disconnect(tx: Tx, account_id: int, oa_id: int, reason: str, now: datetime) -> bool:
    parameters = {"account_id": account_id, "oa_id": oa_id, "reason": reason, "now": now}
    return (await tx.execute(DISCONNECT, parameters)).rowcount == 1


async def held(tx: Tx, account_id: int, oa_id: int | None) -> list[HeldRow]:
    """The one of this id, or all that may be meant without one: two at most."""
    async with tx.cursor(row_factory=class_row(HeldRow)) as cursor:
        if oa_id is None:
            return await (await cursor.execute(HELD_MEANT, (account_id,))).fetchall()
        return await (await cursor.execute(HELD, (account_id, oa_id))).fetchall()


async def held_each(tx: Tx, wanted: Sequence[tuple[int, int]]) -> list[HeldRow | None]:
    """Of each (account, Zalo's id), in their order."""
    distinct = list(set(wanted))
    async with tx.cursor(row_factory=class_row(HeldRow)) as cursor:
        await cursor.execute(HELD_EACH, ([one for one, _ in distinct], [one for _, one in distinct]))
        found = {(row.account_id, row.oa_id): row for row in await cursor.fetchall()}
    return [found.get(one) for one in wanted]
