"""Builders on the real database. Each makes what it needs through the services, with sensible defaults.

`where` is a transaction, which the builder joins, or a `Database`, on which it runs one of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tongdai.domain import accounts, campaigns, routing, scripts
from tongdai.domain.accounts import Account, PasswordHash, Role, User
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx

MASTER_KEY = bytes(range(32))
"""Of the `keyring` fixture too, so that what a builder seals a test can open."""

SECRET_KIND = "aicallcenter"
PASSWORD = "correct horse battery staple"

# PASSWORD at argon2's least cost: the real cost would make every test wait for three users.
PASSWORD_HASH = PasswordHash(
    "$argon2id$v=19$m=8,t=1,p=1$r9mi2i/HvKEbbK7zMQjYoQ$GX1Pj3eIJRHy0oGU0r+Q7pMKjqOrJf+JQFkxmEOZOo4"
)


@dataclass(frozen=True, slots=True)
class Person:
    """A user, and everything that opens a door for them."""

    account_id: int
    user: User
    api_key: str
    secret: str
    """The AICallCenter secret key."""

    @property
    def caller(self) -> accounts.Caller:
        return accounts.Caller(self.account_id, self.user.id, self.user.role, "account")


@dataclass(frozen=True, slots=True)
class Cast:
    """The three of every test about who may see what."""

    owner: Person
    colleague: Person
    """Of the owner's account, an operator."""
    stranger: Person
    """The owner of another account."""


async def cast(where: Database | Tx, keyring: Keyring | None = None) -> Cast:
    async with joined(where) as tx:
        account = await accounts.create_account(tx, "Phòng khám An Bình")
        elsewhere = await accounts.create_account(tx, "Cửa hàng Hoa Sen")
        return Cast(
            owner=await person(tx, account, Role.OWNER, keyring=keyring),
            colleague=await person(tx, account, Role.OPERATOR, keyring=keyring),
            stranger=await person(tx, elsewhere, Role.OWNER, keyring=keyring),
        )


async def person(
    where: Database | Tx, account: Account, role: Role = Role.OWNER, *, keyring: Keyring | None = None
) -> Person:
    keys = keyring or Keyring(MASTER_KEY)
    async with joined(where) as tx:
        user = await accounts.create_user(
            tx,
            account.id,
            email=f"{role.value}.{secrets.token_hex(6)}@example.vn",
            name=role.value.title(),
            role=role,
            password=PASSWORD_HASH,
        )
        issued = await accounts.issue_api_key(tx, account.id, user.id, "tests")
        secret = await accounts.issue_client_secret(tx, keys, account.id, user.id, SECRET_KIND)
    return Person(account.id, user, issued.key, secret)


async def trunk(
    where: Database | Tx,
    account_id: int,
    *,
    name: str | None = None,
    engine: str = "sandbox",
    max_channels: int | None = None,
    max_cps: float | None = None,
) -> routing.Trunk:
    async with joined(where) as tx:
        return await routing.create_trunk(
            tx,
            account_id,
            name=name or f"trunk {secrets.token_hex(4)}",
            engine=engine,
            max_channels=max_channels,
            max_cps=max_cps,
        )


async def hotline(
    where: Database | Tx,
    account_id: int,
    *,
    trunk_id: int | None = None,
    number: str | None = None,
    network: str | None = None,
) -> routing.Hotline:
    """A fixed number in Hà Nội, on a trunk of its own unless one is given."""
    async with joined(where) as tx:
        return await routing.create_hotline(
            tx,
            account_id,
            number=number or f"02473{secrets.randbelow(10**6):06d}",
            trunk_id=trunk_id or (await trunk(tx, account_id)).id,
            network=network,
        )


async def script(where: Database | Tx, account_id: int, demo: str = "order_reminder") -> scripts.ScriptRow:
    """One of the scripts that the demo ships."""
    async with joined(where) as tx:
        return await scripts.create_script(tx, account_id, demo, scripts.demo_scripts()[demo])


async def campaign(
    where: Database | Tx,
    owner: Person,
    *,
    kind: campaigns.Kind = "voice",
    state: str = "running",
    config: campaigns.CampaignConfig | None = None,
    script_id: int | None = None,
    hotline_ids: Sequence[int] | None = None,
    max_channels: int | None = None,
    max_cps: float | None = None,
    takes_imports: bool = True,
    purpose: campaigns.Purpose | None = None,
    fields: Sequence[campaigns.DeclaredField] = (),
    advertiser: str = "",
    attestation_id: int | None = None,
) -> campaigns.Campaign:
    """A campaign of this person, with a script and a hotline of its own unless they are given."""
    async with joined(where) as tx:
        if script_id is None:
            demo = "voice_otp" if kind == "otp" else "order_reminder"
            script_id = (await script(tx, owner.account_id, demo)).id
        if hotline_ids is None:
            hotline_ids = [(await hotline(tx, owner.account_id)).id]
        return await campaigns.create_campaign(
            tx,
            owner.account_id,
            owner.user.id,
            name=f"campaign {secrets.token_hex(4)}",
            kind=kind,
            purpose=purpose or ("otp" if kind == "otp" else "customer_care"),
            script_id=script_id,
            hotline_ids=hotline_ids,
            config=config or campaigns.CampaignConfig(),
            max_channels=max_channels,
            max_cps=max_cps,
            takes_imports=takes_imports,
            state=state,
            fields=fields,
            advertiser=advertiser,
            attestation_id=attestation_id,
        )


@asynccontextmanager
async def joined(where: Database | Tx) -> AsyncIterator[Tx]:
    """The given transaction, or one of its own that commits at the end."""
    if isinstance(where, Database):
        async with where.transaction() as tx:
            yield tx
    else:
        yield where
