"""Whether the process is up, and whether it can work."""

from __future__ import annotations

import asyncio
import logging

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.response import Response

from tongdai.kit.readiness import schema_fault
from tongdai.ports.services import Services

logger = logging.getLogger(__name__)

PATIENCE_S = 3.0


class Health(msgspec.Struct, frozen=True):
    status: str
    reason: str | None = None


@get("/healthz", include_in_schema=False, sync_to_thread=False)
def healthz() -> Health:
    """The process is up; says nothing of the database."""
    return Health("ok")


@get("/readyz", include_in_schema=False)
async def readyz(services: NamedDependency[Services]) -> Response[Health]:
    """200 when the database answers and its schema is the one of this version, else 503 and why."""
    reason = await _unready(services)
    if reason is None:
        return Response(Health("ok"))
    return Response(Health("unready", reason), status_code=503)


async def _unready(services: Services) -> str | None:
    try:
        async with asyncio.timeout(PATIENCE_S), services.db.autocommit() as connection:
            return await schema_fault(connection)
    except Exception:
        # Whatever it is, the answer is the same; the log has the details.
        logger.warning("the database does not answer", exc_info=True)
        return "the database does not answer"
