"""Every way in which a call can fail has a code of Twirp's, and says no more than its caller may know."""

from __future__ import annotations

import msgspec
import pytest

from tongdai.domain import zalo
from tongdai.facades.sencloud.errors import (
    STATUS,
    UNAVAILABLE,
    BadRouteError,
    KeyWrongError,
    MalformedError,
    failure_of,
)
from tongdai.facades.sencloud.responses import refused
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.kit.errors import ForbiddenError, InvalidError, NotFoundError, TongdaiError
from tongdai.ports.zalo import (
    Refusal,
    ZaloAwayError,
    ZaloGarbledError,
    ZaloRefusedError,
    ZaloSilentError,
)


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (KeyWrongError(), "unauthenticated", 401),
        (MalformedError(), "malformed", 400),
        (BadRouteError("x"), "bad_route", 404),
        (ForbiddenError(), "permission_denied", 403),
        (NotFoundError(), "not_found", 404),
        (zalo.OaNotFoundError(), "not_found", 404),
        (zalo.AppNotFoundError(), "not_found", 404),
        (zalo.JourneyNotFoundError(), "not_found", 404),
        (zalo.MessageNotFoundError(), "not_found", 404),
        (zalo.TemplateNotFoundError(), "not_found", 404),
        (InvalidError(), "invalid_argument", 400),
        (zalo.OaNotNamedError(), "invalid_argument", 400),
        (zalo.AppInvalidError(), "invalid_argument", 400),
        (zalo.PermissionUnknownError(), "invalid_argument", 400),
        (zalo.PermissionRefusedError(), "invalid_argument", 400),
        (zalo.JourneyInvalidError(), "invalid_argument", 400),
        (zalo.MessageInvalidError(), "invalid_argument", 400),
        (zalo.KeyReusedError(), "invalid_argument", 400),
        (zalo.KeyBusyError(), "unavailable", 503),
        (zalo.OaTakenError(), "already_exists", 409),
        (zalo.ConsentLapsedError(), "failed_precondition", 412),
        (ZaloAwayError(), "unavailable", 503),
        (ZaloSilentError(), "deadline_exceeded", 408),
        (ZaloGarbledError("html"), "unavailable", 503),
        (ZaloRefusedError(-124, "Access token invalid", Refusal.ACCESS), "failed_precondition", 412),
        (ZaloRefusedError(-135, "no permission", Refusal.ADMIN), "failed_precondition", 412),
        (ZaloRefusedError(-32, "limit", Refusal.TRANSIENT), "unavailable", 503),
        (ZaloRefusedError(-144, "quota", Refusal.QUOTA), "resource_exhausted", 429),
        (ZaloRefusedError(-118, "no account", Refusal.RECIPIENT), "invalid_argument", 400),
        (ZaloRefusedError(-109, "template", Refusal.REQUEST), "invalid_argument", 400),
    ],
)
def test_an_error_has_a_code_and_the_status_that_goes_with_it(
    error: Exception, code: str, status: int
) -> None:
    failure = failure_of(error)
    assert failure is not None
    assert (failure.code, failure.http) == (code, status)


@pytest.mark.parametrize("kind", TRANSIENT_ERRORS)
def test_a_database_that_is_away_is_told_as_no_more_than_that(kind: type[Exception]) -> None:
    assert failure_of(kind("connection to 10.0.0.7 refused")) == UNAVAILABLE


@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("secret"), TongdaiError("secret")])
def test_what_nobody_expected_is_our_fault(error: Exception) -> None:
    assert failure_of(error) is None


def test_what_zalo_refused_carries_its_code() -> None:
    failure = failure_of(ZaloRefusedError(-109, "Template ID invalid", Refusal.REQUEST))
    assert failure is not None
    assert failure.meta == {"zalo_code": "-109"}


def test_nobody_is_invited_to_repeat_what_may_have_been_done() -> None:
    for error, repeatable in (
        (ZaloAwayError(), True),
        (ZaloRefusedError(-32, "limit", Refusal.TRANSIENT), True),
        (ZaloGarbledError("html"), False),
        (ZaloSilentError(), False),
    ):
        failure = failure_of(error)
        assert failure is not None
        assert failure.repeatable is repeatable


def test_a_wrong_field_is_named() -> None:
    told = failure_of(InvalidError("oa_id is required", errors=[("oa_id", "is required")]))
    assert told is not None
    assert (told.msg, told.meta) == ("oa_id is required", {"argument": "oa_id"})
    plain = failure_of(
        InvalidError("The app is not valid.", errors=[("secret", "is too long"), ("pkce", "x")])
    )
    assert plain is not None
    assert plain.msg == "The app is not valid. secret: is too long; pkce: x"
    assert plain.meta == {"argument": "secret"}


def test_a_refusal_has_code_and_msg_and_meta_only_where_there_is_some() -> None:
    bare = failure_of(zalo.OaTakenError())
    assert bare is not None
    assert msgspec.json.decode(msgspec.json.encode(refused(bare))) == {
        "code": "already_exists",
        "msg": "The Official Account is connected by another shop.",
    }
    named = failure_of(InvalidError("x is wrong", errors=[("x", "is wrong")]))
    assert named is not None
    assert msgspec.json.decode(msgspec.json.encode(refused(named)))["meta"] == {"argument": "x"}


def test_statuses_are_twirps() -> None:
    assert STATUS["bad_route"] == STATUS["not_found"] == 404
    assert (STATUS["failed_precondition"], STATUS["already_exists"]) == (412, 409)
