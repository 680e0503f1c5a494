"""Zalo's digests come out as its SDKs make them."""

from __future__ import annotations

from tongdai.kit.zalo_signs import appsecret_proof, event_signature, pkce_challenge


def test_a_pkce_challenge_is_the_one_of_rfc_7636() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert pkce_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_proof_is_an_hmac_of_the_token_under_the_apps_secret() -> None:
    assert (
        appsecret_proof("access-token-sample", "app-secret-sample")
        == "0aa0564f59ebec62fcbae36e1774d14402f40e68085ba6e5c91ac38c46f31122"
    )


def test_an_event_is_signed_with_a_digest_of_app_body_time_and_key() -> None:
    body = b'{"app_id":"1234567890","event_name":"user_received_message","timestamp":"1700000000123"}'
    expected = "mac=8201255f5ce8f8f85745cd36f5ad1ab83a30c1d2fb3a22fcd50431069c6aa747"
    key = "oa-secret-key-sample"
    assert event_signature("1234567890", body, "1700000000123", key) == expected
    assert event_signature(1234567890, body, 1700000000123, key) == expected
