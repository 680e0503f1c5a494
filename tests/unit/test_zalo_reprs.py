"""What a one-time code or a token is in can be printed, and shows neither."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tongdai.domain.zalo import ZnsRequest
from tongdai.ports.zalo import Access, AppSecret, JourneyToken, Message, TokenPair

SECRET = "8265193740"


@pytest.mark.parametrize(
    "holder",
    [
        ZnsRequest(phone="0912345001", template_id=7, data={"otp": SECRET}),
        Message(phone="84912345001", template_id=7, data={"otp": SECRET}, tracking_id="t"),
        Access(SECRET, 1, SECRET),
        AppSecret(1, SECRET),
        JourneyToken("77", SECRET),
        TokenPair(SECRET, SECRET, timedelta(hours=1)),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_no_code_or_token_is_printed_with_what_holds_it(holder: object) -> None:
    assert SECRET not in repr(holder)
    assert SECRET not in str(holder)
