"""Use cases of Zalo apps: made in Zalo's console by their owners, registered here with their secrets."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeVar

from msgspec import UNSET, UnsetType

from tongdai.domain.zalo.errors import AppInvalidError, AppNotFoundError, LimitReachedError
from tongdai.domain.zalo.model import LAST_ID, App, Pkce
from tongdai.domain.zalo.seals import seal_app
from tongdai.domain.zalo.store import apps
from tongdai.domain.zalo.store.apps import SealedApp
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx

MOST_APPS: Final = 100
"""Of one account."""
LONGEST_SECRET: Final = 200
_SECRET: Final = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_SECRET}}}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""What Zalo's own libraries make: RFC 7636's alphabet without `.` and `~`, and always 43 characters."""
_HOOK_BYTES: Final = 24

V = TypeVar("V")


async def set_app(
    tx: Tx,
    keyring: Keyring,
    account_id: int,
    *,
    app_id: int,
    secret: str | UnsetType | None = None,
    webhook_secret: str | UnsetType | None = UNSET,
    use_proof: bool | UnsetType = UNSET,
    pkce: Pkce | UnsetType = UNSET,
    verifier: str | UnsetType | None = UNSET,
    now: datetime,
) -> App:
    """Register an app, or change what is given and keep the rest.

    `app_id` is Zalo's. `secret` is needed the first time. `webhook_secret` signs Zalo's events, and is
    another one; None: no event is taken. `verifier` belongs to `pkce` "fixed", and to nothing else.

    Raises AppInvalidError, LimitReachedError.
    """
    secret = None if isinstance(secret, UnsetType) else secret
    _check(app_id, secret=secret, webhook_secret=webhook_secret, verifier=verifier)
    old = await added(tx, keyring, account_id, app_id, secret, now)
    mode = _given(pkce, old.pkce)
    new = replace(
        old,
        secret=old.secret if secret is None else seal_app(keyring, account_id, secret),
        webhook_secret=_sealed(keyring, account_id, webhook_secret, old.webhook_secret),
        use_proof=_given(use_proof, old.use_proof),
        pkce=mode,
        verifier=_sealed(keyring, account_id, verifier, old.verifier if mode == "fixed" else None),
    )
    if (new.pkce == "fixed") != (new.verifier is not None):
        raise AppInvalidError(errors=[("verifier", "belongs to pkce fixed: there it is needed")])
    await apps.set_(tx, new, now)
    return await get_app(tx, account_id, app_id)


async def added(
    tx: Tx, keyring: Keyring, account_id: int, app_id: int, secret: str | None, now: datetime
) -> SealedApp:
    """An app as it is registered, made with this secret if it is not. Raises AppInvalidError,
    LimitReachedError."""
    known = await apps.sealed(tx, account_id, app_id=app_id)
    if known is not None:
        return known
    if secret is None:
        raise AppInvalidError(errors=[("secret", "is needed")])
    if await apps.count(tx, account_id) >= MOST_APPS:
        raise LimitReachedError(f"An account may have {MOST_APPS} Zalo apps.", most=MOST_APPS)
    sealed = seal_app(keyring, account_id, secret)
    await apps.add(tx, account_id, app_id, sealed, secrets.token_urlsafe(_HOOK_BYTES), now)
    made = await apps.sealed(tx, account_id, app_id=app_id)
    assert made is not None
    return made


async def list_apps(tx: Tx, account_id: int) -> list[App]:
    """All of an account, in the order in which they were registered."""
    return await apps.list_(tx, account_id)


async def get_app(tx: Tx, account_id: int, app_id: int) -> App:
    """By Zalo's id. Raises AppNotFoundError, for a stranger's too."""
    app = await apps.get(tx, account_id, app_id)
    if app is None:
        raise AppNotFoundError(app_id=app_id)
    return app


def check_app(app_id: int, secret: str) -> None:
    """Raises AppInvalidError."""
    _check(app_id, secret=secret, webhook_secret=UNSET, verifier=UNSET)


def _check(
    app_id: int,
    *,
    secret: str | None,
    webhook_secret: str | UnsetType | None,
    verifier: str | UnsetType | None,
) -> None:
    faults = []
    if not 0 < app_id <= LAST_ID:
        faults.append(("app_id", "is no id of Zalo's"))
    for name, value in (("secret", secret), ("webhook_secret", webhook_secret)):
        if isinstance(value, str) and _SECRET.fullmatch(value) is None:
            faults.append((name, f"needs 1 to {LONGEST_SECRET} characters, and no spaces"))
    if isinstance(verifier, str) and _VERIFIER.fullmatch(verifier) is None:
        faults.append(("verifier", "needs 43 letters and digits"))
    if faults:
        raise AppInvalidError(errors=faults)


def _given(value: V | UnsetType, otherwise: V) -> V:
    return otherwise if isinstance(value, UnsetType) else value


def _sealed(
    keyring: Keyring, account_id: int, value: str | UnsetType | None, otherwise: bytes | None
) -> bytes | None:
    if isinstance(value, UnsetType):
        return otherwise
    return None if value is None else seal_app(keyring, account_id, value)
