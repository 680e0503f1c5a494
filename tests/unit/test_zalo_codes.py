"""What each of Zalo's codes asks for."""

from __future__ import annotations

import pytest

from tongdai.adapters.zaloapi import codes, wire
from tongdai.ports.zalo import Refusal


def test_no_code_is_in_two_tables() -> None:
    tables = (codes.OA_CODES, codes.ZNS_CODES, codes.TOKEN_CODES)
    assert len(codes.CODES) == sum(map(len, tables))


@pytest.mark.parametrize("code", [-124, -216, -220])
def test_an_access_token_that_is_over_asks_for_a_new_one_on_either_host(code: int) -> None:
    refused = wire.refused(code)
    assert refused.refusal is Refusal.ACCESS
    assert refused.retryable


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (-32, Refusal.TRANSIENT),
        (-133, Refusal.TRANSIENT),
        (-144, Refusal.QUOTA),
        (-137, Refusal.QUOTA),
        (-118, Refusal.RECIPIENT),
        (-136, Refusal.ADMIN),
        (-242, Refusal.ADMIN),
        (-1241, Refusal.ADMIN),
        (-150, Refusal.REQUEST),
        (-14005, Refusal.REQUEST),
        (-14014, Refusal.ADMIN),
    ],
)
def test_a_code_asks_for_what_its_table_says(code: int, refusal: Refusal) -> None:
    assert codes.meaning(code)[0] is refusal


@pytest.mark.parametrize(("code", "refusal"), [(-99999, "request"), (404, "request"), (-14999, "admin")])
def test_a_code_that_is_on_no_page_is_never_repeated_by_itself(code: int, refusal: str) -> None:
    refused = wire.refused(code)
    assert refused.refusal == refusal
    assert not refused.retryable
