"""Reading what is due to be sent costs the same however much is pending, whatever the statistics say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests import factories
from tests.call_events import ANSWERED

from tongdai.domain import webhooks
from tongdai.domain.webhooks.store import sending
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

PENDING = 2000
READ = 50


async def publish(tx: Tx, account_id: int, calls: range) -> None:
    await webhooks.publish(
        tx, [replace(ANSWERED, account_id=account_id, call_id=call, seq=1) for call in calls]
    )


def rows_read(node: dict[str, Any]) -> Iterator[float]:
    """Rows that each scan of a plan touched, those included that it threw away."""
    if "Relation Name" in node:
        rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        yield rows * node["Actual Loops"]
    for inner in node.get("Plans", ()):
        yield from rows_read(inner)


async def test_after_a_quiet_hour_a_claim_reads_what_it_takes_and_no_more(
    db: Database, keyring: Keyring
) -> None:
    cast = await factories.cast(db)
    account_id = cast.owner.account_id
    async with db.transaction() as tx:
        issued = await webhooks.create_endpoint(tx, keyring, account_id, url="https://example.com/")
        await publish(tx, account_id, range(1, 1001))
        await tx.execute("UPDATE webhook_deliveries SET state = 'delivered'")
    async with db.autocommit() as connection:
        await connection.execute("ANALYZE webhook_deliveries, webhook_events")
    async with db.transaction() as tx:
        await publish(tx, account_id, range(1001, 1001 + PENDING))
        values = {
            "endpoints": [issued.endpoint.id],
            "wanted": [READ],
            "held": list[int](),
            "now": datetime.now(UTC) + timedelta(seconds=1),
        }
        found = await tx.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sending.CLAIM, values)
        row = await found.fetchone()
    assert row is not None
    assert sum(rows_read(row[0][0]["Plan"])) < 4 * READ
