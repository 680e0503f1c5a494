"""Logins with a name and a password: an access token for some hours, and a refresh token for the next one.

A refresh token works once. One that comes a second time was copied, and nobody can say by whom: its login
ends, and with it every token that came from it (RFC 9700, section 4.14.2).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

import jwt

from tongdai.domain.accounts.errors import UserNotFoundError
from tongdai.domain.accounts.model import Caller, User
from tongdai.domain.accounts.store import logins as store
from tongdai.domain.accounts.tokens import ALGORITHM, read_claims
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx

_FORGOTTEN: Final = 10
"""Expired logins that each new one removes: more than come in, so that they never pile up."""


@dataclass(frozen=True, slots=True)
class Lives:
    """For how long the tokens of a login are valid; whole seconds."""

    access: timedelta
    refresh: timedelta


@dataclass(frozen=True, slots=True)
class LoginTokens:
    """What a login gives its client."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    """Seconds for which the access token is valid from now."""


async def open_login(
    tx: Tx,
    keyring: Keyring,
    clock: Clock,
    user: User,
    kind: str,
    lives: Lives,
    *,
    checked: str | None = None,
) -> LoginTokens:
    """A login of a user whose password was checked, against the hash `checked` where that was some time ago.

    Raises:
        UserNotFoundError: the user was disabled, or got another password, meanwhile.
    """
    now = clock.now()
    await store.forget_expired(tx, now, _FORGOTTEN)
    login_id = await store.insert_login(
        tx, user.account_id, user.id, kind, now=now, expires_at=_over(now, lives), checked=checked
    )
    if login_id is None:
        raise UserNotFoundError
    return await _tokens(tx, keyring, store.Login(login_id, user.account_id, user.id), kind, lives, now)


async def renew_login(
    tx: Tx, keyring: Keyring, clock: Clock, refresh_token: str, kind: str, lives: Lives
) -> LoginTokens | None:
    """New tokens for a refresh token, which is used up.

    None for a text that is no such token, and for one that is too old, of a login that ended, or used before:
    that ends the login, so commit all the same.
    """
    now = clock.now()
    token_hash = _token_hash(refresh_token)
    login = await store.use_refresh_token(tx, kind, token_hash, now)
    if login is None:
        await store.revoke_by_used_token(tx, kind, token_hash, now)
        return None
    await store.prolong_login(tx, login, _over(now, lives))
    return await _tokens(tx, keyring, login, kind, lives, now)


async def authenticate_login(tx: Tx, keyring: Keyring, clock: Clock, token: str, kind: str) -> Caller | None:
    """Who this access token acts as; None for any text that is no live token of a login of this kind.

    The signature is checked first, so that only our own tokens cost a look-up.
    """
    claims = read_claims(keyring, clock, token, _context(kind))
    if claims is None:
        return None
    login_id, user_id = claims.get("login"), claims.get("user")
    if claims.get("kind") != kind or not isinstance(login_id, int) or not isinstance(user_id, int):
        return None
    return await store.find_caller(tx, login_id, user_id, kind)


async def _tokens(
    tx: Tx, keyring: Keyring, login: store.Login, kind: str, lives: Lives, now: datetime
) -> LoginTokens:
    refresh_token = str(uuid4())
    await store.insert_refresh_token(tx, login, _token_hash(refresh_token), now + lives.refresh)
    claims: dict[str, object] = {
        "user": login.user_id,
        "login": login.id,
        "kind": kind,
        "iat": int(now.timestamp()),
        # Never shorter than what is told.
        "exp": math.ceil((now + lives.access).timestamp()),
    }
    access_token = jwt.encode(claims, keyring.signing_key(_context(kind)), algorithm=ALGORITHM)
    return LoginTokens(access_token, refresh_token, int(lives.access.total_seconds()))


def _over(now: datetime, lives: Lives) -> datetime:
    """When the last of the tokens that are given now is worth nothing any more."""
    return now + max(lives.access, lives.refresh)


def _token_hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode("utf-8", "surrogatepass")).digest()


def _context(kind: str) -> str:
    return f"login:{kind}"
