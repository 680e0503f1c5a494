"""The only place that wires: settings to database, keys, engines and what the APIs are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tongdai.adapters import lame
from tongdai.adapters.asterisk.stored import StoredRecordings
from tongdai.adapters.files import FileStorage
from tongdai.adapters.httppost import HttpPoster
from tongdai.adapters.sandbox.engine import SandboxEngine
from tongdai.adapters.zaloapi import ZaloClient
from tongdai.api import webhook_bodies
from tongdai.domain import dialer, recordings, routing
from tongdai.domain.compliance import PolicyBook, load_policies
from tongdai.domain.webhooks import Renderers
from tongdai.facades.aicallcenter import callbacks as aicallcenter
from tongdai.facades.vbot import callbacks as vbot
from tongdai.kit.clock import Clock, SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.mp3 import MakeMp3
from tongdai.ports.services import RecordingOptions, Services, VBotOptions, ZaloOptions
from tongdai.ports.sip import AsteriskNode
from tongdai.ports.storage import Storage
from tongdai.ports.telephony import Engine, RecordingStore
from tongdai.settings import Settings, SettingsError

if TYPE_CHECKING:
    from tongdai.domain.prompts.sounds import SoundBook
    from tongdai.ports.speech import Speaker

NO_DATABASE = (
    "database_url (TONGDAI_DATABASE_URL) is not set; only `tongdai demo` and `tongdai serve --role all` "
    "bring a database of their own"
)

ENGINES: Mapping[str, Callable[[Settings], Engine]] = {
    "sandbox": lambda settings: SandboxEngine(settings.sandbox_socket),
}
"""How a client of each telephony engine is made, by the name that a trunk calls the engine."""

RENDERERS: Renderers = {
    "vbot_auto_call": vbot.render_auto_call,
    "vbot_call_history": vbot.render_call_history,
    "aicallcenter": aicallcenter.render,
    "tongdai": webhook_bodies.render,
    "zalo": webhook_bodies.render_zalo,
}
"""What makes the body of an event, by the format that a webhook endpoint asks for."""


class NodeRecordings:
    """What each Asterisk node keeps to be fetched, by what legs call the node. Follows the table of nodes."""

    def __init__(self, db: Database, keyring: Keyring) -> None:
        self._db = db
        self._keyring = keyring
        self._clients: dict[AsteriskNode, StoredRecordings] = {}

    async def stores(self) -> dict[str, RecordingStore]:
        """Those that there are now. A node that changed since has a new client."""
        async with self._db.transaction() as tx:
            nodes = set(await routing.nodes(tx, self._keyring))
        gone = [self._clients.pop(node) for node in self._clients.keys() - nodes]
        for new in nodes - self._clients.keys():
            self._clients[new] = StoredRecordings(new)
        stores: dict[str, RecordingStore] = {node.engine: one for node, one in self._clients.items()}
        for client in gone:
            await client.close()
        return stores

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything that a process may need, built but not started: no connection is open yet."""

    settings: Settings
    db: Database
    keyring: Keyring
    clock: Clock
    services: Services

    def engines(self) -> dict[str, Engine]:
        """A new client for each telephony engine, by the name that a trunk calls it."""
        return {name: make(self.settings) for name, make in ENGINES.items()}

    def engine_maker(self, sounds: SoundBook) -> Callable[[AsteriskNode], Engine]:
        """Makes a client of an Asterisk node, which plays what that book has."""
        from tongdai.adapters.asterisk.engine import AsteriskEngine

        book = routing.TrunkBookOfDatabase(self.db, self.keyring)
        return lambda node: AsteriskEngine(node, book, sounds)

    def sounds(self) -> SoundBook:
        """A new book of what is said on calls, with its voices. Raises SettingsError."""
        return _sounds(self.settings, self.services.storage, self.clock)

    def poster(self) -> HttpPoster:
        """A new client for customers' servers."""
        return HttpPoster(
            allow_private=self.settings.webhooks_allow_private,
            timeout_s=self.settings.webhooks_timeout_s,
            connect_timeout_s=self.settings.webhooks_connect_timeout_s,
        )

    def zalo_client(self) -> ZaloClient:
        """A new client of Zalo's."""
        return _zalo_client(self.settings)

    def renderers(self) -> Renderers:
        """What makes the bodies of webhooks, with the addresses of recordings in them."""
        links = recordings.Links(self.keyring, self.services.recordings)
        return recordings.with_addresses(RENDERERS, links, self.clock)

    def mp3_maker(self) -> MakeMp3 | None:
        """What makes mp3 files; None where it is not installed."""
        return lame.make_mp3 if self.services.recordings.makes_mp3 else None

    def policies(self) -> PolicyBook:
        """The law as dated data, with the operator's own changes. What cannot be read leaves no policy."""
        return load_policies(self.settings.own_policy)


