"""Zalo's answers are read in all the forms in which they have been seen, and nothing else is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tongdai.adapters.zaloapi import wire
from tongdai.ports.zalo import (
    ACCESS_LIFE,
    JourneyCheck,
    JourneyToken,
    Message,
    MessageStatus,
    Qualities,
    Quota,
    Refusal,
    Sent,
    TemplateParam,
    TokenPair,
    ZaloGarbledError,
    ZaloRefusedError,
)

READERS: dict[str, Callable[[bytes], Any]] = {
    "token_pair": wire.token_pair,
    "profile": wire.profile,
    "quota": wire.quota,
    "qualities": wire.qualities,
    "tags": wire.tags,
    "template_page": partial(wire.template_page, offset=0),
    "template": wire.template,
    "sample_data": wire.sample_data,
    "sent": wire.sent,
    "message_status": wire.message_status,
    "journey_token": wire.journey_token,
    "journey_check": wire.journey_check,
}


def said(**fields: Any) -> bytes:
    return json.dumps({"error": 0, "message": "Success"} | fields).encode()


def refusal(reader: Callable[[bytes], Any], **fields: Any) -> ZaloRefusedError:
    with pytest.raises(ZaloRefusedError) as caught:
        reader(said(**fields))
    return caught.value


# ---------------------------------------------------------------- tokens


def test_tokens_come_flat_with_their_life_in_quotes() -> None:
    body = b'{"access_token": "a", "refresh_token": "r", "expires_in": "3600"}'
    assert wire.token_pair(body) == TokenPair("a", "r", timedelta(hours=1))


@pytest.mark.parametrize(
    "refresh", [{}, {"refresh_token": None}, {"refresh_token": ""}, {"refresh_token": 5}]
)
def test_an_access_token_without_a_refresh_token_is_kept(refresh: dict[str, Any]) -> None:
    body = json.dumps({"access_token": "a", "expires_in": "3600"} | refresh).encode()
    assert wire.token_pair(body) == TokenPair("a", None, timedelta(hours=1))


@pytest.mark.parametrize("life", [None, "", "soon", -1, 0, [], {}, True, 1e300, "9" * 5000, 10**12])
def test_tokens_with_a_life_that_makes_no_sense_live_as_documented(life: Any) -> None:
    body = json.dumps({"access_token": "a", "refresh_token": "r", "expires_in": life}).encode()
    assert wire.token_pair(body) == TokenPair("a", "r", ACCESS_LIFE)


def test_a_refused_token_is_told_with_its_code_also_without_a_message() -> None:
    body = b'{"error": -14014, "error_name": "Invalid refresh token.", "error_reason": ""}'
    with pytest.raises(ZaloRefusedError) as caught:
        wire.token_pair(body)
    assert (caught.value.code, caught.value.said) == (-14014, "Invalid refresh token.")
    assert caught.value.refusal is Refusal.ADMIN


@pytest.mark.parametrize("access", ["a\r\nb", "a\0", "ấ", " a", 5, ["a"], "a" * 9000])
def test_what_cannot_stand_in_a_header_is_no_access_token(access: Any) -> None:
    with pytest.raises(ZaloGarbledError):
        wire.token_pair(json.dumps({"access_token": access, "refresh_token": "r"}).encode())


# ---------------------------------------------------------------- the envelope


@pytest.mark.parametrize("code", [-124, "-124", " -124 ", -124.0])
def test_a_code_counts_whatever_its_type(code: Any) -> None:
    caught = refusal(wire.quota, error=code, message="Access token invalid", data=None)
    assert (caught.code, caught.said, caught.refusal) == (-124, "Access token invalid", Refusal.ACCESS)


def test_a_code_without_words_is_told_in_ours() -> None:
    assert refusal(wire.quota, error=-118, message=None).said == "Zalo account not existed"


def test_a_refusal_is_told_without_what_no_database_keeps_and_not_at_any_length() -> None:
    assert refusal(wire.quota, error=-100, message="a\0b").said == "ab"
    assert len(refusal(wire.quota, error=-100, message="x" * 10_000).said) == 500


@pytest.mark.parametrize("error", ["no", [], {}, True, 1.5, 10**12, "9" * 5000])
def test_a_code_that_is_none_is_no_answer(error: Any) -> None:
    with pytest.raises(ZaloGarbledError):
        wire.quota(said(error=error))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"error": 0, "da', b"[]", b"5", b"\xff\xfe", b"[" * 100_000]
)
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_what_is_no_json_object_is_no_answer(reader: Callable[[bytes], Any], body: bytes) -> None:
    with pytest.raises(ZaloGarbledError):
        reader(body)


# ---------------------------------------------------------------- Official Accounts


@pytest.mark.parametrize(
    ("ids", "zca"),
    [({"oa_id": "4318657068771012646"}, "linked_ZCA"), ({"oaid": 4318657068771012646}, "linked_zca")],
)
def test_a_profile_is_read_under_either_of_its_names(ids: dict[str, Any], zca: str) -> None:
    got = wire.profile(
        said(
            data=ids
            | {
                "name": "Cửa hàng",
                "is_verified": True,
                "oa_type": 2,
                "cate_name": "Bán lẻ",
                "num_follower": "12",
                "package_name": "Nâng cao",
                "package_valid_through_date": "01/02/2027",
                zca: "77",
            }
        )
    )
    assert (got.oa_id, got.name, got.is_verified, got.followers) == (
        4318657068771012646,
        "Cửa hàng",
        True,
        12,
    )
    assert (got.linked_zca, got.package_valid_through, got.avatar) == ("77", "01/02/2027", "")


def test_quotas_are_numbers_texts_null_or_absent() -> None:
    got = wire.quota(
        said(
            data={
                "dailyQuota": "500",
                "remainingQuota": 499,
                "dailyQuotaPromotion": None,
                "monthlyPromotionQuota": -1,
                "estimatedNextMonthPromotionQuota": 10**12,
            }
        )
    )
    assert got == Quota(500, 499, estimated_next_month_promotion=2**31 - 1)


def test_a_quality_that_zalo_has_not_named_yet_is_undefined() -> None:
    got = wire.qualities(said(data={"oaCurrentQuality": "HIGH", "oa7dayQuality": "SPLENDID"}))
    assert got == Qualities("HIGH", "UNDEFINED")


def test_tags_are_a_list_of_words() -> None:
    assert wire.tags(said(data=["TRANSACTION", "PROMOTION"])) == ["TRANSACTION", "PROMOTION"]
    with pytest.raises(ZaloGarbledError):
        wire.tags(said(data=[1]))


# ---------------------------------------------------------------- templates


def test_templates_are_listed_with_ids_of_either_type_and_their_total() -> None:
    one = {"templateId": 1, "templateName": "A", "createdTime": 1700000000123, "status": "ENABLE"}
    two = {"templateId": "2", "templateName": "B", "createdTime": "1700000000123", "templateQuality": "HIGH"}
    page = wire.template_page(said(data=[one, two], metadata={"total": "7"}), offset=0)
    assert [(t.template_id, t.status, t.quality) for t in page.templates] == [
        (1, "ENABLE", ""),
        (2, "", "HIGH"),
    ]
    assert page.templates[0].created_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert page.total == 7
    assert wire.template_page(said(data=[one]), offset=100).total == 101


def test_a_template_is_read_with_its_parameters_time_out_and_price() -> None:
    got = wire.template(
        said(
            data={
                "templateId": "9",
                "templateName": "Giao hàng",
                "status": "ENABLE",
                "listParams": [
                    {
                        "name": "ma",
                        "require": True,
                        "type": "STRING",
                        "maxLength": 30,
                        "minLength": "0",
                        "acceptNull": False,
                    }
                ],
                "timeout": 7200000,
                "price": "800.0",
                "templateTag": "TRANSACTION",
            }
        )
    )
    assert got.params == [TemplateParam("ma", True, "STRING", 0, 30, False)]
    assert (got.timeout, got.price, got.tag, got.apply_quota) == (
        timedelta(hours=2),
        "800.0",
        "TRANSACTION",
        None,
    )


@pytest.mark.parametrize("written", ["800", "800.0", 800, 800.0, "8E+2"])
def test_a_price_is_an_amount_however_it_is_written(written: Any) -> None:
    price = wire.template(said(data={"templateId": 1, "price": None, "price_sdt": written})).price
    assert price is not None
    assert Decimal(price) == 800
    assert "E" not in price


@pytest.mark.parametrize("written", ["free", "NaN", "Infinity", -1, True, [], "1" * 30])
def test_a_price_that_is_no_amount_is_no_answer(written: Any) -> None:
    with pytest.raises(ZaloGarbledError):
        wire.template(said(data={"templateId": 1, "price": written}))


# ---------------------------------------------------------------- messages and journeys

MESSAGE = Message(phone="84987654321", template_id=5, data={"ma": "A1"}, tracking_id="t1")


def test_a_message_is_written_as_zalo_s_page_has_it() -> None:
    assert json.loads(wire.message_body(MESSAGE)) == {
        "phone": "84987654321",
        "template_id": "5",
        "template_data": {"ma": "A1"},
        "tracking_id": "t1",
    }


def test_values_of_a_template_are_sent_as_texts() -> None:
    data = {"a": 1, "b": 2.5, "c": True, "d": Decimal("10.50"), "e": None, "f": "x"}
    message = Message(
        phone="84987654321",
        template_id=5,
        data=data,
        tracking_id="t1",
        development=True,
        sending_mode="3",
    )
    body = json.loads(wire.message_body(message))
    assert body["template_data"] == {"a": "1", "b": "2.5", "c": "true", "d": "10.50", "e": None, "f": "x"}
    assert (body["mode"], body["sending_mode"]) == ("development", "3")


def test_data_that_is_none_of_json_s_is_refused_as_zalo_would() -> None:
    message = Message(phone="84987654321", template_id=5, data={"a": object()}, tracking_id="t1")
    with pytest.raises(ZaloRefusedError) as caught:
        wire.message_body(message)
    assert (caught.value.code, caught.value.refusal) == (-122, Refusal.REQUEST)


def test_a_message_that_was_taken_has_an_id_a_time_and_a_quota() -> None:
    data = {
        "msg_id": "96d01286d3a72af973b6",
        "sent_time": "1700000000123",
        "sending_mode": "1",
        "quota": {"dailyQuota": "500", "remainingQuota": "499"},
    }
    at = datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert wire.sent(said(data=data)) == Sent("96d01286d3a72af973b6", at, Quota(500, 499), "1")


@pytest.mark.parametrize("nonsense", [{}, {"sent_time": [], "quota": "many", "sending_mode": {}}])
def test_a_message_with_an_id_is_under_way_whatever_stands_beside_it(nonsense: dict[str, Any]) -> None:
    assert wire.sent(said(data={"msg_id": "m"} | nonsense)) == Sent("m", None, None, None)


@pytest.mark.parametrize(
    ("data", "state"),
    [
        ({"status": -1, "message": "no such message"}, "unknown"),
        ({"status": "0", "message": "", "delivery_time": ""}, "accepted"),
        ({"status": 1, "message": "ok", "delivery_time": "1700000000000"}, "delivered"),
    ],
)
def test_a_status_is_one_of_three(data: dict[str, Any], state: str) -> None:
    at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) if state == "delivered" else None
    assert wire.message_status(said(data=data)) == MessageStatus(state, at, data["message"])  # type: ignore[arg-type]


def test_a_status_that_is_none_of_the_three_is_no_answer() -> None:
    with pytest.raises(ZaloGarbledError):
        wire.message_status(said(data={"status": 2}))


def test_a_journey_s_token_comes_flat() -> None:
    body = said(token="dGtu_-=", journey_id="4318657068771012646")
    assert wire.journey_token(body) == JourneyToken("4318657068771012646", "dGtu_-=")


@pytest.mark.parametrize("lost", ["token", "journey_id"])
def test_a_journey_without_token_or_id_is_no_answer(lost: str) -> None:
    with pytest.raises(ZaloGarbledError):
        wire.journey_token(said(**({"token": "t", "journey_id": "1"} | {lost: ""})))


@pytest.mark.parametrize("names", [("tokenType", "expiredAt"), ("token_type", "expired_at")])
def test_a_journey_is_checked_in_either_case(names: tuple[str, str]) -> None:
    data = {names[0]: "token_coach_bus_7", names[1]: "1700000000000", "createdAt": 1699395200000}
    assert wire.journey_check(said(data=data)) == JourneyCheck(
        "token_coach_bus_7",
        datetime(2023, 11, 7, 22, 13, 20, tzinfo=UTC),
        datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
    )


# ---------------------------------------------------------------- anything

FIELDS = [
    "error",
    "message",
    "data",
    "metadata",
    "total",
    "access_token",
    "refresh_token",
    "expires_in",
    "oa_id",
    "oaid",
    "name",
    "is_verified",
    "oa_type",
    "num_follower",
    "linked_ZCA",
    "dailyQuota",
    "remainingQuota",
    "oaCurrentQuality",
    "oa7dayQuality",
    "templateId",
    "templateName",
    "createdTime",
    "status",
    "templateQuality",
    "listParams",
    "require",
    "type",
    "maxLength",
    "acceptNull",
    "timeout",
    "price",
    "price_sdt",
    "applyTemplateQuota",
    "templateDailyQuota",
    "msg_id",
    "sent_time",
    "quota",
    "sending_mode",
    "delivery_time",
    "token",
    "journey_id",
    "tokenType",
    "createdAt",
    "expiredAt",
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.integers().map(str)
    | st.sampled_from([0, "0", 1, "1700000000123", 10**18, -(2**63), "9" * 6000, "NaN", "\0"])
)
TREES = st.recursive(
    LEAVES, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), of, max_size=8)
)
ANSWERS = st.dictionaries(st.sampled_from(FIELDS), TREES, max_size=8) | st.dictionaries(
    st.sampled_from(FIELDS), TREES, max_size=12
).map(lambda data: {"error": 0, "data": data, **data})


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@settings(max_examples=60, deadline=None)
@given(answer=ANSWERS)
def test_any_json_is_an_answer_or_an_error_of_the_port(
    reader: Callable[[bytes], Any], answer: dict[str, Any]
) -> None:
    with suppress(ZaloRefusedError, ZaloGarbledError):
        assert reader(json.dumps(answer).encode()) is not None


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@settings(max_examples=25, deadline=None)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_an_error_of_the_port(reader: Callable[[bytes], Any], body: bytes) -> None:
    with pytest.raises(ZaloGarbledError):
        reader(body)
