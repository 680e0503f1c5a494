"""Use cases of connecting an Official Account: to Zalo's permission page, back with a code, and away again.

A code and the tokens that it is exchanged for exist once. So a state is spent before its code is sent, and
the tokens are written before they are used for anything: whoever is cut off after that comes back with the
same state and code, and goes on from there.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from datetime import datetime
from typing import Final

from tongdai.domain.zalo import facts, permissions
from tongdai.domain.zalo.apps import added, check_app
from tongdai.domain.zalo.attempting import insisted, next_refresh, sheltered
from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.errors import (
    OaNotFoundError,
    OaTakenError,
    PermissionRefusedError,
    PermissionUnknownError,
)
from tongdai.domain.zalo.model import Oa
from tongdai.domain.zalo.oas import get_oa
from tongdai.domain.zalo.seals import open_app, open_token, seal_token
from tongdai.domain.zalo.store import apps as app_store
from tongdai.domain.zalo.store import oas as oa_store
from tongdai.domain.zalo.store import permissions as store
from tongdai.domain.zalo.store.permissions import ConnectTimes, Permission
from tongdai.domain.zalo.telling import tell_oa
from tongdai.kit.db import Tx
from tongdai.ports.zalo import (
    REFRESH_LIFE,
    Access,
    Profile,
    Refusal,
    TokenPair,
    ZaloAwayError,
    ZaloError,
    ZaloRefusedError,
)

LET_GO: Final = "disconnected by its owner"
LONGEST_CODE: Final = 4000
FACTS_S: Final = 4.0
"""How long quota and qualities may hold up the answer to whoever connects."""


# ---------------------------------------------------------------- to Zalo's page


async def authorize(
    bridge: Bridge, account_id: int, user_id: int, *, app_id: int, secret: str, redirect_uri: str
) -> str:
    """The address of the page at which an administrator of an Official Account lets the app in. An app that
    is not registered yet is registered. Another secret than the registered one replaces that as soon as Zalo
    has taken it, so that a slip of the pen does not cut off what is connected.

    Raises AppInvalidError, LimitReachedError.
    """
    check_app(app_id, secret)
    permissions.check_redirect_uri(redirect_uri)
    now = bridge.clock.now()
    async with bridge.db.transaction() as tx:
        app = await added(tx, bridge.keyring, account_id, app_id, secret, now)
        known = open_app(bridge.keyring, account_id, app.secret) == secret
        state, challenge = await permissions.issue(
            tx,
            bridge.keyring,
            app,
            user_id,
            redirect_uri=redirect_uri,
            now=now,
            secret=None if known else secret,
        )
    return bridge.client.permission_url(app_id, redirect_uri, str(state), challenge)


async def renew_permission(bridge: Bridge, account_id: int, user_id: int, oa_id: int) -> str:
    """The page as before, for an Official Account of the account, with the app and the way back that it was
    connected with. Raises OaNotFoundError, LimitReachedError."""
    now = bridge.clock.now()
    async with bridge.db.transaction() as tx:
        found = await store.renewed(tx, account_id, oa_id)
        app = None if found is None else await app_store.sealed(tx, account_id, app_ref=found[0])
        if found is None or app is None:
            raise OaNotFoundError(oa_id=oa_id)
        redirect_uri = found[1]
        state, challenge = await permissions.issue(
            tx, bridge.keyring, app, user_id, redirect_uri=redirect_uri, now=now, oa_id=oa_id
        )
    return bridge.client.permission_url(app.app_id, redirect_uri, str(state), challenge)


# ---------------------------------------------------------------- and back


async def connect(
    bridge: Bridge, account_id: int, user_id: int, *, code: str, oa_id: int | None, state: int
) -> Oa:
    """Exchange the code for tokens, see whose they are, and keep them. The same Official Account again is
    the same connection, with new tokens.

    `oa_id`: whose consent it should be; None: whoever gave it. What failed after the exchange may be asked
    again, with the same code and state.

    A state is the account's: who was sent to Zalo's page may be another user than who comes back, and the
    latter is the connection's owner.

    Raises PermissionUnknownError: the state is not one of this account's, or is used or too old.
    PermissionRefusedError: Zalo does not take the code, or it is of somebody else. OaTakenError: another
    account has it. ZaloError: Zalo gave no answer; where nothing was sent, the state may be used again.
    """
    permission = await _spent(bridge, account_id, code, oa_id, state)
    if permission.step != "exchanged":
        await sheltered(_exchange(bridge, permission, code))
        permission = await _reread(bridge, permission)
    profile = await _whose(bridge, permission, oa_id)
    await sheltered(_adopt(bridge, permission, user_id, profile))
    with suppress(TimeoutError):  # whoever keeps facts fresh asks for them otherwise
        async with asyncio.timeout(FACTS_S):
            await facts.freshen(bridge, account_id, profile.oa_id, profile=profile)
    async with bridge.db.transaction() as tx:
        return await get_oa(tx, account_id, profile.oa_id)


async def disconnect(tx: Tx, account_id: int, oa_id: int, now: datetime) -> Oa:
    """Forgets its tokens; nothing is sent over it any more. Zalo is told nothing: the consent itself is taken
    back in Zalo's own settings. One that is disconnected stays as it is.

    Raises OaNotFoundError.
    """
    await oa_store.disconnect(tx, account_id, oa_id, LET_GO, now)
    return await get_oa(tx, account_id, oa_id)


async def _spent(bridge: Bridge, account_id: int, code: str, oa_id: int | None, state: int) -> Permission:
    """The permission, whose state works for nobody else now; or one whose tokens wait for this caller."""
    if not 0 < len(code) <= LONGEST_CODE:
        raise PermissionRefusedError(errors=[("code", "is what Zalo sent the browser back with")])
    if not 0 < state <= permissions.LARGEST_STATE:
        raise PermissionUnknownError
    digest = hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
    now = bridge.clock.now()
    async with bridge.db.transaction() as tx:
        permission = await store.get(tx, account_id, state)
        if permission is None:
            raise PermissionUnknownError
        if permission.step == "exchanged" and permission.code_hash == digest:
            return permission
        if permission.oa_id is not None and oa_id not in (None, permission.oa_id):
            raise PermissionRefusedError(errors=[("oa_id", "is another one than the one to be renewed")])
        wanted = permission.oa_id or oa_id
        if wanted is not None and await store.is_taken(tx, account_id, wanted):
            raise OaTakenError(oa_id=wanted)
        if not await store.spend(tx, permission, digest, now):
            raise PermissionUnknownError
    return permission


async def _reread(bridge: Bridge, permission: Permission) -> Permission:
    async with bridge.db.transaction() as tx:
        again = await store.get(tx, permission.account_id, permission.state)
    if again is None or again.step != "exchanged":
        raise PermissionUnknownError
    return again


async def _exchange(bridge: Bridge, permission: Permission, code: str) -> None:
    """Send the code, once, and write the tokens."""
    app, verifier = permissions.app_and_verifier(bridge.keyring, permission)
    try:
        pair = await bridge.client.exchange_code(app, code, verifier)
    except ZaloAwayError:
        await insisted(bridge, lambda tx: store.reopen(tx, permission))
        raise
    except ZaloRefusedError as error:
        if error.refusal is Refusal.TRANSIENT:
            await insisted(bridge, lambda tx: store.reopen(tx, permission))
            raise
        await _fail(bridge, permission)
        raise _refused(error) from error
    except ZaloError:
        await _fail(bridge, permission)
        raise
    await _keep(bridge, permission, pair)


async def _keep(bridge: Bridge, permission: Permission, pair: TokenPair) -> None:
    if pair.refresh_token is None:
        await _fail(bridge, permission)
        raise PermissionRefusedError("Zalo gave no refresh token for this code: call AuthorizeOA again.")
    access = seal_token(bridge.keyring, permission.account_id, pair.access_token)
    refresh = seal_token(bridge.keyring, permission.account_id, pair.refresh_token)
    ends = bridge.clock.now() + pair.expires_in
    await insisted(bridge, lambda tx: store.keep(tx, permission, access, refresh, ends))


async def _whose(bridge: Bridge, permission: Permission, oa_id: int | None) -> Profile:
    """What Zalo says of whoever gave these tokens: an address says only what somebody wrote into it."""
    assert permission.access_token is not None
    app, _ = permissions.app_and_verifier(bridge.keyring, permission)
    token = open_token(bridge.keyring, permission.account_id, permission.access_token)
    access = Access(token, permission.app_id, app.secret if permission.use_proof else None)
    try:
        profile = await bridge.client.profile(access)
    except ZaloRefusedError as error:
        if error.refusal is Refusal.TRANSIENT:
            raise
        if error.refusal is Refusal.ACCESS:
            await _fail(bridge, permission)
        raise _refused(error) from error
    if {permission.oa_id, oa_id} - {None, profile.oa_id}:
        await _fail(bridge, permission)
        raise PermissionRefusedError(errors=[("oa_id", "is not the one that gave its consent")])
    return profile


async def _adopt(bridge: Bridge, permission: Permission, user_id: int, profile: Profile) -> None:
    """Keep the tokens with the connection, and tell its owner."""
    tries = 0

    async def write(tx: Tx) -> None:
        nonlocal tries
        tries += 1
        if await store.end(tx, permission, "done"):
            await _adopt_in(tx, bridge, permission, user_id, profile)
        elif tries == 1 or not await store.is_done(tx, permission):
            raise PermissionUnknownError
        # Otherwise a try before this one was committed, and the answer did not arrive.

    try:
        await insisted(bridge, write)
    except OaTakenError:
        await _fail(bridge, permission)
        raise


async def _adopt_in(tx: Tx, bridge: Bridge, permission: Permission, user_id: int, profile: Profile) -> None:
    now = bridge.clock.now()
    assert permission.access_expires_at is not None
    assert permission.used_at is not None
    times = ConnectTimes(
        now=now,
        expires_at=permission.used_at + REFRESH_LIFE,
        due_at=next_refresh(now, permission.access_expires_at - now),
    )
    await store.connect(tx, permission, user_id, profile, times)
    if permission.brings_secret:
        await app_store.set_secret(tx, permission.account_id, permission.app_ref, permission.secret, now)
    await tell_oa(tx, "zalo.oa.connected", await get_oa(tx, permission.account_id, profile.oa_id), now)


async def _fail(bridge: Bridge, permission: Permission) -> None:
    """Nothing comes of it; tokens are forgotten."""
    await insisted(bridge, lambda tx: store.end(tx, permission, "failed"))


def _refused(error: ZaloRefusedError) -> PermissionRefusedError:
    said = error.said.rstrip(". ")  # some of what Zalo says ends with a full stop
    return PermissionRefusedError(
        f"Zalo refuses with {error.code}: {said}. Call AuthorizeOA again.", code=error.code
    )