def build(settings: Settings) -> Platform:
    """Wire one process. Raises SettingsError when the database or the master key is not set."""
    if not settings.database_url:
        raise SettingsError(NO_DATABASE)
    db = Database(settings.database_url, max_size=settings.database_pool_size)
    keyring = Keyring(settings.master_key())
    clock = SystemClock()
    services = Services(
        db=db,
        keyring=keyring,
        clock=clock,
        hinter=Hinter(db),
        storage=FileStorage(Path(settings.data_dir) / "files"),
        engines=frozenset({*ENGINES, dialer.ASTERISK}),
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_s,
        export_max_limit=settings.export_max_limit,
        aicc_strict_http_status=settings.aicallcenter_strict_http_status,
        aicc_token_life=settings.aicallcenter_token_life,
        vbot=VBotOptions(
            token_life=timedelta(seconds=settings.vbot_token_life_s),
            refresh_life=timedelta(seconds=settings.vbot_refresh_life_s),
            message_field=settings.vbot_message_field,
            date_format=settings.vbot_date_format,
        ),
        otp_seconds=settings.otp_seconds,
        policies=load_policies(settings.own_policy),
        zalo=_zalo_client(settings),
        zalo_options=ZaloOptions(
            success_code=settings.interits_success_code,
            capital_enums=settings.zalo_capital_enums,
            owner_id=settings.sencloud_owner_id,
            public_url=settings.public_url.rstrip("/"),
        ),
        webhooks_allow_private=settings.webhooks_allow_private,
        recording_storage=_recording_storage(settings),
        recordings=RecordingOptions(
            public_url=settings.own_url,
            link_life=timedelta(seconds=settings.recording_link_s),
            webhook_link_life=timedelta(seconds=settings.recording_webhook_link_s),
            makes_mp3=lame.installed(),
        ),
    )
    return Platform(settings=settings, db=db, keyring=keyring, clock=clock, services=services)


def _sounds(settings: Settings, storage: Storage, clock: Clock) -> SoundBook:
    # Sound is worked on with a library of 20 MB that only processes in need of sound load.
    from tongdai.domain.prompts.sounds import SoundBook

    return SoundBook(
        speakers(settings),
        storage,
        settings.sounds_path,
        voice=settings.speech_voice,
        fallback=settings.speech_fallback,
        max_bytes=settings.speech_cache_bytes,
        clock=clock,
    )


def speakers(settings: Settings) -> dict[str, Speaker]:
    """The providers of voices that are set up, by the name before a voice's colon. Raises SettingsError."""
    from tongdai.adapters.espeak import EspeakSpeaker
    from tongdai.adapters.httptts import HttpSpeaker, ProviderError, load_provider
    from tongdai.adapters.piper import PiperSpeaker

    found: dict[str, Speaker] = {"espeak": EspeakSpeaker()}
    if settings.piper_voices:
        found["piper"] = PiperSpeaker(settings.piper_program, Path(settings.piper_voices))
    if settings.httptts_provider:
        try:
            provider = load_provider(settings.httptts_provider, settings.httptts_url)
        except ProviderError as error:
            raise SettingsError(f"httptts_provider: {error}") from None
        found["http"] = HttpSpeaker(
            provider,
            settings.httptts_key,
            timeout_s=settings.httptts_timeout_s,
            at_once=settings.httptts_at_once,
        )
    _check_voices(settings, found)
    return found


def _check_voices(settings: Settings, found: Mapping[str, Speaker]) -> None:
    for name, voice in (
        ("speech_voice", settings.speech_voice),
        ("speech_fallback", settings.speech_fallback),
    ):
        provider = voice.partition(":")[0]
        if (voice or name == "speech_voice") and provider not in found:
            known = ", ".join(f"{one}:…" for one in found)
            raise SettingsError(f"{name}: there is no voice {voice!r}; set up are {known}")


def _recording_storage(settings: Settings) -> Storage | None:
    """A bucket, if recordings go to one. Raises SettingsError."""
    if settings.recordings_storage == "files":
        return None
    if not (settings.s3_bucket and settings.s3_access_key and settings.s3_secret_key):
        raise SettingsError(
            "recordings_storage is s3: set s3_bucket, s3_access_key and s3_secret_key too, or set it to files"
        )
    # Its library is 15 MB that no other installation needs in memory.
    from tongdai.adapters.s3 import S3Bucket, S3Storage

    bucket = S3Bucket(
        name=settings.s3_bucket,
        region=settings.s3_region,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        endpoint=settings.s3_endpoint,
        path_style=settings.s3_path_style,
    )
    return S3Storage(bucket, timeout_s=settings.s3_timeout_s)


def _zalo_client(settings: Settings) -> ZaloClient:
    return ZaloClient(
        oauth_url=settings.zalo_oauth_url,
        openapi_url=settings.zalo_openapi_url,
        business_url=settings.zalo_business_url,
        timeout_s=settings.zalo_timeout_s,
        connect_timeout_s=settings.zalo_connect_timeout_s,
    )
