"""What can be done with accounts, users, projects and API keys.

Passwords and logins are in `passwords.py` and `logins.py`, secrets and the tokens made from them in
`tokens.py`, vendors' keys in `vendor_keys.py`.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from tongdai.domain.accounts.errors import (
    AccountCodeTakenError,
    AccountInvalidError,
    AccountNotFoundError,
    ApiKeyNotFoundError,
    EmailTakenError,
    ProjectCodeTakenError,
    ProjectNotFoundError,
    UserNotFoundError,
)
from tongdai.domain.accounts.model import (
    Account,
    ApiKey,
    Caller,
    IssuedKey,
    PasswordHash,
    Project,
    Role,
    User,
    cap_faults,
    check_email,
    check_texts,
)
from tongdai.domain.accounts.passwords import hash_password
from tongdai.domain.accounts.store import accounts as store
from tongdai.kit.db import Database, Tx

_KEY_PREFIX: Final = "td_"
_HINT_LENGTH: Final = 10
_LONGEST_KEY: Final = 100


# ---------------------------------------------------------------- accounts and users


async def create_account(
    tx: Tx,
    name: str,
    *,
    code: str | None = None,
    max_channels: int | None = None,
    max_cps: float | None = None,
) -> Account:
    """A new tenant. No cap: none of its own. No code: a new one of nine digits.

    Raises:
        AccountInvalidError: the name or code is empty, too long or not printable, or a cap is out of range.
        AccountCodeTakenError: another account has this code.
    """
    check_texts(name=name, **({} if code is None else {"code": code}))
    faults = list(cap_faults(max_channels, max_cps))
    if faults:
        raise AccountInvalidError(errors=faults)
    account = await store.insert_account(tx, name, code, max_channels, max_cps)
    if account is None:
        raise AccountCodeTakenError
    return account


async def get_account(tx: Tx, account_id: int) -> Account:
    """Raises AccountNotFoundError."""
    account = await store.get_account(tx, account_id)
    if account is None:
        raise AccountNotFoundError
    return account


async def list_accounts(tx: Tx, *, after: int = 0, limit: int = 100) -> list[Account]:
    """Accounts with an id above `after`, oldest first: for the platform's administrators alone."""
    return await store.list_accounts(tx, after, limit)


async def create_user(
    tx: Tx, account_id: int, *, email: str, name: str, role: Role, password: str | PasswordHash
) -> User:
    """A new user of an account.

    Hashing takes some 50 ms; give what `hash_password` returned to keep that out of the transaction.

    Raises:
        AccountInvalidError: the address, name or password is not acceptable.
        AccountNotFoundError: there is no such account.
        EmailTakenError: someone has this address, in this account or another.
    """
    check_email(email)
    check_texts(name=name)
    password_hash = await hash_password(password) if isinstance(password, str) else password
    await get_account(tx, account_id)
    user = await store.insert_user(tx, account_id, email, name, role, password_hash)
    if user is None:
        raise EmailTakenError
    return user


async def get_user(tx: Tx, account_id: int, user_id: int) -> User:
    """Raises UserNotFoundError."""
    user = await store.get_user(tx, account_id, user_id)
    if user is None:
        raise UserNotFoundError
    return user


async def list_users(tx: Tx, account_id: int, *, after: int = 0, limit: int = 100) -> list[User]:
    """Enabled users of an account with an id above `after`, oldest first."""
    return await store.list_users(tx, account_id, after, limit)


async def get_owner_id(tx: Tx, account_id: int) -> int | None:
    """The account's owner; of several, the one who has been there for longest. None: nobody owns it now."""
    return await store.get_owner_id(tx, account_id)


async def find_user(tx: Tx, email: str) -> User | None:
    """Whoever signs in with this address, in whatever account: for signing in and for administrators."""
    return await store.find_user(tx, email) if email.isprintable() else None


async def disable_user(tx: Tx, account_id: int, user_id: int) -> None:
    """Shuts a user out at once: password, API keys and tokens.

    Raises:
        UserNotFoundError: no such user, or disabled already.
    """
    if not await store.disable_user(tx, account_id, user_id):
        raise UserNotFoundError


async def create_project(tx: Tx, account_id: int, *, code: str, name: str) -> Project:
    """A group of campaigns inside an account.

    Raises:
        AccountInvalidError: the code or name is empty, too long or not printable.
        AccountNotFoundError: there is no such account.
        ProjectCodeTakenError: a project of the account has this code. Another account's may: who is told
            that a code is taken would learn what others call their projects.
    """
    check_texts(code=code, name=name)
    await get_account(tx, account_id)
    project = await store.insert_project(tx, account_id, code, name)
    if project is None:
        raise ProjectCodeTakenError
    return project


async def get_project(tx: Tx, account_id: int, project_id: int) -> Project:
    """Raises ProjectNotFoundError."""
    project = await store.get_project(tx, account_id, project_id)
    if project is None:
        raise ProjectNotFoundError
    return project


async def find_project(tx: Tx, account_id: int, code: str) -> Project | None:
    """The account's project of this code."""
    return await store.find_project(tx, account_id, code) if code.isprintable() else None


async def list_projects(tx: Tx, account_id: int, *, after: int = 0, limit: int = 100) -> list[Project]:
    """Projects of an account with an id above `after`, oldest first."""
    return await store.list_projects(tx, account_id, after, limit)


# ---------------------------------------------------------------- API keys


async def issue_api_key(tx: Tx, account_id: int, user_id: int, name: str) -> IssuedKey:
    """A key that acts as this user; its text is shown now and never again.

    Raises:
        AccountInvalidError: the name is empty, too long or not printable.
        UserNotFoundError: the account has no such user.
    """
    check_texts(name=name)
    key = _new_key()
    key_id = await store.insert_api_key(tx, account_id, user_id, name, key[:_HINT_LENGTH], _key_hash(key))
    if key_id is None:
        raise UserNotFoundError
    return IssuedKey(key_id, key)


async def issue_platform_key(tx: Tx, name: str) -> IssuedKey:
    """A key for whoever runs the platform; it opens no tenant's data.

    Raises:
        AccountInvalidError: the name is empty, too long or not printable.
    """
    check_texts(name=name)
    key = _new_key()
    return IssuedKey(await store.insert_platform_key(tx, name, key[:_HINT_LENGTH], _key_hash(key)), key)


async def revoke_api_key(tx: Tx, account_id: int, key_id: int) -> None:
    """Raises ApiKeyNotFoundError."""
    if not await store.revoke_api_key(tx, account_id, key_id):
        raise ApiKeyNotFoundError


async def revoke_platform_key(tx: Tx, key_id: int) -> None:
    """Raises ApiKeyNotFoundError."""
    if not await store.revoke_platform_key(tx, key_id):
        raise ApiKeyNotFoundError


async def list_api_keys(tx: Tx, account_id: int) -> list[ApiKey]:
    return await store.list_api_keys(tx, account_id)


async def authenticate_key(tx: Tx, key: str) -> Caller | None:
    """Who this key acts as; None for anything that is not a live key of an enabled user."""
    if not _may_be_key(key):
        return None
    [found] = await store.find_keys(tx, [_key_hash(key)])
    return found


async def authenticate_request(db: Database, key: str) -> Caller | None:
    """The same for a request: looked up together with the keys of other requests that are there."""
    return await db.read_together(store.find_keys, _key_hash(key)) if _may_be_key(key) else None


def _may_be_key(key: str) -> bool:
    return len(key) <= _LONGEST_KEY and key.startswith(_KEY_PREFIX)


def _new_key() -> str:
    return _KEY_PREFIX + secrets.token_urlsafe(32)


def _key_hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
