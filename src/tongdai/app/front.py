"""What stands at the bare address: which program this is, and where to go on."""

from __future__ import annotations

from importlib.metadata import version

import msgspec
from litestar import get


class Front(msgspec.Struct, frozen=True):
    name: str
    version: str
    schema: str
    health: str


@get("/", include_in_schema=False, sync_to_thread=False)
def front() -> Front:
    """Says no more than the schema does."""
    return Front("tongdai", version("tongdai"), schema="/schema", health="/healthz")
