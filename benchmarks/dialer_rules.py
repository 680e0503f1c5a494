"""The dialer's rate with money, networks and the law, beside its rate without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from benchmarks import data, paying
from benchmarks.dialling import FULL_SPEED, dial
from benchmarks.figures import Figure, median_of
from benchmarks.stage import Bench, Stage, Tenant
from tongdai.domain import routing

CALLS = 4000
WARM_UP = 1000
REPETITIONS = 5
LISTED = 100_000
"""Numbers on each list of those who may not be called; nobody on them is dialled here."""

_LISTS = """
WITH list AS (
    INSERT INTO national_lists (as_of, source, connected, numbers, finished_at)
    VALUES (now(), 'bench', true, %(listed)s, now()) RETURNING id
), national AS (
    INSERT INTO national_do_not_call (number, voice, sms, list_id)
    SELECT '8499' || lpad(i::text, 7, '0'), true, true, list.id FROM list, generate_series(1, %(listed)s) AS i
)
INSERT INTO do_not_call (account_id, number, voice, sms, source)
SELECT account, '8499' || lpad(i::text, 7, '0'), true, true, 'bench'
FROM unnest(ARRAY[0, %(account)s::bigint]) AS account, generate_series(1, %(listed)s) AS i
"""

# The list's people agreed to be called at every hour, as often as that.
_ATTEST = """
INSERT INTO attestations (account_id, advertiser, purpose, user_id, obtained_at, method, evidence,
                          window_start, window_end, max_per_24h)
VALUES (%(account)s, '', 'advertising', %(user)s, now(), 'paper', 'bench', '00:00', '24:00', 3)
RETURNING id
"""
_ADVERTISE = """
UPDATE campaigns SET purpose = 'advertising', attestation_id = %(attestation)s WHERE id = %(campaign)s
"""


@dataclass
class Dialling:
    """A tenant in a database of its own, with a dialer on a carrier of its own."""

    bench: Bench
    tenant: Tenant
    attestation_id: int | None = None
    rates: list[float] = field(default_factory=list)

    async def turn(self, first: int, calls: int) -> None:
        campaign = await self.bench.campaign(self.tenant, state="draft")
        if self.attestation_id is not None:
            values = {"attestation": self.attestation_id, "campaign": campaign}
            await self.bench.run(_ADVERTISE, values)
        await data.queue(self.bench, self.tenant, campaign, calls, first=first, prefixes=data.NETWORKS)
        self.rates.append(await dial(self.bench, [campaign], calls))
        await self._require_dialled(campaign, calls)

    async def _require_dialled(self, campaign: int, calls: int) -> None:
        """Raises RuntimeError when a call was refused: that takes less time."""
        [[dialled]] = await self.bench.run(
            "SELECT count(*) FROM attempts WHERE campaign_id = %(campaign)s", {"campaign": campaign}
        )
        if dialled != calls:
            raise RuntimeError(f"{dialled} of {calls} calls were dialled")


async def measure(stage: Stage) -> list[Figure]:
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(_dialling(stage, pays=False, advertises=False))
        care = await stack.enter_async_context(_dialling(stage, pays=True, advertises=False))
        advertising = await stack.enter_async_context(_dialling(stage, pays=True, advertises=True))
        turns = [plain, care, advertising]
        for repetition in range(REPETITIONS):
            stage.checkpoint()
            for one in turns:
                await one.turn(WARM_UP + repetition * CALLS, CALLS)
            turns = [*turns[1:], turns[0]]
        for one in (care, advertising):
            await paying.require_paid(one.bench, [one.tenant])
    return [
        Figure(
            name=f"attempts with billing, routing and compliance, {purpose}",
            value=median_of(one.rates[1:]),
            unit="/s",
            limit=median_of(plain.rates[1:]),
            limit_is="the same dialer with one hotline for all networks, without billing",
            target=0.8,
            note=f"{len(data.NETWORKS)} networks, {LISTED:,} numbers on each list of those not to be called",
        )
        for purpose, one in (("customer care", care), ("advertising", advertising))
    ]


@asynccontextmanager
async def _dialling(stage: Stage, *, pays: bool, advertises: bool) -> AsyncIterator[Dialling]:
    """Warm: the dialer has dialled."""
    async with stage.database() as bench:
        tenant = await bench.tenant()
        one = Dialling(bench, tenant)
        if pays:
            await paying.make_prepaid(bench, [tenant])
            one.tenant = await _with_lines(bench, tenant)
            await bench.run(_LISTS, {"account": tenant.account_id, "listed": LISTED})
        if advertises:
            [[one.attestation_id]] = await bench.run(
                _ATTEST, {"account": tenant.account_id, "user": tenant.user_id}
            )
        await bench.analyze()
        async with bench.carrier(speed=FULL_SPEED) as carrier, bench.dialer(carrier):
            await one.turn(0, WARM_UP)
            yield one


async def _with_lines(bench: Bench, tenant: Tenant) -> Tenant:
    """The tenant with two trunks, each for two networks, with a hotline of each network and one of the pool.

    All have a daily cap and a brand name. The trunk that it had before is disabled.
    """
    hotlines: list[int] = []
    async with bench.db.transaction() as tx:
        await routing.update_trunk(tx, tenant.account_id, tenant.trunk_id, enabled=False)
        for pair in (("mobifone", "vinaphone"), ("viettel", "fixed")):
            trunk = await routing.create_trunk(
                tx,
                tenant.account_id,
                name=" ".join(pair),
                engine="sandbox",
                max_channels=None,
                max_cps=None,
                networks=pair,
                cool_after=1000,
            )
            for network in (*pair, None):
                hotline = await routing.create_hotline(
                    tx,
                    tenant.account_id,
                    number=f"0283900{len(hotlines):04d}",
                    trunk_id=trunk.id,
                    network=network,
                    brand_name="SAO MAI",
                    brand_until=(datetime.now(UTC) + timedelta(days=365)).date(),
                    daily_cap=1_000_000,
                )
                hotlines.append(hotline.id)
    return replace(tenant, hotline_ids=tuple(hotlines))
