"""Tenants, their users, and who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from tongdai.domain.accounts.errors import AccountInvalidError
from tongdai.kit.errors import ForbiddenError

MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 1024
MAX_NAME: Final = 200
_LONGEST_EMAIL: Final = 254

MIN_CPS: Final = 0.01
"""Least cap on calls per second, of whatever has one: a call every 100 seconds. Less would only be a slip,
and its spacing soon fits into no time type; who wants no calls pauses or disables."""

MAX_CPS: Final = 10_000.0
"""Greatest cap on calls per second: beyond what any trunk takes. Null is no cap."""

MAX_CHANNELS: Final = 2**31 - 1
"""What the database's integer holds."""


class Role(StrEnum):
    """What a user may do: an owner everything, an operator all but people and keys, a viewer only look."""

    OWNER = "owner"
    OPERATOR = "operator"
    VIEWER = "viewer"

    def covers(self, needed: Role) -> bool:
        return _RANK[self] >= _RANK[needed]


_RANK: Final = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.OWNER: 3}

Scope = Literal["account", "platform"]


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """An argon2id hash in its own text form, parameters and salt included.

    A type of its own, so that a password that merely looks like a hash is never taken for one.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Account:
    id: int
    code: str
    """What vendors' APIs call it by (VBot's vbot_id): unique, and no secret."""
    name: str
    limit_id: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class User:
    id: int
    account_id: int
    email: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    account_id: int
    code: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is listed: `hint` is its first characters; the key itself is not kept."""

    id: int
    scope: Scope
    account_id: int | None
    user_id: int | None
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key: the only time that its text is there."""

    id: int
    key: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    A platform key belongs to nobody: its account and user are 0, which no row has.
    """

    account_id: int
    user_id: int
    role: Role
    scope: Scope
    key_id: int = field(default=0, compare=False)
    """The API key that was sent, to say who did it; 0 for what is no API key of ours."""

    def require(self, role: Role) -> None:
        """Passes for this role or a higher one in an account.

        Raises:
            ForbiddenError: a lower role, or a platform key.
        """
        if self.scope != "account" or not self.role.covers(role):
            raise ForbiddenError(needed=role.value)

    def require_platform(self) -> None:
        """Passes for a platform key.

        Raises:
            ForbiddenError: any other caller.
        """
        if self.scope != "platform":
            raise ForbiddenError(needed="platform")


def check_texts(**texts: str) -> None:
    """Names, codes and the like: not empty, at most 200 characters, storable.

    Raises:
        AccountInvalidError: naming each text that is not.
    """
    errors = [
        (name, "must hold 1 to 200 printable characters") for name, text in texts.items() if not _fits(text)
    ]
    if errors:
        raise AccountInvalidError(errors=errors)


def cap_faults(max_channels: int | None, max_cps: float | None) -> Iterator[tuple[str, str]]:
    """(field, message) of each cap that no account, trunk, hotline or campaign may have. None: no cap."""
    if max_channels is not None and not 0 <= max_channels <= MAX_CHANNELS:
        yield "max_channels", f"must be from 0 to {MAX_CHANNELS}"
    # Not so written that NaN, which compares with nothing, would pass.
    if max_cps is not None and not MIN_CPS <= max_cps <= MAX_CPS:
        yield "max_cps", f"must be from {MIN_CPS} to {MAX_CPS:.0f} calls per second"


def check_email(email: str) -> None:
    """A loose check: the only proof of an address is a message that arrives there.

    Raises:
        AccountInvalidError: the text cannot be an address.
    """
    name, at, host = email.rpartition("@")
    if not (
        at and name and host and len(email) <= _LONGEST_EMAIL and email.isprintable() and " " not in email
    ):
        raise AccountInvalidError(errors=[("email", "is not an e-mail address")])


def check_password(password: str) -> None:
    """8 to 1,024 characters, of any kind.

    Raises:
        AccountInvalidError: too short or too long.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise AccountInvalidError(
            errors=[("password", f"must hold {MIN_PASSWORD} to {MAX_PASSWORD} characters")]
        )


def _fits(text: str) -> bool:
    return bool(text.strip()) and len(text) <= MAX_NAME and text.isprintable()
