"""Sending a message: everything it needs is taken and written first, then Zalo is asked, once.

What is refused, by our own checks or by Zalo, is a message in state `refused` with Zalo's code. Whatever
happens to this process, the row tells that something was on its way, and nobody sends it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from tongdai.domain import billing, contacts
from tongdai.domain.billing import Fee, FeeAsk, FeeRefusal
from tongdai.domain.zalo import journeys, outcomes, quotas, rules, templates, tokens
from tongdai.domain.zalo.attempting import insisted, sheltered
from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.errors import (
    ConsentLapsedError,
    JourneyNotFoundError,
    MessageInvalidError,
    TemplateNotFoundError,
)
from tongdai.domain.zalo.model import (
    ACCESS_GONE,
    NO_BILLING,
    OUT_OF_MONEY,
    Journey,
    JourneyState,
    MessageState,
    OaState,
    ZnsMessage,
    ZnsRequest,
)
from tongdai.domain.zalo.quotas import OVER_QUOTA, Place
from tongdai.domain.zalo.rules import Refused
from tongdai.domain.zalo.store import facts as kept_facts
from tongdai.domain.zalo.store import messages as store
from tongdai.domain.zalo.store import templates as kept_templates
from tongdai.domain.zalo.store.messages import Kept, NewMessage
from tongdai.domain.zalo.store.templates import Known
from tongdai.domain.zalo.tokens import HeldOa
from tongdai.kit.db import Tx
from tongdai.ports.zalo import Access, Message, Sent, ZaloError, ZaloRefusedError

LAPSE: Final = timedelta(minutes=1)
"""After which a message that is still being sent has lost its process. Longer than any request lasts."""
INSISTED_S: Final = 20.0
"""For how long what Zalo said of a message is written again to a database that is away. Then the follower
has to find it out."""
UNREACHED: Final = -100
"""Zalo's code for what it cannot tell: for messages that did not reach it at all."""

_NOTHING: Final = Decimal(0)
_UNPAID: Final = {
    FeeRefusal.NO_FUNDS: Refused(
        OUT_OF_MONEY, "The wallet does not cover the price of the message: top it up"
    ),
    FeeRefusal.NO_PLAN: Refused(NO_BILLING, "The account has no valid plan"),
}
_DOUBTFUL_QUOTA: Final = frozenset({rules.OA_QUOTA, rules.PROMOTION_QUOTA})
"""Nothing is sent any more until Zalo says what is left: at midnight, by a clock that is a little ahead of
Zalo's, that would be an hour for nothing."""
_DOUBTFUL_TEMPLATE: Final = frozenset({*templates.GONE, rules.NOT_APPROVED, rules.LOW_QUALITY})


@dataclass(frozen=True, slots=True)
class _Asked:
    """A message that somebody asks for, and over what it would go."""

    user_id: int
    held: HeldOa
    phone: str
    """84…"""
    request: ZnsRequest
    journey: Journey | None


@dataclass(frozen=True, slots=True)
class _Ready:
    """A message that is written down, and what it holds."""

    kept: Kept
    data: Mapping[str, str | None] = field(repr=False)
    """What is sent, which is not always kept."""
    place: Place | None
    """None: of a message to testers, which takes none."""


async def send_zns(
    bridge: Bridge, account_id: int, user_id: int, *, oa_id: int | None, request: ZnsRequest
) -> ZnsMessage:
    """Send one message by a template. What comes back is accepted or refused, never queued. What was begun
    goes on where the caller is cancelled.

    Raises MessageInvalidError: it is none. OaNotFoundError, OaNotNamedError, JourneyNotFoundError: nothing
    was written. ZaloError other than a refusal: if `doubtful`, the message is kept as `unknown` and followed;
    otherwise nothing was sent.
    """
    phone = _checked(request)
    async with bridge.db.transaction() as tx:
        held = await tokens.held_oa(tx, bridge.keyring, account_id, oa_id)
        journey = await _journey(tx, bridge, held, request.journey_id)
    asked = _Asked(user_id, held, phone, request, journey)
    template = await _template(bridge, asked)
    async with bridge.db.transaction() as tx:
        ready = await _prepare(tx, asked, template, bridge.clock.now())
    return ready if isinstance(ready, ZnsMessage) else await sheltered(_send(bridge, asked, ready))


# ---------------------------------------------------------------- what is asked for


