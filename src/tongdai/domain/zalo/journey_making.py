"""Making a journey: Zalo is asked, and what it answered is kept with the hold of its price.

A token costs nothing at Zalo before its first message, so Zalo is asked first. Where the wallet then cannot
pay, the journey is kept as refused, and nobody gets its token. Journeys that are made at the same time are
kept together, with one change of each wallet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import anyio

from tongdai.domain import billing, contacts
from tongdai.domain.billing import Fee, FeeAsk, FeeRefusal
from tongdai.domain.zalo import tokens
from tongdai.domain.zalo.attempting import sheltered
from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.errors import ConsentLapsedError, JourneyInvalidError, KeyBusyError, KeyReusedError
from tongdai.domain.zalo.journey_rows import opened, seal_token, shown
from tongdai.domain.zalo.model import ACCESS_GONE, NO_BILLING, OUT_OF_MONEY, Journey, JourneyState
from tongdai.domain.zalo.store import journeys as store
from tongdai.domain.zalo.store.journeys import JourneyRow
from tongdai.domain.zalo.tokens import HeldOa
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx
from tongdai.ports.zalo import (
    DEFAULT_TOKEN_TYPE,
    JOURNEY_LIFE,
    JourneyToken,
    Refusal,
    TokenType,
    ZaloRefusedError,
)

KEY_LIFE: Final = timedelta(hours=48)
"""For how long an `Idempotency-Key` gives its journey again."""
SUCCESS: Final = "Success"
"""What Zalo says of what it did."""

_KEY_DEAD_AFTER: Final = timedelta(seconds=60)
"""A request that has not ended by then died: another may take its key over. Longer than any request lasts."""
_KEY_WAIT_S: Final = 5.0
_KEY_LOOK_S: Final = 0.05
_KEY_LONGEST_LOOK_S: Final = 1.0
"""Looked for less and less often, so that a thousand who wait keep the database free for others."""
_MAX_KEY: Final = 255
_LASTING: Final = frozenset({Refusal.RECIPIENT, Refusal.REQUEST})
"""What the same request meets again."""
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
class _Key:
    """An `Idempotency-Key` that is ours to use."""

    text: str
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class _Kept:
    """A journey to be written; its id is 0 until it is."""

    row: JourneyRow
    key: _Key | None
    passing: bool = False
    """It was refused for a reason that may be gone when the same request comes again."""


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
    48 hours, unless that was refused for a reason that passes (consent, money, a quota): then it is tried
    anew. `oa_id` None: the account's only connected Official Account.

    Raises JourneyInvalidError, KeyReusedError, KeyBusyError, OaNotFoundError, OaNotNamedError, and the
    ZaloErrors that are no refusal: then nothing is kept.
    """
    wanted = _Wanted(account_id, user_id, oa_id, _number(phone), token_type)
    if idempotency_key is None:
        return await _make(bridge, wanted, None)
    if not 0 < len(idempotency_key) <= _MAX_KEY or not idempotency_key.isprintable():
        fault = f"must be 1 to {_MAX_KEY} printable characters"
        raise JourneyInvalidError(errors=[("Idempotency-Key", fault)])
    return await _make_once(bridge, wanted, idempotency_key)


def _number(phone: str) -> str:
    normalised = contacts.normalise(phone)
    if not normalised.callable:
        raise JourneyInvalidError(errors=[("phone", "must be a Vietnamese phone number")])
    return normalised.number


async def _make(bridge: Bridge, wanted: _Wanted, key: _Key | None) -> Journey:
    held = await tokens.held_for_request(bridge, wanted.account_id, wanted.oa_id)
    now = bridge.clock.now()
    token, passing = None, False
    try:
        made = await tokens.ask(
            bridge,
            held,
            lambda access: bridge.client.create_journey(access, wanted.phone, wanted.token_type),
        )
        token = made.token
        row = _open_row(bridge.keyring, held, wanted, made, now)
    except ConsentLapsedError as lapsed:
        row, passing = _refused(_row(held, wanted, now), ACCESS_GONE, lapsed.message), True
    except ZaloRefusedError as refused:
        row = _refused(_row(held, wanted, now), refused.code, refused.said)
        passing = refused.refusal not in _LASTING
    row = await bridge.db.together(_keep, _Kept(row, key, passing))
    return shown(row, token if row.state == JourneyState.OPEN else None)


