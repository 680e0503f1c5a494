"""What is dialled and what was dialled: queued and finished calls by the million, made in the database."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.stage import Bench, Tenant

ONE_NETWORK = ("90",)
NETWORKS = ("90", "91", "98", "283")
"""Prefixes of MobiFone, VinaPhone, Viettel and fixed lines in Hồ Chí Minh City."""

# Queued calls that were imported over the last hour or before, oldest first, on the given prefixes by turns.
_QUEUED = """
INSERT INTO calls (account_id, campaign_id, user_id, number, number_given, fields, created_at, due_at)
SELECT %(account)s, %(campaign)s, %(user)s, '84' || number, '0' || number,
       '{"ho_ten": "Nguyễn Văn An", "ma_don": "DH-204118"}', at, at
FROM generate_series(%(first)s::bigint, %(first)s::bigint + %(count)s - 1) AS i,
     LATERAL (SELECT (%(prefixes)s::text[])[1 + i %% cardinality(%(prefixes)s::text[])]
                     || lpad(i::text, 7, '0') AS number,
                     now() - interval '2 hours' + i * interval '0.5 ms' AS at) AS made
"""

# Finished calls: so many a day, 20 a second from nine in the morning on.
_FINISHED = """
INSERT INTO calls (account_id, campaign_id, user_id, state, number, number_given, fields, created_at, due_at,
                   attempts, outcome_counts, outcome, called_at, duration_s, key_press, caller, done_at)
SELECT %(account)s, %(campaign)s, %(user)s, 'done',
       '8490' || lpad(i::text, 7, '0'), '090' || lpad(i::text, 7, '0'),
       '{"ho_ten": "Nguyễn Văn An", "ma_don": "DH-204118"}', at - interval '1 hour', at - interval '1 hour',
       1, '{"answered": 1}', (ARRAY['answered', 'no_answer', 'answered', 'busy'])[1 + i %% 4], at,
       i %% 60, CASE i %% 3 WHEN 0 THEN '1 (9)' ELSE '' END, '842473000001', at + interval '1 minute'
FROM generate_series(0, %(count)s::bigint - 1) AS i,
     LATERAL (SELECT timestamptz '2026-01-05 02:00+00' + (i / %(a_day)s) * interval '1 day'
                     + (i %% %(a_day)s) * interval '50 ms' AS at) AS moments
"""

# The counters that those calls would have left.
_COUNTED = """
INSERT INTO result_counts (scope, scope_id, span_s, bucket, account_id, calls)
SELECT s.scope, s.scope_id, n.span_s,
       date_bin(n.span_s * interval '1 s', c.called_at, timestamptz '2000-01-01 00:00+00'),
       c.account_id, count(*)
FROM calls AS c
CROSS JOIN LATERAL (VALUES ('campaign', c.campaign_id), ('user', c.user_id)) AS s (scope, scope_id)
CROSS JOIN (VALUES (10), (600), (86400)) AS n (span_s)
WHERE c.called_at IS NOT NULL
GROUP BY 1, 2, 3, 4, 5
"""

_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = 'calls'::regclass AND NOT indisprimary
"""


async def queue(
    bench: Bench,
    tenant: Tenant,
    campaign_id: int,
    count: int,
    *,
    first: int = 0,
    prefixes: Sequence[str] = ONE_NETWORK,
) -> None:
    """Queue calls to the numbers `first`, `first` + 1, … of ten million."""
    values = {"account": tenant.account_id, "campaign": campaign_id, "user": tenant.user_id}
    await bench.run(_QUEUED, values | {"count": count, "first": first, "prefixes": list(prefixes)})


async def finish(bench: Bench, tenant: Tenant, campaign_id: int, count: int, *, a_day: int) -> None:
    """Finished calls; count them with `count_results` when all are there."""
    values = {"account": tenant.account_id, "campaign": campaign_id, "user": tenant.user_id}
    await bench.run(_FINISHED, values | {"count": count, "a_day": a_day})


async def count_results(bench: Bench) -> None:
    await bench.run(_COUNTED)


class WithoutIndexes:
    """A block in which `calls` has its primary key alone: for millions of rows that is three times as fast,
    and the indexes that are made afterwards are those that were there."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._definitions: list[str] = []

    async def __aenter__(self) -> None:
        for name, definition in await self._bench.run(_INDEXES):
            self._definitions.append(definition)
            await self._bench.run(f"DROP INDEX {name}")

    async def __aexit__(self, *_: object) -> None:
        for definition in self._definitions:
            # On a partitioned table the definition says ONLY, which would leave the partitions without it.
            await self._bench.run(
                f"SET maintenance_work_mem = '512MB'; {definition.replace(' ON ONLY ', ' ON ')}"
            )
