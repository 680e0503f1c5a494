"""Keys that open vendors' APIs, for an account's owners: Interits' own, and API keys that go as bearer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from litestar import get, patch, post
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType

from tongdai.api.auth import NEEDS_OWNER, CalledBy, Wired
from tongdai.api.bodies import Id, Moment, Name
from tongdai.api.params import VendorKeyId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import accounts
from tongdai.domain.accounts import KeyState

TAGS = ["Vendor keys"]


class VendorKey(msgspec.Struct, frozen=True):
    """A key of Interits' API. Its text can be looked up again."""

    id: int
    kind: Literal["interits"]
    """Whose API it opens."""
    user_id: int
    """As whom it acts."""
    name: str
    hint: str
    """Its first characters, to recognise it by."""
    state: KeyState
    expires_at: datetime | None
    """Null: never."""
    created_at: datetime

    @classmethod
    def of(cls, row: accounts.VendorKey) -> VendorKey:
        return cls(
            row.id,
            "interits",
            row.user_id,
            row.name,
            row.hint,
            row.state,
            shown_time(row.expires_at),
            shown_time(row.created_at),
        )


class BearerKey(msgspec.Struct, frozen=True):
    """An API key of the account (`/keys`): VBot's API takes it as bearer token, or in `X-API-Key`."""

    id: int
    kind: Literal["bearer"]
    user_id: int | None
    name: str
    hint: str
    state: Literal["active", "inactive"]
    """Inactive: it was revoked."""
    created_at: datetime

    @classmethod
    def of(cls, row: accounts.ApiKey) -> BearerKey:
        state: Literal["active", "inactive"] = "active" if row.revoked_at is None else "inactive"
        return cls(row.id, "bearer", row.user_id, row.name, row.hint, state, shown_time(row.created_at))


class VendorKeyList(msgspec.Struct, frozen=True):
    """All keys that open a vendor's API to the account, each sort oldest first."""

    interits: list[VendorKey]
    bearer: list[BearerKey]


class NewVendorKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key of Interits' API to be created."""

    name: Name
    user_id: Id | None = None
    """As whom it acts. Left out: as you."""
    expires_at: Moment | None = None
    """Null: never."""


class VendorKeyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is given changes, the rest stays."""

    name: Name | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET


class RevealedKey(msgspec.Struct, frozen=True):
    """A key's text."""

    key: str


class CreatedVendorKey(msgspec.Struct, frozen=True):
    """A new key and its text."""

    vendor_key: VendorKey
    key: str


@get(
    "/vendor-keys",
    operation_id="listVendorKeys",
    summary="List the keys of vendors' APIs",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(),
)
async def list_vendor_keys(services: Wired, caller: CalledBy) -> VendorKeyList:
    """All of the account with the state that each is in. For owners."""
    async with services.db.transaction() as tx:
        rows = await accounts.list_vendor_keys(tx, caller.account_id, services.clock.now())
        bearer = await accounts.list_api_keys(tx, caller.account_id)
    return VendorKeyList([VendorKey.of(row) for row in rows], [BearerKey.of(row) for row in bearer])


@post(
    "/vendor-keys",
    operation_id="createVendorKey",
    summary="Create a key of Interits' API",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404, 413),
)
async def create_vendor_key(
    services: Wired, caller: CalledBy, data: JSONBody[NewVendorKey]
) -> CreatedVendorKey:
    """A key that acts as a user of the account. Any active one opens the API. For owners."""
    async with services.db.transaction() as tx:
        row, key = await accounts.issue_vendor_key(
            tx,
            services.keyring,
            caller.account_id,
            data.user_id or caller.user_id,
            "interits",
            data.name,
            now=services.clock.now(),
            expires_at=data.expires_at,
        )
    return CreatedVendorKey(VendorKey.of(row), key)


@get(
    "/vendor-keys/{vendor_key_id:str}/key",
    operation_id="revealVendorKey",
    summary="Look up a key's text",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404),
)
async def reveal_vendor_key(services: Wired, caller: CalledBy, vendor_key_id: VendorKeyId) -> RevealedKey:
    """The text of an Interits key, as the vendor's own console shows it. For owners."""
    async with services.db.transaction() as tx:
        key = await accounts.reveal_vendor_key(tx, services.keyring, caller.account_id, vendor_key_id)
    return RevealedKey(key)


@patch(
    "/vendor-keys/{vendor_key_id:str}",
    operation_id="updateVendorKey",
    summary="Change a key of Interits' API",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404, 413),
)
async def update_vendor_key(
    services: Wired, caller: CalledBy, vendor_key_id: VendorKeyId, data: JSONBody[VendorKeyChange]
) -> VendorKey:
    """Names it, switches it off and on, or sets when it expires. For owners."""
    async with services.db.transaction() as tx:
        row = await accounts.change_vendor_key(
            tx,
            caller.account_id,
            vendor_key_id,
            now=services.clock.now(),
            name=data.name,
            active=data.active,
            expires_at=data.expires_at,
        )
    return VendorKey.of(row)


HANDLERS = [list_vendor_keys, create_vendor_key, reveal_vendor_key, update_vendor_key]
