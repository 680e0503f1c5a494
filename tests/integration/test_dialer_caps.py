"""Promise 4: channels and calls per second of every kind of cap, with two dialers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from time import monotonic

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.dialling import dialing, eventually, rows, until
from tests.fakes.engine import PlayedEngine, answers_and_ends, silent

from tongdai.domain import campaigns
from tongdai.ports.telephony import DialRequest

pytestmark = pytest.mark.anyio

CHANNELS = 3
CPS = 10
CALLS = 15
SCOPES = ("trunk", "hotline", "campaign", "account")
CODES: dict[campaigns.Kind, str | None] = {"voice": None, "otp": "493817"}
"""What a call of a campaign of that kind has to say. Codes alone are claimed before their caps are known."""


def numbers(count: int) -> Iterator[str]:
    return (f"09123456{n:02d}" for n in range(count))


async def capped(desk: Desk, scope: str, kind: campaigns.Kind, **caps: float) -> list[int]:
    """Two campaigns with a trunk and a hotline each, as far as the cap is not of just that: then they share
    it."""
    own = desk.owner.account_id
    trunks = [(await factories.trunk(desk.db, own)).id for _ in range(2)]
    if scope == "trunk":
        trunks = trunks[:1] * 2
    hotlines = [(await factories.hotline(desk.db, own, trunk_id=trunk)).id for trunk in trunks]
    if scope == "hotline":
        hotlines = hotlines[:1] * 2
    made = [await desk.campaign(kind=kind, hotline_ids=[hotline]) for hotline in hotlines]
    if scope == "campaign":
        made = made[:1] * 2
    held = {"trunk": trunks[0], "hotline": hotlines[0], "campaign": made[0], "account": own}[scope]
    for column, value in caps.items():
        await rows(
            desk.db,
            f"""UPDATE limits SET {column} = %s
                WHERE id = (SELECT limit_id FROM {scope}s WHERE id = %s) RETURNING 1""",
            value,
            held,
        )
    return made


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("scope", SCOPES)
async def test_two_dialers_never_exceed_the_channels_of_any_cap(
    desk: Desk, scope: str, kind: campaigns.Kind
) -> None:
    first, second = await capped(desk, scope, kind, max_channels=CHANNELS)
    engines = [PlayedEngine(silent), PlayedEngine(silent)]

    def dialled() -> int:
        return sum(len(engine.dialled) for engine in engines)

    def reached(calls: int) -> Callable[[], bool]:
        return lambda: dialled() == calls

    async with AsyncExitStack() as dialers:
        for engine in engines:
            await dialers.enter_async_context(dialing(desk.db, desk.keyring, {"sandbox": engine}))
        given = list(numbers(CALLS))
        await desk.give(first, *given[:8], otp=CODES[kind])
        await desk.give(second, *given[8:], otp=CODES[kind])
        ended = 0
        while ended < CALLS:
            await until(reached(min(CALLS, ended + CHANNELS)))
            # Every look of either dialer from here on finds all channels taken.
            before = await looks(desk)
            await eventually(lambda before=before: looked_again(desk, before))  # type: ignore[misc]
            assert dialled() == min(CALLS, ended + CHANNELS)
            for engine in engines:
                for request in engine.dialled:
                    answers_and_ends(engine, request)
            ended = dialled()
        await eventually(desk.all_done)
    assert await desk.live() == []


async def looks(desk: Desk) -> int:
    """Transactions of this database so far."""
    found = await rows(
        desk.db,
        """SELECT xact_commit FROM pg_stat_database
           WHERE datname = current_database() AND pg_stat_clear_snapshot() IS NOT NULL""",
    )
    return int(found[0][0])


async def looked_again(desk: Desk, before: int) -> bool:
    return await looks(desk) > before + 40


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("scope", SCOPES)
async def test_two_dialers_never_exceed_the_calls_per_second_of_any_cap(
    desk: Desk, scope: str, kind: campaigns.Kind
) -> None:
    first, second = await capped(desk, scope, kind, max_cps=CPS)
    sent: list[float] = []

    def behave(engine: PlayedEngine, request: DialRequest) -> None:
        sent.append(monotonic())
        answers_and_ends(engine, request)

    async with AsyncExitStack() as dialers:
        for _ in range(2):
            engine = PlayedEngine(behave)
            await dialers.enter_async_context(dialing(desk.db, desk.keyring, {"sandbox": engine}))
        given = list(numbers(CALLS))
        await desk.give(first, *given[:8], otp=CODES[kind])
        await desk.give(second, *given[8:], otp=CODES[kind])
        await eventually(desk.all_done)
    assert len(sent) == CALLS
    busiest = max(sum(at <= other < at + 1 for other in sent) for at in sent)
    assert busiest <= CPS
