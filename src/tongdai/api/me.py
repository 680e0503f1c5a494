"""`GET /v1/me`: what a key is."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import get

from tongdai.api.auth import FOR_ANY_KEY, CalledBy
from tongdai.api.problems import answers


class Me(msgspec.Struct, frozen=True):
    """Whom a key belongs to, and what it may do."""

    scope: Literal["account", "platform"]
    """`account`: acts inside one account. `platform`: creates accounts and their users, and nothing else."""
    account_id: int | None
    """Null for a platform key."""
    user_id: int | None
    """The user whose key it is; null for a platform key."""
    role: Literal["owner", "operator", "viewer"] | None
    """Null for a platform key."""


@get("/me", operation_id="getMe", summary="Who am I?", tags=["Keys"], opt=FOR_ANY_KEY, responses=answers())
async def get_me(caller: CalledBy) -> Me:
    """What the key of this request may do: its scope, account, user and role."""
    if caller.scope == "platform":
        return Me("platform", None, None, None)
    return Me("account", caller.account_id, caller.user_id, caller.role.value)
