"""Projects: groups of campaigns inside an account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.bodies import Name
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import ProjectId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import accounts

TAGS = ["Projects"]


class Project(msgspec.Struct, frozen=True):
    """A group of campaigns."""

    id: int
    code: str
    name: str
    created_at: datetime

    @classmethod
    def of(cls, row: accounts.Project) -> Project:
        return cls(row.id, row.code, row.name, shown_time(row.created_at))


class ProjectPage(msgspec.Struct, frozen=True):
    """Projects, oldest first."""

    items: list[Project]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project to be created."""

    code: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Unique in the account."""
    name: Name


@post(
    "/projects",
    operation_id="createProject",
    summary="Create a project",
    tags=TAGS,
    responses=answers(409, 413),
)
async def create_project(services: Wired, caller: CalledBy, data: JSONBody[NewProject]) -> Project:
    """A new, empty project. 409 when the account has one of this code."""
    async with services.db.transaction() as tx:
        row = await accounts.create_project(tx, caller.account_id, code=data.code, name=data.name)
    return Project.of(row)


@get("/projects", operation_id="listProjects", summary="List projects", tags=TAGS, responses=answers())
async def list_projects(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> ProjectPage:
    """The projects of the account, oldest first."""
    async with services.db.transaction() as tx:
        rows = await accounts.list_projects(tx, caller.account_id, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return ProjectPage([Project.of(row) for row in shown], further)


@get(
    "/projects/{project_id:str}",
    operation_id="getProject",
    summary="Get a project",
    tags=TAGS,
    responses=answers(404),
)
async def get_project(services: Wired, caller: CalledBy, project_id: ProjectId) -> Project:
    """One project."""
    async with services.db.transaction() as tx:
        return Project.of(await accounts.get_project(tx, caller.account_id, project_id))


HANDLERS = [create_project, list_projects, get_project]
