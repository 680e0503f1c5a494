"""Every error that a use case can raise has a status of the vendor's table."""

from __future__ import annotations

import pytest

from tongdai.domain.zalo import errors
from tongdai.facades.interits.errors import UNAVAILABLE, KeyOverError, KeyUnknownError, failure_of
from tongdai.kit.crypto import SealBrokenError
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.kit.errors import ForbiddenError, InvalidError, TongdaiError
from tongdai.ports import zalo as port
from tongdai.ports.zalo import Refusal

# Whatever Zalo's part of the domain can raise: a new error has to be given a status.
OF_THE_DOMAIN: dict[type[Exception], int] = {
    errors.OaNotFoundError: 404,
    errors.OaNotNamedError: 400,
    errors.OaTakenError: 400,
    errors.AppNotFoundError: 404,
    errors.AppInvalidError: 400,
    errors.PermissionUnknownError: 400,
    errors.PermissionRefusedError: 400,
    errors.ConsentLapsedError: 503,
    errors.JourneyNotFoundError: 404,
    errors.JourneyInvalidError: 400,
    errors.KeyReusedError: 400,
    errors.KeyBusyError: 503,
    errors.LimitReachedError: 503,
    errors.MessageNotFoundError: 404,
    errors.MessageInvalidError: 400,
    errors.TemplateNotFoundError: 404,
}


def test_every_error_of_the_domain_has_a_documented_status() -> None:
    raised = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == errors.__name__
    }
    assert raised == set(OF_THE_DOMAIN)
    for kind, status in OF_THE_DOMAIN.items():
        failure = failure_of(kind())
        assert failure is not None
        assert failure.http == status, kind


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (port.ZaloAwayError(), 503),
        (port.ZaloSilentError(), 504),
        (port.ZaloGarbledError("HTML"), 502),
        (port.ZaloGarbledError("nothing", empty=True), 502),
        *(
            (port.ZaloRefusedError(-1, "x", why), 503)
            for why in Refusal
            if why.name not in ("RECIPIENT", "REQUEST")
        ),
        (port.ZaloRefusedError(-109, "Template ID invalid", Refusal.REQUEST), 400),
        (port.ZaloRefusedError(-118, "Zalo account not existed", Refusal.RECIPIENT), 400),
        (KeyUnknownError(), 401),
        (KeyOverError(), 403),
        (ForbiddenError(), 403),
        (InvalidError("phone is required"), 400),
    ],
)
def test_what_fails_on_the_way_has_a_documented_status(error: Exception, status: int) -> None:
    failure = failure_of(error)
    assert failure is not None
    assert failure.http == status


@pytest.mark.parametrize("kind", TRANSIENT_ERRORS)
def test_a_database_that_is_away_is_unavailable(kind: type[Exception]) -> None:
    assert failure_of(kind()) == UNAVAILABLE


@pytest.mark.parametrize("error", [SealBrokenError(), TongdaiError(), KeyError("x"), RecursionError()])
def test_nothing_else_is_told_as_somebodys_fault_but_ours(error: Exception) -> None:
    assert failure_of(error) is None


def test_a_refusal_of_zalo_is_told_with_its_code() -> None:
    failure = failure_of(port.ZaloRefusedError(-109, "Template ID invalid", Refusal.REQUEST))
    assert failure is not None
    assert failure.message == "Zalo từ chối (-109): Template ID invalid"
