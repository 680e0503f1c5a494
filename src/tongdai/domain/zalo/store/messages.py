"""SQL of messages: writing them before Zalo is asked, their outcomes, finding, listing and following them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tongdai.domain.zalo.model import MessageFilter, MessageState, ZnsMessage
from tongdai.domain.zalo.store import spans
from tongdai.domain.zalo.store.spans import Span
from tongdai.kit.db import Sql, Tx

_COLUMNS: Sql = """
    m.id, m.account_id, m.oa_ref, m.oa_id, m.user_id, m.type, m.journey_id, m.phone, m.template_id,
    m.template_data AS data, m.tracking_given AS tracking_id, m.development, m.sending_mode, m.state, m.seen,
    m.msg_id, m.error_code, m.error_message, m.price,
    CASE WHEN m.charged THEN m.net + m.vat ELSE m.held END AS fee, m.charged, m.timeout_ms, m.rate, m.note,
    m.feedback, m.submitted_at, m.created_at, m.sent_at, m.delivered_at, m.updated_at"""

_KEPT: Sql = f"""{_COLUMNS},
    m.tracking_id AS tracking_sent, m.counted, m.promotion, m.held, m.net, m.vat, m.vat_percent,
    m.journey_ref, m.follows"""

# A message, with a tracking id made of its own id where the customer gave none.
ADD: Sql = f"""
    WITH fresh AS (SELECT nextval(pg_get_serial_sequence('zalo_messages', 'id')) AS id)
    INSERT INTO zalo_messages AS m
           (id, account_id, oa_ref, oa_id, user_id, type, journey_ref, journey_id, phone, template_id,
            template_data, tracking_id, tracking_given, development, sending_mode, state, error_code,
            error_message, price, timeout_ms, counted, promotion, held, net, vat, vat_percent, created_at,
            follow_at, updated_at)
    OVERRIDING SYSTEM VALUE
    SELECT id, %(account_id)s, %(oa_ref)s, %(oa_id)s, %(user_id)s, %(type)s, %(journey_ref)s, %(journey_id)s,
           %(phone)s, %(template_id)s, %(data)s, coalesce(nullif(%(tracking_id)s::text, ''), 'td' || id),
           %(tracking_id)s, %(development)s, %(sending_mode)s, %(state)s, %(error_code)s, %(error_message)s,
           %(price)s, %(timeout_ms)s, %(counted)s, %(promotion)s, %(net)s::numeric + %(vat)s::numeric,
           %(net)s, %(vat)s, %(vat_percent)s, %(now)s, %(follow_at)s, %(now)s
      FROM fresh
    RETURNING {_KEPT}"""  # noqa: S608

# One of them: by primary key, by Zalo's id (zalo_messages_msg_id), by tracking id (zalo_messages_unnamed,
# whose condition is repeated here).
GET: Sql = f"SELECT {_KEPT} FROM zalo_messages AS m WHERE m.account_id = %(account_id)s AND m.id = %(id)s"  # noqa: S608
LOCK: Sql = f"{GET} FOR NO KEY UPDATE"
GET_BY_MSG_ID: Sql = f"""
    SELECT {_KEPT} FROM zalo_messages AS m
     WHERE m.account_id = %(account_id)s AND m.msg_id = %(msg_id)s
       AND (%(oa_id)s::numeric IS NULL OR m.oa_id = %(oa_id)s)
     ORDER BY m.id LIMIT 1"""  # noqa: S608
GET_BY_TRACKING: Sql = f"""
    SELECT {_KEPT} FROM zalo_messages AS m
     WHERE m.account_id = %(account_id)s AND m.tracking_id = %(tracking_id)s AND m.oa_id = %(oa_id)s
       AND m.msg_id IS NULL AND m.state IN ('sending', 'unknown', 'undelivered')
     ORDER BY m.id LIMIT 2"""  # noqa: S608

# Outcomes of one that is locked. By primary key.
ACCEPT: Sql = f"""
    UPDATE zalo_messages AS m
       SET state = 'accepted', msg_id = %(msg_id)s, sent_at = %(sent_at)s, counted = false,
           follow_at = %(follow_at)s, updated_at = %(now)s
     WHERE m.account_id = %(account_id)s AND m.id = %(id)s AND m.state IN ('sending', 'unknown')
    RETURNING {_KEPT}"""  # noqa: S608
NOTE_SENT: Sql = f"""
    UPDATE zalo_messages AS m SET msg_id = %(msg_id)s, sent_at = %(sent_at)s, updated_at = %(now)s
     WHERE m.account_id = %(account_id)s AND m.id = %(id)s AND m.state IN ('delivered', 'undelivered')
    RETURNING {_KEPT}"""  # noqa: S608
REFUSE: Sql = f"""
    UPDATE zalo_messages AS m
       SET state = 'refused', error_code = %(code)s, error_message = %(said)s, counted = false, held = 0,
           follow_at = NULL, updated_at = %(now)s
     WHERE m.account_id = %(account_id)s AND m.id = %(id)s AND m.state IN ('sending', 'unknown')
    RETURNING {_KEPT}"""  # noqa: S608
DOUBT: Sql = f"""
    UPDATE zalo_messages AS m SET state = 'unknown', follow_at = %(follow_at)s, updated_at = %(now)s
     WHERE m.account_id = %(account_id)s AND m.id = %(id)s AND m.state = 'sending'
    RETURNING {_KEPT}"""  # noqa: S608
ARRIVE: Sql = f"""
    UPDATE zalo_messages AS m
       SET state = 'delivered', delivered_at = %(delivered_at)s, msg_id = coalesce(m.msg_id, %(msg_id)s),
           charged = %(charged)s, counted = false, held = 0, follow_at = NULL, updated_at = %(now)s
     WHERE m.account_id = %(account_id)s AND m.id = %(id)s AND m.state NOT IN ('delivered', 'refused')
    RETURNING {_KEPT}"""  # noqa: S608
GIVE_UP: Sql = f"""
    UPDATE zalo_messages AS m
       SET state = 'undelivered', counted = false, held = 0, follow_at = NULL, updated_at = %(now)s
     WHERE m.account_id = %(account_id)s AND m.id = %(id)s AND m.state IN ('accepted', 'unknown')
    RETURNING {_KEPT}"""  # noqa: S608
POSTPONE: Sql = """
    UPDATE zalo_messages SET follow_at = %(follow_at)s, follows = follows + %(asked)s
     WHERE account_id = %(account_id)s AND id = %(id)s AND state = 'accepted'"""

# What recipients did. Index zalo_messages_msg_id.
SEEN: Sql = """
    UPDATE zalo_messages SET seen = true, updated_at = %(now)s
     WHERE account_id = %(account_id)s AND oa_id = %(oa_id)s AND msg_id = %(msg_id)s AND NOT seen
    RETURNING id"""
RATED: Sql = """
    UPDATE zalo_messages
       SET rate = %(rate)s, note = %(note)s, feedback = %(feedback)s, submitted_at = %(submitted_at)s,
           updated_at = %(now)s
     WHERE account_id = %(account_id)s AND msg_id = %(msg_id)s
       AND (submitted_at IS NULL OR submitted_at < %(submitted_at)s)
    RETURNING id"""

# What it is time to look after, each taken by one follower: nobody else sees it until the lease is over.
# Index zalo_messages_follow.
CLAIM: Sql = f"""
    WITH due AS MATERIALIZED (
        SELECT account_id, id FROM zalo_messages WHERE follow_at <= %(now)s
         ORDER BY follow_at LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE zalo_messages AS m SET follow_at = %(now)s + %(lease)s FROM due
     WHERE m.account_id = due.account_id AND m.id = due.id
    RETURNING {_KEPT}"""  # noqa: S608

# The journey that a message is of, before the message itself. By primary key.
LOCK_JOURNEY: Sql = """
    SELECT FROM zalo_journeys WHERE account_id = %s AND id = %s FOR NO KEY UPDATE"""

_FILTERS: Sql = """
       m.id > %(above)s AND m.id < %(below)s
   AND (%(oa_id)s::numeric IS NULL OR m.oa_id = %(oa_id)s)
   AND (%(msg_id)s::text IS NULL OR m.msg_id = %(msg_id)s)
   AND (%(journey_id)s::text IS NULL OR m.journey_id = %(journey_id)s)
   AND (%(phone)s::text IS NULL OR m.phone = %(phone)s)
   AND (%(template_id)s::numeric IS NULL OR m.template_id = %(template_id)s)
   AND (%(tracking_id)s::text IS NULL OR m.tracking_id = %(tracking_id)s)
   AND (%(type)s::text IS NULL OR m.type = %(type)s)
   AND (%(states)s::text[] IS NULL OR m.state = ANY(%(states)s))
   AND (%(delivery)s::text IS NULL OR %(delivery)s =
        CASE WHEN m.seen THEN 'seen' WHEN m.state = 'delivered' THEN 'received' ELSE 'unknown' END)
   AND (%(charged)s::boolean IS NULL OR m.charged = %(charged)s)
   AND (%(development)s::boolean IS NULL OR m.development = %(development)s)
   AND (%(user_id)s::numeric IS NULL OR m.user_id = %(user_id)s)
   AND (%(since)s::timestamptz IS NULL OR
        CASE %(time_type)s::text WHEN 'sent_time' THEN m.sent_at WHEN 'delivery_time' THEN m.delivered_at
             ELSE m.created_at END >= %(since)s)
   AND (%(until)s::timestamptz IS NULL OR
        CASE %(time_type)s::text WHEN 'sent_time' THEN m.sent_at WHEN 'delivery_time' THEN m.delivered_at
             ELSE m.created_at END < %(until)s)"""

_OF_ACCOUNT: Sql = "FROM zalo_messages AS m WHERE m.account_id = %(account_id)s AND "

# An account's messages between two ids, upwards or downwards. What is named most narrowly has an index of its
# own: the plan of a query that could be any of them would read the whole account for one number.
_SCOPES: Final[Mapping[str, Sql]] = {
    "msg_id": _OF_ACCOUNT + "m.msg_id = %(msg_id)s AND ",  # zalo_messages_msg_id
    "journey_id": _OF_ACCOUNT + "m.journey_id = %(journey_id)s AND ",  # zalo_messages_journey_id
    "phone": _OF_ACCOUNT + "m.phone = %(phone)s AND ",  # zalo_messages_phone
    "tracking_id": _OF_ACCOUNT + "m.tracking_id = %(tracking_id)s AND ",  # zalo_messages_tracking
    "oa_id": _OF_ACCOUNT + "m.oa_id = %(oa_id)s AND ",  # zalo_messages_of_oa
    "account_id": _OF_ACCOUNT,  # the primary key
}
_LISTED: Final[Mapping[str, Sql]] = {
    name: f"SELECT {_COLUMNS} {scope} {_FILTERS} ORDER BY m.id" for name, scope in _SCOPES.items()
}
_LAST_EXAMINED: Final = {
    name: spans.last_examined_of(f"SELECT id {scope} m.id > %(above)s AND m.id < %(below)s")
    for name, scope in _SCOPES.items()
}
FIRST_SINCE: Final[Sql] = spans.first_since_of("zalo_messages")


@dataclass(frozen=True, slots=True)
class Kept:
    """A message, and what it holds."""

    message: ZnsMessage
    tracking_sent: str
    counted: bool
    """It holds a place of the quota."""
    promotion: bool
    held: Decimal
    net: Decimal
    vat: Decimal
    vat_percent: Decimal | None
    journey_ref: int | None
    follows: int

    @property
    def id(self) -> int:
        return self.message.id


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A row to be written: state `sending` or `refused`."""

    account_id: int
    oa_ref: int
    oa_id: int
    user_id: int
    type: str
    phone: str
    template_id: int
    tracking_id: str
    development: bool
    sending_mode: str | None
    state: MessageState
    journey_ref: int | None = None
    journey_id: str | None = None
    data: Mapping[str, Any]
    error_code: int = 0
    error_message: str = ""
    price: Decimal | None = None
    timeout_ms: int | None = None
    counted: bool = False
    promotion: bool = False
    net: Decimal = Decimal(0)
    vat: Decimal = Decimal(0)
    vat_percent: Decimal | None = None
    follow_at: datetime | None = None


_HOLDINGS: Final = (
    "tracking_sent",
    "counted",
    "promotion",
    "held",
    "net",
    "vat",
    "vat_percent",
    "journey_ref",
    "follows",
)


def _message(row: dict[str, Any]) -> ZnsMessage:
    row["state"] = MessageState(row["state"])
    return ZnsMessage(**row)


def _kept(row: dict[str, Any]) -> Kept:
    holdings = [row.pop(name) for name in _HOLDINGS]
    return Kept(_message(row), *holdings)


async def _one(tx: Tx, sql: Sql, values: Mapping[str, Any]) -> Kept | None:
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(sql, values)).fetchone()
    return None if row is None else _kept(row)


