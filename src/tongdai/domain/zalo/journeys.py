"""Journeys: made at Zalo, kept with their token, charged once, ended by Zalo's event or by the clock.

A token costs nothing at Zalo before its first message, so Zalo is asked first; the journey is kept together
with the hold of its price, or as refused where the wallet cannot pay it, and then nobody gets its token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import anyio

from tongdai.domain import billing, contacts
from tongdai.domain.billing import Fee, FeeAsk, FeeRefusal
from tongdai.domain.zalo import tokens
from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.errors import (
    ConsentLapsedError,
    JourneyInvalidError,
    JourneyNotFoundError,
    KeyBusyError,
    KeyReusedError,
)
from tongdai.domain.zalo.model import (
    ACCESS_GONE,
    NO_BILLING,
    OUT_OF_MONEY,
    Journey,
    JourneyFilter,
    JourneyState,
    Page,
    Paging,
)
from tongdai.domain.zalo.store import journeys as store
from tongdai.domain.zalo.store.journeys import JourneyRow, NewRow
from tongdai.domain.zalo.telling import tell_journeys
from tongdai.domain.zalo.tokens import HeldOa
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx
from tongdai.ports.zalo import (
    DEFAULT_TOKEN_TYPE,
    JOURNEY_LIFE,
    JourneyToken,
    TokenType,
    ZaloRefusedError,
)

HOLD_AFTER_EXPIRY: Final = timedelta(hours=3)
"""How long its price stays held after a journey is over: Zalo tells an event again for two hours."""
KEY_LIFE: Final = timedelta(hours=48)
"""For how long an `Idempotency-Key` gives its journey again."""
_KEY_DEAD_AFTER: Final = timedelta(seconds=60)
"""A request that has not ended by then died: another may take its key over. Longer than any request lasts."""
_KEY_WAIT_S: Final = 5.0
_KEY_LOOK_S: Final = 0.05
_MAX_KEY: Final = 255

SUCCESS: Final = "Success"
"""What Zalo says of what it did."""
_REFUSALS: Final = {
    FeeRefusal.NO_FUNDS: (OUT_OF_MONEY, "The wallet does not cover the price of a journey: top it up"),
    FeeRefusal.NO_PLAN: (NO_BILLING, "The account has no valid plan"),
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A request for a journey."""

    account_id: int
    user_id: int
    oa_id: int | None
    phone: str
    token_type: TokenType

    def digest(self) -> bytes:
        """Equal for equal requests."""
        return hashlib.sha256(f"{self.oa_id}|{self.phone}|{self.token_type}".encode()).digest()


@dataclass(frozen=True, slots=True)
class _Refused:
    code: int
    said: str


# ---------------------------------------------------------------- making one


async def create_journey(
    bridge: Bridge,
    account_id: int,
    user_id: int,
    *,
    oa_id: int | None,
    phone: str,
    token_type: TokenType = DEFAULT_TOKEN_TYPE,
    idempotency_key: str | None = None,
) -> Journey:
    """A new journey for a number, in whatever form it is written; in state `refused`, with Zalo's code, where
    Zalo refuses it, where the consent has lapsed, or where the wallet cannot pay.

    Every call makes one, but an equal `idempotency_key` with an equal request gives the first one again for
    48 hours. `oa_id` None: the account's only connected Official Account.

    Raises JourneyInvalidError, KeyReusedError, KeyBusyError, OaNotFoundError, OaNotNamedError, and the
    ZaloErrors that are no refusal: then nothing is kept.
    """
    wanted = _Wanted(account_id, user_id, oa_id, _number(phone), token_type)
    if idempotency_key is None:
        return await _make(bridge, wanted)
    if not 0 < len(idempotency_key) <= _MAX_KEY or not idempotency_key.isprintable():
        fault = f"must be 1 to {_MAX_KEY} printable characters"
        raise JourneyInvalidError(errors=[("Idempotency-Key", fault)])
    return await _make_once(bridge, wanted, idempotency_key)


