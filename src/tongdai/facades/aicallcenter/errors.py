"""What AICallCenter's customers are told when a request is refused: the codes and words of its document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from tongdai.domain.accounts import SecretUnknownError
from tongdai.domain.campaigns import CampaignNotFoundError, CampaignStoppedError
from tongdai.kit.errors import ForbiddenError, InvalidError, TongdaiError


class TokenWrongError(ForbiddenError):
    """The access token is missing, not ours, or made from a secret that was changed since."""


class ContactsInvalidError(InvalidError):
    """The contacts are missing, of the wrong shape, or in a body that cannot be read."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A documented refusal. The HTTP status is 200 unless the strict setting asks for `strict_status`."""

    code: str
    message: str
    strict_status: HTTPStatus = HTTPStatus.OK


_CAMPAIGN_UNKNOWN: Final = Failure("01", "campaign_id không hợp lệ")

FAILURES: Final[Mapping[type[TongdaiError], Failure]] = {
    TokenWrongError: Failure(
        "401", "access token không chính xác. bạn không có quyền truy cập", HTTPStatus.UNAUTHORIZED
    ),
    SecretUnknownError: Failure("401", "secret_key không chính xác", HTTPStatus.UNAUTHORIZED),
    ContactsInvalidError: Failure("400", "contacts không đúng định dạng", HTTPStatus.BAD_REQUEST),
    CampaignNotFoundError: _CAMPAIGN_UNKNOWN,
    # A viewer may not import: "không có quyền truy cập campaign_id này" is code 01.
    ForbiddenError: _CAMPAIGN_UNKNOWN,
    CampaignStoppedError: Failure("03", "The campaign stopped. Can not import data"),
}
"""By exact type. An error that is not here is our fault, and not told as one of the customer's."""
