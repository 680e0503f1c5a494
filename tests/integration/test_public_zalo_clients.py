"""A public client of Zalo's, unmodified, gets through what the emulator offers as through Zalo itself.

zalo_sdk has the addresses of Zalo's permission and token endpoints in its code, and no setting for them. So
the emulator stands behind TLS here, with a certificate for Zalo's hosts from an authority of the test's own,
and those names are made to lead there.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import zalo_sdk  # type: ignore[import-untyped]
import zalo_sdk.oa  # type: ignore[import-untyped]
import zalo_sdk.zns  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.fakes.zalo import (
    APP_ID,
    APP_SECRET,
    CALLBACK_URL,
    OA_ID,
    TRANSACTION_TEMPLATE,
    EmulatedZalo,
    grant,
    zalo_emulator,
)

from tongdai.adapters.zaloapi import ZaloClient
from tongdai.kit.zalo_signs import pkce_challenge
from tongdai.ports.zalo import AppSecret, ZaloAwayError

pytestmark = pytest.mark.anyio

HOSTS = ("oauth.zaloapp.com", "openapi.zalo.me", "business.openapi.zalo.me")
VERIFIER = "dBjftJeZ4CVPtmB92K27uhbUJU1p1rawW1gFWFOEjXk"
PHONE = "84987654321"
ORDER = {"ten_khach_hang": "Lan", "ma_don": "DH-1", "so_tien": "120000", "ngay": "01/02/2026"}

T = TypeVar("T")


# ---------------------------------------------------------------- Zalo's names, on loopback


class Authority:
    """Certifies Zalo's hosts, to whoever trusts `file`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "authority.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
        own = self._certificate(self._name, self._key.public_key(), x509.BasicConstraints(True, None))
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
        self._folder = folder

    def _certificate(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, what: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(what, critical=isinstance(what, x509.BasicConstraints))
        )
        return certificate.sign(self._key, hashes.SHA256())

    def context(self) -> ssl.SSLContext:
        """Of a server that is all of Zalo's hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOSTS[0])])
        both = self._folder / "server.pem"
        both.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + self._certificate(subject, key.public_key(), names).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context


class HandOn(BaseHTTPRequestHandler):
    """What comes in by TLS goes on without it. One request per connection."""

    to: str
    """host:port"""

    def do_GET(self) -> None:
        self._hand_on(None)

    def do_POST(self) -> None:
        self._hand_on(self.rfile.read(int(self.headers["Content-Length"])))

    def _hand_on(self, body: bytes | None) -> None:
        connection = HTTPConnection(self.to)
        try:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            read = answer.read()
        finally:
            connection.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(read)))
        self.end_headers()
        self.wfile.write(read)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@asynccontextmanager
async def tls_before(url: str, context: ssl.SSLContext) -> AsyncIterator[int]:
    """The port at which TLS ends, before the plain HTTP of `url`. Its threads end with the block."""
    handler = type("Handler", (HandOn,), {"to": urlsplit(url).netloc})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = False
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = asyncio.create_task(asyncio.to_thread(server.serve_forever, 0.02))
        try:
            yield server.server_port
        finally:
            await asyncio.to_thread(server.shutdown)
            await serving


def lead_zalo_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def look_up(host: Any, at: Any, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1", port, *args, **kwargs) if host in HOSTS else real(host, at, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture
async def zalo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmulatedZalo]:
    """An emulator that this process finds at Zalo's own addresses."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    monkeypatch.setenv("NO_PROXY", "*")
    async with zalo_emulator() as emulator, tls_before(emulator.url, authority.context()) as port:
        lead_zalo_to(port, monkeypatch)
        yield emulator


