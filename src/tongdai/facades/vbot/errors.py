"""What VBot's customers are told when a request is refused: the codes of its pages, and words that say why.

The page knows two codes, 201 (a parameter is not valid) and 400 (an error), beside those that the vendor's
introduction lists for every call: 401 no access, 403 forbidden, 500 an error of the system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from tongdai.domain.calls import HistoryTooDeepError
from tongdai.domain.campaigns import CampaignInvalidError, PartNotFoundError, TemplateNotFoundError
from tongdai.kit.errors import ForbiddenError, InvalidError, TongdaiError


class TokenWrongError(ForbiddenError):
    """Neither a token nor an API key that is good."""


class GrantInvalidError(InvalidError):
    """A name with a wrong password, or a refresh token that is not good."""


class RequestInvalidError(InvalidError):
    """A parameter is missing, malformed, or disagrees with another. The message says which, in Vietnamese."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal: the vendor's code, its words, and the HTTP status that goes with it."""

    error: int
    msg: str
    http: HTTPStatus = HTTPStatus.OK


INVALID: Final = 201
_TEMPLATE_USELESS: Final = Failure(400, "Lỗi: campaign mẫu không còn dùng được")

FAILURES: Final[Mapping[type[TongdaiError], Failure]] = {
    TokenWrongError: Failure(401, "Không có quyền truy cập", HTTPStatus.UNAUTHORIZED),
    # A viewer: the token is good, but this is not theirs to do.
    ForbiddenError: Failure(403, "Tài khoản không được phép tạo chiến dịch"),
    HistoryTooDeepError: Failure(INVALID, "Tham số không hợp lệ: page: quá xa, hãy thu hẹp from và to"),
    TemplateNotFoundError: Failure(400, "Lỗi: không tìm thấy campaign mẫu"),
    # What the template names has changed since it was made.
    CampaignInvalidError: _TEMPLATE_USELESS,
    PartNotFoundError: _TEMPLATE_USELESS,
}
"""By exact type. `RequestInvalidError` brings words of its own; what is not here is our fault."""

UNEXPECTED: Final = Failure(500, "Lỗi hệ thống", HTTPStatus.INTERNAL_SERVER_ERROR)
UNAVAILABLE: Final = Failure(
    500, "Hệ thống tạm thời gián đoạn, vui lòng gửi lại sau ít giây", HTTPStatus.INTERNAL_SERVER_ERROR
)
METHOD_WRONG: Final = Failure(405, "Phương thức HTTP không được hỗ trợ", HTTPStatus.METHOD_NOT_ALLOWED)


def failure_of(error: Exception) -> Failure | None:
    """How an error is told; None: it is our fault."""
    if isinstance(error, RequestInvalidError):
        return Failure(INVALID, f"Tham số không hợp lệ: {error.message}")
    return FAILURES.get(type(error)) if isinstance(error, TongdaiError) else None
