"""Passwords: hashed with argon2id, and checked without telling whether there is such a user."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tongdai.domain.accounts.errors import PasswordsBusyError, UserNotFoundError
from tongdai.domain.accounts.model import MAX_PASSWORD, PasswordHash, User, check_password
from tongdai.domain.accounts.store import accounts as store
from tongdai.domain.accounts.store import logins
from tongdai.kit.db import Tx

_AT_ONCE: Final = 2
"""Hashes in the making in one process. Each takes 64 MiB and some 50 ms on four cores, so a flood of logins
waits here, and neither fills the memory nor takes the threads that read other requests' bodies."""
_MOST_WAITING: Final = 64
"""Passwords that are checked or wait for it. More would wait for seconds, and a flood of them would take
every place that the process has for requests."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a name's password is to be checked against; nothing shows whether anybody has the name."""

    user: User | None = field(repr=False)
    stored: str | None = field(repr=False)


async def hash_password(password: str) -> PasswordHash:
    """argon2id, in a thread.

    Raises:
        AccountInvalidError: shorter than 8 or longer than 1,024 characters.
    """
    check_password(password)
    return PasswordHash(await _in_turn(lambda: _hasher().hash(_password_bytes(password))))


async def change_password(tx: Tx, account_id: int, user_id: int, password: str) -> None:
    """Every login that was made with the old one ends. Raises AccountInvalidError, UserNotFoundError."""
    if not await store.set_password_hash(tx, account_id, user_id, await hash_password(password)):
        raise UserNotFoundError
    await logins.revoke_of_user(tx, account_id, user_id)


async def verify_password(tx: Tx, email: str, password: str) -> User | None:
    """The enabled user with this address and password.

    An unknown address costs as much time as a wrong password, so that nobody can ask who has an account.
    """
    found = await find_credentials(tx, email)
    if not await matches(found, password):
        return None
    if found.user is not None and found.stored is not None and _hasher().check_needs_rehash(found.stored):
        user = found.user
        await store.set_password_hash(tx, user.account_id, user.id, await hash_password(password))
    return found.user


async def find_credentials(tx: Tx, email: str) -> Credentials:
    """For `matches`, which takes its time and needs no connection: two steps of `verify_password`."""
    user = await store.find_user(tx, email) if email.isprintable() else None
    if user is None or user.disabled_at is not None:
        return Credentials(None, None)
    return Credentials(user, await store.get_password_hash(tx, user))


async def matches(credentials: Credentials, password: str) -> bool:
    """Whether there is such a user and this is the password. Takes the same time for everybody.

    Raises PasswordsBusyError at once when too many wait.
    """
    stored = credentials.stored
    places = _places()
    if places.locked():
        raise PasswordsBusyError
    async with places:
        same = await _in_turn(lambda: _matches(stored or _decoy_hash(), password))
    return same and stored is not None


async def _in_turn(work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(_threads(), work)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="password")


@cache
def _places() -> asyncio.Semaphore:
    """Nobody ever waits for one, so that it is bound to no loop."""
    return asyncio.Semaphore(_MOST_WAITING)


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _decoy_hash() -> str:
    return _hasher().hash(secrets.token_bytes(16))


def _matches(password_hash: str, password: str) -> bool:
    if len(password) > MAX_PASSWORD:
        return False
    try:
        return _hasher().verify(password_hash, _password_bytes(password))
    except (VerificationError, InvalidHashError):
        return False


def _password_bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
