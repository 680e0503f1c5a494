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
    """A refusal. The HTTP status of a documented one is 200 unless the setting asks for `strict_status`."""

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

# The document says nothing of these, so its envelope carries the code of the HTTP status that goes with it.
UNEXPECTED: Final = Failure(
    "500", "Hệ thống gặp lỗi. Yêu cầu chưa được xử lý", HTTPStatus.INTERNAL_SERVER_ERROR
)
UNAVAILABLE: Final = Failure(
    "500", "Hệ thống tạm thời gián đoạn. Vui lòng gửi lại sau ít giây", HTTPStatus.SERVICE_UNAVAILABLE
)
METHOD_WRONG: Final = Failure("405", "phương thức HTTP không được hỗ trợ", HTTPStatus.METHOD_NOT_ALLOWED)
