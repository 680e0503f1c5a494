"""Templates as Zalo has them, kept for some minutes, and longer while Zalo cannot be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from tongdai.domain.zalo import quotas, rules, telling, tokens
from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.errors import ConsentLapsedError, OaNotFoundError, TemplateNotFoundError
from tongdai.domain.zalo.model import Page, Paging, TemplateFilter, ZnsTemplate
from tongdai.domain.zalo.store import templates as store
from tongdai.domain.zalo.store.templates import Known, TemplateList
from tongdai.domain.zalo.tokens import HeldOa
from tongdai.kit.db import Tx
from tongdai.ports.zalo import Access, Template, TemplateSummary, ZaloError, ZaloRefusedError, ZaloSilentError

LIST_FRESH: Final = timedelta(minutes=5)
DETAILS_FRESH: Final = timedelta(minutes=10)
DETAILS_STALE: Final = timedelta(hours=1)
"""After which nobody uses them without having asked."""
TURN: Final = timedelta(seconds=30)
"""For how long one asks, and the others use what there is."""
PAGE: Final = 100
"""Templates that Zalo gives at once."""
MOST: Final = 10_000
"""Templates of one Official Account that are read."""
AT_ONCE: Final = 8
"""Details that one request reads at a time."""
READ_S: Final = 15.0
"""How long one request reads lists and details, however many there are and however slow Zalo is. What was
read by then is kept, and the next request goes on from there."""
GONE: Final = frozenset({-109, -117})
"""Zalo's codes: there is no such template, or not for this Official Account."""


async def list_templates(
    bridge: Bridge, account_id: int, where: TemplateFilter, paging: Paging
) -> Page[ZnsTemplate]:
    """Templates of one Official Account, or of all that are connected, with what Zalo says of each.

    What Zalo cannot be asked for now is shown as it was. Raises OaNotFoundError; and, where nothing was ever
    read and nothing can be, ZaloError and ConsentLapsedError.
    """
    if not _findable(where):
        return Page([], None, None)
    until = asyncio.get_running_loop().time() + READ_S
    failure = await _read_lists(bridge, account_id, where.oa_id, until)
    async with bridge.db.transaction() as tx:
        found = await store.list_(tx, account_id, where, paging)
    if not found and failure is not None:
        raise failure
    page = paging.page(found, lambda known: known.template.id)
    shown = await _detailed(bridge, account_id, page.items, until)
    return Page([known.template for known in shown], page.next, page.prev)


async def get_template(bridge: Bridge, account_id: int, oa_id: int | None, template_id: int) -> ZnsTemplate:
    """Raises TemplateNotFoundError, OaNotFoundError, OaNotNamedError; and, where it was never read and cannot
    be, ZaloError and ConsentLapsedError."""
    async with bridge.db.transaction() as tx:
        held = await tokens.held_oa(tx, bridge.keyring, account_id, oa_id)
    try:
        return (await known(bridge, held, template_id)).template
    except ZaloRefusedError as error:
        if error.code in GONE:
            raise TemplateNotFoundError(template_id=template_id) from error
        raise


async def known(bridge: Bridge, held: HeldOa, template_id: int) -> Known:
    """One template, with details that are some minutes old at most, or older while Zalo cannot be asked.

    Raises ZaloRefusedError (-109, -117: there is no such template), ZaloError, ConsentLapsedError.
    """
    if not rules.storable_id(template_id):
        raise TemplateNotFoundError(template_id=template_id)
    async with bridge.db.transaction() as tx:
        ours = await store.get(tx, held.account_id, held.oa_ref, template_id)
    if ours is not None and await _good_enough(bridge, held, ours):
        return ours
    try:
        return await _read_details(bridge, held, template_id)
    except (ZaloError, ConsentLapsedError) as error:
        gone = isinstance(error, ZaloRefusedError) and error.code in GONE
        if gone or ours is None or ours.detailed_at is None:
            raise
        return ours


async def template_changed(
    tx: Tx,
    account_id: int,
    oa_id: int,
    template_id: int,
    *,
    status: str | None = None,
    quality: str | None = None,
    reason: str | None = None,
    now: datetime,
) -> ZnsTemplate | None:
    """Zalo's event. None: we do not know the template, or know it to be like this."""
    changed = await store.change(
        tx, account_id, oa_id, template_id, status=status, quality=quality, reason=reason, now=now
    )
    if changed is not None:
        await telling.tell_template(tx, account_id, changed, now)
    return changed


async def _good_enough(bridge: Bridge, held: HeldOa, ours: Known) -> bool:
    """Whether Zalo need not be asked: the details are fresh, or not quite any more and somebody asks already.
    Without the latter every sender of a busy template would ask at the same moment."""
    now = bridge.clock.now()
    if _fresh(ours.detailed_at, DETAILS_FRESH, now):
        return True
    if not _fresh(ours.detailed_at, DETAILS_STALE, now):
        return False
    until, template_id = now + TURN - DETAILS_FRESH, ours.template.template_id
    async with bridge.db.transaction() as tx:
        return not await store.take_turn(
            tx, held.account_id, held.oa_ref, template_id, ours.detailed_at, until
        )


