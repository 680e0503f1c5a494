"""From the answer to an import until its call is handed to the engine, with an idle dialer."""

from __future__ import annotations

import asyncio
import random
import time

import msgspec

from benchmarks.client import Connection, post
from benchmarks.figures import Figure, median_of, percentile
from benchmarks.limits import PlainDialer, notify_round_trip
from benchmarks.stage import Bench, Stage, Tenant, import_path
from tongdai.adapters.sandbox.log import read_log
from tongdai.kit.db import Tx

SAMPLES = 300
WARM_UP = 20
CARRIER_SPEED = 20.0

# Calls of the limit's own campaign, one for each sample. The dialer leaves it alone: its trunk's engine is
# none that it knows.
_QUEUED = """
INSERT INTO calls (account_id, campaign_id, user_id, number, number_given, due_at)
SELECT %(account)s, %(campaign)s, %(user)s, '8491' || lpad(i::text, 7, '0'), 'x', now() - interval '1 minute'
FROM generate_series(1, %(count)s) AS i
"""
_STATE = "SELECT state FROM calls WHERE id = %s"


async def measure(stage: Stage) -> list[Figure]:
    async with stage.database() as bench:
        tenant = await bench.tenant()
        elsewhere = await bench.tenant("Giới hạn", engine="none")
        campaign, twin = await bench.campaign(tenant), await bench.campaign(elsewhere)
        values = {"account": elsewhere.account_id, "campaign": twin, "user": elsewhere.user_id}
        await bench.run(_QUEUED, values | {"count": SAMPLES + WARM_UP})
        await bench.analyze()
        async with (
            bench.carrier(speed=CARRIER_SPEED) as carrier,
            bench.dialer(carrier),
            bench.api() as (port, _),
        ):
            answered, bare = await _sample(bench, tenant, campaign, twin, port)
        invited = {line.number: line.mono for line in read_log(carrier.log) if line.event == "INVITE"}
    ours = [(invited[number] - at) * 1000 for number, at in answered.items()]
    bare_ms = [seconds * 1000 for seconds in bare]
    what = "bare LISTEN/NOTIFY round trip plus one claim"
    note = f"{SAMPLES} imports one after another; a call handed over before the answer arrives is below 0"
    return [
        Figure(
            name=f"import answered to call handed over, {name}",
            value=pick(ours),
            unit="ms",
            limit=pick(bare_ms),
            limit_is=what,
            sense="at most",
            target=target,
            note=note,
        )
        for name, pick, target in (
            ("median", median_of, 3.0),
            ("p99", lambda values: percentile(values, 0.99), 10.0),
        )
    ]


async def _sample(
    bench: Bench, tenant: Tenant, campaign: int, twin: int, port: int
) -> tuple[dict[str, float], list[float]]:
    """When each number's import was answered, and the seconds of the limit; by turns."""
    answered: dict[str, float] = {}
    bare: list[float] = []
    moments = random.Random(1)
    client = await Connection(port).open()
    async with bench.connection() as listening, bench.connection() as sending, bench.connection() as claiming:
        await listening.execute("LISTEN tongdai_bench")
        plain = await PlainDialer.of(claiming, twin)
        path = import_path(campaign, tenant)
        for sample in range(SAMPLES + WARM_UP):
            # 003 is engaged: the call is over at once, and the dialer idle again.
            number = f"090{sample * 7919 % 10_000:04d}003"
            request = post(path, b'{"contacts":[{"phone_number":"%b"}]}' % number.encode())
            answer = await client.send(request)
            at = time.monotonic()
            call_id = msgspec.json.decode(answer)["results"][0]["call_id"]
            await _over(sending, int(call_id))
            await asyncio.sleep(moments.uniform(0.03, 0.09))
            spent = await notify_round_trip(listening, sending)
            before = plain.spent_s
            legs = await plain.claim(1)
            spent += plain.spent_s - before
            await plain.end(legs)
            if sample >= WARM_UP:
                answered[number] = at
                bare.append(spent)
    await client.close()
    return answered, bare


async def _over(connection: Tx, call_id: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        row = await (await connection.execute(_STATE, [call_id])).fetchone()
        if row is not None and row[0] == "done":
            return
        await asyncio.sleep(0.01)
    raise RuntimeError("a call was not dialled within ten seconds")
