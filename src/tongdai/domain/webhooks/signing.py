"""Signatures of webhooks (standardwebhooks.com, version v1, symmetric). Pure."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode

PREFIX = "whsec_"


class Signer:
    """Signs with one secret: base64, after `whsec_`. Raises ValueError for another text."""

    __slots__ = ("_key",)

    def __init__(self, secret: str) -> None:
        self._key = b64decode(secret.removeprefix(PREFIX))

    def __repr__(self) -> str:
        return "Signer()"

    def sign(self, message_id: str, timestamp: str, body: bytes) -> str:
        """For the header `webhook-signature`; `timestamp` in whole seconds, as in `webhook-timestamp`."""
        content = b".".join((message_id.encode(), timestamp.encode(), body))
        return "v1," + b64encode(hmac.digest(self._key, content, "sha256")).decode()