async def add(tx: Tx, new: NewMessage, now: datetime) -> Kept:
    values = {name: getattr(new, name) for name in NewMessage.__dataclass_fields__}
    kept = await _one(tx, ADD, values | {"data": Jsonb(dict(new.data)), "now": now})
    assert kept is not None
    return kept


async def get(tx: Tx, account_id: int, id_: int) -> Kept | None:
    return await _one(tx, GET, {"account_id": account_id, "id": id_})


async def lock(tx: Tx, account_id: int, id_: int) -> Kept | None:
    return await _one(tx, LOCK, {"account_id": account_id, "id": id_})


async def get_by_msg_id(tx: Tx, account_id: int, msg_id: str, oa_id: int | None) -> Kept | None:
    return await _one(tx, GET_BY_MSG_ID, {"account_id": account_id, "msg_id": msg_id, "oa_id": oa_id})


async def get_by_tracking(tx: Tx, account_id: int, tracking_id: str, oa_id: int) -> Kept | None:
    """One that Zalo gave no id yet; None: there is none, or which one is not clear."""
    values = {"account_id": account_id, "tracking_id": tracking_id, "oa_id": oa_id}
    async with tx.cursor(row_factory=dict_row) as cursor:
        rows = await (await cursor.execute(GET_BY_TRACKING, values)).fetchall()
    return _kept(rows[0]) if len(rows) == 1 else None


