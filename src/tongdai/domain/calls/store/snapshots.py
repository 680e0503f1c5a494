"""SQL of what webhooks are told: calls as they are when an attempt has ended or a rule has refused them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace
from psycopg.rows import dict_row

from tongdai.domain.webhooks import CallEvent
from tongdai.kit.db import Sql, Tx

if TYPE_CHECKING:
    from tongdai.domain.calls.telling import AttemptEnd

_OF_CALL: Sql = """
    c.account_id, c.campaign_id, p.name AS campaign_name, j.code AS project_code, p.template_id, p.purpose,
    c.id AS call_id, c.user_id, c.events AS seq, c.state = 'done' AS final, c.number, c.number_given,
    c.fields, c.person_ref, c.note"""

# Attempts that ended in this transaction, in the order given. By primary keys; the call's columns are this
# attempt's, because it is its latest.
ENDED_ATTEMPTS: Sql = f"""
    SELECT {_OF_CALL}, a.id AS attempt_id, a.ordinal AS attempt, a.outcome, c.caller AS hotline, a.network,
           c.called_at, a.ended_at, a.ring_s, coalesce(a.duration_s, 0) AS duration_s,
           coalesce(a.key_press, '') AS key_presses, a.end_code, coalesce(a.billable_s, 0) AS billable_s,
           coalesce(a.postage, 0) AS postage, coalesce(a.service_charge, 0) AS service_charge,
           t.next_at AS next_attempt_at
      FROM unnest(%(calls)s::bigint[], %(attempts)s::bigint[], %(next_at)s::timestamptz[]) WITH ORDINALITY
           AS t (call_id, attempt_id, next_at, ord)
      JOIN calls AS c ON c.id = t.call_id
      JOIN attempts AS a ON a.id = t.attempt_id
      JOIN campaigns AS p ON p.id = c.campaign_id
      LEFT JOIN projects AS j ON j.id = p.project_id
     ORDER BY t.ord"""  # noqa: S608

# Calls that were refused in this transaction, in the order given. By primary keys. An import that refuses a
# number counts no event, and tells its first.
REFUSED_CALLS: Sql = f"""
    SELECT {_OF_CALL}, NULL::bigint AS attempt_id, c.attempts AS attempt, c.outcome, NULL AS hotline,
           NULL AS network, c.called_at, c.done_at AS ended_at, NULL::real AS ring_s, 0 AS duration_s,
           '' AS key_presses, NULL AS end_code, 0 AS billable_s, 0::numeric AS postage,
           0::numeric AS service_charge, NULL::timestamptz AS next_attempt_at
      FROM unnest(%(calls)s::bigint[]) WITH ORDINALITY AS t (call_id, ord)
      JOIN calls AS c ON c.id = t.call_id
      JOIN campaigns AS p ON p.id = c.campaign_id
      LEFT JOIN projects AS j ON j.id = p.project_id
     ORDER BY t.ord"""  # noqa: S608


async def of_attempts(tx: Tx, ends: Sequence[AttemptEnd]) -> list[CallEvent]:
    values = {
        "calls": [end.call_id for end in ends],
        "attempts": [end.attempt_id for end in ends],
        "next_at": [end.next_at for end in ends],
    }
    events = await _events(tx, ENDED_ATTEMPTS, values, "attempt.ended")
    recorded = {end.attempt_id: list(end.recording_ids) for end in ends if end.recording_ids}
    if not recorded:
        return events
    return [replace(event, recording_ids=recorded.get(event.attempt_id or 0, [])) for event in events]


async def of_refusals(tx: Tx, call_ids: Sequence[int]) -> list[CallEvent]:
    return await _events(tx, REFUSED_CALLS, {"calls": list(call_ids)}, "call.refused")


async def _events(
    tx: Tx, query: Sql, values: dict[str, Any], kind: Literal["attempt.ended", "call.refused"]
) -> list[CallEvent]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, values)
        return [_event(row, kind) for row in await cursor.fetchall()]


def _event(row: dict[str, Any], kind: Literal["attempt.ended", "call.refused"]) -> CallEvent:
    row["seq"] = max(1, row["seq"])
    row["postage"], row["service_charge"] = Decimal(row["postage"]), Decimal(row["service_charge"])
    return CallEvent(type=kind, record_files=[], **row)