async def _make(
    bridge: Bridge, wanted: _Wanted, also: Callable[[Tx, int], Awaitable[None]] | None = None
) -> Journey:
    """`also`: what else is written with it, given its id."""
    async with bridge.db.autocommit() as connection:
        held = await tokens.held_oa(connection, bridge.keyring, wanted.account_id, wanted.oa_id)
    answer = await _asked(bridge, held, wanted)
    now = bridge.clock.now()
    async with bridge.db.transaction() as tx:
        row, token = await _kept(tx, bridge.keyring, held, wanted, answer, now)
        if also is not None:
            await also(tx, row.id)
    return _shown(row, token)


async def _asked(bridge: Bridge, held: HeldOa, wanted: _Wanted) -> JourneyToken | _Refused:
    try:
        return await tokens.ask(
            bridge,
            held,
            lambda access: bridge.client.create_journey(access, wanted.phone, wanted.token_type),
        )
    except ConsentLapsedError as lapsed:
        return _Refused(ACCESS_GONE, lapsed.message)
    except ZaloRefusedError as refused:
        return _Refused(refused.code, refused.said)


async def _kept(
    tx: Tx,
    keyring: Keyring,
    held: HeldOa,
    wanted: _Wanted,
    answer: JourneyToken | _Refused,
    now: datetime,
) -> tuple[JourneyRow, str | None]:
    """The journey as it is written, with its token."""
    fee: Fee | None = None
    if isinstance(answer, JourneyToken):
        [paid] = await billing.hold_fees(tx, [FeeAsk(wanted.account_id, "journey")], now)
        if isinstance(paid, FeeRefusal):
            answer = _Refused(*_REFUSALS[paid])
        else:
            fee = paid
    new = _new_row(keyring, held, wanted, answer, fee, now)
    [id] = await store.add(tx, [new])
    return _as_written(id, new), answer.token if isinstance(answer, JourneyToken) else None


def _new_row(
    keyring: Keyring,
    held: HeldOa,
    wanted: _Wanted,
    answer: JourneyToken | _Refused,
    fee: Fee | None,
    now: datetime,
) -> NewRow:
    made = answer if isinstance(answer, JourneyToken) else None
    refused = answer if isinstance(answer, _Refused) else None
    return NewRow(
        account_id=wanted.account_id,
        oa_ref=held.oa_ref,
        oa_id=held.oa_id,
        user_id=wanted.user_id,
        phone=wanted.phone,
        token_type=wanted.token_type,
        state=JourneyState.OPEN if made else JourneyState.REFUSED,
        journey_id=made.journey_id if made else None,
        token=_sealed(keyring, wanted.account_id, made.token) if made else None,
        error_code=refused.code if refused else 0,
        error_message=refused.said if refused else SUCCESS,
        held=fee.amount if fee else Decimal(0),
        net=fee.net if fee else Decimal(0),
        vat=fee.vat if fee else Decimal(0),
        vat_percent=fee.vat_percent if fee else None,
        created_at=now,
        expires_at=now + JOURNEY_LIFE[wanted.token_type] if made else None,
    )


# ---------------------------------------------------------------- once for each key


async def _make_once(bridge: Bridge, wanted: _Wanted, key: str) -> Journey:
    asked = wanted.digest()
    give_up = anyio.current_time() + _KEY_WAIT_S
    while (begun := await _begun(bridge, wanted.account_id, key, asked)) is None:
        if anyio.current_time() > give_up:
            raise KeyBusyError
        await anyio.sleep(_KEY_LOOK_S)
    return begun if isinstance(begun, Journey) else await _make_for_key(bridge, wanted, key, begun)


async def _begun(bridge: Bridge, account_id: int, key: str, asked: bytes) -> Journey | datetime | None:
    """The journey of this key; else since when the key is ours; None: another request of it is under way."""
    now = bridge.clock.now()
    async with bridge.db.transaction() as tx:
        begun_at = await store.begin_key(tx, account_id, key, asked, now, now - _KEY_DEAD_AFTER)
        if begun_at is not None:
            return begun_at
        known = await store.key(tx, account_id, key)
        if known is None:  # it was given up just now
            return None
        if known[0] != asked:
            raise KeyReusedError
        if known[1] is None:
            return None
        row = await store.get(tx, account_id, known[1], now)
    assert row is not None, "a key names a journey of its account"
    return _opened(bridge.keyring, row)


