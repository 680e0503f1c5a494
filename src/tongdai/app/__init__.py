"""The ASGI app: the APIs, the facades, health, metrics and the schema in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components

from tongdai import api
from tongdai.api import problems
from tongdai.app.front import front
from tongdai.app.health import healthz, readyz
from tongdai.app.metrics import MeteredLitestar, Metrics, show_metrics
from tongdai.app.schema_page import SchemaPage
from tongdai.domain.zalo import settled
from tongdai.facades.aicallcenter import routes as aicallcenter
from tongdai.facades.interits import routes as interits
from tongdai.facades.sencloud import routes as sencloud
from tongdai.facades.vbot import routes as vbot
from tongdai.ports.services import Services

ABOUT = (
    "Voice campaigns and voice OTP. Send `Authorization: Bearer td_…`. "
    "Times are RFC 3339 in Vietnam's zone, numbers are shown as 0…, lists are paged by cursor."
)

SETTLED_S = 11.0
"""What renewals of Zalo's tokens get to end at a stop, after whoever waited for them has gone."""

_VENDORS = (aicallcenter, vbot, interits, sencloud)


def create_app(services: Services, *, metrics: bool = True) -> Litestar:
    """The whole web side over `services`. Its lifespan starts and ends pool, hinter and Zalo's client."""
    vendors = [handler for vendor in _VENDORS for handler in vendor.routes(services)]
    handlers = [*api.routes(services), *vendors, front, healthz, readyz]
    app = MeteredLitestar(
        route_handlers=[*handlers, show_metrics] if metrics else handlers,
        lifespan=[lambda _: _running(services)],
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "metrics": Provide(lambda: counters, sync_to_thread=False),
        },
        exception_handlers={
            **problems.handlers(),
            MethodNotAllowedException: _refuse_method,
            NotFoundException: _refuse_path,
        },
        openapi_config=OpenAPIConfig(
            title="tongdai",
            version=version("tongdai"),
            description=ABOUT,
            path="/schema",
            render_plugins=[SchemaPage(), JsonRenderPlugin(path="/openapi.json")],
            components=Components(security_schemes=dict(api.SECURITY_SCHEMES)),
            tags=list(api.TAGS),
            use_handler_docstrings=True,
        ),
        plugins=[api.DocumentedStructs(), api.WholeNumbers()],
        request_max_body_size=services.max_body_bytes,
        # The framework would log paths with their queries, which may hold tokens.
        logging_config=None,
    )
    counters = Metrics()
    app.metrics = counters if metrics else None
    return app


def _refuse_method(request: Request[Any, Any, Any], error: MethodNotAllowedException) -> Response[Any]:
    """In the words of whoever's path it is: a wrong method reaches no route, nor its exception handlers."""
    vendors = (vendor.refuse_method(request, error) for vendor in _VENDORS)
    return next(filter(None, vendors), None) or problems.http_error(request, error)


def _refuse_path(request: Request[Any, Any, Any], error: NotFoundException) -> Response[Any]:
    """Likewise, for the one vendor whose paths have no prefix of their own that a route could take."""
    return sencloud.refuse_path(request, error) or problems.http_error(request, error)


@asynccontextmanager
async def _running(services: Services) -> AsyncIterator[None]:
    await services.db.open()
    try:
        await services.hinter.start()
        if services.zalo is not None:
            await services.zalo.start()
        yield
    finally:
        if services.zalo is not None:
            await settled(SETTLED_S)
            await services.zalo.stop()
        await services.hinter.stop()
        await services.db.close()