def _checked(request: ZnsRequest) -> str:
    """The number, `84…`. Raises MessageInvalidError."""
    number = contacts.normalise(request.phone)
    faults: list[tuple[str, str]] = []
    if not number.callable:
        faults.append(("phone", f"is no number that can be written to: {number.reason}"))
    if len(request.tracking_id) > rules.MAX_TRACKING or not rules.storable(request.tracking_id):
        faults.append(("tracking_id", f"must be {rules.MAX_TRACKING} characters at most"))
    if not rules.storable_id(request.template_id):
        faults.append(("template_id", "is the id of no template"))
    if faults:
        raise MessageInvalidError(errors=faults)
    return number.number


async def _journey(tx: Tx, bridge: Bridge, held: HeldOa, name: str | None) -> Journey | None:
    """Raises JourneyNotFoundError, for another Official Account's too."""
    if name is None:
        return None
    if not rules.storable(name):
        raise JourneyNotFoundError
    return await journeys.get_journey(
        tx, bridge.keyring, held.account_id, name, held.oa_id, now=bridge.clock.now()
    )


async def _template(bridge: Bridge, asked: _Asked) -> Known | Refused:
    """Raises the ZaloErrors that are no refusal."""
    if asked.held.state is not OaState.CONNECTED:
        return Refused(ACCESS_GONE, _default(ConsentLapsedError))
    try:
        return await templates.known(bridge, asked.held, asked.request.template_id)
    except ConsentLapsedError as lapsed:
        return Refused(ACCESS_GONE, lapsed.message)
    except TemplateNotFoundError as unknown:
        return Refused(min(templates.GONE), unknown.message)
    except ZaloRefusedError as refused:
        return Refused(refused.code, refused.said)


def _default(error: type[Exception]) -> str:
    return (error.__doc__ or "").strip()


# ---------------------------------------------------------------- before Zalo is asked


async def _prepare(tx: Tx, asked: _Asked, known: Known | Refused, now: datetime) -> _Ready | ZnsMessage:
    """The message with everything that it holds; or, refused, as it is kept."""
    if isinstance(known, Refused):
        return await _refuse(tx, asked, None, {}, known, now)
    data = _verdict(asked, known, now)
    if isinstance(data, Refused):
        return await _refuse(tx, asked, known, {}, data, now)
    place = await _place(tx, asked, known, now)
    if isinstance(place, Refused):
        return await _refuse(tx, asked, known, data, place, now)
    fee = await _fee(tx, asked, known, now)
    if isinstance(fee, FeeRefusal):
        if place is not None:
            await quotas.settle(tx, place, back=True)
        return await _refuse(tx, asked, known, data, _UNPAID[fee], now)
    kept = await store.add(tx, _row(asked, known, data, place, fee, now), now)
    return _Ready(kept, data, place)


def _verdict(asked: _Asked, known: Known, now: datetime) -> dict[str, str | None] | Refused:
    """What is sent, or why nothing may be. In the order in which Zalo looks."""
    template, request = known.template, asked.request
    return (
        rules.check_status(template.status, template.quality, development=request.development)
        or rules.check_hour(template.tag, now)
        or rules.check_mode(template.tag, request.over_quota)
        or _check_journey(asked)
        or rules.prepare_data(template.params, request.data)
    )


def _check_journey(asked: _Asked) -> Refused | None:
    journey = asked.journey
    if journey is None:
        return None
    if journey.state is JourneyState.EXPIRED:
        return Refused(rules.TOKEN_EXPIRED, "Journey token is expired")
    if journey.phone != asked.phone or journey.token is None:
        return Refused(rules.TOKEN_INVALID, "Journey token is invalid for this phone")
    return None


async def _place(tx: Tx, asked: _Asked, known: Known, now: datetime) -> Place | Refused | None:
    if asked.request.development:
        return None
    return await quotas.reserve(
        tx,
        asked.held.account_id,
        asked.held.oa_ref,
        known.template.template_id,
        tag=known.template.tag,
        over=asked.request.over_quota,
        now=now,
    )


async def _fee(tx: Tx, asked: _Asked, known: Known, now: datetime) -> Fee | FeeRefusal | None:
    """What is held for it. A journey paid for its messages when it was made; testers cost nothing."""
    if asked.request.development or asked.journey is not None:
        return None
    ask = FeeAsk(asked.held.account_id, "message_fee", known.template.price or _NOTHING)
    [fee] = await billing.hold_fees(tx, [ask], now)
    return fee