async def _keep(tx: Tx, journeys: Sequence[_Kept]) -> list[JourneyRow]:
    """Writes some journeys as they are paid for, and gives them their ids."""
    made = [one.row for one in journeys if one.row.state == JourneyState.OPEN]
    if made:
        asks = [FeeAsk(row.account_id, "journey") for row in made]
        answers = iter(await billing.hold_fees(tx, asks, made[0].created_at))
        rows = [
            _paid(one.row, next(answers)) if one.row.state == JourneyState.OPEN else one.row
            for one in journeys
        ]
    else:
        rows = [one.row for one in journeys]
    ids = await store.add(tx, rows)
    kept = [replace(row, id=id) for row, id in zip(rows, ids, strict=True)]
    for one, row in zip(journeys, kept, strict=True):
        if one.key is not None:
            await _end_key(tx, one, one.key, row)
    return kept


async def _end_key(tx: Tx, asked: _Kept, key: _Key, row: JourneyRow) -> None:
    """Whoever took too long has lost its key to another: then there are two journeys, each told to one."""
    unpaid = row.state == JourneyState.REFUSED and asked.row.state == JourneyState.OPEN
    if asked.passing or unpaid:
        await store.drop_key(tx, row.account_id, key.text, key.begun_at)
    else:
        await store.end_key(tx, row.account_id, key.text, key.begun_at, row.id)


# ---------------------------------------------------------------- once for each key


async def _make_once(bridge: Bridge, wanted: _Wanted, text: str) -> Journey:
    give_up = anyio.current_time() + _KEY_WAIT_S
    pause_s = _KEY_LOOK_S
    while (found := await _claimed(bridge, wanted, text)) is None:
        if anyio.current_time() > give_up:
            raise KeyBusyError
        await anyio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _KEY_LONGEST_LOOK_S)
    if isinstance(found, Journey):
        return found
    # Whoever hangs up comes back with the key, for the journey that was made meanwhile.
    return await sheltered(_make_keyed(bridge, wanted, found))


async def _make_keyed(bridge: Bridge, wanted: _Wanted, key: _Key) -> Journey:
    try:
        return await _make(bridge, wanted, key)
    except Exception:
        async with bridge.db.autocommit() as connection:
            await store.drop_key(connection, wanted.account_id, key.text, key.begun_at)
        raise


async def _claimed(bridge: Bridge, wanted: _Wanted, text: str) -> Journey | _Key | None:
    """The journey that this key made; else the key, which is ours now; None: another request has it."""
    now, asked = bridge.clock.now(), wanted.digest()
    async with bridge.db.transaction() as tx:
        begun_at = await store.begin_key(tx, wanted.account_id, text, asked, now, now - _KEY_DEAD_AFTER)
        if begun_at is not None:
            return _Key(text, begun_at)
        known = await store.key(tx, wanted.account_id, text)
        if known is None:  # it was given up just now
            return None
        if known[0] != asked:
            raise KeyReusedError
        if known[1] is None:
            return None
        row = await store.get(tx, wanted.account_id, known[1], now)
    assert row is not None, "a key names a journey of its account"
    return opened(bridge.keyring, row)


async def forget_journey_keys(tx: Tx, now: datetime, most: int = 2000) -> int:
    """Deletes keys that give nothing again any more. Returns how many; `most`: there may be more."""
    return await store.forget_keys(tx, now - KEY_LIFE, most)


# ---------------------------------------------------------------- rows


def _row(held: HeldOa, wanted: _Wanted, now: datetime) -> JourneyRow:
    """One that costs nothing, and has no token yet."""
    return JourneyRow(
        id=0,
        account_id=wanted.account_id,
        oa_ref=held.oa_ref,
        oa_id=held.oa_id,
        user_id=wanted.user_id,
        phone=wanted.phone,
        token_type=wanted.token_type,
        state=JourneyState.OPEN,
        journey_id=None,
        token=None,
        error_code=0,
        error_message=SUCCESS,
        charged=False,
        charged_at=None,
        held=Decimal(0),
        net=Decimal(0),
        vat=Decimal(0),
        vat_percent=None,
        created_at=now,
        expires_at=None,
        updated_at=now,
    )


def _open_row(
    keyring: Keyring, held: HeldOa, wanted: _Wanted, made: JourneyToken, now: datetime
) -> JourneyRow:
    return replace(
        _row(held, wanted, now),
        journey_id=made.journey_id,
        token=seal_token(keyring, wanted.account_id, made.token),
        expires_at=now + JOURNEY_LIFE[wanted.token_type],
    )


def _paid(row: JourneyRow, answer: Fee | FeeRefusal | None) -> JourneyRow:
    """None: the account's billing is off."""
    if isinstance(answer, FeeRefusal):
        return _refused(row, *_REFUSALS[answer])
    if answer is None:
        return row
    return replace(row, held=answer.amount, net=answer.net, vat=answer.vat, vat_percent=answer.vat_percent)


def _refused(row: JourneyRow, code: int, said: str) -> JourneyRow:
    return replace(
        row,
        state=JourneyState.REFUSED,
        journey_id=None,
        token=None,
        expires_at=None,
        error_code=code,
        error_message=said,
    )