async def _make_for_key(bridge: Bridge, wanted: _Wanted, key: str, begun_at: datetime) -> Journey:
    async def note(tx: Tx, journey_ref: int) -> None:
        # Whoever took too long has lost its key to another: then there are two journeys, each told to one.
        await store.end_key(tx, wanted.account_id, key, begun_at, journey_ref)

    try:
        return await _make(bridge, wanted, note)
    except BaseException:
        with anyio.CancelScope(shield=True):
            async with bridge.db.autocommit() as connection:
                await store.drop_key(connection, wanted.account_id, key, begun_at)
        raise


async def forget_journey_keys(tx: Tx, now: datetime, most: int = 5000) -> int:
    """Deletes keys that give nothing again any more. Returns how many; `most`: there may be more."""
    return await store.forget_keys(tx, now - KEY_LIFE, most)


# ---------------------------------------------------------------- reading


async def get_journey(
    tx: Tx, keyring: Keyring, account_id: int, journey_id: str, oa_id: int | None, *, now: datetime
) -> Journey:
    """By Zalo's id, else by ours. Raises JourneyNotFoundError, for a stranger's too."""
    ours = journey_id.isascii() and journey_id.isdigit() and len(journey_id) < 19
    own_id = int(journey_id) if ours else None
    row = await store.find(tx, account_id, journey_id, own_id, oa_id, now)
    if row is None:
        raise JourneyNotFoundError
    return _opened(keyring, row)


async def list_journeys(
    tx: Tx, keyring: Keyring, account_id: int, wanted: JourneyFilter, paging: Paging, *, now: datetime
) -> Page[Journey]:
    rows = await store.list_(tx, account_id, wanted, paging, now)
    return paging.page([_opened(keyring, row) for row in rows], lambda journey: journey.id)


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


async def expire_journey(tx: Tx, account_id: int, *, zalo_id: str, now: datetime) -> Journey | None:
    """Zalo says that it is over. What is held for it is let go later, because events may come out of order.

    Returns None where there is no such journey, or it was over before.
    """
    id = await store.expire(tx, account_id, zalo_id, now)
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
    return _shown(row, None), row


# ---------------------------------------------------------------- shapes


def _number(phone: str) -> str:
    normalised = contacts.normalise(phone)
    if not normalised.callable:
        raise JourneyInvalidError(errors=[("phone", "must be a Vietnamese phone number")])
    return normalised.number


def _opened(keyring: Keyring, row: JourneyRow) -> Journey:
    sealed = row.token
    if sealed is None:
        return _shown(row, None)
    return _shown(row, keyring.open(sealed, context=_seal_context(row.account_id)).decode())


def _as_written(id: int, new: NewRow) -> JourneyRow:
    """What reading it back would give."""
    return JourneyRow(
        id=id,
        account_id=new.account_id,
        oa_ref=new.oa_ref,
        oa_id=new.oa_id,
        user_id=new.user_id,
        phone=new.phone,
        token_type=new.token_type,
        state=new.state,
        journey_id=new.journey_id,
        token=new.token,
        error_code=new.error_code,
        error_message=new.error_message,
        charged=False,
        charged_at=None,
        held=new.held,
        net=new.net,
        vat=new.vat,
        vat_percent=new.vat_percent,
        created_at=new.created_at,
        expires_at=new.expires_at,
        updated_at=new.created_at,
    )


def _shown(row: JourneyRow, token: str | None) -> Journey:
    return Journey(
        id=row.id,
        account_id=row.account_id,
        oa_ref=row.oa_ref,
        oa_id=row.oa_id,
        phone=row.phone,
        token_type=row.token_type,
        state=JourneyState(row.state),
        journey_id=row.journey_id,
        token=token,
        error_code=row.error_code,
        error_message=row.error_message,
        charged=row.charged,
        charged_at=row.charged_at,
        price=row.net + row.vat,
        created_at=row.created_at,
        expires_at=row.expires_at,
        updated_at=row.updated_at,
    )


def _sealed(keyring: Keyring, account_id: int, token: str) -> bytes:
    return keyring.seal(token.encode(), context=_seal_context(account_id))


def _seal_context(account_id: int) -> str:
    return f"zalo-journey:{account_id}"