async def _refuse(
    tx: Tx,
    asked: _Asked,
    known: Known | None,
    data: Mapping[str, str | None],
    refused: Refused,
    now: datetime,
) -> ZnsMessage:
    row = _row(asked, known, data, None, None, now, refused)
    return (await store.add(tx, row, now)).message


def _row(
    asked: _Asked,
    known: Known | None,
    data: Mapping[str, str | None],
    place: Place | None,
    fee: Fee | None,
    now: datetime,
    refused: Refused | None = None,
) -> NewMessage:
    """`known` None: nobody knows whether it is a one-time code, so its data is not kept either."""
    request, journey = asked.request, asked.journey
    secret = known is None or known.one_time
    return NewMessage(
        account_id=asked.held.account_id,
        oa_ref=asked.held.oa_ref,
        oa_id=asked.held.oa_id,
        user_id=asked.user_id,
        type="template" if journey is None else "journey",
        journey_ref=None if journey is None else journey.id,
        journey_id=None if journey is None else journey.journey_id,
        phone=asked.phone,
        template_id=request.template_id,
        data={} if secret else data,
        tracking_id=request.tracking_id,
        development=request.development,
        sending_mode=OVER_QUOTA if request.over_quota else None,
        state=MessageState.SENDING if refused is None else MessageState.REFUSED,
        error_code=0 if refused is None else refused.code,
        error_message="" if refused is None else refused.message,
        price=None if known is None else known.template.price,
        timeout_ms=None if known is None else known.template.timeout_ms,
        counted=place is not None,
        promotion=place is not None and place.promotion,
        net=_NOTHING if fee is None else fee.net,
        vat=_NOTHING if fee is None else fee.vat,
        vat_percent=None if fee is None else fee.vat_percent,
        follow_at=now + LAPSE if refused is None else None,
    )


# ---------------------------------------------------------------- Zalo is asked


async def _send(bridge: Bridge, asked: _Asked, ready: _Ready) -> ZnsMessage:
    """Raises the ZaloErrors that are no refusal, once what became of the message is written down."""
    kept, clock = ready.kept, bridge.clock
    try:
        sent = await tokens.ask(bridge, asked.held, _call(bridge, asked, ready))
    except ConsentLapsedError as lapsed:
        return await _refused(bridge, ready, ACCESS_GONE, lapsed.message)
    except ZaloRefusedError as refused:
        return await _refused(bridge, ready, refused.code, refused.said)
    except ZaloError as error:
        if error.doubtful:
            await _written(bridge, lambda tx: outcomes.doubted(tx, kept, clock.now()))
        else:
            said = "Zalo could not be reached: nothing was sent"
            await _written(bridge, lambda tx: outcomes.refused(tx, kept, UNREACHED, said, clock.now()))
        raise
    mark = None if ready.place is None else ready.place.mark + 1
    return await _written(bridge, lambda tx: outcomes.accepted(tx, kept, sent, mark, clock.now()))


async def _written(bridge: Bridge, write: Callable[[Tx], Awaitable[ZnsMessage]]) -> ZnsMessage:
    """What Zalo said is known to this process alone. Twice is as once."""
    return await insisted(bridge, write, within_s=INSISTED_S)


def _call(bridge: Bridge, asked: _Asked, ready: _Ready) -> Callable[[Access], Awaitable[Sent]]:
    message = Message(
        phone=asked.phone,
        template_id=asked.request.template_id,
        data=ready.data,
        tracking_id=ready.kept.tracking_sent,
        development=asked.request.development,
        sending_mode=OVER_QUOTA if asked.request.over_quota else None,
    )
    token = None if asked.journey is None else asked.journey.token

    async def call(access: Access) -> Sent:
        return await bridge.client.send(access, message, journey_token=token)

    return call


async def _refused(bridge: Bridge, ready: _Ready, code: int, said: str) -> ZnsMessage:
    message = ready.kept.message
    refused = await _written(
        bridge, lambda tx: outcomes.refused(tx, ready.kept, code, said, bridge.clock.now())
    )
    # In a transaction of its own: these are locked before messages.
    if code in _DOUBTFUL_QUOTA | _DOUBTFUL_TEMPLATE:
        async with bridge.db.transaction() as tx:
            if code in _DOUBTFUL_QUOTA:
                await kept_facts.due_now(tx, message.account_id, message.oa_ref, bridge.clock.now())
            else:
                await kept_templates.doubt(tx, message.account_id, message.oa_ref, message.template_id)
    return refused
