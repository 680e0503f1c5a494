"""`POST /zalo/webhook/{hook}`: where Zalo sends the events of a customer's app. Each app has its own.

Zalo wants 200 within two seconds, tries five times more within two hours, and then stops sending any event of
the app. So whatever it signed is answered with 200, and a request that is none of its has no effect at all.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from litestar import Request, Response, post
from litestar.params import FromPath

from tongdai.api.auth import Wired
from tongdai.domain.zalo import Reception, take_event
from tongdai.kit.receiving import read_body

PATH: Final = "/zalo/webhook/{hook:str}"
MOST_BYTES: Final = 256 * 1024

STATUS: Final = {
    Reception.TAKEN: HTTPStatus.OK,
    Reception.REPEATED: HTTPStatus.OK,
    Reception.PROBE: HTTPStatus.OK,
    Reception.UNKNOWN: HTTPStatus.NOT_FOUND,
    Reception.FORGED: HTTPStatus.UNAUTHORIZED,
    Reception.LATE: HTTPStatus.FORBIDDEN,
}


@post(PATH, include_in_schema=False, status_code=HTTPStatus.OK)
async def zalo_hook(request: Request[Any, Any, Any], services: Wired, hook: FromPath[str]) -> Response[bytes]:
    """Takes one event in."""
    body = await read_body(
        request.scope, request.receive, max_bytes=MOST_BYTES, timeout_s=services.body_timeout_s
    )
    if body is None:
        return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.scope["headers"]
    }
    reception = await take_event(
        services.db, services.keyring, services.clock.now(), hook, bytes(body), headers
    )
    return _answer(STATUS[reception])


def _answer(status: HTTPStatus) -> Response[bytes]:
    return Response(b"", status_code=status, headers={"Cache-Control": "no-store"}, media_type="text/plain")