async def accept(
    tx: Tx, kept: Kept, msg_id: str, sent_at: datetime, follow_at: datetime, now: datetime
) -> Kept | None:
    """None: it has an end already, or was refused."""
    return await _one(tx, ACCEPT, _values(kept, msg_id=msg_id, sent_at=sent_at, follow_at=follow_at, now=now))


async def note_sent(tx: Tx, kept: Kept, msg_id: str, sent_at: datetime, now: datetime) -> Kept | None:
    return await _one(tx, NOTE_SENT, _values(kept, msg_id=msg_id, sent_at=sent_at, now=now))


async def refuse(tx: Tx, kept: Kept, code: int, said: str, now: datetime) -> Kept | None:
    return await _one(tx, REFUSE, _values(kept, code=code, said=said, now=now))


async def doubt(tx: Tx, kept: Kept, follow_at: datetime, now: datetime) -> Kept | None:
    return await _one(tx, DOUBT, _values(kept, follow_at=follow_at, now=now))


async def arrive(
    tx: Tx, kept: Kept, msg_id: str | None, delivered_at: datetime, *, charged: bool, now: datetime
) -> Kept | None:
    """None: it had arrived already."""
    values = _values(kept, msg_id=msg_id, delivered_at=delivered_at, charged=charged, now=now)
    return await _one(tx, ARRIVE, values)


