"""Events for webhooks and where they go to, and how long they take to be delivered."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from benchmarks.stage import Bench, Receiver, Tenant, printed
from tongdai.domain import webhooks
from tongdai.domain.webhooks import CallEvent

FORMAT: webhooks.Format = "vbot_auto_call"
LONGEST_TURN_S = 120.0

_NEWEST = "SELECT coalesce(max(id), 0) FROM webhook_deliveries"

# What became of the deliveries that were made since, found by the primary key.
_DELIVERED = """
SELECT count(*) FILTER (WHERE state = 'delivered') FROM webhook_deliveries
WHERE id > %(after)s AND endpoint_id <> ALL (%(but)s)
"""

# Deliveries that failed once and are to be tried again within the next hours, the first in ten minutes:
# copies of one event, each of a call of its own.
_RETRIES = """
WITH events AS (
    INSERT INTO webhook_events (account_id, call_id, seq, type, payload)
    SELECT e.account_id, -i, 1, e.type, e.payload
    FROM generate_series(1, %(count)s) AS i,
         LATERAL (SELECT * FROM webhook_events WHERE id = %(event)s) AS e
    RETURNING id, account_id, call_id, type
)
INSERT INTO webhook_deliveries (account_id, endpoint_id, event_id, call_id, seq, type, created_at, due_at,
                                tries, status, error, body)
SELECT account_id, %(endpoint)s, id, call_id, 1, type, now() - interval '1 minute',
       now() + interval '10 minutes' + id %% 100000 * interval '0.2 s', 1, 503, 'status', %(body)s
FROM events
"""


def event(tenant: Tenant, campaign_id: int, call_id: int) -> CallEvent:
    """An answered call with two fields, as most are."""
    at = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
    return CallEvent(
        type=webhooks.ATTEMPT_ENDED,
        account_id=tenant.account_id,
        campaign_id=campaign_id,
        campaign_name="Nhắc giao hàng",
        project_code="sao_mai",
        template_id=None,
        purpose="customer_care",
        call_id=call_id,
        user_id=tenant.user_id,
        seq=1,
        attempt_id=call_id,
        attempt=1,
        final=True,
        outcome="answered",
        note=None,
        number=f"8490{call_id % 10_000_000:07d}",
        number_given=f"090{call_id % 10_000_000:07d}",
        fields={"ho_ten": "Nguyễn Văn An", "ma_don": "DH-204118"},
        hotline="842473001234",
        network="mobifone",
        called_at=at,
        ended_at=at + timedelta(seconds=29),
        ring_s=5.9,
        duration_s=21,
        key_presses="1 (8)",
        end_code=None,
        record_files=[],
        billable_s=21,
        postage=Decimal("271.00"),
        service_charge=Decimal("55.00"),
        next_attempt_at=None,
        person_ref=None,
    )


async def endpoints(
    bench: Bench, tenant: Tenant, url: str, *, max_in_flight: int, count: int = 1
) -> list[int]:
    """New endpoints at one address for every event; their ids."""
    async with bench.db.transaction() as tx:
        issued = [
            await webhooks.create_endpoint(
                tx,
                bench.keyring,
                tenant.account_id,
                url=url,
                format=FORMAT,
                max_in_flight=max_in_flight,
                allow_private=True,
            )
            for _ in range(count)
        ]
    return [one.endpoint.id for one in issued]


async def newest_delivery(bench: Bench) -> int:
    [[newest]] = await bench.run(_NEWEST)
    return int(newest)


async def publish(bench: Bench, events: Sequence[CallEvent]) -> None:
    """All in one transaction."""
    async with bench.db.transaction() as tx:
        await webhooks.publish(tx, events)


async def deliver(
    bench: Bench, to: Receiver, events: Sequence[CallEvent], deliveries: int, *, but: Sequence[int] = ()
) -> float:
    """Deliveries per second, from the commit of the events until the last delivery is written as delivered.

    `but`: endpoints whose deliveries are not waited for. The database is asked only once the receiver has
    answered so often, for asking is work. Raises RuntimeError when they take too long.
    """
    after = await newest_delivery(bench)
    enough = (await to.counts())["answered"] + deliveries
    async with bench.connection() as watching:
        await publish(bench, events)
        began = time.perf_counter()
        while True:
            delivered = 0
            if (await to.counts())["answered"] >= enough:
                row = await (
                    await watching.execute(_DELIVERED, {"after": after, "but": list(but)})
                ).fetchone()
                assert row is not None
                delivered = row[0]
            if delivered >= deliveries:
                return deliveries / (time.perf_counter() - began)
            if time.perf_counter() - began > LONGEST_TURN_S:
                raise RuntimeError(f"{delivered} of {deliveries} deliveries were made")
            await asyncio.sleep(0.02)


async def rendered_body(bench: Bench) -> bytes:
    """What was sent of some event."""
    [[body]] = await bench.run("SELECT body FROM webhook_deliveries WHERE body IS NOT NULL LIMIT 1")
    return bytes(body)


async def retries_waiting(bench: Bench, endpoint_id: int, count: int) -> None:
    """So many deliveries of an endpoint that failed once and are not due for ten minutes.

    Some delivery was made before: its event and its body are what they tell.
    """
    [[copied]] = await bench.run("SELECT min(id) FROM webhook_events")
    body = await rendered_body(bench)
    await bench.run(_RETRIES, {"event": copied, "endpoint": endpoint_id, "count": count, "body": body})


async def require_waiting(bench: Bench, count: int) -> None:
    """Raises RuntimeError unless so many retries wait still: otherwise something else was measured."""
    [[waiting]] = await bench.run("SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'")
    if waiting != count:
        raise RuntimeError(f"{waiting} of {count} retries are waiting")


async def bare(to: Receiver, *, tasks: int, requests: int, body: bytes) -> float:
    """Requests per second of the bare loop: see `limits.post_bare`."""
    environment = os.environ | {
        "BENCH_URL": to.url("ok/bare"),
        "BENCH_TASKS": str(tasks),
        "BENCH_REQUESTS": str(requests),
        "BENCH_BODY": body.decode(),
    }
    return float(await printed(["-m", "benchmarks.limits", "post"], environment))
