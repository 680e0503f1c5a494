"""Sealing, look-up hashes and signing keys, all derived from one master key.

Each purpose has a key of its own (HKDF-SHA256), so that a value made for one purpose is useless for another.
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tongdai.kit.errors import TongdaiError

MASTER_BYTES: Final = 32
_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


class MasterKeyTooShortError(TongdaiError):
    """The master key needs at least 32 random bytes."""


class SealBrokenError(TongdaiError):
    """The sealed value cannot be opened: another key, another context, or damaged."""


class Keyring:
    """Keys for everything that is kept secret, from one master key of at least 32 random bytes.

    `context` says what a value is for and is authenticated: what was sealed in one context opens in no other.

    Raises:
        MasterKeyTooShortError: the master key is shorter than 32 bytes.
    """

    def __init__(self, master: bytes) -> None:
        if len(master) < MASTER_BYTES:
            raise MasterKeyTooShortError
        self._master = master
        self._cipher = AESGCM(self._derive("seal"))
        self._lookup_key = self._derive("lookup")
        self._signing_keys: dict[str, bytes] = {}

    def seal(self, plain: bytes, *, context: str) -> bytes:
        """Encrypts and authenticates: a version byte, a random nonce (12 bytes), the text, a tag (16 bytes).

        Random nonces keep one master key good for 2^32 seals (NIST SP 800-38D, section 8.3).
        """
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, _VERSION + context.encode())

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """What was given to `seal`.

        Raises:
            SealBrokenError: sealed with another key or in another context, or changed since.
        """
        if len(sealed) < 1 + _NONCE_BYTES + _TAG_BYTES or sealed[:1] != _VERSION:
            raise SealBrokenError
        nonce, text = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, text, _VERSION + context.encode())
        except InvalidTag as error:
            raise SealBrokenError from error

    def lookup_hash(self, value: str, *, context: str) -> bytes:
        """32 bytes (HMAC-SHA256) to find a secret by: equal values give equal hashes within one context."""
        message = context.encode() + b"\x00" + value.encode("utf-8", "surrogatepass")
        return hmac.digest(self._lookup_key, message, "sha256")

    def signing_key(self, context: str) -> bytes:
        """32 bytes to sign with in one context: the same for the same master key, always.

        Contexts are names written in the code, never a caller's text: each is kept for the keyring's life.
        """
        key = self._signing_keys.get(context)
        if key is None:
            key = self._signing_keys[context] = self._derive("sign:" + context)
        return key

    def __repr__(self) -> str:
        return "Keyring(…)"

    def _derive(self, purpose: str) -> bytes:
        kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tongdai/" + purpose.encode())
        return kdf.derive(self._master)
