"""What no Zalo would say, but somebody in its place may: what cannot be kept or reckoned with is not read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tongdai.adapters.zaloapi import wire
from tongdai.ports.zalo import ZaloGarbledError


def said(data: Any) -> bytes:
    return json.dumps({"error": 0, "message": "Success", "data": data}).encode()


@pytest.mark.parametrize("oa_id", [0, -1, "0", "-4318657068771012646"])
def test_an_official_account_has_an_id_above_zero(oa_id: Any) -> None:
    with pytest.raises(ZaloGarbledError):
        wire.profile(said({"oa_id": oa_id, "name": "A"}))


@pytest.mark.parametrize("timeout", [367 * 86_400_000, 253_402_300_799_999, 2**62])
def test_a_timeout_is_one_that_can_be_added_to_a_time(timeout: int) -> None:
    with pytest.raises(ZaloGarbledError):
        wire.template(said({"templateId": 1, "timeout": timeout}))


def test_the_longest_timeout_and_the_last_time_can_be_added() -> None:
    timeout = wire.template(said({"templateId": 1, "timeout": 366 * 86_400_000})).timeout
    sent_at = wire.sent(said({"msg_id": "a", "sent_time": 4_102_444_800_000})).sent_at
    assert timeout == timedelta(days=366)
    assert sent_at is not None
    assert sent_at + timeout > datetime(2100, 12, 31, tzinfo=UTC)


def test_a_message_whose_time_lies_beyond_all_reckoning_was_sent_at_no_time() -> None:
    assert wire.sent(said({"msg_id": "a", "sent_time": 253_402_300_799_999})).sent_at is None
    with pytest.raises(ZaloGarbledError):
        wire.message_status(said({"status": 1, "delivery_time": 253_402_300_799_999}))


def test_a_text_is_cut_before_lists_of_it_fill_the_memory() -> None:
    profile = wire.profile(said({"oa_id": 1, "name": "A", "description": "ô" * 900_000}))
    assert profile.description == "ô" * 10_000
