"""Contact files: spreadsheets whose rows become calls of a campaign."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get, post
from litestar.datastructures import UploadFile
from litestar.exceptions import HTTPException
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import QueryParameter
from litestar.response import Stream

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.bodies import BadBodyError, decode
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import CampaignId, ContactFileId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import campaigns
from tongdai.kit.errors import InvalidError
from tongdai.ports.storage import StoredFileMissingError

TAGS = ["Contact files"]
CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A multipart upload has some headers of its own beside the file.
_UPLOAD_BYTES = campaigns.MAX_FILE_BYTES + 65_536
_CHUNK_BYTES = 256 * 1024

NameWanted = Annotated[
    str | None,
    QueryParameter(
        name="name", min_length=1, max_length=200, description="Its name. Left out: the uploaded file's."
    ),
]
SheetWanted = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=100,
        description="The sheet of a .xlsx. Left out: the first that shows.",
    ),
]
PhoneColumnWanted = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=200,
        description="The column with the numbers, by its header or its letter. Left out: it is found.",
    ),
]
MappingWanted = Annotated[
    str | None,
    QueryParameter(
        min_length=2,
        max_length=10_000,
        description=(
            'JSON: columns, by header or letter, to the fields that they fill: `{"Họ tên": "ten"}`. '
            "An empty field passes the column over. Columns that are left out keep their meaning."
        ),
    ),
]


class FileFault(msgspec.Struct, frozen=True):
    """Why a contact file failed."""

    code: str
    """A stable name for programs, e.g. `no_phone_column`."""
    message: str
    """What to change, in Vietnamese, for whoever made the file."""


class FileLayout(msgspec.Struct, frozen=True):
    """Where things were found in a contact file."""

    phone_column: str
    """The column with the numbers: its header, or its letter where it has none."""
    fields: dict[str, str]
    """By field: the column that fills it."""
    special: dict[str, str]
    """By name (`max_attempts`, `call_after`, `call_before`, `person_ref`): the column that says it."""
    header_row: int
    """Number of the row with the headers; 0 when there is none."""
    sheet: str | None
    """Of a .xlsx."""
    encoding: str | None
    """Of a text file."""
    delimiter: str | None
    """Of a text file."""


class ContactFile(msgspec.Struct, frozen=True, kw_only=True):
    """A spreadsheet, and what has become of its rows so far."""

    id: int
    campaign_id: int
    name: str
    format: Literal["csv", "xlsx"]
    size_bytes: int
    uploaded_by: int
    """Id of the user."""
    state: Literal["received", "reading", "done", "failed"]
    """A failed one may have brought calls before it failed."""
    percent: int
    """Of its rows that were read."""
    rows: int | None
    """Below the header, without empty ones. Null until they are counted."""
    rows_read: int
    """Always `accepted` + `duplicate` + `rejected`."""
    accepted: int
    """Rows that became queued calls."""
    repaired: int
    """Of those accepted: the number was read only after mending, as without its leading zero."""
    converted: int
    """Of those accepted: a mobile number of 11 digits, called by today's form."""
    duplicate: int
    """The number stands in an earlier row, or in the campaign where that forbids duplicates."""
    rejected: int
    """Rows that cannot be called; the report says why."""
    layout: FileLayout | None
    """Null until it was found."""
    error: FileFault | None
    """Null unless it failed."""
    has_report: bool
    """The report can be downloaded: from the end on, for 30 days."""
    created_at: datetime
    started_at: datetime | None
    done_at: datetime | None

    @classmethod
    def of(cls, row: campaigns.ContactFile) -> ContactFile:
        error = None
        if row.error_code is not None:
            told = campaigns.in_vietnamese(row.error_code, row.error_facts)
            error = FileFault(row.error_code, told)
        return cls(
            id=row.id,
            campaign_id=row.campaign_id,
            name=row.name,
            format=row.format,
            size_bytes=row.size_bytes,
            uploaded_by=row.user_id,
            state=row.state,
            percent=100 if row.state == "done" else row.rows_read * 100 // (row.rows_total or 1),
            rows=row.rows_total,
            rows_read=row.rows_read,
            accepted=row.accepted,
            repaired=row.repaired,
            converted=row.converted,
            duplicate=row.duplicate,
            rejected=row.rejected,
            layout=None if row.layout is None else FileLayout(**msgspec.structs.asdict(row.layout)),
            error=error,
            has_report=row.report_key is not None,
            created_at=shown_time(row.created_at),
            started_at=shown_time(row.started_at),
            done_at=shown_time(row.done_at),
        )


class ContactFilePage(msgspec.Struct, frozen=True):
    """Contact files, oldest first."""

    items: list[ContactFile]
    next: str | None
    """Cursor of the next page; null on the last."""


@dataclass
class FileUploadOperation(Operation):
    """Documents the ways to send a file, of which the framework can only describe one."""

    def __post_init__(self) -> None:
        binary = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        name = Schema(type=OpenAPIType.STRING, min_length=1, max_length=200)
        form = Schema(type=OpenAPIType.OBJECT, properties={"file": binary, "name": name}, required=["file"])
        content = {
            XLSX: OpenAPIMediaType(schema=binary),
            CSV: OpenAPIMediaType(schema=binary),
            "multipart/form-data": OpenAPIMediaType(schema=form),
        }
        self.request_body = RequestBody(
            content=content,
            required=True,
            description="A .xlsx or .csv file of at most 200,000 rows, 200 columns and 64 MB.",
        )