async def give_up(tx: Tx, kept: Kept, now: datetime) -> Kept | None:
    """None: it had an end already."""
    return await _one(tx, GIVE_UP, _values(kept, now=now))


async def postpone(tx: Tx, kept: Kept, follow_at: datetime, *, asked: bool) -> None:
    """`asked`: Zalo was asked of it, and answered."""
    await tx.execute(POSTPONE, _values(kept, follow_at=follow_at, asked=int(asked)))


def _values(kept: Kept, **more: Any) -> dict[str, Any]:
    return {"account_id": kept.message.account_id, "id": kept.id, **more}


async def seen(tx: Tx, account_id: int, oa_id: int, msg_id: str, now: datetime) -> int | None:
    """Its id; None: it is unknown, or known to be seen."""
    values = {"account_id": account_id, "oa_id": oa_id, "msg_id": msg_id, "now": now}
    row = await (await tx.execute(SEEN, values)).fetchone()
    return None if row is None else int(row[0])


async def rated(
    tx: Tx,
    account_id: int,
    msg_id: str,
    *,
    rate: int | None,
    note: str,
    feedback: Sequence[str],
    submitted_at: datetime,
    now: datetime,
) -> int | None:
    """Its id; None: it is unknown, or a later rating is known."""
    values = {
        "account_id": account_id,
        "msg_id": msg_id,
        "rate": rate,
        "note": note,
        "feedback": Jsonb(list(feedback)),
        "submitted_at": submitted_at,
        "now": now,
    }
    row = await (await tx.execute(RATED, values)).fetchone()
    return None if row is None else int(row[0])


