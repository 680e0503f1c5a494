"""The life of codes and tokens: a code works once for 10 minutes, a refresh token once for 90 days, and
minting an access token kills the one before at once (Zalo's page on authorisation; the empty answer to a
consumed refresh token is what integrators see).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from tongdai.adapters.zaloemulator.clock import DAY_MS, Clock
from tongdai.adapters.zaloemulator.store import Store

CODE_MS: Final = 10 * 60_000
ACCESS_S: Final = 90_000
REFRESH_MS: Final = 90 * DAY_MS

TokenState = Literal["live", "killed", "expired", "unknown"]


@dataclass(frozen=True, slots=True)
class Pair:
    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose access token it is, and whether it is good."""

    state: TokenState
    app_id: int | None = None
    oa_id: int | None = None


class TokenError(Exception):
    """`code`: one of the token errors; None: an empty answer."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PkceRule:
    """What an app's console says of code challenges."""

    looked_at: bool
    fixed: str = ""
    """The console's challenge, which counts instead of the one of the address."""
    required: bool = False

    def check(self, challenge: str, verifier: str) -> None:
        """Raises TokenError. The code for it is published nowhere; the reason is ours."""
        expected = self.fixed or challenge
        if self.required and not expected:
            raise TokenError(-14005, "code_challenge is required")
        if self.looked_at and expected and challenge_of(verifier) != expected:
            raise TokenError(-14005, "code_verifier does not match code_challenge")


def digest(token: str) -> bytes:
    """SHA-256 of whatever a header held, UTF-8 or not."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def challenge_of(verifier: str) -> str:
    """S256 of RFC 7636, section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class Tokens:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def grant(self, app_id: int, oa_id: int, groups: str, challenge: str) -> str:
        """An administrator lets the app in. The code for it."""
        code = secrets.token_urlsafe(64)
        now = self._clock.now_ms()
        self._store.write("INSERT OR REPLACE INTO grants VALUES (?, ?, ?, ?)", (app_id, oa_id, groups, now))
        self._store.write(
            "INSERT INTO codes VALUES (?, ?, ?, ?, ?, 'fresh')", (digest(code), app_id, oa_id, challenge, now)
        )
        self._store.commit()
        return code

    def code_owner(self, code: str) -> int | None:
        row = self._store.one("SELECT oa_id FROM codes WHERE digest = ?", (digest(code),))
        return row[0] if row else None

    def exchange(self, app_id: int, code: str, verifier: str | None, rule: PkceRule) -> tuple[int, Pair]:
        """The OA that the code is of, and its tokens. Raises TokenError.

        A code that was sent with a wrong verifier may be sent again.
        """
        row = self._store.one(
            "SELECT oa_id, challenge, issued_ms, state FROM codes WHERE digest = ? AND app_id = ?",
            (digest(code), app_id),
        )
        if row is None or row[3] != "fresh":
            raise TokenError(-14005)
        oa_id, challenge, issued_ms, _ = row
        if self._clock.now_ms() >= issued_ms + CODE_MS:
            raise TokenError(-14019)
        rule.check(challenge, verifier or "")
        self._store.write("UPDATE codes SET state = 'used' WHERE digest = ?", (digest(code),))
        return oa_id, self._mint(app_id, oa_id)

    def refresh_state(self, token: str) -> tuple[str, int | None, int | None]:
        """fresh, consumed, revoked, expired or unknown; and the app and OA that it is of."""
        row = self._store.one(
            "SELECT state, app_id, oa_id, expires_ms FROM refresh_tokens WHERE digest = ?", (digest(token),)
        )
        if row is None:
            return "unknown", None, None
        expired = row[0] == "fresh" and self._clock.now_ms() >= row[3]
        return ("expired" if expired else row[0]), row[1], row[2]

    def refresh(self, app_id: int, token: str) -> tuple[int, Pair]:
        """The OA, and its new tokens. Raises TokenError."""
        state, owner, oa_id = self.refresh_state(token)
        if owner != app_id or oa_id is None or state in ("unknown", "revoked"):
            raise TokenError(-14014)
        if state == "consumed":
            raise TokenError(None)
        if state == "expired":
            raise TokenError(-14020)
        self._store.write("UPDATE refresh_tokens SET state = 'consumed' WHERE digest = ?", (digest(token),))
        return oa_id, self._mint(app_id, oa_id)

    def _mint(self, app_id: int, oa_id: int) -> Pair:
        """A new pair; the access token of before is over."""
        now = self._clock.now_ms()
        pair = Pair(secrets.token_urlsafe(180), secrets.token_urlsafe(180))
        self._store.write(
            "UPDATE access_tokens SET state = 'killed' WHERE app_id = ? AND oa_id = ? AND state = 'live'",
            (app_id, oa_id),
        )
        self._store.write(
            "INSERT INTO access_tokens VALUES (?, ?, ?, ?, 'live')",
            (digest(pair.access_token), app_id, oa_id, now + ACCESS_S * 1000),
        )
        self._store.write(
            "INSERT INTO refresh_tokens VALUES (?, ?, ?, ?, 'fresh')",
            (digest(pair.refresh_token), app_id, oa_id, now + REFRESH_MS),
        )
        return pair

    def holder(self, access_token: str) -> Holder:
        row = self._store.one(
            "SELECT state, app_id, oa_id, expires_ms FROM access_tokens WHERE digest = ?",
            (digest(access_token),),
        )
        if row is None:
            return Holder("unknown")
        state: TokenState = row[0]
        if state == "live" and self._clock.now_ms() >= row[3]:
            state = "expired"
        return Holder(state, row[1], row[2])

    def revoke(self, app_id: int, oa_id: int | None = None) -> int:
        """Consent is withdrawn (by every OA, if none is named): the app's tokens die. How many consents."""
        of = (app_id, oa_id)
        for update in (
            "UPDATE access_tokens SET state = 'killed' WHERE state = 'live'",
            "UPDATE refresh_tokens SET state = 'revoked' WHERE state = 'fresh'",
            "UPDATE codes SET state = 'used' WHERE state = 'fresh'",
        ):
            self._store.write(update + " AND app_id = ?1 AND (?2 IS NULL OR oa_id = ?2)", of)
        gone = self._store.write("DELETE FROM grants WHERE app_id = ?1 AND (?2 IS NULL OR oa_id = ?2)", of)
        self._store.commit()
        return gone

    def apps_of(self, oa_id: int) -> list[int]:
        """The apps that the OA lets in."""
        return [row[0] for row in self._store.all("SELECT app_id FROM grants WHERE oa_id = ?", (oa_id,))]

    def lets_in(self, app_id: int, oa_id: int) -> bool:
        return (
            self._store.one("SELECT 1 FROM grants WHERE (app_id, oa_id) = (?, ?)", (app_id, oa_id))
            is not None
        )
