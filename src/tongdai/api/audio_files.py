"""Audio files: recorded prompts for the `play` steps of scripts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import UploadFile
from litestar.exceptions import HTTPException
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import QueryParameter

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import AudioId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import prompts, scripts
from tongdai.kit.errors import InvalidError
from tongdai.ports.storage import StoredFileMissingError

TAGS = ["Audio files"]
WAV = "audio/wav"
# A multipart upload has some headers of its own beside the file.
_UPLOAD_BYTES = prompts.MAX_BYTES + 65_536

NameWanted = Annotated[
    str | None,
    QueryParameter(
        name="name",
        min_length=1,
        max_length=200,
        description="Its name. Left out: the uploaded file's.",
    ),
]


class AudioFile(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded prompt."""

    id: int
    name: str
    size_bytes: int
    sample_rate: int
    """Samples per second."""
    duration_s: float
    sha256: str
    """Of the file, in hexadecimal."""
    created_at: datetime

    @classmethod
    def of(cls, row: prompts.AudioFile) -> AudioFile:
        return cls(
            id=row.id,
            name=row.name,
            size_bytes=row.size_bytes,
            sample_rate=row.sample_rate,
            duration_s=row.duration_s,
            sha256=row.sha256.hex(),
            created_at=shown_time(row.created_at),
        )


class AudioFilePage(msgspec.Struct, frozen=True):
    """Audio files, oldest first."""

    items: list[AudioFile]
    next: str | None
    """Cursor of the next page; null on the last."""


@dataclass
class UploadOperation(Operation):
    """Documents the two ways to send a file, of which the framework can only describe one."""

    def __post_init__(self) -> None:
        binary = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        name = Schema(type=OpenAPIType.STRING, min_length=1, max_length=200)
        form = Schema(
            type=OpenAPIType.OBJECT,
            properties={"file": binary, "name": name},
            required=["file"],
        )
        content = {WAV: OpenAPIMediaType(schema=binary), "multipart/form-data": OpenAPIMediaType(schema=form)}
        self.request_body = RequestBody(
            content=content, required=True, description="A WAV file of at most 10 minutes and 20 MB."
        )


@post(
    "/audio-files",
    operation_id="addAudioFile",
    operation_class=UploadOperation,
    summary="Upload an audio file",
    tags=TAGS,
    request_max_body_size=_UPLOAD_BYTES,
    responses=answers(413),
)
async def add_audio_file(
    services: Wired, caller: CalledBy, request: Request[Any, Any, Any], name: NameWanted = None
) -> AudioFile:
    """A WAV file, as the body itself or as the part `file` of a form: 8- or 16-bit PCM, A-law or µ-law, mono
    or stereo, 8 to 48 kHz. Sent again, the same file gets another id, and is stored once.
    """
    upload = await _read_upload(request)
    async with services.db.transaction() as tx:
        row = await prompts.add_audio(
            tx, services.storage, caller.account_id, name or upload.name, upload.data
        )
    return AudioFile.of(row)


@get(
    "/audio-files", operation_id="listAudioFiles", summary="List audio files", tags=TAGS, responses=answers()
)
async def list_audio_files(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> AudioFilePage:
    """The audio files of the account, oldest first."""
    async with services.db.transaction() as tx:
        rows = await prompts.list_audio(tx, caller.account_id, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return AudioFilePage([AudioFile.of(row) for row in shown], further)


@get(
    "/audio-files/{audio_file_id:str}",
    operation_id="getAudioFile",
    summary="Get an audio file's facts",
    tags=TAGS,
    responses=answers(404),
)
async def get_audio_file(services: Wired, caller: CalledBy, audio_file_id: AudioId) -> AudioFile:
    """One audio file, without its sound."""
    async with services.db.transaction() as tx:
        return AudioFile.of(await prompts.get_audio(tx, caller.account_id, audio_file_id))


@get(
    "/audio-files/{audio_file_id:str}/content",
    operation_id="downloadAudioFile",
    summary="Download an audio file",
    tags=TAGS,
    media_type=WAV,
    responses=answers(404),
)
async def download_audio_file(services: Wired, caller: CalledBy, audio_file_id: AudioId) -> Response[bytes]:
    """The WAV file as it was uploaded."""
    async with services.db.transaction() as tx:
        row = await prompts.get_audio(tx, caller.account_id, audio_file_id)
    try:
        return Response(await services.storage.get(row.storage_key), media_type=WAV)
    except StoredFileMissingError:
        # Somebody deleted it since the row was read.
        raise prompts.AudioFileNotFoundError from None


@delete(
    "/audio-files/{audio_file_id:str}",
    operation_id="deleteAudioFile",
    summary="Delete an audio file",
    tags=TAGS,
    responses=answers(404, 409),
)
async def delete_audio_file(services: Wired, caller: CalledBy, audio_file_id: AudioId) -> None:
    """409 while any version of a script plays it: campaigns may still run old versions."""
    async with services.db.transaction() as tx:
        in_use = partial(scripts.uses_audio, tx, caller.account_id)
        await prompts.delete_audio(tx, services.storage, caller.account_id, audio_file_id, in_use=in_use)


@dataclass(frozen=True, slots=True)
class _Upload:
    name: str
    data: bytes


async def _read_upload(request: Request[Any, Any, Any]) -> _Upload:
    if request.content_type[0] != "multipart/form-data":
        return _Upload("audio.wav", await request.body())
    try:
        form = await request.form()
    except HTTPException:
        raise
    except (ValueError, LookupError) as error:
        # A character set that is unknown, or that the text is not in.
        raise InvalidError("This form cannot be read.", errors=[("", "Send it as UTF-8.")]) from error
    part = form.get("file")
    if not isinstance(part, UploadFile):
        raise InvalidError("There is no file.", errors=[("file", "Send the file as this part.")])
    given = form.get("name")
    return _Upload(given if isinstance(given, str) else part.filename, await part.read())


HANDLERS = [add_audio_file, list_audio_files, get_audio_file, download_audio_file, delete_audio_file]