def _findable(where: TemplateFilter) -> bool:
    """Whether anything can match: what the database cannot hold is not there."""
    texts = (where.name, where.type)
    return all(text is None or rules.storable(text) for text in texts)


def _fresh(read_at: datetime | None, for_: timedelta, now: datetime) -> bool:
    return read_at is not None and now - read_at < for_


# ---------------------------------------------------------------- lists


async def _read_lists(bridge: Bridge, account_id: int, oa_id: int | None, until: float) -> Exception | None:
    """Reads the lists that are too old. Returns why one could not be read that never was. `until`: by the
    loop's time."""
    async with bridge.db.transaction() as tx:
        lists = await store.lists(tx, account_id, oa_id)
    if oa_id is not None and not lists:
        raise OaNotFoundError(oa_id=oa_id)
    failure: Exception | None = None
    for one in lists:
        if _fresh(one.listed_at, LIST_FRESH, bridge.clock.now()):
            continue
        try:
            async with asyncio.timeout_at(until):
                await _read_list(bridge, account_id, one)
        except (ZaloError, ConsentLapsedError) as error:
            if one.listed_at is None:
                failure = error
        except TimeoutError:
            return ZaloSilentError("Zalo takes too long to tell all templates")
    return failure


async def _read_list(bridge: Bridge, account_id: int, one: TemplateList) -> None:
    now = bridge.clock.now()
    async with bridge.db.transaction() as tx:
        held = await tokens.held_oa(tx, bridge.keyring, account_id, one.oa_id)
    found: dict[int, TemplateSummary] = {}
    for offset in range(0, MOST, PAGE):

        async def read(access: Access, offset: int = offset) -> Sequence[TemplateSummary]:
            return (await bridge.client.templates(access, offset=offset, limit=PAGE)).templates

        page = await tokens.ask(bridge, held, read)
        before = len(found)
        found |= {summary.template_id: summary for summary in page[:PAGE]}
        if len(page) < PAGE or len(found) == before:  # the latter: one page again and again has no end
            break
    async with bridge.db.transaction() as tx:
        await store.put_list(tx, account_id, one.oa_ref, list(found.values()), now)


# ---------------------------------------------------------------- details


async def _detailed(bridge: Bridge, account_id: int, shown: Sequence[Known], until: float) -> list[Known]:
    """With the details of those that never had any, as far as Zalo tells them by then."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(known_: Known) -> Known:
        if known_.detailed_at is not None:
            return known_
        async with gate:
            try:
                async with asyncio.timeout_at(until):
                    async with bridge.db.transaction() as tx:
                        held = await tokens.held_oa(tx, bridge.keyring, account_id, known_.template.oa_id)
                    return await _read_details(bridge, held, known_.template.template_id)
            except (ZaloError, ConsentLapsedError, OaNotFoundError, TimeoutError):
                return known_

    return list(await asyncio.gather(*(one(known_) for known_ in shown)))


async def _read_details(bridge: Bridge, held: HeldOa, template_id: int) -> Known:
    async with bridge.db.transaction() as tx:
        mark = await store.mark(tx, held.account_id, held.oa_ref, template_id)
    try:
        found = await tokens.ask(bridge, held, lambda access: bridge.client.template(access, template_id))
    except ZaloRefusedError as error:
        if error.code in GONE:
            async with bridge.db.transaction() as tx:
                await store.drop(tx, held.account_id, held.oa_ref, template_id, bridge.clock.now())
        raise
    async with bridge.db.transaction() as tx:
        return await _keep(tx, held, template_id, found, mark, bridge.clock.now())


async def _keep(tx: Tx, held: HeldOa, template_id: int, found: Template, mark: int, now: datetime) -> Known:
    quota = await store.held_quota(tx, held.account_id, held.oa_ref, template_id)
    doubtful = 0 if quota is None else quota.in_flight + quota.settled - mark
    ours = None if quota is None else quota.remaining
    await store.put_details(
        tx,
        held.account_id,
        held.oa_ref,
        template_id,
        found,
        price=_price(found.price),
        remaining=quotas.agree(ours, found.remaining_quota, doubtful),
        one_time=rules.is_one_time_code(found.tag, found.params, found.timeout),
        now=now,
    )
    kept = await store.get(tx, held.account_id, held.oa_ref, template_id)
    assert kept is not None
    return kept


def _price(said: str | None) -> Decimal | None:
    """What Zalo's text comes to in đồng; None: it is no price."""
    try:
        price = Decimal(said) if said is not None else None
    except InvalidOperation:
        return None
    return price if price is not None and price.is_finite() and 0 <= price < 10**9 else None
