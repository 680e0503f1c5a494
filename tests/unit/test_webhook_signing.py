"""What we sign is what receivers check with the reference library."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tongdai.domain.webhooks.signing import Signer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@given(body=some.text(), name=some.text("abc_019", min_size=1))
def test_a_signature_is_the_reference_librarys(body: str, name: str) -> None:
    moment = datetime.now(UTC)
    stamp = str(int(moment.timestamp()))
    ours = Signer(SECRET).sign(name, stamp, body.encode())
    assert ours == Webhook(SECRET).sign(name, moment, body)


def test_another_secret_signs_otherwise() -> None:
    stamp = str(int(datetime.now(UTC).timestamp()))
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": stamp,
        "webhook-signature": Signer(OTHER).sign("evt_1", stamp, b"{}"),
    }
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b"{}", headers)
    assert Webhook(OTHER).verify(b"{}", headers) == {}


def test_a_signer_does_not_show_its_secret() -> None:
    assert "MfKQ" not in repr(Signer(SECRET))
