"""Journeys after they were made: found again, charged once, ended by Zalo's event or by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from tongdai.domain import billing
from tongdai.domain.billing import Fee
from tongdai.domain.zalo import rules
from tongdai.domain.zalo.errors import JourneyNotFoundError
from tongdai.domain.zalo.journey_rows import opened, shown
from tongdai.domain.zalo.looking import DISORDER, EXAMINED, journeys_are_sifted
from tongdai.domain.zalo.model import Journey, JourneyFilter, Page, Paging
from tongdai.domain.zalo.store import journeys as store
from tongdai.domain.zalo.store.journeys import JourneyRow
from tongdai.domain.zalo.store.spans import Span
from tongdai.domain.zalo.telling import tell_journeys
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx

HOLD_AFTER_EXPIRY: Final = timedelta(hours=3)
"""How long its price stays held after a journey is over: Zalo tells an event again for two hours."""


# ---------------------------------------------------------------- reading


async def get_journey(
    tx: Tx, keyring: Keyring, account_id: int, journey_id: str, oa_id: int | None, *, now: datetime
) -> Journey:
    """By Zalo's id, else by ours. Raises JourneyNotFoundError, for a stranger's too."""
    if not rules.storable(journey_id):
        raise JourneyNotFoundError
    ours = journey_id.isascii() and journey_id.isdigit() and len(journey_id) < 19
    own_id = int(journey_id) if ours else None
    row = await store.find(tx, account_id, journey_id, own_id, oa_id, now)
    if row is None:
        raise JourneyNotFoundError
    return opened(keyring, row)


async def list_journeys(
    tx: Tx,
    keyring: Keyring,
    account_id: int,
    wanted: JourneyFilter,
    paging: Paging,
    *,
    now: datetime,
    examine: int = EXAMINED,
) -> Page[Journey]:
    """Journeys in the order in which they were written.

    Of those that match there may be none among millions, so at most `examine` are looked at for them, and a
    page may hold few or none while there are more to come.
    """
    if not _findable(wanted):
        return Page([], None, None)
    times = await store.span_of_times(tx, account_id, wanted, DISORDER, DISORDER)
    span = Span.of(paging).within(*times)
    through = None
    if journeys_are_sifted(wanted):
        through = await store.last_examined(tx, account_id, wanted, span, examine)
    rows = await store.list_(tx, account_id, wanted, span.through(through), paging.limit + 1, now)
    return paging.page([opened(keyring, row) for row in rows], lambda journey: journey.id, through)


def _findable(wanted: JourneyFilter) -> bool:
    """Whether anything can match: what the database cannot hold is not there."""
    texts = (wanted.journey_id, wanted.phone)
    return all(text is None or rules.storable(text) for text in texts) and (
        wanted.oa_id is None or rules.storable_id(wanted.oa_id)
    )


# ---------------------------------------------------------------- its life


async def enable_journey(
    tx: Tx, account_id: int, *, zalo_id: str | None = None, journey_ref: int | None = None, now: datetime
) -> Journey | None:
    """Its first message went out, says Zalo's event (by `zalo_id`) or the message that was taken (by
    `journey_ref`, ours): what was held for it is charged.

    Returns None where there is no such journey, or it was enabled before.
    """
    id = await store.enable(tx, account_id, zalo_id=zalo_id, own_id=journey_ref, now=now)
    if id is None:
        return None
    journey, row = await _changed(tx, account_id, id, now)
    if row.vat_percent is not None:
        fee = Fee(row.net, row.vat, row.vat_percent)
        await billing.charge_fee(tx, account_id, fee, journey_id=id, now=now)
    await tell_journeys(tx, "zalo.journey.charged", [journey], now)
    return journey


async def expire_journey(
    tx: Tx, account_id: int, *, zalo_id: str | None = None, journey_ref: int | None = None, now: datetime
) -> Journey | None:
    """Zalo says that it is over, by its event (`zalo_id`) or to a message (`journey_ref`, ours). What is held
    for it is let go later, because events may come out of order.

    Returns None where there is no such journey, or it was over before.
    """
    id = await store.expire(tx, account_id, zalo_id=zalo_id, own_id=journey_ref, now=now)
    if id is None:
        return None
    journey, _ = await _changed(tx, account_id, id, now)
    await tell_journeys(tx, "zalo.journey.expired", [journey], now)
    return journey


async def expire_due_journeys(db: Database, now: datetime, most: int = 500) -> int:
    """What the clock ends, and what no journey needs held any more. Returns how many were changed; `most` or
    more: there may be others."""
    async with db.transaction() as tx:
        over = await store.expire_due(tx, now, most)
        journeys = [(await _changed(tx, account_id, id, now))[0] for account_id, id in over]
        await tell_journeys(tx, "zalo.journey.expired", journeys, now)
    async with db.transaction() as tx:
        let_go = await store.let_go(tx, now, now - HOLD_AFTER_EXPIRY, most)
        await billing.release_fees(tx, let_go)
    return len(over) + len(let_go)


async def _changed(tx: Tx, account_id: int, id: int, now: datetime) -> tuple[Journey, JourneyRow]:
    """A journey that was just changed, for telling: without its token."""
    row = await store.get(tx, account_id, id, now)
    assert row is not None
    return shown(row, None), row