@post(
    "/campaigns/{campaign_id:str}/contact-files",
    operation_id="addContactFile",
    operation_class=FileUploadOperation,
    summary="Give a campaign a file of contacts",
    tags=TAGS,
    request_max_body_size=_UPLOAD_BYTES,
    responses=answers(404, 409, 413),
)
async def add_contact_file(
    services: Wired,
    caller: CalledBy,
    request: Request[Any, Any, Any],
    campaign_id: CampaignId,
    name: NameWanted = None,
    sheet: SheetWanted = None,
    phone_column: PhoneColumnWanted = None,
    mapping: MappingWanted = None,
) -> ContactFile:
    """A .xlsx or .csv file, as the body itself or as the part `file` of a form. It is read in the background,
    and its first rows are dialled while the others are read: look at it again for how far it is.

    409 when the campaign takes no contacts in its present state, and for one of kind `otp`.
    """
    options = campaigns.FileOptions(sheet, phone_column, _mapping(mapping))
    async with services.db.transaction() as tx:
        await campaigns.require_file_taker(tx, caller.account_id, campaign_id)
    async with (
        _sent(request) as sent,
        campaigns.received_upload(services.storage, caller.account_id, sent.chunks, options) as upload,
        services.db.transaction() as tx,
    ):
        row = await campaigns.add_file(
            tx, caller.account_id, caller.user_id, campaign_id, upload, name or sent.name, options
        )
    return ContactFile.of(row)


@get(
    "/campaigns/{campaign_id:str}/contact-files",
    operation_id="listContactFiles",
    summary="List a campaign's contact files",
    tags=TAGS,
    responses=answers(404),
)
async def list_contact_files(
    services: Wired, caller: CalledBy, campaign_id: CampaignId, limit: Limit = 100, cursor: Cursor = None
) -> ContactFilePage:
    """The contact files of the campaign, oldest first."""
    async with services.db.transaction() as tx:
        await campaigns.get_campaign(tx, caller.account_id, campaign_id)
        rows = await campaigns.list_files(
            tx, caller.account_id, campaign_id, after=after(cursor), limit=limit + 1
        )
    shown, further = cut(rows, limit)
    return ContactFilePage([ContactFile.of(row) for row in shown], further)


@get(
    "/campaigns/{campaign_id:str}/contact-files/{contact_file_id:str}",
    operation_id="getContactFile",
    summary="See how far a contact file is",
    tags=TAGS,
    responses=answers(404),
)
async def get_contact_file(
    services: Wired, caller: CalledBy, campaign_id: CampaignId, contact_file_id: ContactFileId
) -> ContactFile:
    """One contact file with its counts, which grow while it is read."""
    async with services.db.transaction() as tx:
        row = await campaigns.get_file(tx, caller.account_id, campaign_id, contact_file_id)
    return ContactFile.of(row)


@get(
    "/campaigns/{campaign_id:str}/contact-files/{contact_file_id:str}/report",
    operation_id="downloadContactFileReport",
    summary="Download the report of a contact file",
    tags=TAGS,
    media_type=CSV,
    responses=answers(404, 409),
)
async def download_contact_file_report(
    services: Wired, caller: CalledBy, campaign_id: CampaignId, contact_file_id: ContactFileId
) -> Stream:
    """A CSV that Excel opens, in Vietnamese: each row that was repaired, converted, a duplicate or rejected,
    with its number in the file, what was given, what it became and why. 409 until the file was read.
    """
    async with services.db.transaction() as tx:
        key = await campaigns.report_key(tx, caller.account_id, campaign_id, contact_file_id)
    pieces = services.storage.stream(key)
    try:
        first = await anext(pieces)
    except (StoredFileMissingError, StopAsyncIteration):
        # Its time was over since the row was read.
        raise campaigns.ReportGoneError from None
    name = f"attachment; filename=contact-file-{contact_file_id}.csv"
    return Stream(_joined(first, pieces), media_type=CSV, headers={"Content-Disposition": name})


async def _joined(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in others:
        yield piece


def _mapping(given: str | None) -> dict[str, str]:
    if given is None:
        return {}
    try:
        wanted: dict[str, str] = decode(given.encode(), dict[str, str])
    except BadBodyError as error:
        raise InvalidError(
            "The mapping is not valid; see errors.",
            errors=[("mapping", 'Send JSON like {"Họ tên": "ten"}.')],
        ) from error
    return wanted


@dataclass(frozen=True, slots=True)
class _Sent:
    name: str
    chunks: AsyncIterator[bytes]


@asynccontextmanager
async def _sent(request: Request[Any, Any, Any]) -> AsyncIterator[_Sent]:
    """What was sent, in pieces. The framework keeps a form's file on disk, not in memory."""
    if request.content_type[0] != "multipart/form-data":
        yield _Sent("contacts", request.stream())
        return
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
    try:
        yield _Sent(given if isinstance(given, str) else part.filename, _chunks(part))
    finally:
        await part.close()


async def _chunks(part: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await part.read(_CHUNK_BYTES):
        yield chunk


HANDLERS = [add_contact_file, list_contact_files, get_contact_file, download_contact_file_report]
