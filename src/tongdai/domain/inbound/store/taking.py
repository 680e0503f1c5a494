"""SQL of taking a call that comes in: its hotline, its channels, its leg, and whom it calls back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from psycopg.rows import class_row

from tongdai.domain.inbound.model import Arrival, InboundFacts, Line, Tie
from tongdai.kit.db import Sql, Tx

_LINE: Sql = """
    t.account_id, h.id AS hotline_id, h.number, h.enabled AND t.enabled AS enabled,
    h.inbound_script_id AS script_id, h.inbound_script_version AS script_version, h.unanswered,
    array_remove(
        ARRAY[h.limit_id, t.limit_id, a.limit_id,
              (SELECT n.limit_id FROM asterisk_nodes AS n WHERE n.id = %(node)s)], NULL) AS limit_ids"""

# The hotline of the trunk's account that has the called number, whichever of the account's trunks brought the
# call. By the primary key of trunks and the unique index of hotlines.
LINE_BY_NUMBER: Final[Sql] = f"""
    SELECT {_LINE}
      FROM trunks AS t
      JOIN accounts AS a ON a.id = t.account_id
      JOIN hotlines AS h ON h.account_id = t.account_id AND h.number = %(number)s
     WHERE t.id = %(trunk)s"""  # noqa: S608

# The trunk's hotlines, two at most. Index hotlines_trunk.
LINES_OF_TRUNK: Final[Sql] = f"""
    SELECT {_LINE}
      FROM trunks AS t
      JOIN accounts AS a ON a.id = t.account_id
      JOIN hotlines AS h ON h.trunk_id = t.id
     WHERE t.id = %(trunk)s ORDER BY h.id LIMIT 2"""  # noqa: S608

# The leg that was written for this channel, when its keeper died before it had accepted it: it is the present
# keeper's now. Index legs_came_in.
TAKEN_BEFORE: Final[Sql] = """
    UPDATE legs SET dialer_id = %s
     WHERE engine = %s AND kind = 'inbound' AND state <> 'ended' AND channel = %s
    RETURNING id"""

# The caps, locked in id order like everybody locks them. What is full is looked for outside: a condition here
# would be asked before the lock, and leave out of it whatever has room.
LOCK_LIMITS: Final[Sql] = """
    SELECT live >= max_channels FROM limits WHERE id = ANY(%s) ORDER BY id FOR UPDATE"""
TAKE: Final[Sql] = "UPDATE limits SET live = live + 1 WHERE id = ANY(%s)"

NOW: Final[Sql] = "SELECT clock_timestamp()"

# The last time that a campaign of the account rang this number, at the hotline that is called before others,
# among the newest calls to the number. What never rang a phone is left out. Indexes calls_by_number,
# attempts_call.
TIE: Final[Sql] = """
    SELECT c.id AS call_id, c.campaign_id, p.advertiser
      FROM (SELECT id, campaign_id FROM calls WHERE account_id = %(account)s AND number = %(caller)s
             ORDER BY id DESC LIMIT 50) AS c
      JOIN attempts AS t ON t.call_id = c.id AND t.account_id = %(account)s
      JOIN campaigns AS p ON p.id = c.campaign_id
     WHERE t.dialled_at BETWEEN %(since)s AND %(now)s
       AND coalesce(t.outcome, '') <> ALL(%(silent)s)
     ORDER BY t.hotline_id = %(hotline)s DESC, t.dialled_at DESC, t.id DESC LIMIT 1"""

ADD_LEG: Final[Sql] = """
    INSERT INTO legs (account_id, kind, trunk_id, hotline_id, engine, dialer_id, number, limit_ids, dial_at,
                      dial_before, gives_up_at, channel, talk_s)
    VALUES (%(account)s, 'inbound', %(trunk)s, %(hotline)s, %(engine)s, %(keeper)s, %(caller)s, %(limits)s,
            %(now)s, %(before)s, %(gives_up)s, %(channel)s, %(max_s)s)
    RETURNING id"""

ADD_CALL: Final[Sql] = """
    INSERT INTO inbound_calls (account_id, hotline_id, trunk_id, leg_id, caller, caller_given, called_given,
                               script_id, script_version, state, came_at, ended_at, kind, disposition, ring_s,
                               duration_s, billable_s, key_press, campaign_call_id, campaign_id)
    VALUES (%(account)s, %(hotline)s, %(trunk)s, %(leg)s, %(caller)s, %(caller_given)s, %(called_given)s,
            %(script)s, %(version)s, %(state)s, %(now)s, %(ended)s, %(kind)s, %(disposition)s,
            %(zero)s::real, %(zero)s::int, %(zero)s::int, %(nothing)s, %(campaign_call)s, %(campaign)s)
    RETURNING id"""

SILENT: Final = ("congestion", "failed", "invalid_number")
"""Outcomes of attempts after which nobody can have seen that they were called."""


async def line_by_number(tx: Tx, trunk_id: int, node_id: int, number: str) -> Line | None:
    async with tx.cursor(row_factory=class_row(Line)) as cursor:
        await cursor.execute(LINE_BY_NUMBER, {"trunk": trunk_id, "node": node_id, "number": number})
        return await cursor.fetchone()


async def only_line(tx: Tx, trunk_id: int, node_id: int) -> Line | None:
    """None: the trunk has no hotline, or several."""
    async with tx.cursor(row_factory=class_row(Line)) as cursor:
        await cursor.execute(LINES_OF_TRUNK, {"trunk": trunk_id, "node": node_id})
        found = await cursor.fetchall()
    return found[0] if len(found) == 1 else None


async def taken_before(tx: Tx, engine: str, channel: str, keeper_id: int) -> int | None:
    row = await (await tx.execute(TAKEN_BEFORE, (keeper_id, engine, channel))).fetchone()
    return None if row is None else int(row[0])


async def take_channels(tx: Tx, limit_ids: Sequence[int]) -> bool:
    """One of each; False: at least one has none left, and none is taken."""
    cursor = await tx.execute(LOCK_LIMITS, [sorted(limit_ids)])
    if any(full for (full,) in await cursor.fetchall()):
        return False
    await tx.execute(TAKE, [sorted(limit_ids)])
    return True


async def now(tx: Tx) -> datetime:
    """The database's clock."""
    row = await (await tx.execute(NOW)).fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


