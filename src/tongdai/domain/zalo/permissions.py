"""The way to Zalo's permission page and back: a number that works once, for the account that asked."""

from __future__ import annotations

import secrets
import string
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.errors import AppInvalidError, LimitReachedError
from tongdai.domain.zalo.seals import open_app, seal_app
from tongdai.domain.zalo.store import permissions as store
from tongdai.domain.zalo.store.apps import SealedApp
from tongdai.domain.zalo.store.permissions import NewPermission, Permission
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx
from tongdai.kit.zalo_signs import pkce_challenge
from tongdai.ports.zalo import AppSecret

LIFE: Final = timedelta(minutes=30)
"""Of a state. Zalo's code lives ten minutes, from when the administrator agrees, which takes a while."""
KEPT: Final = timedelta(days=1)
"""How long a state is known to be of no use."""
MOST_WAITING: Final = 1000
"""States of one account that wait for somebody to come back; as many are remembered that are of no use."""
_MOST_FORGOTTEN: Final = 1000
LARGEST_STATE: Final = 2**53 - 1
"""Browsers count no further."""
LONGEST_ADDRESS: Final = 2000
_VERIFIER_LENGTH: Final = 43
_VERIFIER_LETTERS: Final = string.ascii_letters + string.digits


async def issue(
    tx: Tx,
    keyring: Keyring,
    app: SealedApp,
    user_id: int,
    *,
    redirect_uri: str,
    now: datetime,
    secret: str | None = None,
    oa_id: int | None = None,
) -> tuple[int, str | None]:
    """The state and the PKCE challenge to go to Zalo's page with. `secret`: of the app, where it is not the
    registered one; kept with the state until Zalo takes it. `oa_id`: whose consent is renewed.

    Raises LimitReachedError.
    """
    if await store.waiting(tx, app.account_id, now, MOST_WAITING) >= MOST_WAITING:
        raise LimitReachedError(
            f"{MOST_WAITING} addresses of Zalo's page wait for somebody already, each for half an hour.",
            most=MOST_WAITING,
        )
    await store.thin_out(tx, app.account_id, now, MOST_WAITING)
    verifier = _verifier(keyring, app)
    while True:
        state = secrets.randbelow(LARGEST_STATE) + 1
        permission = NewPermission(
            state=state,
            account_id=app.account_id,
            user_id=user_id,
            app_ref=app.id,
            oa_id=oa_id,
            secret=None if secret is None else seal_app(keyring, app.account_id, secret),
            redirect_uri=redirect_uri,
            verifier=None if verifier is None else seal_app(keyring, app.account_id, verifier),
            created_at=now,
            expires_at=now + LIFE,
        )
        if await store.add(tx, permission):
            return state, None if verifier is None else pkce_challenge(verifier)


def app_and_verifier(keyring: Keyring, permission: Permission) -> tuple[AppSecret, str | None]:
    """What Zalo wants to see with the code."""
    app = AppSecret(permission.app_id, open_app(keyring, permission.account_id, permission.secret))
    if permission.verifier is None:
        return app, None
    return app, open_app(keyring, permission.account_id, permission.verifier)


def check_redirect_uri(address: str) -> None:
    """Raises AppInvalidError."""
    try:
        parts = urlsplit(address)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        fits = False
    if not fits or len(address) > LONGEST_ADDRESS or not address.isprintable() or " " in address:
        raise AppInvalidError(errors=[("redirect_uri", "must be the callback address of the app at Zalo")])


async def forget_old(bridge: Bridge) -> int:
    """States that ran out a day ago, with tokens that nobody came back for. Returns how many."""
    gone = number = _MOST_FORGOTTEN
    total = 0
    while number == gone:
        async with bridge.db.transaction() as tx:
            number = await store.forget(tx, bridge.clock.now() - KEPT, _MOST_FORGOTTEN)
        total += number
    return total


def _verifier(keyring: Keyring, app: SealedApp) -> str | None:
    """Letters and digits alone, as Zalo's page wants it."""
    if app.pkce == "none":
        return None
    if app.verifier is not None:
        return open_app(keyring, app.account_id, app.verifier)
    return "".join(secrets.choice(_VERIFIER_LETTERS) for _ in range(_VERIFIER_LENGTH))
