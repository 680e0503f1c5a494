"""Our own HTTP API, `/v1`."""

from tongdai.api.openapi import DocumentedStructs, WholeNumbers
from tongdai.api.routes import PREFIX, SECURITY_SCHEMES, TAGS, routes

__all__ = ["PREFIX", "SECURITY_SCHEMES", "TAGS", "DocumentedStructs", "WholeNumbers", "routes"]
