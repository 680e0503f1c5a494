"""The three digests of Zalo's: of a PKCE pair, of a token's proof, and of an event.

They stand here because the domain (permissions, events) and the adapters (client, emulator) both need them.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Final

SIGNATURE_PREFIX: Final = "mac="


def pkce_challenge(verifier: str) -> str:
    """What the permission page is given for a PKCE verifier: RFC 7636, S256, without padding."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def appsecret_proof(token: str, secret: str) -> str:
    """The header `appsecret_proof`, for an access token and the secret of the app that it is of."""
    return hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()


def event_signature(app_id: int | str, body: bytes, timestamp: int | str, key: str) -> str:
    """The header `X-ZEvent-Signature` of an event, `mac=` and 64 hex digits: a plain digest, no HMAC.

    `body` is what was sent, byte for byte; `key` is the OA secret key of the app's webhook page, which is
    not the app's secret. To be compared with `hmac.compare_digest`.
    """
    digest = hashlib.sha256(str(app_id).encode())
    for part in (body, str(timestamp).encode(), key.encode()):
        digest.update(part)
    return SIGNATURE_PREFIX + digest.hexdigest()
