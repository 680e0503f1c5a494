"""What Interits' customers are told when a request is refused: an HTTP status of its table, and words.

The table has no 409, 413 or 429: what is at odds with something else, or too long, is a bad request, and
what may be tried again is 503. Zalo's refusals of a well-formed message or journey are no errors here: they
are told in the object itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from tongdai.domain.zalo import (
    ConsentLapsedError,
    JourneyNotFoundError,
    KeyBusyError,
    KeyReusedError,
    LimitReachedError,
    MessageNotFoundError,
    OaNotFoundError,
    OaNotNamedError,
    TemplateNotFoundError,
)
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.kit.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, TongdaiError
from tongdai.ports.zalo import Refusal, ZaloAwayError, ZaloGarbledError, ZaloRefusedError, ZaloSilentError


class KeyUnknownError(ForbiddenError):
    """The API-KEY header is missing, or its key is nobody's."""


class KeyOverError(ForbiddenError):
    """The key is inactive or expired."""


class ConsentGoneError(ConsentLapsedError):
    """What was asked for was kept as refused, because the OA's consent has lapsed."""

    def __init__(self, data: object) -> None:
        super().__init__()
        self.data = data
        """The journey or message, as it is shown."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal: the HTTP status, which is also the envelope's `code`, and its words."""

    http: HTTPStatus
    message: str


CONSENT_LAPSED: Final = Failure(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "OA đã hết hạn ủy quyền. Quản trị viên của OA cần cấp quyền lại (refresh-token)",
)
UNAVAILABLE: Final = Failure(
    HTTPStatus.SERVICE_UNAVAILABLE, "Hệ thống tạm thời gián đoạn. Vui lòng gửi lại sau ít giây"
)
UNEXPECTED: Final = Failure(
    HTTPStatus.INTERNAL_SERVER_ERROR, "Hệ thống gặp lỗi không xác định. Yêu cầu chưa được xử lý xong"
)
PATH_UNKNOWN: Final = Failure(HTTPStatus.NOT_FOUND, "Không có API này")
METHOD_WRONG: Final = Failure(
    HTTPStatus.METHOD_NOT_ALLOWED, "Phương thức HTTP không được hỗ trợ, chỉ dùng POST"
)

FAILURES: Final[Mapping[type[Exception], Failure]] = {
    KeyUnknownError: Failure(HTTPStatus.UNAUTHORIZED, "API-KEY không chính xác"),
    KeyOverError: Failure(HTTPStatus.FORBIDDEN, "API-KEY đã ngừng hoạt động hoặc hết hạn"),
    ForbiddenError: Failure(HTTPStatus.FORBIDDEN, "API-KEY này chỉ được phép xem"),
    OaNotNamedError: Failure(
        HTTPStatus.BAD_REQUEST, "thiếu oa_id: tài khoản không có đúng một OA đang kết nối"
    ),
    OaNotFoundError: Failure(HTTPStatus.NOT_FOUND, "OA không tồn tại"),
    JourneyNotFoundError: Failure(HTTPStatus.NOT_FOUND, "Journey không tồn tại"),
    MessageNotFoundError: Failure(HTTPStatus.NOT_FOUND, "Tin nhắn không tồn tại"),
    TemplateNotFoundError: Failure(HTTPStatus.NOT_FOUND, "Mẫu tin không tồn tại"),
    NotFoundError: Failure(HTTPStatus.NOT_FOUND, "Không tìm thấy"),
    KeyReusedError: Failure(HTTPStatus.BAD_REQUEST, "Idempotency-Key đã được dùng cho một yêu cầu khác"),
    KeyBusyError: Failure(
        HTTPStatus.SERVICE_UNAVAILABLE, "Yêu cầu với Idempotency-Key này đang được xử lý. Vui lòng gửi lại"
    ),
    ConsentLapsedError: CONSENT_LAPSED,
    LimitReachedError: Failure(
        HTTPStatus.SERVICE_UNAVAILABLE, "Quá nhiều yêu cầu cấp quyền đang chờ. Vui lòng gửi lại sau 30 phút"
    ),
    ConflictError: Failure(HTTPStatus.BAD_REQUEST, "Yêu cầu không phù hợp với trạng thái hiện tại"),
    ZaloAwayError: Failure(HTTPStatus.SERVICE_UNAVAILABLE, "Zalo tạm thời gián đoạn. Vui lòng gửi lại sau"),
    ZaloSilentError: Failure(HTTPStatus.GATEWAY_TIMEOUT, "Zalo không trả lời kịp thời"),
    ZaloGarbledError: Failure(HTTPStatus.BAD_GATEWAY, "Zalo trả lời không hợp lệ"),
    **dict.fromkeys(TRANSIENT_ERRORS, UNAVAILABLE),
}
"""By the nearest class. What brings words of its own is not here, and what is nowhere is our fault."""

_CUSTOMERS_FAULT: Final = frozenset({Refusal.REQUEST, Refusal.RECIPIENT})


def failure_of(error: Exception) -> Failure | None:
    """How an error is told; None: it is our fault."""
    if isinstance(error, InvalidError) and type(error) not in FAILURES:
        return Failure(HTTPStatus.BAD_REQUEST, f"Tham số không hợp lệ: {_faults(error)}")
    if isinstance(error, ZaloRefusedError):
        return _refused(error)
    found = next((FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES), None)
    if found is None and isinstance(error, TongdaiError) and error.retryable:
        return UNAVAILABLE
    return found


def _faults(error: InvalidError) -> str:
    """Where it is wrong, as far as the error says."""
    places = error.facts.get("errors")
    if not isinstance(places, list) or not places:
        return error.message
    return "; ".join(f"{place} {fault}" for place, fault in places)


def _refused(error: ZaloRefusedError) -> Failure:
    """What Zalo refused while it was only asked for something, such as a template."""
    wrong = error.refusal in _CUSTOMERS_FAULT
    status = HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.SERVICE_UNAVAILABLE
    return Failure(status, f"Zalo từ chối ({error.code}): {error.said}")
