"""Prometheus metrics of one web process. Labels are routes and statuses, never a path, query or person."""

from __future__ import annotations

import time
from typing import cast

from litestar import Litestar, get
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.response import Response
from litestar.types import (
    HTTPScope,
    LifeSpanReceive,
    LifeSpanScope,
    LifeSpanSend,
    Message,
    Receive,
    Scope,
    Send,
)
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from tongdai.app.database_metrics import database_metrics
from tongdai.app.recording_metrics import recording_metrics
from tongdai.app.webhook_metrics import webhook_metrics
from tongdai.ports.services import Services

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN_ROUTE = "(none)"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tongdai_http_requests_total",
            "Answered requests.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "tongdai_http_request_seconds",
            "Seconds from the head of a request to the head of its answer.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class MeteredLitestar(Litestar):
    """Counts each answer where all pass, those of unknown paths too, which no middleware of a route sees."""

    metrics: Metrics | None = None

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        if self.metrics is not None and scope["type"] == ScopeType.HTTP:
            send = _counted(self.metrics, cast(HTTPScope, scope), cast(Send, send))
        await super().__call__(scope, receive, send)


def _counted(metrics: Metrics, scope: HTTPScope, send: Send) -> Send:
    started = time.perf_counter()

    async def counted(message: Message) -> None:
        if message["type"] == "http.response.start":
            # Known only now: the router writes it into the scope.
            route = scope.get("path_template") or UNKNOWN_ROUTE
            metrics.count(scope["method"], route, message["status"], time.perf_counter() - started)
        await send(message)

    return counted


@get("/metrics", include_in_schema=False)
async def show_metrics(
    metrics: NamedDependency[Metrics], services: NamedDependency[Services]
) -> Response[bytes]:
    pages = [
        metrics.text(),
        await database_metrics(services, "webhooks", webhook_metrics),
        await database_metrics(services, "recordings", recording_metrics),
    ]
    return Response(b"".join(pages), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})
