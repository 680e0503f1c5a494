"""What is kept secret about apps and Official Accounts, and in which context it is sealed.

A context names the account, so that a row moved to another account opens nothing there.
"""

from __future__ import annotations

from tongdai.kit.crypto import Keyring


def seal_app(keyring: Keyring, account_id: int, secret: str) -> bytes:
    """Of an app: its secret, its webhook secret, its fixed verifier."""
    return keyring.seal(secret.encode(), context=_app(account_id))


def open_app(keyring: Keyring, account_id: int, sealed: bytes) -> str:
    """Raises SealBrokenError."""
    return keyring.open(sealed, context=_app(account_id)).decode()


def seal_token(keyring: Keyring, account_id: int, token: str) -> bytes:
    """An access or refresh token."""
    return keyring.seal(token.encode(), context=_token(account_id))


def open_token(keyring: Keyring, account_id: int, sealed: bytes) -> str:
    """Raises SealBrokenError."""
    return keyring.open(sealed, context=_token(account_id)).decode()


def _app(account_id: int) -> str:
    return f"zalo.app/{account_id}"


def _token(account_id: int) -> str:
    return f"zalo.token/{account_id}"
