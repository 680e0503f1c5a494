"""Accounts and their users, for the platform's administrators alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta

from tongdai.api.auth import FOR_PLATFORM, Wired
from tongdai.api.bodies import Channels, Cps, Name
from tongdai.api.keys import IssuedKey, NewKeyName
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import AccountId, UserId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import accounts

TAGS = ["Platform"]

Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Account(msgspec.Struct, frozen=True):
    """A tenant. It owns everything below it, and sees nothing of any other."""

    id: int
    code: str
    """What VBot's API calls it by: the `vbot_id`."""
    name: str
    created_at: datetime

    @classmethod
    def of(cls, row: accounts.Account) -> Account:
        return cls(row.id, row.code, row.name, shown_time(row.created_at))


class AccountPage(msgspec.Struct, frozen=True):
    """Accounts, oldest first."""

    items: list[Account]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account to be created."""

    name: Name
    code: Code | None = None
    """The `vbot_id` that a customer of VBot brings along, unique on the whole platform. Null: a new one."""
    max_channels: Channels | None = None
    """Calls at a time, all campaigns together. Null: no cap of its own."""
    max_cps: Cps | None = None
    """Calls per second, 0.01 to 10,000, all campaigns together. Null: no cap of its own."""


class User(msgspec.Struct, frozen=True):
    """A person of an account."""

    id: int
    account_id: int
    email: str
    name: str
    role: Literal["owner", "operator", "viewer"]
    created_at: datetime

    @classmethod
    def of(cls, row: accounts.User) -> User:
        return cls(row.id, row.account_id, row.email, row.name, row.role.value, shown_time(row.created_at))


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user to be created."""

    email: Annotated[str, Meta(min_length=3, max_length=254)]
    """Unique on the whole platform, whatever its case."""
    name: Name
    role: Literal["owner", "operator", "viewer"]
    """An owner may do everything, an operator all but keys, a viewer only look."""
    password: Annotated[str, Meta(min_length=8, max_length=1024)]


@post(
    "/accounts",
    operation_id="createAccount",
    summary="Create an account",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(409, 413),
)
async def create_account(services: Wired, data: JSONBody[NewAccount]) -> Account:
    """A new tenant, without users yet. 409 when another one has this code."""
    async with services.db.transaction() as tx:
        row = await accounts.create_account(
            tx, data.name, code=data.code, max_channels=data.max_channels, max_cps=data.max_cps
        )
    return Account.of(row)


@get(
    "/accounts",
    operation_id="listAccounts",
    summary="List accounts",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(),
)
async def list_accounts(services: Wired, limit: Limit = 100, cursor: Cursor = None) -> AccountPage:
    """All tenants of the platform, oldest first."""
    async with services.db.transaction() as tx:
        rows = await accounts.list_accounts(tx, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return AccountPage([Account.of(row) for row in shown], further)


@get(
    "/accounts/{account_id:str}",
    operation_id="getAccount",
    summary="Get an account",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404),
)
async def get_account(services: Wired, account_id: AccountId) -> Account:
    """One tenant."""
    async with services.db.transaction() as tx:
        return Account.of(await accounts.get_account(tx, account_id))


@post(
    "/accounts/{account_id:str}/users",
    operation_id="createUser",
    summary="Create a user in an account",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 409, 413),
)
async def create_user(services: Wired, account_id: AccountId, data: JSONBody[NewUser]) -> User:
    """A new person in an account. 409 when someone on the platform has this e-mail address."""
    role = accounts.Role(data.role)
    password = await accounts.hash_password(data.password)
    async with services.db.transaction() as tx:
        row = await accounts.create_user(
            tx, account_id, email=data.email, name=data.name, role=role, password=password
        )
    return User.of(row)


@post(
    "/accounts/{account_id:str}/users/{user_id:str}/keys",
    operation_id="createUserKey",
    summary="Create an API key for a user",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 413),
)
async def create_user_key(
    services: Wired, account_id: AccountId, user_id: UserId, data: JSONBody[NewKeyName]
) -> IssuedKey:
    """A key that acts as this user. Its text is in this answer and nowhere else."""
    async with services.db.transaction() as tx:
        issued = await accounts.issue_api_key(tx, account_id, user_id, data.name)
    return IssuedKey(issued.id, issued.key)


HANDLERS = [create_account, list_accounts, get_account, create_user, create_user_key]
