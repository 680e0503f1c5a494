"""`GET /v1/recordings/{id}/file`: the sound itself, for whoever holds a link.

There is no login: the link is signed for one recording and a time, and every other is answered as if there
were no such recording. A part may be asked for (RFC 9110, section 14), so that players can skip.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final

from litestar import Request, Response, get, head
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.response import Stream

from tongdai.api.auth import Wired
from tongdai.api.params import RecordingId
from tongdai.api.problems import public_answers
from tongdai.domain import recordings
from tongdai.domain.recordings import Format, Links, Recording, RecordingNotFoundError, mp3_key
from tongdai.ports.services import Services
from tongdai.ports.storage import StoredFileMissingError

TYPES: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}
RETRY_AFTER_S: Final = 5
_ALWAYS: Final = {
    "Cache-Control": "private",
    # The address is all that it takes to hear it.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ONE_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_NOT_FOUND: Final = "There is no such recording, or this link is not whole or has expired."

Until = Annotated[str, QueryParameter(max_length=100, description="As the link has it.")]
Signature = Annotated[str, QueryParameter(max_length=1000, description="As the link has it.")]
InFormat = Annotated[
    Format, QueryParameter(name="format", description="`mp3` where the recording says that there is one.")
]


class RecordingOnItsWayError(RecordingNotFoundError):
    """The recording is on its way from the telephone exchange. Try again in a few seconds."""

    retryable = True


@get(
    "/recordings/{recording_id:str}/file",
    operation_id="hearRecording",
    summary="Hear a recording",
    tags=["Recordings"],
    media_type=TYPES["wav"],
    responses={
        **public_answers(404, 416),
        206: ResponseSpec(bytes, description="The part that was asked for", media_type=TYPES["wav"]),
    },
)
async def hear_recording(
    services: Wired,
    request: Request[Any, Any, Any],
    recording_id: RecordingId,
    expires: Until = "",
    signature: Signature = "",
    in_format: InFormat = "wav",
) -> Response[Any]:
    """The sound behind a link of ours, whole or the part that a `Range` asks for. No key is needed: whoever
    holds the link may hear it until it expires. 404 with `Retry-After` while the recording is on its way from
    the telephone exchange, which takes seconds after the call; 404 without it for every other reason.
    """
    row = await _opened(services, recording_id, expires, signature, in_format)
    return await _sound(services, request, row, in_format)


@head("/recordings/{recording_id:str}/file", include_in_schema=False)
async def ask_of_recording(
    services: Wired,
    recording_id: RecordingId,
    expires: Until = "",
    signature: Signature = "",
    in_format: InFormat = "wav",
) -> Response[None]:
    """The head of the answer alone, for clients that look before they fetch."""
    row = await _opened(services, recording_id, expires, signature, in_format)
    _, size = _file_of(row, in_format)
    return Response(None, headers=_headers(row, in_format, size) | {"Content-Length": str(size)})


async def _opened(
    services: Services, recording_id: int, expires: str, signature: str, format: Format
) -> Recording:
    """What a link leads to. Raises RecordingNotFoundError, RecordingOnItsWayError."""
    links, now = Links(services.keyring, services.recordings), services.clock.now()
    if not links.opens(recording_id, expires, signature, now):
        raise RecordingNotFoundError(_NOT_FOUND)
    async with services.db.transaction() as tx:
        row = await recordings.linked_recording(tx, recording_id)
    if row is not None and row.state == "pending":
        raise RecordingOnItsWayError(retry_after_s=RETRY_AFTER_S)
    if row is None or format not in row.formats:
        raise RecordingNotFoundError(_NOT_FOUND)
    return row


@dataclass(frozen=True, slots=True)
class _Part:
    """Bytes of a file, from `start` on."""

    start: int
    length: int


async def _sound(
    services: Services, request: Request[Any, Any, Any], row: Recording, format: Format
) -> Response[Any]:
    key, size = _file_of(row, format)
    headers = _headers(row, format, size)
    part = _part_of(request, size, headers["ETag"])
    if part is None:
        raise HTTPException(
            status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            headers={"Content-Range": f"bytes */{size}"},
        )
    headers["Content-Length"] = str(part.length)
    status = HTTPStatus.OK
    if part.length < size:
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {part.start}-{part.start + part.length - 1}/{size}"
    pieces = services.recorded.stream(key, part.start, part.length)
    try:
        first = await anext(pieces)
    except (StoredFileMissingError, StopAsyncIteration):
        # It was deleted since the row was read.
        raise RecordingNotFoundError(_NOT_FOUND) from None
    return Stream(_joined(first, pieces), status_code=status, headers=headers)


def _file_of(row: Recording, format: Format) -> tuple[str, int]:
    """Where its sound is, and how long that is in bytes."""
    is_mp3 = format == "mp3"
    size = row.mp3_bytes if is_mp3 else row.size_bytes
    assert size is not None, "it is stored"
    return mp3_key(row.storage_key) if is_mp3 else row.storage_key, size


def _headers(row: Recording, format: Format, size: int) -> dict[str, str]:
    return {
        # The operation's own media type would win over the answer's.
        "Content-Type": TYPES[format],
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename=recording-{row.id}.{format}",
        "ETag": f'"{row.id}-{size}"',
        **_ALWAYS,
    }


def _part_of(request: Request[Any, Any, Any], size: int, etag: str) -> _Part | None:
    """What of the file is asked for; None: a part that there is not.

    Several parts, and what is no range, mean the whole (RFC 9110, section 14.2), and so does a part of
    another version of the file.
    """
    whole = _Part(0, size)
    found = _ONE_RANGE.fullmatch(request.headers.get("range", "").strip().lower())
    if found is None or found[1] == found[2] == "" or request.headers.get("if-range", etag) != etag:
        return whole
    if not found[1]:
        length = min(size, int(found[2]))
        return _Part(size - length, length) if length else None
    start, end = int(found[1]), min(size - 1, int(found[2] or size))
    if found[2] and int(found[2]) < start:
        return whole
    return _Part(start, end - start + 1) if start < size else None


async def _joined(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in others:
        yield piece


HANDLERS = [hear_recording, ask_of_recording]
