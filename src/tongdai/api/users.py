"""`GET /v1/users`: the people of an account."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import get

from tongdai.api.auth import NEEDS_OPERATOR, CalledBy, Wired
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.problems import answers
from tongdai.domain import accounts


class Member(msgspec.Struct, frozen=True):
    """A person of your account."""

    id: int
    """The `user_id` of a key that acts as this person."""
    email: str
    name: str
    role: Literal["owner", "operator", "viewer"]
    """An owner may do everything, an operator all but keys, a viewer only look."""

    @classmethod
    def of(cls, row: accounts.User) -> Member:
        return cls(row.id, row.email, row.name, row.role.value)


class MemberPage(msgspec.Struct, frozen=True):
    """The people of the account, oldest first; those who were shut out are left out."""

    items: list[Member]
    next: str | None
    """Cursor of the next page; null on the last."""


@get(
    "/users",
    operation_id="listUsers",
    summary="List the people of the account",
    tags=["Users"],
    opt=NEEDS_OPERATOR,
    responses=answers(),
)
async def list_users(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> MemberPage:
    """Who can be given a key, and as whom a key acts. For owners and operators."""
    async with services.db.transaction() as tx:
        rows = await accounts.list_users(tx, caller.account_id, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return MemberPage([Member.of(row) for row in shown], further)
