"""Asking Zalo something over an Official Account, with an access token that is good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tongdai.domain.zalo import refreshing
from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.errors import ConsentLapsedError, OaNotFoundError
from tongdai.domain.zalo.model import OaState
from tongdai.domain.zalo.oas import check_one_is_meant
from tongdai.domain.zalo.seals import open_app, open_token
from tongdai.domain.zalo.store import oas
from tongdai.domain.zalo.store.oas import HeldRow
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx
from tongdai.ports.zalo import Access, Refusal, ZaloRefusedError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeldOa:
    """An Official Account, and what opens it."""

    oa_ref: int
    account_id: int
    oa_id: int
    app_id: int
    state: OaState
    access: Access | None
    """None: it is not connected."""
    version: int
    """Of the pair of tokens."""


async def held_oa(tx: Tx, keyring: Keyring, account_id: int, oa_id: int | None) -> HeldOa:
    """The Official Account of this id at Zalo, or the one meant where none is named (`get_oa`).

    Raises OaNotFoundError, for a stranger's too; OaNotNamedError; SealBrokenError.
    """
    found = await oas.held(tx, account_id, oa_id)
    if oa_id is None:
        check_one_is_meant([row.state for row in found])
    elif not found:
        raise OaNotFoundError(oa_id=oa_id)
    return _opened(found[0], keyring)


async def held_for_request(bridge: Bridge, account_id: int, oa_id: int | None) -> HeldOa:
    """The same for a request: one that is named is looked up together with those of other requests that are
    there. Raises what `held_oa` does."""
    if oa_id is None:
        async with bridge.db.autocommit() as connection:
            return await held_oa(connection, bridge.keyring, account_id, None)
    row = await bridge.db.read_together(oas.held_each, (account_id, oa_id))
    if row is None:
        raise OaNotFoundError(oa_id=oa_id)
    return _opened(row, bridge.keyring)


async def ask(bridge: Bridge, held: HeldOa, call: Callable[[Access], Awaitable[T]]) -> T:
    """What `call` answers. Where Zalo says that the access token is over, a new one is got, by one process
    for all that wait for it, and `call` is made once more.

    Raises ConsentLapsedError: it needs, or turns out to need, the consent of its administrator.
    ZaloAwayError: no new token could be got for now, and `call` did nothing. Otherwise what `call` raises.
    """
    if held.access is None:
        raise ConsentLapsedError(oa_id=held.oa_id)
    try:
        return await call(held.access)
    except ZaloRefusedError as error:
        if error.refusal is not Refusal.ACCESS:
            raise
    newer = await _renewed(bridge, held)
    try:
        return await call(newer)
    except ZaloRefusedError as error:
        if error.refusal is Refusal.ACCESS:
            await refreshing.refused_again(bridge, held.account_id, held.oa_ref)
        raise


async def _renewed(bridge: Bridge, held: HeldOa) -> Access:
    await refreshing.renew(bridge, held.account_id, held.oa_ref, held.version)
    async with bridge.db.transaction() as tx:
        newer = await held_oa(tx, bridge.keyring, held.account_id, held.oa_id)
    if newer.access is None:
        raise ConsentLapsedError(oa_id=held.oa_id)
    return newer.access


def _opened(row: HeldRow, keyring: Keyring) -> HeldOa:
    access = None
    if row.state == OaState.CONNECTED and row.access_token is not None:
        proof = None if row.proof_secret is None else open_app(keyring, row.account_id, row.proof_secret)
        access = Access(open_token(keyring, row.account_id, row.access_token), row.app_id, proof)
    return HeldOa(
        oa_ref=row.oa_ref,
        account_id=row.account_id,
        oa_id=row.oa_id,
        app_id=row.app_id,
        state=OaState(row.state),
        access=access,
        version=row.version,
    )
