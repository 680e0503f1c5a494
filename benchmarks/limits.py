"""The limits: what this machine does at most, each as bare as it gets. Changed only with a decision.

- `copy_rows`: COPY of rows that lie ready as one buffer, in one transaction, into the same table with the
  same indexes as ours, which is as full and was analysed at the same moment.
- `BareServer`: the same web framework in the same server with a pool of the same size. Its one handler reads
  the body away, runs the statements of an import of one contact in one transaction with values that lie
  ready, and answers a fixed text. It authenticates, parses, normalises and wakes nobody.
- `PlainDialer`: one connection, one loop, no pauses: claims a fixed batch of 100 calls with the dialer's
  statements, commits, then ends them with the statements that end legs, commits. Results are made up; no
  engine, no script, no retries. The batch is fixed.
- `notify_round_trip`: NOTIFY on one connection until another one that listens has it.
- `post_bare`: the HTTP client that webhooks are sent with, in a process of its own and on the same event
  loop: so many tasks as a sender may have requests in flight, each of which posts the same body with the same
  headers, which lie ready, to the same receiver as ours, reads the answer, and posts again. It signs nothing,
  looks no address up, reads no database and writes none.
- `create_journeys`: the client of Zalo's that the platform has, in a process of its own and on the same event
  loop: so many tasks as customers have requests under way, each of which makes a journey with an access token
  that lies ready, at the same emulator as ours, and then another. It authenticates nobody, reads no request,
  no database and no key, and keeps nothing.

Some figures have no limit here, but are compared with our own rate without what is asked about: claims from
a short queue, the dialer without money and rules, a hundred accounts instead of one, a sender with nothing
else to do.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import aiohttp
from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send

from tongdai.adapters.zaloapi import ZaloClient
from tongdai.app import server
from tongdai.domain import compliance
from tongdai.domain.accounts.store import accounts as account_store
from tongdai.domain.calls import Outcome, ResultMove
from tongdai.domain.calls.store import calls as call_store
from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.campaigns.store import intake
from tongdai.domain.dialer.model import Line, Plan, Slot, Station
from tongdai.domain.dialer.store import claiming, planning
from tongdai.domain.live import LegFacts, LegResult
from tongdai.domain.live import store as live_store
from tongdai.domain.live.store import EndRow
from tongdai.kit.db import Database, Tx
from tongdai.kit.running import run_until_stopped
from tongdai.kit.supervisor import die_with_parent
from tongdai.ports.zalo import Access

BATCH = 100

# --------------------------------------------------------------------------- import in bulk


async def copy_rows(connection: Tx, rows: bytes) -> float:
    """Seconds for one transaction with one COPY of these rows: what a call without a code needs."""
    began = time.perf_counter()
    async with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy(intake.copy_calls(with_code=False, with_own=False)) as copy,
    ):
        await copy.write(rows)
    return time.perf_counter() - began


# --------------------------------------------------------------------------- import of one contact

_ANSWER = (
    b'{"status":1,"message":"Ghi nh\xe1\xba\xadn th\xc3\xa0nh c\xc3\xb4ng 1 tr\xc3\xaan 1 b\xe1\xba\xa3n '
    b'ghi","results":[{"phone_number":"0901234567","call_id":1234567}]}'
)
_HEADERS = [
    (b"content-type", b"application/json; charset=utf-8"),
    (b"content-length", b"%d" % len(_ANSWER)),
]
BARE_PATH = "/import"


def bare_app(db: Database, account_id: int, user_id: int, campaign_id: int) -> Litestar:
    numbers = count(10_000_000)
    fields = ['{"ho_ten":"Nguyễn Văn An","ma_don":"DH-204118"}']

    @asgi(BARE_PATH, copy_scope=False)
    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        number = str(next(numbers))
        values = {
            "account_id": account_id,
            "campaign_id": campaign_id,
            "numbers": ["84" + number],
            "givens": ["0" + number],
            "fields": fields,
            "secrets": [None],
            "declared": "[]",
        }
        async with db.transaction() as tx:
            found = await tx.execute(account_store.FIND_TOKEN_USER, (user_id, "aicallcenter", 1))
            await found.fetchone()
            added = await tx.execute(intake.ADD_FEW, values)
            await added.fetchone()
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _ANSWER, "more_body": False})

    @asynccontextmanager
    async def opened(_: Litestar) -> AsyncIterator[None]:
        await db.open()
        yield
        await db.close()

    return Litestar([bare], lifespan=[opened], openapi_config=None, logging_config=None)


async def serve_bare(stop: asyncio.Event) -> None:
    """Serve `bare_app` until told to stop. What to serve is in the environment, as for our own server."""
    environ = os.environ
    db = Database(environ["TONGDAI_DATABASE_URL"], max_size=10)
    account, user, campaign = (int(part) for part in environ["BENCH_BARE"].split(","))
    app = bare_app(db, account, user, campaign)
    await server.serve(app, "127.0.0.1", int(environ["TONGDAI_PORT"]), stop)


# --------------------------------------------------------------------------- dialling


@dataclass(slots=True)
class PlainDialer:
    """A loop over one connection. The campaign must be running, its calls queued and due."""

    tx: Tx
    plan: Plan
    dialer_id: int = 0
    turns: int = 0
    spent_s: float = 0.0
    """Seconds in claims so far."""

    @staticmethod
    async def of(tx: Tx, campaign_id: int) -> PlainDialer:
        """Reads what a dialer knows of its campaign before it claims."""
        rows = [row for row in await planning.running_campaigns(tx) if row.id == campaign_id]
        lines = await planning.lines(tx, rows[0].hotline_ids)
        one = rows[0]
        plan = Plan(
            campaign_id=one.id,
            account_id=one.account_id,
            user_id=one.user_id,
            is_otp=False,
            script_id=one.script_id,
            script_version=one.script_version,
            config=CampaignConfig(),
            campaign_limit=one.limit_id,
            account_limit=one.account_limit_id,
            lines=tuple(line.line(Station("sandbox")) for line in lines.values()),
        )
        return PlainDialer(tx, plan)

    @property
    def line(self) -> Line:
        return self.plan.lines[0]

    async def claim(self, batch: int = BATCH) -> list[LegFacts]:
        """One transaction: caps locked, calls claimed, persons locked, legs committed, the floor moved."""
        began = time.perf_counter()
        tx, plan, line = self.tx, self.plan, self.line
        chain = tuple(sorted(plan.limit_ids()))
        async with tx.transaction():
            limits, now = await claiming.lock_limits(tx, chain)
            claimed = await claiming.claim(tx, [(plan, batch)], now)
            if not claimed:
                return []
            await compliance.lock_persons(tx, [(one.call.account_id, "", one.call.number) for one in claimed])
            before = now + timedelta(seconds=5)
            slots = [Slot(one.call, plan, line, now, before, chain) for one in claimed]
            for limit in limits.values():
                limit.live += len(slots)
            gives_up = [now + timedelta(seconds=390)] * len(slots)
            read_ids = await claiming.commit_slots(tx, slots, limits, self.dialer_id, gives_up, {}, now)
            ids = await read_ids()
            last = claimed[-1].call
            floor = min((last.due_at, last.id), (now - timedelta(seconds=10), 0))
            await claiming.move_floors(tx, {plan.campaign_id: floor})
        self.turns += 1
        self.spent_s += time.perf_counter() - began
        return [_facts(slot, *ids[slot.call.id]) for slot in slots]

    async def end(self, legs: Sequence[LegFacts]) -> None:
        """One transaction: legs, attempts and calls ended, channels and persons freed, results counted."""
        tx = self.tx
        results = [_made_up(facts) for facts in legs]
        async with tx.transaction():
            await live_store.lock(tx, results)
            rows = [EndRow(one, "done", None, {"answered": 1}) for one in results]
            await live_store.end_legs(tx, rows, legs[0].dial_before)
            moves = [
                ResultMove(one.account_id, one.campaign_id, one.user_id, None, one.dial_at) for one in legs
            ]
            await call_store.count_results(tx, moves)
            final = (legs[0].account_id, legs[0].campaign_id, Outcome.ANSWERED, "", len(legs))
            await call_store.count_finals(tx, [final])

    async def run(self, calls: int) -> float:
        """Attempts completed per second over so many queued calls."""
        began = time.perf_counter()
        done = 0
        while done < calls and (legs := await self.claim()):
            await self.end(legs)
            done += len(legs)
        return done / (time.perf_counter() - began)


def _facts(slot: Slot, leg_id: int, attempt_id: int) -> LegFacts:
    call, plan, line = slot.call, slot.plan, slot.line
    return LegFacts(
        leg_id=leg_id,
        attempt_id=attempt_id,
        call_id=call.id,
        account_id=call.account_id,
        campaign_id=call.campaign_id,
        user_id=call.user_id,
        trunk_id=line.trunk_id,
        engine=line.engine,
        number=call.number,
        dialled_number=call.number,
        caller=line.number,
        presented_caller=line.number,
        dial_at=slot.dial_at,
        dial_before=slot.dial_before,
        gives_up_at=slot.dial_before,
        limit_ids=slot.limit_ids,
        attempts=1,
        max_attempts=None,
        outcome_counts=call.outcome_counts,
        called_before=None,
        script_id=plan.script_id,
        script_version=plan.script_version,
        config=plan.config,
        fields=call.fields,
    )


def _made_up(facts: LegFacts) -> LegResult:
    timeline = (
        (1.2, "ringing", None),
        (7.1, "answered", "human"),
        (15.3, "digit", "1"),
        (22.9, "ended", "normal"),
    )
    return LegResult(facts, Outcome.ANSWERED, True, 5.9, 16, "1 (8)", timeline)


# --------------------------------------------------------------------------- waking


async def notify_round_trip(listening: Tx, sending: Tx) -> float:
    """Seconds from sending a notification until the other connection, which LISTENs already, has it."""
    began = time.perf_counter()
    heard = asyncio.ensure_future(anext(listening.notifies(timeout=5.0, stop_after=1)))
    await sending.execute("SELECT pg_notify('tongdai_bench', '1')")
    await heard
    return time.perf_counter() - began


# --------------------------------------------------------------------------- webhooks

WEBHOOK_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "tongdai",
    "webhook-id": "evt_1234567_89",
    "webhook-timestamp": "1790000000",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}


async def post_bare(_: asyncio.Event) -> None:
    """Post, and print the requests answered per second. What to post is in the environment."""
    environ = os.environ
    url, tasks = environ["BENCH_URL"], int(environ["BENCH_TASKS"])
    body = environ["BENCH_BODY"].encode()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def post(requests: Iterator[int]) -> None:
            for _ in requests:
                answer = session.post(url, data=body, headers=WEBHOOK_HEADERS, allow_redirects=False)
                async with answer as response:
                    await response.read()

        async def post_all(requests: int) -> float:
            left = iter(range(requests))
            began = time.perf_counter()
            await asyncio.gather(*(post(left) for _ in range(tasks)))
            return requests / (time.perf_counter() - began)

        await post_all(tasks * 5)  # connections are open, and what is made once is made
        rate = await post_all(int(environ["BENCH_REQUESTS"]))
    print(rate, flush=True)


# --------------------------------------------------------------------------- journeys


async def create_journeys(_: asyncio.Event) -> None:
    """Make journeys, and print how many per second. Where and for how long is in the environment."""
    environ = os.environ
    url, tasks = environ["BENCH_URL"], int(environ["BENCH_TASKS"])
    access = Access(environ["BENCH_ACCESS"], int(environ["BENCH_APP"]))
    client = ZaloClient(oauth_url=url, openapi_url=url, business_url=url)
    numbers = count()
    await client.start()

    async def create(until: float) -> int:
        made = 0
        while time.perf_counter() < until:
            phone = f"8490{next(numbers) * 7_368_787 % 9_999_000:07d}"
            await client.create_journey(access, f"{phone[:-3]}001", "token_logistics_7")
            made += 1
        return made

    async def create_all(seconds: float) -> float:
        began = time.perf_counter()
        made = await asyncio.gather(*(create(began + seconds) for _ in range(tasks)))
        return sum(made) / (time.perf_counter() - began)

    await create_all(0.3)  # connections are open, and what is made once is made
    rate = await create_all(float(environ["BENCH_SECONDS"]))
    await client.stop()
    print(rate, flush=True)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[sys.argv.index("--parent") + 1]))
    run_until_stopped({"import": serve_bare, "post": post_bare, "journeys": create_journeys}[sys.argv[1]])
