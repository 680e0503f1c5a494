"""API keys of an account, for its owners."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import delete, get, post
from litestar.params import JSONBody

from tongdai.api.auth import NEEDS_OWNER, CalledBy, Wired
from tongdai.api.bodies import Id, Name
from tongdai.api.params import KeyId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import accounts

TAGS = ["Keys"]


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is listed; its text is not kept."""

    id: int
    user_id: int | None
    """As whom it acts."""
    name: str
    hint: str
    """Its first characters, to recognise it by."""
    created_at: datetime
    revoked_at: datetime | None
    """Null: it is valid."""

    @classmethod
    def of(cls, row: accounts.ApiKey) -> ApiKey:
        return cls(
            row.id, row.user_id, row.name, row.hint, shown_time(row.created_at), shown_time(row.revoked_at)
        )


class ApiKeyList(msgspec.Struct, frozen=True):
    """All keys of the account, oldest first."""

    items: list[ApiKey]


class IssuedKey(msgspec.Struct, frozen=True):
    """A new key."""

    id: int
    key: str
    """The key itself, `td_…`. It is shown this once; only a hash of it is kept."""


class NewKeyName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be created."""

    name: Name


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be created."""

    name: Name
    user_id: Id | None = None
    """As whom it acts. Left out: as you."""


@get(
    "/keys",
    operation_id="listKeys",
    summary="List API keys",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(),
)
async def list_keys(services: Wired, caller: CalledBy) -> ApiKeyList:
    """All keys of the account, revoked ones included. For owners."""
    async with services.db.transaction() as tx:
        rows = await accounts.list_api_keys(tx, caller.account_id)
    return ApiKeyList([ApiKey.of(row) for row in rows])


@post(
    "/keys",
    operation_id="createKey",
    summary="Create an API key",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404, 413),
)
async def create_key(services: Wired, caller: CalledBy, data: JSONBody[NewKey]) -> IssuedKey:
    """A key that acts as a user of the account. Its text is in this answer and nowhere else. For owners."""
    user_id = data.user_id or caller.user_id
    async with services.db.transaction() as tx:
        issued = await accounts.issue_api_key(tx, caller.account_id, user_id, data.name)
    return IssuedKey(issued.id, issued.key)


@delete(
    "/keys/{key_id:str}",
    operation_id="revokeKey",
    summary="Revoke an API key",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404),
)
async def revoke_key(services: Wired, caller: CalledBy, key_id: KeyId) -> None:
    """The key is refused from now on. 404 when it was revoked before. For owners."""
    async with services.db.transaction() as tx:
        await accounts.revoke_api_key(tx, caller.account_id, key_id)


HANDLERS = [list_keys, create_key, revoke_key]