async def claim(tx: Tx, now: datetime, lease: timedelta, most: int) -> list[Kept]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(CLAIM, {"now": now, "lease": lease, "most": most})
        return [_kept(row) for row in await cursor.fetchall()]


async def lock_journey(tx: Tx, account_id: int, journey_ref: int) -> None:
    await tx.execute(LOCK_JOURNEY, (account_id, journey_ref))


async def span_of_times(
    tx: Tx, account_id: int, where: MessageFilter, before: timedelta, after: timedelta
) -> tuple[int | None, int | None]:
    """See `spans.span_of_times`."""
    return await spans.span_of_times(tx, FIRST_SINCE, account_id, where, before, after)


async def last_examined(
    tx: Tx, account_id: int, where: MessageFilter, span: Span, examine: int
) -> int | None:
    """The id of the last of so many messages, of those that an index finds; None: there are fewer."""
    values = _wanted(account_id, where)
    return await spans.last_examined(tx, _LAST_EXAMINED[_scope(values)], values, span, examine)


async def list_(tx: Tx, account_id: int, where: MessageFilter, span: Span, limit: int) -> list[ZnsMessage]:
    """In the order of the span."""
    values = _wanted(account_id, where)
    ends = {"above": span.above, "below": span.below, "limit": limit}
    order: Sql = " DESC LIMIT %(limit)s" if span.newest_first else " LIMIT %(limit)s"
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LISTED[_scope(values)] + order, values | ends)
        return [_message(row) for row in await cursor.fetchall()]


def _wanted(account_id: int, where: MessageFilter) -> dict[str, Any]:
    return {name: getattr(where, name) for name in MessageFilter.__dataclass_fields__} | {
        "account_id": account_id,
        "states": None if where.states is None else sorted(where.states),
    }


def _scope(values: Mapping[str, Any]) -> str:
    return next(name for name in _SCOPES if values[name] is not None)
