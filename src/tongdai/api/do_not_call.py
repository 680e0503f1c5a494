"""Whom nobody calls: do-not-call lists, the national register, and people who opted out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import Request, delete, get, post, put
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import JSONBody, QueryParameter

from tongdai.api.auth import FOR_PLATFORM, NEEDS_OWNER, CalledBy, Wired
from tongdai.api.do_not_call_shapes import (
    GivenNumber,
    LiftedOptOut,
    ListedNumber,
    ListedNumberPage,
    ListingReport,
    NationalListState,
    NewListedNumbers,
    NewOptOuts,
    OptOutPage,
    OptOutRecord,
    OptOutReport,
    RejectedNumber,
)
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import EntryId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import calls, compliance
from tongdai.domain.accounts import Caller, Role
from tongdai.domain.compliance import PLATFORM
from tongdai.domain.contacts import normalise, normalise_given
from tongdai.kit.db import Tx
from tongdai.kit.errors import InvalidError
from tongdai.ports.services import Services

TAGS = ["Do not call"]
PLATFORM_TAGS = ["Platform"]
CSV = "text/csv"

OfNumber = Annotated[
    str | None,
    QueryParameter(
        name="number", min_length=1, max_length=100, description="Only of this number, however it is written."
    ),
]
SourceWanted = Annotated[
    str, QueryParameter(name="source", min_length=1, max_length=100, description="Where the list comes from.")
]


@dataclass
class ListOperation(Operation):
    """Documents a list as text, which the framework cannot describe."""

    def __post_init__(self) -> None:
        lines = (
            "UTF-8, one number a line. After a comma, semicolon or tab: `V` (wants no calls), `S` (no "
            "messages) or `VS`; both without it."
        )
        content = {CSV: OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))}
        self.request_body = RequestBody(content=content, required=True, description=lines)


# --------------------------------------------------------------------------- the account's list


@post(
    "/do-not-call",
    operation_id="addToDoNotCall",
    summary="Put numbers on the do-not-call list",
    tags=TAGS,
    status_code=200,
    responses=answers(413),
)
async def add_numbers(services: Wired, caller: CalledBy, data: JSONBody[NewListedNumbers]) -> ListingReport:
    """From the answer on none of them is dialled, but with one-time codes. A number that is listed already
    takes the new flags, source and end; from operators, who may take none off, only what forbids more. Calls
    that are queued for them end as `blocked` when they come up."""
    async with services.db.transaction() as tx:
        return await _list(tx, caller.account_id, data, caller.user_id, loosens=_may_loosen(caller))


@post(
    "/do-not-call/import",
    operation_id="importDoNotCall",
    operation_class=ListOperation,
    summary="Put a long list on the do-not-call list",
    tags=TAGS,
    status_code=200,
    responses=answers(413),
)
async def import_numbers(
    services: Wired, caller: CalledBy, request: Request[Any, Any, Any], source: SourceWanted = "import"
) -> ListingReport:
    """A text of at most a million lines. Sent again after it broke off, it leaves the same list. A number
    that is listed already is dealt with as when it is added by itself."""
    entries = await _entries(request, compliance.MOST_LINES)
    report = await compliance.import_numbers(
        services.db,
        caller.account_id,
        entries,
        source=source,
        user_id=caller.user_id,
        loosens=_may_loosen(caller),
    )
    return ListingReport.of(report)


@get(
    "/do-not-call",
    operation_id="listDoNotCall",
    summary="List the do-not-call list",
    tags=TAGS,
    responses=answers(),
)
async def list_numbers(
    services: Wired, caller: CalledBy, number: OfNumber = None, limit: Limit = 100, cursor: Cursor = None
) -> ListedNumberPage:
    """The account's own list. The platform's and the national one are not shown to accounts."""
    return await _page(services, caller.account_id, number, limit, cursor)


@delete(
    "/do-not-call/{entry_id:str}",
    operation_id="removeFromDoNotCall",
    summary="Take a number off the do-not-call list",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404),
)
async def remove_number(services: Wired, caller: CalledBy, entry_id: EntryId) -> None:
    """It may be called again, unless the person opted out or another list holds it."""
    async with services.db.transaction() as tx:
        await compliance.unlist(tx, caller.account_id, entry_id)


# --------------------------------------------------------------------------- opt-outs


@post(
    "/opt-outs",
    operation_id="optOut",
    summary="Note that people want no more calls",
    tags=TAGS,
    status_code=200,
    responses=answers(413),
)
async def opt_out(services: Wired, caller: CalledBy, data: JSONBody[NewOptOuts]) -> OptOutReport:
    """From the answer on nobody calls them in this advertiser's name, in no campaign, but with one-time
    codes. What is queued for them ends."""
    numbers, rejected = _read(data.numbers)
    async with services.db.transaction() as tx:
        refused = await calls.opt_out(
            tx,
            caller.account_id,
            numbers,
            advertiser=data.advertiser.strip(),
            source=data.source,
            now=services.clock.now(),
            reason=data.reason,
            user_id=caller.user_id,
        )
    return OptOutReport(len(data.numbers), refused, rejected)


@get("/opt-outs", operation_id="listOptOuts", summary="List opt-outs", tags=TAGS, responses=answers())
async def list_opt_outs(
    services: Wired, caller: CalledBy, number: OfNumber = None, limit: Limit = 100, cursor: Cursor = None
) -> OptOutPage:
    """Every opt-out and what lifted one, oldest first. Nothing of it is ever changed or deleted."""
    async with services.db.transaction() as tx:
        rows = await compliance.list_opt_outs(
            tx, caller.account_id, number=canonical(number), after=after(cursor), limit=limit + 1
        )
    page, further = cut(rows, limit)
    return OptOutPage([OptOutRecord.of(row) for row in page], further)


@post(
    "/opt-outs/lift",
    operation_id="liftOptOut",
    summary="Note that somebody wants to be called again",
    tags=TAGS,
    opt=NEEDS_OWNER,
    status_code=204,
    responses=answers(404, 413),
)
async def lift_opt_out(services: Wired, caller: CalledBy, data: JSONBody[LiftedOptOut]) -> None:
    """404 when the number has not opted out in this advertiser's name."""
    numbers, rejected = _read([data.number])
    if rejected:
        raise InvalidError("This is not a number.", errors=[("number", rejected[0].reason)])
    async with services.db.transaction() as tx:
        await compliance.lift_opt_out(
            tx,
            caller.account_id,
            numbers[0],
            data.advertiser.strip(),
            "api",
            services.clock.now(),
            reason=data.reason,
            user_id=caller.user_id,
        )


