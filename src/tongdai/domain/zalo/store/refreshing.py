"""SQL of renewing tokens. Every statement that ends a refresh names the pair that it was begun with, and when
it was begun: one whose turn is over changes nothing. But whoever brings a new pair is welcome at any time, as
long as nobody has brought another: Zalo gave it for the pair that is there, which is dead by that."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from tongdai.kit.db import Sql, Tx

_BEGUN: Sql = """
    o.id AS oa_ref, o.account_id, o.oa_id, a.app_id, a.secret, a.use_proof, o.access_token, o.refresh_token,
    o.tokens_version AS version, o.refresh_begun_at AS begun_at, o.access_expires_at,
    o.refresh_last_try AS last_try, o.refresh_failures AS failures"""

# What is due first, and nobody else is taking. Index zalo_oas_refresh.
BEGIN_DUE: Sql = f"""
    UPDATE zalo_oas AS o SET refresh_begun_at = %(now)s, refresh_probe_at = %(probe_at)s
      FROM zalo_apps AS a
     WHERE a.id = o.app_ref AND o.id = (
           SELECT id FROM zalo_oas
            WHERE state = 'connected' AND refresh_begun_at IS NULL
              AND coalesce(refresh_probe_at, refresh_due_at) <= %(now)s
            ORDER BY coalesce(refresh_probe_at, refresh_due_at) LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING {_BEGUN}"""  # noqa: S608

# One, because its access token is over. Not while an earlier failure is waited out. By primary key.
BEGIN_ONE: Sql = f"""
    UPDATE zalo_oas AS o SET refresh_begun_at = %(now)s, refresh_probe_at = %(probe_at)s
      FROM zalo_apps AS a
     WHERE a.id = o.app_ref AND o.id = %(oa_ref)s AND o.account_id = %(account_id)s AND o.state = 'connected'
       AND o.refresh_begun_at IS NULL AND o.tokens_version = %(version)s
       AND (o.refresh_failures = 0 OR o.refresh_due_at <= %(now)s)
    RETURNING {_BEGUN}"""  # noqa: S608

_SAME: Sql = """
       o.id = %(oa_ref)s AND o.account_id = %(account_id)s AND o.tokens_version = %(version)s
       AND o.refresh_begun_at = %(begun_at)s"""

# Once more, and never again, after an outcome that is not known. By primary key.
BEGIN_LAST: Sql = f"""
    UPDATE zalo_oas AS o
       SET refresh_begun_at = %(now)s, refresh_probe_at = %(probe_at)s, refresh_last_try = true
      FROM zalo_apps AS a
     WHERE a.id = o.app_ref AND {_SAME} AND o.state = 'connected' AND NOT o.refresh_last_try
    RETURNING {_BEGUN}"""  # noqa: S608

# One that was begun and not ended, to be looked into; the next look is later. Index zalo_oas_refresh.
PROBE_DUE: Sql = f"""
    UPDATE zalo_oas AS o SET refresh_probe_at = %(probe_at)s
      FROM zalo_apps AS a
     WHERE a.id = o.app_ref AND o.id = (
           SELECT id FROM zalo_oas
            WHERE state = 'connected' AND refresh_begun_at IS NOT NULL
              AND coalesce(refresh_probe_at, refresh_due_at) <= %(now)s
            ORDER BY coalesce(refresh_probe_at, refresh_due_at) LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING {_BEGUN}"""  # noqa: S608

# The new pair. It comes late where it was given up already, or begun again by another. By primary key.
STORE: Sql = """
    UPDATE zalo_oas AS o
       SET access_token = %(access_token)s, refresh_token = coalesce(%(refresh_token)s, %(kept_token)s),
           tokens_version = o.tokens_version + 1, access_expires_at = %(access_expires_at)s,
           expires_at = coalesce(%(expires_at)s, o.expires_at), refreshed_at = %(now)s,
           refresh_due_at = %(due_at)s, refresh_begun_at = NULL, refresh_probe_at = NULL,
           refresh_last_try = false, refresh_failures = 0, refresh_error = NULL,
           state = 'connected', reason = NULL, reason_at = NULL, updated_at = %(now)s
      FROM zalo_oas AS old
     WHERE old.id = o.id AND o.id = %(oa_ref)s AND o.account_id = %(account_id)s
       AND o.tokens_version = %(version)s AND o.state <> 'disconnected'
    RETURNING old.state"""

# Nothing happened at Zalo: to be tried again. By primary key.
GIVE_BACK: Sql = f"""
    UPDATE zalo_oas AS o
       SET refresh_begun_at = NULL, refresh_probe_at = NULL, refresh_failures = o.refresh_failures + 1,
           refresh_due_at = %(due_at)s, refresh_error = %(error)s,
           refresh_last_try = o.refresh_last_try AND NOT %(good)s
     WHERE {_SAME} AND o.state = 'connected'"""  # noqa: S608

# What happened is not known: nothing is sent before that is looked into. By primary key.
DOUBT: Sql = f"""
    UPDATE zalo_oas AS o SET refresh_error = %(error)s, refresh_last_try = o.refresh_last_try OR %(used)s
     WHERE {_SAME} AND o.state = 'connected'"""  # noqa: S608

# The pair is dead. Of one that is lost, who comes late with the new one may still bring it. By primary key.
LAPSE: Sql = f"""
    UPDATE zalo_oas AS o
       SET state = 'needs_consent', reason = %(reason)s, reason_at = %(now)s, access_token = NULL,
           refresh_token = NULL, refresh_due_at = NULL, refresh_probe_at = NULL,
           refresh_begun_at = CASE WHEN %(lost)s THEN o.refresh_begun_at END, refresh_error = NULL,
           updated_at = %(now)s
     WHERE {_SAME} AND o.state = 'connected'"""  # noqa: S608

# How far a renewal is. By primary key.
STAND: Sql = """
    SELECT state, tokens_version AS version, refresh_begun_at AS begun_at
      FROM zalo_oas WHERE id = %s AND account_id = %s"""

# A new access token that Zalo refuses, too, is a failure like others. By primary key.
REFUSED_AGAIN: Sql = """
    UPDATE zalo_oas
       SET refresh_failures = greatest(refresh_failures, 1), refresh_due_at = %s, refresh_error = %s
     WHERE id = %s AND account_id = %s AND state = 'connected' AND refresh_begun_at IS NULL"""


@dataclass(frozen=True, slots=True)
class Begun:
    """A refresh that was begun. Secrets are sealed."""

    oa_ref: int
    account_id: int
    oa_id: int
    app_id: int
    secret: bytes = field(repr=False)
    use_proof: bool
    access_token: bytes = field(repr=False)
    refresh_token: bytes = field(repr=False)
    version: int
    begun_at: datetime
    access_expires_at: datetime | None
    last_try: bool
    """Whether Zalo took its refresh token was unknown once before."""
    failures: int

    @property
    def same(self) -> dict[str, Any]:
        return {
            "oa_ref": self.oa_ref,
            "account_id": self.account_id,
            "version": self.version,
            "begun_at": self.begun_at,
        }


@dataclass(frozen=True, slots=True)
class Stand:
    state: str
    version: int
    begun_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewPair:
    """Tokens are sealed. None: there was no new refresh token, and the one before stays."""

    access_token: bytes = field(repr=False)
    refresh_token: bytes | None = field(repr=False)
    access_expires_at: datetime
    expires_at: datetime | None
    due_at: datetime


async def begin_due(tx: Tx, now: datetime, probe_after: timedelta) -> Begun | None:
    return await _one(tx, BEGIN_DUE, {"now": now, "probe_at": now + probe_after})


async def begin_one(
    tx: Tx, account_id: int, oa_ref: int, version: int, now: datetime, probe_after: timedelta
) -> Begun | None:
    """None: it has other tokens by now, or a renewal is under way or failed just now."""
    values = {"account_id": account_id, "oa_ref": oa_ref, "version": version}
    return await _one(tx, BEGIN_ONE, values | {"now": now, "probe_at": now + probe_after})


async def begin_last(tx: Tx, begun: Begun, now: datetime, probe_after: timedelta) -> Begun | None:
    return await _one(tx, BEGIN_LAST, begun.same | {"now": now, "probe_at": now + probe_after})


async def probe_due(tx: Tx, now: datetime, again_after: timedelta) -> Begun | None:
    return await _one(tx, PROBE_DUE, {"now": now, "probe_at": now + again_after})


async def store(tx: Tx, begun: Begun, pair: NewPair, now: datetime) -> str | None:
    """The state before; None: there is another pair by now, or it was disconnected: this one is of no use."""
    values = {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "kept_token": begun.refresh_token,
        "access_expires_at": pair.access_expires_at,
        "expires_at": pair.expires_at,
        "due_at": pair.due_at,
        "now": now,
    }
    row = await (await tx.execute(STORE, begun.same | values)).fetchone()
    return None if row is None else str(row[0])


async def give_back(tx: Tx, begun: Begun, due_at: datetime, error: str, *, good: bool) -> bool:
    """`good`: the pair was seen to be good."""
    values = {"due_at": due_at, "error": error, "good": good}
    return (await tx.execute(GIVE_BACK, begun.same | values)).rowcount == 1


async def doubt(tx: Tx, begun: Begun, error: str, *, used: bool) -> None:
    """`used`: Zalo says that the refresh token was used before."""
    await tx.execute(DOUBT, begun.same | {"error": error, "used": used})


async def lapse(tx: Tx, begun: Begun, reason: str, now: datetime, *, lost: bool) -> bool:
    return (await tx.execute(LAPSE, begun.same | {"reason": reason, "now": now, "lost": lost})).rowcount == 1


async def stand(tx: Tx, account_id: int, oa_ref: int) -> Stand | None:
    async with tx.cursor(row_factory=class_row(Stand)) as cursor:
        return await (await cursor.execute(STAND, (oa_ref, account_id))).fetchone()


async def refused_again(tx: Tx, account_id: int, oa_ref: int, due_at: datetime, error: str) -> None:
    await tx.execute(REFUSED_AGAIN, (due_at, error, oa_ref, account_id))


async def _one(tx: Tx, sql: Sql, values: Any) -> Begun | None:
    async with tx.cursor(row_factory=class_row(Begun)) as cursor:
        return await (await cursor.execute(sql, values)).fetchone()