async def tie(tx: Tx, line: Line, caller: str, now: datetime, within: timedelta) -> Tie | None:
    values = {
        "account": line.account_id,
        "hotline": line.hotline_id,
        "caller": caller,
        "since": now - within,
        "now": now,
        "silent": list(SILENT),
    }
    async with tx.cursor(row_factory=class_row(Tie)) as cursor:
        await cursor.execute(TIE, values)
        return await cursor.fetchone()


async def add_leg(
    tx: Tx,
    arrival: Arrival,
    line: Line,
    keeper_id: int,
    caller: str,
    times: tuple[datetime, ...],
    max_s: float,
) -> int:
    """`times`: when it came, until when it may be accepted, when it is given up."""
    came_at, dial_before, gives_up_at = times
    values = {
        "account": line.account_id,
        "trunk": arrival.trunk_id,
        "hotline": line.hotline_id,
        "engine": arrival.engine,
        "keeper": keeper_id,
        "caller": caller,
        "limits": list(line.limit_ids),
        "now": came_at,
        "before": dial_before,
        "gives_up": gives_up_at,
        "channel": arrival.channel,
        "max_s": round(max_s),
    }
    row = await (await tx.execute(ADD_LEG, values)).fetchone()
    assert row is not None
    return int(row[0])


async def add_call(
    tx: Tx,
    arrival: Arrival,
    line: Line,
    *,
    caller: str,
    given: tuple[str, str],
    tie: Tie | None,
    now: datetime,
    leg_id: int | None,
    disposition: str | None = None,
) -> int:
    """`given`: caller and called as the carrier wrote them. With a `disposition` it is missed and over."""
    over = disposition is not None
    values = {
        "account": line.account_id,
        "hotline": line.hotline_id,
        "trunk": arrival.trunk_id,
        "leg": leg_id,
        "caller": caller,
        "caller_given": given[0],
        "called_given": given[1],
        "script": line.script_id,
        "version": line.script_version,
        "state": "ended" if over else "ringing",
        "now": now,
        "ended": now if over else None,
        "kind": "MISSCALL" if over else None,
        "disposition": disposition,
        "zero": 0 if over else None,
        "nothing": "" if over else None,
        "campaign_call": None if tie is None else tie.call_id,
        "campaign": None if tie is None else tie.campaign_id,
    }
    row = await (await tx.execute(ADD_CALL, values)).fetchone()
    assert row is not None
    return int(row[0])


def facts_of(
    arrival: Arrival,
    line: Line,
    *,
    leg_id: int,
    call_id: int,
    caller: str,
    tie: Tie | None,
    times: tuple[datetime, ...],
    max_s: float,
) -> InboundFacts:
    came_at, dial_before, gives_up_at = times
    return InboundFacts(
        leg_id=leg_id,
        call_id=call_id,
        account_id=line.account_id,
        hotline_id=line.hotline_id,
        hotline=line.number,
        trunk_id=arrival.trunk_id,
        engine=arrival.engine,
        channel=arrival.channel,
        caller=caller,
        script_id=line.script_id,
        script_version=line.script_version,
        came_at=came_at,
        dial_before=dial_before,
        gives_up_at=gives_up_at,
        max_s=max_s,
        limit_ids=line.limit_ids,
        campaign_id=None if tie is None else tie.campaign_id,
        advertiser="" if tie is None else tie.advertiser,
    )
