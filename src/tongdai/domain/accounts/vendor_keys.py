"""Keys of vendors' APIs, as the vendor has them: several per account, with a state, to be looked up again."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from msgspec import UNSET, UnsetType

from tongdai.domain.accounts.errors import UserNotFoundError, VendorKeyNotFoundError
from tongdai.domain.accounts.model import Caller, check_texts
from tongdai.domain.accounts.store import vendor_keys as store
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx

VendorKind = Literal["interits"]
"""Whose API a key opens."""

_HINT_LENGTH: Final = 8
_LONGEST_KEY: Final = 200


class KeyState(StrEnum):
    """What a key is worth now. An inactive one stays inactive, whenever it would have expired."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class VendorKey:
    """A key as it is listed: `hint` is its first characters."""

    id: int
    user_id: int
    kind: str
    name: str
    hint: str
    state: KeyState
    expires_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KnownKey:
    """Whose key came, and whether it is good: a vendor tells an unknown key from one that is over."""

    caller: Caller
    state: KeyState


async def issue_vendor_key(
    tx: Tx,
    keyring: Keyring,
    account_id: int,
    user_id: int,
    kind: VendorKind,
    name: str,
    *,
    now: datetime,
    expires_at: datetime | None = None,
) -> tuple[VendorKey, str]:
    """A key that acts as this user, and its text: 48 hexadecimal digits.

    Raises:
        AccountInvalidError: the name is empty, too long or not printable.
        UserNotFoundError: the account has no such user.
    """
    check_texts(name=name)
    key = secrets.token_hex(24)
    new = store.NewKey(
        account_id=account_id,
        user_id=user_id,
        kind=kind,
        name=name,
        hint=key[:_HINT_LENGTH],
        sealed=keyring.seal(key.encode(), context=_seal_context(kind, account_id)),
        lookup_hash=keyring.lookup_hash(key, context=_lookup_context(kind)),
        expires_at=expires_at,
    )
    row = await store.insert_key(tx, new)
    if row is None:
        raise UserNotFoundError
    return _shown(row, now), key


async def list_vendor_keys(tx: Tx, account_id: int, now: datetime) -> list[VendorKey]:
    """All of an account, oldest first, each in the state that it is in at `now`."""
    return [_shown(row, now) for row in await store.list_keys(tx, account_id)]


async def reveal_vendor_key(tx: Tx, keyring: Keyring, account_id: int, key_id: int) -> str:
    """The text of a key, for its owner to look up.

    Raises:
        SealBrokenError: it was sealed with another master key.
        VendorKeyNotFoundError: the account has no such key.
    """
    found = await store.get_sealed(tx, account_id, key_id)
    if found is None:
        raise VendorKeyNotFoundError
    kind, sealed = found
    return keyring.open(sealed, context=_seal_context(kind, account_id)).decode()


async def change_vendor_key(
    tx: Tx,
    account_id: int,
    key_id: int,
    *,
    now: datetime,
    name: str | UnsetType = UNSET,
    active: bool | UnsetType = UNSET,
    expires_at: datetime | UnsetType | None = UNSET,
) -> VendorKey:
    """Changes what is given and keeps the rest; `expires_at` None: never.

    Raises:
        AccountInvalidError: the name is empty, too long or not printable.
        VendorKeyNotFoundError: the account has no such key.
    """
    row = await store.lock_key(tx, account_id, key_id)
    if row is None:
        raise VendorKeyNotFoundError
    if not isinstance(name, UnsetType):
        check_texts(name=name)
        row = replace(row, name=name)
    if not isinstance(active, UnsetType):
        row = replace(row, active=active)
    if not isinstance(expires_at, UnsetType):
        row = replace(row, expires_at=expires_at)
    await store.update_key(tx, account_id, row)
    return _shown(row, now)


async def authenticate_vendor_key(
    db: Database, keyring: Keyring, kind: VendorKind, key: str, now: datetime
) -> KnownKey | None:
    """Whose key this is and in which state; None for any text that is no key of an enabled user.

    Looked up together with the keys of other requests that are there.
    """
    if len(key) > _LONGEST_KEY:
        return None
    hash = keyring.lookup_hash(key, context=_lookup_context(kind))
    found = await db.read_together(store.find_keys, (kind, hash))
    if found is None:
        return None
    caller, active, expires_at = found
    return KnownKey(caller, _state(active, expires_at, now))


def _shown(row: store.KeyRow, now: datetime) -> VendorKey:
    state = _state(row.active, row.expires_at, now)
    return VendorKey(row.id, row.user_id, row.kind, row.name, row.hint, state, row.expires_at, row.created_at)


def _state(active: bool, expires_at: datetime | None, now: datetime) -> KeyState:
    if not active:
        return KeyState.INACTIVE
    return KeyState.EXPIRED if expires_at is not None and expires_at <= now else KeyState.ACTIVE


def _seal_context(kind: str, account_id: int) -> str:
    return f"vendor_key:{kind}:{account_id}"


def _lookup_context(kind: str) -> str:
    return f"vendor_key:{kind}"
