"""Client secrets, which their owners may look up and change, and the tokens that are made from them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import jwt
from jwt.types import Options

from tongdai.domain.accounts.errors import SecretExistsError, SecretNotFoundError, SecretUnknownError
from tongdai.domain.accounts.model import Caller
from tongdai.domain.accounts.service import get_user
from tongdai.domain.accounts.store import accounts as store
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx

# A token of ours has some 200 characters; a longer one is not parsed at all.
_LONGEST_TOKEN: Final = 1024
ALGORITHM: Final = "HS256"
"""What every token of ours is signed with."""

_SIGNATURE_ONLY: Final[Options] = {
    # Times are judged by the injected clock.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
}


async def issue_client_secret(tx: Tx, keyring: Keyring, account_id: int, user_id: int, kind: str) -> str:
    """A user's first secret for one kind of API: 64 hexadecimal digits.

    Raises:
        SecretExistsError: the user has one.
        UserNotFoundError: the account has no such user.
    """
    await get_user(tx, account_id, user_id)
    secret, sealed, lookup_hash = _new_secret(keyring, user_id, kind)
    if not await store.insert_secret(tx, account_id, user_id, kind, sealed, lookup_hash):
        raise SecretExistsError
    return secret


async def reveal_client_secret(tx: Tx, keyring: Keyring, account_id: int, user_id: int, kind: str) -> str:
    """The current secret, for its owner to look up.

    Raises:
        SealBrokenError: it was sealed with another master key.
        SecretNotFoundError: this user of this account has none.
    """
    sealed = await store.get_secret(tx, account_id, user_id, kind)
    if sealed is None:
        raise SecretNotFoundError
    return keyring.open(sealed, context=_seal_context(user_id, kind)).decode()


async def rotate_client_secret(tx: Tx, keyring: Keyring, account_id: int, user_id: int, kind: str) -> str:
    """A new secret in the place of the old one; every token made from the old one is void at once.

    Raises:
        SecretNotFoundError: this user of this account has none.
    """
    secret, sealed, lookup_hash = _new_secret(keyring, user_id, kind)
    if not await store.rotate_secret(tx, account_id, user_id, kind, sealed, lookup_hash):
        raise SecretNotFoundError
    return secret


async def issue_token(
    tx: Tx, keyring: Keyring, clock: Clock, secret: str, kind: str, *, life: timedelta | None = None
) -> str:
    """A token for whoever knows a secret: a JWT (HS256) that names the user and the secret's version.

    It does not expire unless a `life` is given, and earlier tokens stay good.

    Raises:
        SecretUnknownError: no enabled user has this secret of this kind.
    """
    found = await store.find_secret(tx, kind, keyring.lookup_hash(secret, context=_lookup_context(kind)))
    if found is None:
        raise SecretUnknownError
    user_id, version = found
    now = clock.now()
    claims: dict[str, object] = {
        "user": user_id,
        "kind": kind,
        "secret": version,
        "iat": int(now.timestamp()),
    }
    if life is not None:
        claims["exp"] = int((now + life).timestamp())
    return jwt.encode(claims, keyring.signing_key(_token_context(kind)), algorithm=ALGORITHM)


async def authenticate_token(tx: Tx, keyring: Keyring, clock: Clock, token: str, kind: str) -> Caller | None:
    """Who this token acts as; None for any text that is not a live token of this kind.

    The signature is checked first, so that only our own tokens cost a look-up.
    """
    named = _read_token(keyring, clock, token, kind)
    if named is None:
        return None
    user_id, version = named
    return await store.find_token_user(tx, user_id, kind, version)


def read_claims(keyring: Keyring, clock: Clock, token: str, context: str) -> Mapping[str, Any] | None:
    """What a token says, if we signed it in this context and it is not over."""
    if len(token) > _LONGEST_TOKEN or not token.isascii():
        return None
    try:
        claims = _signed_claims(keyring.signing_key(context), token)
    # The token's header is read before its signature: nested deeply enough, it exhausts the JSON reader.
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return None
    ends = claims.get("exp")
    return None if ends is not None and ends <= clock.now().timestamp() else claims


def _read_token(keyring: Keyring, clock: Clock, token: str, kind: str) -> tuple[int, int] | None:
    """The user and secret version that a token names, if we signed it for this kind and it is not over."""
    claims = read_claims(keyring, clock, token, _token_context(kind))
    if claims is None:
        return None
    user_id, version = claims.get("user"), claims.get("secret")
    if claims.get("kind") != kind or not isinstance(user_id, int) or not isinstance(version, int):
        return None
    return user_id, version


# A client sends the same token with every request, and checking its signature costs as much as a look-up in
# the database. Only what was signed with this key is remembered: a refusal raises.
@lru_cache(maxsize=4096)
def _signed_claims(key: bytes, token: str) -> Mapping[str, Any]:
    return MappingProxyType(jwt.decode(token, key, algorithms=[ALGORITHM], options=_SIGNATURE_ONLY))


def _new_secret(keyring: Keyring, user_id: int, kind: str) -> tuple[str, bytes, bytes]:
    secret = secrets.token_hex(32)
    sealed = keyring.seal(secret.encode(), context=_seal_context(user_id, kind))
    return secret, sealed, keyring.lookup_hash(secret, context=_lookup_context(kind))


def _seal_context(user_id: int, kind: str) -> str:
    return f"client_secret:{kind}:{user_id}"


def _lookup_context(kind: str) -> str:
    return f"client_secret:{kind}"


def _token_context(kind: str) -> str:
    return f"token:{kind}"
