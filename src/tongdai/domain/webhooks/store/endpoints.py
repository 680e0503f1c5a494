"""SQL of webhook endpoints as people see and change them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from tongdai.domain.webhooks.model import Endpoint
from tongdai.kit.db import Sql, Tx

_COLUMNS: Sql = """
    p.id, p.account_id, p.url, p.format, p.events, p.description, p.options,
    p.auth_header IS NOT NULL AS has_auth_header, p.enabled, p.max_in_flight, p.old_secret_until, p.failures,
    p.failing_since, p.paused_at, p.paused_until, p.pause_reason, p.last_error, p.last_error_at,
    p.last_delivered_at, p.created_at, p.oa_ref"""

ADD: Sql = f"""
    INSERT INTO webhook_endpoints AS p
           (account_id, url, format, events, description, options, secret, auth_header, enabled,
            max_in_flight, oa_ref)
    VALUES (%(account_id)s, %(url)s, %(format)s, %(events)s, %(description)s, %(options)s, %(secret)s,
            %(auth_header)s, %(enabled)s, %(max_in_flight)s, %(oa_ref)s)
    RETURNING {_COLUMNS}"""  # noqa: S608

# How many an account made itself. Index webhook_endpoints_account.
COUNT: Sql = """
    SELECT count(*) FROM webhook_endpoints WHERE account_id = %s AND deleted_at IS NULL AND oa_ref IS NULL"""

# One endpoint of an account. By primary key.
GET: Sql = f"""
    SELECT {_COLUMNS} FROM webhook_endpoints AS p
     WHERE p.account_id = %s AND p.id = %s AND p.deleted_at IS NULL"""  # noqa: S608

# The same, held against changes until the transaction ends.
GET_HELD: Sql = f"""
    SELECT {_COLUMNS} FROM webhook_endpoints AS p
     WHERE p.account_id = %s AND p.id = %s AND p.deleted_at IS NULL FOR NO KEY UPDATE"""  # noqa: S608

# The one of an Official Account, held likewise. Index webhook_endpoints_oa.
GET_OF_OA: Sql = f"""
    SELECT {_COLUMNS} FROM webhook_endpoints AS p
     WHERE p.account_id = %s AND p.oa_ref = %s AND p.deleted_at IS NULL FOR NO KEY UPDATE"""  # noqa: S608

# An account's endpoints in pages. Index webhook_endpoints_account.
LIST: Sql = f"""
    SELECT {_COLUMNS} FROM webhook_endpoints AS p
     WHERE p.account_id = %s AND p.id > %s AND p.deleted_at IS NULL ORDER BY p.id LIMIT %s"""  # noqa: S608

# What people change. A new address is given a new chance, unless the customer paused it.
SET: Sql = f"""
    UPDATE webhook_endpoints AS p
       SET url = %(url)s, format = %(format)s, events = %(events)s, description = %(description)s,
           options = %(options)s, enabled = %(enabled)s, max_in_flight = %(max_in_flight)s,
           auth_header = CASE WHEN %(keep_auth_header)s THEN p.auth_header ELSE %(auth_header)s END,
           version = p.version + 1
     WHERE p.account_id = %(account_id)s AND p.id = %(id)s
    RETURNING {_COLUMNS}"""  # noqa: S608

# How it fares, set by a person: paused, or healthy.
SET_HEALTH: Sql = f"""
    UPDATE webhook_endpoints AS p
       SET failures = 0, failing_since = NULL, pauses = 0, paused_at = %(paused_at)s, paused_until = NULL,
           pause_reason = %(reason)s, version = p.version + 1
     WHERE p.account_id = %(account_id)s AND p.id = %(id)s AND p.deleted_at IS NULL
    RETURNING {_COLUMNS}"""  # noqa: S608

# Its sender parks what is pending; the row goes when the last of its deliveries does.
DELETE: Sql = """
    UPDATE webhook_endpoints
       SET deleted_at = coalesce(%s, clock_timestamp()), enabled = false, version = version + 1
     WHERE account_id = %s AND id = %s AND deleted_at IS NULL"""

# Sealed. By primary key.
SIGNED_WITH: Sql = (
    "SELECT secret FROM webhook_endpoints WHERE account_id = %s AND id = %s AND deleted_at IS NULL"
)

# The secret before goes on signing for a while; one that is older still does not.
ROTATE: Sql = """
    UPDATE webhook_endpoints
       SET old_secret = secret, old_secret_until = %s, secret = %s, version = version + 1
     WHERE account_id = %s AND id = %s AND deleted_at IS NULL"""


@dataclass(frozen=True, slots=True)
class EndpointValues:
    """What a person says of an endpoint. `auth_header` is sealed."""

    url: str
    format: str
    events: list[str]
    description: str
    options: dict[str, Any]
    auth_header: bytes | None
    enabled: bool
    max_in_flight: int

    def parameters(self, account_id: int) -> dict[str, Any]:
        return {
            "account_id": account_id,
            "url": self.url,
            "format": self.format,
            "events": self.events,
            "description": self.description,
            "options": Jsonb(self.options),
            "auth_header": self.auth_header,
            "enabled": self.enabled,
            "max_in_flight": self.max_in_flight,
        }


async def add(
    tx: Tx, account_id: int, values: EndpointValues, secret: bytes, *, oa_ref: int | None = None
) -> Endpoint:
    """`oa_ref`: the Official Account that manages it."""
    parameters = values.parameters(account_id) | {"secret": secret, "oa_ref": oa_ref}
    endpoint = await _one(tx, ADD, parameters)
    assert endpoint is not None
    return endpoint


async def count(tx: Tx, account_id: int) -> int:
    row = await (await tx.execute(COUNT, (account_id,))).fetchone()
    assert row is not None
    return int(row[0])


async def get(tx: Tx, account_id: int, endpoint_id: int, *, hold: bool = False) -> Endpoint | None:
    """With `hold` nobody else changes it until the transaction ends."""
    return await _one(tx, GET_HELD if hold else GET, (account_id, endpoint_id))


async def get_of_oa(tx: Tx, account_id: int, oa_ref: int) -> Endpoint | None:
    """Nobody else changes it until the transaction ends."""
    return await _one(tx, GET_OF_OA, (account_id, oa_ref))


async def list_(tx: Tx, account_id: int, after: int, limit: int) -> list[Endpoint]:
    async with tx.cursor(row_factory=class_row(Endpoint)) as cursor:
        return await (await cursor.execute(LIST, (account_id, after, limit))).fetchall()


async def set_(
    tx: Tx, account_id: int, endpoint_id: int, values: EndpointValues, *, keep_auth_header: bool
) -> Endpoint:
    """The caller holds it."""
    parameters = values.parameters(account_id) | {"id": endpoint_id, "keep_auth_header": keep_auth_header}
    endpoint = await _one(tx, SET, parameters)
    assert endpoint is not None
    return endpoint


async def set_health(
    tx: Tx, account_id: int, endpoint_id: int, paused_at: datetime | None, reason: str | None
) -> Endpoint | None:
    """Healthy, or paused until somebody resumes it. None: there is no such endpoint."""
    parameters = {"account_id": account_id, "id": endpoint_id, "paused_at": paused_at, "reason": reason}
    return await _one(tx, SET_HEALTH, parameters)


async def delete(tx: Tx, account_id: int, endpoint_id: int, now: datetime | None) -> bool:
    """`now` None: the database's."""
    return (await tx.execute(DELETE, (now, account_id, endpoint_id))).rowcount == 1


async def get_secret(tx: Tx, account_id: int, endpoint_id: int) -> bytes | None:
    """Sealed."""
    row = await (await tx.execute(SIGNED_WITH, (account_id, endpoint_id))).fetchone()
    return None if row is None else bytes(row[0])


async def rotate(tx: Tx, account_id: int, endpoint_id: int, secret: bytes, old_until: datetime) -> bool:
    return (await tx.execute(ROTATE, (old_until, secret, account_id, endpoint_id))).rowcount == 1


async def _one(tx: Tx, sql: Sql, parameters: Any) -> Endpoint | None:
    async with tx.cursor(row_factory=class_row(Endpoint)) as cursor:
        return await (await cursor.execute(sql, parameters)).fetchone()