# --------------------------------------------------------------------------- the platform's lists


@post(
    "/platform/do-not-call",
    operation_id="addToPlatformDoNotCall",
    summary="Put numbers on everybody's do-not-call list",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    status_code=200,
    responses=answers(413),
)
async def add_platform_numbers(services: Wired, data: JSONBody[NewListedNumbers]) -> ListingReport:
    """No account calls them, but with one-time codes."""
    async with services.db.transaction() as tx:
        return await _list(tx, PLATFORM, data, None, loosens=True)


@post(
    "/platform/do-not-call/import",
    operation_id="importPlatformDoNotCall",
    operation_class=ListOperation,
    summary="Put a long list on everybody's do-not-call list",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    status_code=200,
    responses=answers(413),
)
async def import_platform_numbers(
    services: Wired, request: Request[Any, Any, Any], source: SourceWanted = "import"
) -> ListingReport:
    """No account calls them, but with one-time codes."""
    entries = await _entries(request, compliance.MOST_LINES)
    report = await compliance.import_numbers(services.db, PLATFORM, entries, source=source, user_id=None)
    return ListingReport.of(report)


@get(
    "/platform/do-not-call",
    operation_id="listPlatformDoNotCall",
    summary="List everybody's do-not-call list",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    responses=answers(),
)
async def list_platform_numbers(
    services: Wired, number: OfNumber = None, limit: Limit = 100, cursor: Cursor = None
) -> ListedNumberPage:
    """The platform's list, the first that was entered first."""
    return await _page(services, PLATFORM, number, limit, cursor)


@delete(
    "/platform/do-not-call/{entry_id:str}",
    operation_id="removeFromPlatformDoNotCall",
    summary="Take a number off everybody's do-not-call list",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404),
)
async def remove_platform_number(services: Wired, entry_id: EntryId) -> None:
    """It may be called again, unless the person opted out or another list holds it."""
    async with services.db.transaction() as tx:
        await compliance.unlist(tx, PLATFORM, entry_id)


