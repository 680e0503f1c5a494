"""Messages that were sent: to look at, and what Zalo's events say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from tongdai.domain import contacts
from tongdai.domain.zalo import outcomes, rules, telling
from tongdai.domain.zalo.errors import MessageNotFoundError
from tongdai.domain.zalo.looking import DISORDER, EXAMINED, UNDERWAY, messages_are_sifted
from tongdai.domain.zalo.model import MessageFilter, Page, Paging, ZnsMessage
from tongdai.domain.zalo.store import messages as store
from tongdai.domain.zalo.store.messages import Kept
from tongdai.domain.zalo.store.spans import Span
from tongdai.kit.db import Tx

MOST_STARS: Final = 5


async def get_message(tx: Tx, account_id: int, msg_id: str, oa_id: int | None) -> ZnsMessage:
    """By Zalo's id, else by ours; of this Official Account, if one is named. Raises MessageNotFoundError."""
    kept = await _find(tx, account_id, msg_id, oa_id)
    if kept is None or (oa_id is not None and kept.message.oa_id != oa_id):
        raise MessageNotFoundError(msg_id=msg_id)
    return kept.message


async def list_messages(
    tx: Tx, account_id: int, where: MessageFilter, paging: Paging, *, examine: int = EXAMINED
) -> Page[ZnsMessage]:
    """Messages in the order in which they were asked for. A number is read in any of its forms.

    Of those that match there may be none among millions, so at most `examine` are looked at for them, and a
    page may hold few or none while there are more to come.
    """
    if not _findable(where):
        return Page([], None, None)
    if where.phone is not None:
        number = contacts.normalise(where.phone).number
        where = replace(where, phone=number)
    before = DISORDER if where.time_type == "created_at" else UNDERWAY
    times = await store.span_of_times(tx, account_id, where, before, DISORDER)
    span = Span.of(paging).within(*times)
    through = None
    if messages_are_sifted(where):
        through = await store.last_examined(tx, account_id, where, span, examine)
    rows = await store.list_(tx, account_id, where, span.through(through), paging.limit + 1)
    return paging.page(rows, lambda message: message.id, through)


def _findable(where: MessageFilter) -> bool:
    """Whether anything can match: what the database cannot hold is not there."""
    texts = (where.msg_id, where.journey_id, where.tracking_id, where.type, where.phone)
    ids = (where.oa_id, where.template_id, where.user_id)
    return all(text is None or rules.storable(text) for text in texts) and all(
        id is None or rules.storable_id(id) for id in ids
    )


async def message_arrived(
    tx: Tx,
    account_id: int,
    oa_id: int,
    *,
    msg_id: str,
    tracking_id: str | None,
    delivered_at: datetime,
    now: datetime,
) -> ZnsMessage | None:
    """Zalo's event: a message is on its recipient's phone. Charges it, once, if that was in time.

    One whose answer never came is found by its tracking id. None: it is unknown, or was known to be there.
    """
    kept = await _find_told(tx, account_id, oa_id, msg_id, tracking_id)
    return None if kept is None else await outcomes.arrived(tx, kept, msg_id, delivered_at, now)


async def message_seen(
    tx: Tx, account_id: int, oa_id: int, *, msg_id: str, now: datetime
) -> ZnsMessage | None:
    """Zalo's event: its recipient opened it. None: it is unknown, or was known to be seen."""
    if not rules.storable(msg_id):
        return None
    return await _shown(tx, account_id, await store.seen(tx, account_id, oa_id, msg_id, now))


async def message_rated(
    tx: Tx,
    account_id: int,
    *,
    msg_id: str,
    rate: int | None,
    note: str,
    feedback: Sequence[str],
    submitted_at: datetime,
    now: datetime,
) -> ZnsMessage | None:
    """Zalo's event: its recipient gave stars, which webhooks are told of. The last of several ratings stays.

    None: it is unknown, or the rating is known.
    """
    if not all(rules.storable(text) for text in (msg_id, note, *feedback)):
        return None
    stars = rate if rate is not None and 0 <= rate <= MOST_STARS else None
    id_ = await store.rated(
        tx,
        account_id,
        msg_id,
        rate=stars,
        note=note,
        feedback=feedback,
        submitted_at=submitted_at,
        now=now,
    )
    message = await _shown(tx, account_id, id_)
    if message is not None:
        await telling.tell_message(tx, "zalo.message.rated", message, now)
    return message


async def _find(tx: Tx, account_id: int, msg_id: str, oa_id: int | None) -> Kept | None:
    if not rules.storable(msg_id):
        return None
    kept = await store.get_by_msg_id(tx, account_id, msg_id, oa_id)
    if kept is None and msg_id.isascii() and msg_id.isdigit() and len(msg_id) < len(str(rules.MAX_ID)):
        kept = await store.get(tx, account_id, int(msg_id))
    return kept


async def _find_told(
    tx: Tx, account_id: int, oa_id: int, msg_id: str, tracking_id: str | None
) -> Kept | None:
    """What an event of Zalo's is about: only Zalo's id, or a tracking id that leaves no doubt."""
    kept = None
    if rules.storable(msg_id):
        kept = await store.get_by_msg_id(tx, account_id, msg_id, oa_id)
    if kept is None and tracking_id and rules.storable(tracking_id):
        kept = await store.get_by_tracking(tx, account_id, tracking_id, oa_id)
    return kept


async def _shown(tx: Tx, account_id: int, id_: int | None) -> ZnsMessage | None:
    kept = None if id_ is None else await store.get(tx, account_id, id_)
    return None if kept is None else kept.message
