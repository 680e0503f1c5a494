"""Our own HTTP API, `/v1`."""

from tongdai.api.problems import handlers as problem_handlers
from tongdai.api.routes import PREFIX, SECURITY_SCHEMES, TAGS, routes

__all__ = ["PREFIX", "SECURITY_SCHEMES", "TAGS", "problem_handlers", "routes"]
