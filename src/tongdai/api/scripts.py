"""Scripts: what a call says and asks, as data. Each change is a new version; a campaign keeps its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import get, post, put
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from tongdai.api.auth import NEEDS_VIEWER, CalledBy, Wired
from tongdai.api.bodies import Name
from tongdai.api.openapi import shaped_as
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import ScriptId
from tongdai.api.problems import FieldError, answers, field_errors
from tongdai.api.times import shown_time
from tongdai.domain import prompts, scripts
from tongdai.domain.scripts import Step

TAGS = ["Scripts"]

VersionWanted = Annotated[
    int | None, QueryParameter(ge=1, le=2**31 - 1, description="Which version. Left out: the current one.")
]


class ScriptBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call flow: steps by id, and where to start. A step that leads nowhere ends the call."""

    start: str
    """The step that the call begins with."""
    steps: Annotated[dict[str, Step], Meta(min_length=1, max_length=scripts.MAX_STEPS)]
    kind: Literal["voice", "otp"] = "voice"
    voicemail: str | None = None
    """Where a message for a machine starts. Null: at `start`."""
    confirm_human: bool = False
    """True: when nobody knows whether a person answered, a code is read only after a key was pressed."""
    confirm_text: str = scripts.CONFIRM_TEXT
    voice: str = ""
    """Which voice speaks its texts, as `espeak:vi-vn-x-south`. Empty: the installation's own."""


class NewScript(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script to be created, or a new version of one."""

    name: Name
    script: Annotated[msgspec.Raw, shaped_as(ScriptBody)]


class ScriptSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A script without its steps."""

    id: int
    name: str
    version: int
    """The current version."""
    created_at: datetime
    archived_at: datetime | None
    """Set: no new campaign may use it."""

    @classmethod
    def of(cls, row: scripts.ScriptEntry) -> ScriptSummary:
        return cls(**_summary(row))


class ScriptPage(msgspec.Struct, frozen=True):
    """Scripts, oldest first."""

    items: list[ScriptSummary]
    next: str | None
    """Cursor of the next page; null on the last."""


class ScriptDetail(ScriptSummary, frozen=True, kw_only=True):
    """A script with its steps."""

    script: Annotated[msgspec.Raw, shaped_as(ScriptBody)]
    required_fields: list[str]
    """What each contact should bring."""

    @classmethod
    def with_body(cls, row: scripts.ScriptRow) -> ScriptDetail:
        return cls(
            **_summary(row),
            script=msgspec.Raw(msgspec.json.encode(row.body)),
            required_fields=sorted(scripts.required_fields(row.body)),
        )


class Verdict(msgspec.Struct, frozen=True):
    """Whether a script can be used."""

    valid: bool
    errors: list[FieldError]
    """Each fault with its step and field, such as `steps.menu.on.1`."""
    required_fields: list[str]
    """What each contact should bring; empty when it is not valid."""


@post(
    "/scripts",
    operation_id="createScript",
    summary="Create a script",
    tags=TAGS,
    responses=answers(404, 413),
)
async def create_script(services: Wired, caller: CalledBy, data: JSONBody[NewScript]) -> ScriptDetail:
    """A new script, version 1. 400 lists each fault with its step and field."""
    async with services.db.transaction() as tx, _paths_from_body():
        resolve = prompts.audio_resolver(tx, caller.account_id)
        row = await scripts.create_script(
            tx, caller.account_id, data.name, bytes(data.script), resolve_audio=resolve
        )
    return ScriptDetail.with_body(row)


@post(
    "/scripts/validate",
    operation_id="validateScript",
    summary="Check a script",
    tags=TAGS,
    status_code=200,
    opt=NEEDS_VIEWER,
    responses=answers(413),
)
async def validate_script(
    services: Wired, caller: CalledBy, data: Annotated[msgspec.Raw, shaped_as(ScriptBody)]
) -> Verdict:
    """Whether a script could be created as it is, without creating it. The body is the script itself."""
    try:
        async with services.db.transaction() as tx:
            resolve = prompts.audio_resolver(tx, caller.account_id)
            script = await scripts.check_script(bytes(data), resolve_audio=resolve)
    except scripts.ScriptInvalidError as error:
        return Verdict(False, field_errors(error), [])
    return Verdict(True, [], sorted(scripts.required_fields(script)))


@get("/scripts", operation_id="listScripts", summary="List scripts", tags=TAGS, responses=answers())
async def list_scripts(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> ScriptPage:
    """The scripts of the account, oldest first."""
    async with services.db.transaction() as tx:
        rows = await scripts.list_scripts(tx, caller.account_id, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return ScriptPage([ScriptSummary.of(row) for row in shown], further)


@get(
    "/scripts/{script_id:str}",
    operation_id="getScript",
    summary="Get a script",
    tags=TAGS,
    responses=answers(404),
)
async def get_script(
    services: Wired, caller: CalledBy, script_id: ScriptId, version: VersionWanted = None
) -> ScriptDetail:
    """One script with its steps, in its current version or in one that was."""
    async with services.db.transaction() as tx:
        row = await scripts.get_script(tx, caller.account_id, script_id, version)
    return ScriptDetail.with_body(row)


@put(
    "/scripts/{script_id:str}",
    operation_id="replaceScript",
    summary="Write a new version of a script",
    tags=TAGS,
    responses=answers(404, 413),
)
async def replace_script(
    services: Wired, caller: CalledBy, script_id: ScriptId, data: JSONBody[NewScript]
) -> ScriptDetail:
    """Its next version. Campaigns that have an earlier one keep it."""
    async with services.db.transaction() as tx, _paths_from_body():
        resolve = prompts.audio_resolver(tx, caller.account_id)
        row = await scripts.update_script(
            tx, caller.account_id, script_id, bytes(data.script), name=data.name, resolve_audio=resolve
        )
    return ScriptDetail.with_body(row)


@asynccontextmanager
async def _paths_from_body() -> AsyncIterator[None]:
    """Tells a script's faults by their place in the body of the request, where it is the field `script`."""
    try:
        yield
    except scripts.ScriptInvalidError as error:
        faults = [
            (f"script.{one.path}" if one.path else "script", one.message) for one in field_errors(error)
        ]
        raise scripts.ScriptInvalidError(faults) from None


def _summary(row: scripts.ScriptEntry | scripts.ScriptRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "created_at": shown_time(row.created_at),
        "archived_at": shown_time(row.archived_at),
    }


HANDLERS = [create_script, validate_script, list_scripts, get_script, replace_script]
