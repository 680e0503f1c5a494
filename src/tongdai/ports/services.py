"""What the APIs are given: the pieces that a request needs, wired once by `bootstrap`.

It stands beside the ports because it holds one (`Storage`); `kit` may not know ports, and the APIs may not
know `bootstrap`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.storage import Storage
from tongdai.ports.zalo import Zalo


@dataclass(frozen=True, slots=True)
class VBotOptions:
    """How VBot's API answers."""

    token_life: timedelta = timedelta(hours=24)
    """Of an access token; whole seconds, as it is told in them."""
    refresh_life: timedelta = timedelta(days=30)
    message_field: bool = True
    """True: `message` beside `msg`."""
    date_format: str = "MM/dd/yyyy"
    """Or `dd/MM/yyyy`."""


@dataclass(frozen=True, slots=True)
class ZaloOptions:
    """How the APIs about Zalo answer."""

    success_code: int = 0
    """`code` in Interits' envelope."""
    capital_enums: bool = False
    """True: enums in capitals."""
    owner_id: bool = True
    """True: SenCloud's `owner_id` beside `onwer_id`."""
    public_url: str = ""
    """Where this platform is reached from outside, without a path; "": not known."""


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """How recordings are handed out."""

    public_url: str = ""
    """Where links to them lead, without a path; "": to a path alone."""
    link_life: timedelta = timedelta(hours=1)
    """Of links that our API gives; whole seconds, like the other."""
    webhook_link_life: timedelta = timedelta(days=7)
    """Of links in webhooks, and in vendors' answers."""
    makes_mp3: bool = False
    """True: what makes mp3 files is installed."""


class Policies(Protocol):
    """The rules about whom a campaign may call: the domain's `PolicyBook`, which ports may not know."""

    def at(self, now: datetime) -> Any:
        """The policy in force at a moment."""


@dataclass(frozen=True, slots=True)
class Services:
    """Handed to `api.routes(services)` and to each facade's `routes(services)`."""

    db: Database
    keyring: Keyring
    clock: Clock
    hinter: Hinter
    """Call `hinter.wake(campaign_id)` after the commit that gave a campaign work."""
    storage: Storage
    engines: frozenset[str] = frozenset()
    """Names of the telephony engines that this installation has: what a trunk may be on."""
    max_body_bytes: int = 64 * 1024 * 1024
    """Longer request bodies are refused before they are read."""
    body_timeout_s: float = 60.0
    """How long the body of a request may be on its way; see `kit.receiving`."""
    export_max_limit: int = 10_000
    """Largest page of results that one request may ask for."""
    aicc_strict_http_status: bool = False
    """True: AICallCenter's errors carry an HTTP status of their own instead of 200."""
    aicc_token_life: timedelta | None = None
    """None: an AICallCenter access token is valid until its secret is changed."""
    vbot: VBotOptions = VBotOptions()
    otp_seconds: int = 60
    """A voice OTP that was not dialled so long after its import is told as expired."""
    policies: Policies | None = None
    """None: the law's own."""
    zalo: Zalo | None = None
    """None: this process has no client of Zalo's (tests of other parts)."""
    zalo_options: ZaloOptions = ZaloOptions()
    webhooks_allow_private: bool = False
    """True: webhook endpoints may be at loopback, private or otherwise reserved addresses."""
    recording_storage: Storage | None = None
    """Where recordings are; None: in `storage`."""
    recordings: RecordingOptions = RecordingOptions()

    @property
    def recorded(self) -> Storage:
        """Where recordings are."""
        return self.recording_storage or self.storage

    def policy_now(self) -> Any:
        """The policy in force, for use cases that ask for one."""
        return self.policies and self.policies.at(self.clock.now())