async def doing(what: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """zalo_sdk blocks."""
    return await asyncio.to_thread(partial(what, *args, **kwargs))


# ---------------------------------------------------------------- zalo_sdk


async def permitted(zalo: EmulatedZalo) -> Any:
    """zalo_sdk's client after it went through the permission page and got its tokens."""
    client = zalo_sdk.oa.Client(app_id=str(APP_ID), secret_key=APP_SECRET)
    page = client.request_authoriation_code_url(CALLBACK_URL, pkce_challenge(VERIFIER), "a-state")
    asked = urlsplit(page)
    assert (asked.scheme, asked.netloc) == ("https", "oauth.zaloapp.com")
    back = await grant(f"{zalo.url}{asked.path}?{asked.query}", OA_ID)
    assert (back["state"], back["oa_id"]) == ("a-state", str(OA_ID))
    await doing(client.get_access_token_from_authorization_code, back["code"], VERIFIER)
    return client


def sender(client: Any, access_token: str | None = None) -> Any:
    return zalo_sdk.zns.Client(
        app_id=str(APP_ID), secret_key=APP_SECRET, access_token=access_token or client.access_token
    )


async def test_zalo_sdk_gets_tokens_that_live_for_25_hours(zalo: EmulatedZalo) -> None:
    client = await permitted(zalo)
    assert client.access_token
    assert client.refresh_token
    left = client._expire_at - datetime.now(UTC).timestamp()
    assert 89_000 < left <= 90_001


async def test_zalo_sdk_sends_a_message_by_a_template(zalo: EmulatedZalo) -> None:
    zns = sender(await permitted(zalo))
    listed = await doing(zns.get_template_list, 0, 100, zalo_sdk.zns.ZNSTemplateStatus.Enabled)
    assert str(TRANSACTION_TEMPLATE) in {str(one["templateId"]) for one in listed["data"]}
    answer = await doing(zns.send_zns_message, PHONE, str(TRANSACTION_TEMPLATE), ORDER, "order-1")
    assert answer["data"]["msg_id"]
    (asked,) = await zalo.requests("/message/template")
    assert (asked["error"], asked["oa_id"]) == (0, str(OA_ID))


async def test_zalo_sdk_hears_that_a_number_has_no_zalo(zalo: EmulatedZalo) -> None:
    zns = sender(await permitted(zalo))
    with pytest.raises(zalo_sdk.ZaloException) as caught:
        await doing(zns.send_zns_message, "84987654404", str(TRANSACTION_TEMPLATE), ORDER, "order-1")
    assert caught.value._code == -118


async def test_zalo_sdk_renews_its_tokens_and_the_old_ones_are_dead(zalo: EmulatedZalo) -> None:
    client = await permitted(zalo)
    old_access, old_refresh = client.access_token, client.refresh_token
    await doing(client.refresh_acccess_token)
    assert {client.access_token, client.refresh_token}.isdisjoint({old_access, old_refresh})
    with pytest.raises(zalo_sdk.ZaloOAAuthTokenExpiredException):
        await doing(sender(client, old_access).get_template_list, 0, 10)
    assert (await doing(sender(client).get_template_list, 0, 10))["error"] == 0
    client.refresh_token = old_refresh
    with pytest.raises(requests.exceptions.JSONDecodeError):  # it was used: an empty body, as seen of Zalo
        await doing(client.refresh_acccess_token)


async def test_zalo_sdk_hears_that_a_code_was_used(zalo: EmulatedZalo) -> None:
    client = zalo_sdk.oa.Client(app_id=str(APP_ID), secret_key=APP_SECRET)
    page = urlsplit(client.request_authoriation_code_url(CALLBACK_URL, pkce_challenge(VERIFIER), "s"))
    assert parse_qs(page.query)["app_id"] == [str(APP_ID)]
    back = await grant(f"{zalo.url}{page.path}?{page.query}", OA_ID)
    await doing(client.get_access_token_from_authorization_code, back["code"], VERIFIER)
    with pytest.raises(zalo_sdk.ZaloOAException) as caught:
        await doing(client.get_access_token_from_authorization_code, back["code"], VERIFIER)
    assert caught.value._code == -14005


async def test_zalo_sdk_hears_that_an_address_of_the_oa_api_is_none(zalo: EmulatedZalo) -> None:
    client = await permitted(zalo)
    with pytest.raises(zalo_sdk.ZaloOAException) as caught:
        await doing(client.get_list, {"offset": 0, "count": 1})
    assert caught.value._code == 404


async def test_nobody_is_taken_for_zalo_without_a_certificate_that_is_trusted(zalo: EmulatedZalo) -> None:
    """The platform's own client, at Zalo's own addresses, does not know the authority of this test."""
    client = ZaloClient(
        oauth_url=f"https://{HOSTS[0]}", openapi_url=f"https://{HOSTS[1]}", business_url=f"https://{HOSTS[2]}"
    )
    await client.start()
    try:
        with pytest.raises(ZaloAwayError):
            await client.refresh(AppSecret(APP_ID, APP_SECRET), "r")
    finally:
        await client.stop()
    assert await zalo.requests() == []