@put(
    "/platform/national-list",
    operation_id="importNationalList",
    operation_class=ListOperation,
    summary="Import the national do-not-call register",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    responses=answers(409, 413),
)
async def import_national_list(
    services: Wired,
    request: Request[Any, Any, Any],
    as_of: Annotated[
        datetime, QueryParameter(description="When the register looked like this: a moment with its offset.")
    ],
    source: SourceWanted = "file",
    connected: Annotated[
        bool, QueryParameter(description="True: it comes over a connection and grows stale sooner.")
    ] = False,
) -> ListingReport:
    """The whole register, which replaces the copy before. Nobody on it is called for advertising. 409 when a
    newer copy is here already. Until the answer the numbers of both copies are in force."""
    if as_of.tzinfo is None:
        raise InvalidError("as_of needs an offset.", errors=[("as_of", "Add +07:00 or Z.")])
    entries = await _entries(request, None)
    report = await compliance.import_national_list(
        services.db, entries, as_of=as_of, source=source, connected=connected, now=services.clock.now()
    )
    return ListingReport.of(report)


@get(
    "/platform/national-list",
    operation_id="getNationalList",
    summary="Tell how old the copy of the national register is",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    responses=answers(),
)
async def get_national_list(services: Wired) -> NationalListState:
    """A copy that is too old makes campaigns of purpose advertising wait for `dnc_stale`."""
    async with services.db.transaction() as tx:
        found = await compliance.national_list(tx)
    if found is None:
        return NationalListState(None, False)
    return NationalListState(shown_time(found.as_of), found.connected)


# --------------------------------------------------------------------------- shared


def _may_loosen(caller: Caller) -> bool:
    """As for taking a number off."""
    return caller.role.covers(Role.OWNER)


async def _entries(request: Request[Any, Any, Any], most: int | None) -> list[compliance.NewDoNotCall]:
    """Reading a long list takes seconds, for which other requests should not wait."""
    return await asyncio.to_thread(compliance.read_list, _text(await request.body()), most)


async def _list(
    tx: Tx, account_id: int, data: NewListedNumbers, user_id: int | None, *, loosens: bool
) -> ListingReport:
    entries = [compliance.NewDoNotCall(str(number), data.voice, data.sms) for number in data.numbers]
    report = await compliance.list_numbers(
        tx,
        account_id,
        entries,
        source=data.source,
        reason=data.reason,
        until=data.until,
        user_id=user_id,
        loosens=loosens,
    )
    return ListingReport.of(report)


async def _page(
    services: Services, account_id: int, number: str | None, limit: int, cursor: str | None
) -> ListedNumberPage:
    async with services.db.transaction() as tx:
        rows = await compliance.do_not_call_entries(
            tx, account_id, number=canonical(number), after=after(cursor), limit=limit + 1
        )
    page, further = cut(rows, limit)
    return ListedNumberPage([ListedNumber.of(row) for row in page], further)


def _read(given: list[GivenNumber]) -> tuple[list[str], list[RejectedNumber]]:
    read = [normalise_given(number) for number in given]
    rejected = [RejectedNumber(at, one.reason) for at, one in enumerate(read) if one.reason is not None]
    return [one.number for one in read if one.reason is None], rejected


def canonical(number: str | None) -> str | None:
    """A number from a query as it is stored; None without one. Raises InvalidError when it is none."""
    if number is None:
        return None
    read = normalise(number)
    if read.reason is not None:
        raise InvalidError("This is not a number.", errors=[("number", read.reason)])
    return read.number


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidError("This is not UTF-8.", errors=[("", "Send the list as UTF-8.")]) from None


LIST_HANDLERS = [import_numbers, import_platform_numbers, import_national_list, get_national_list]
"""Those that take long lists, and what shares an address with one."""

HANDLERS = [
    add_numbers,
    list_numbers,
    remove_number,
    opt_out,
    list_opt_outs,
    lift_opt_out,
    add_platform_numbers,
    list_platform_numbers,
    remove_platform_number,
]
