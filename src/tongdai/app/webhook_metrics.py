"""How webhooks fare, for Prometheus: read from the database, as the workers that send them have no page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tongdai.domain import webhooks
from tongdai.domain.webhooks import SendingFigures
from tongdai.ports.services import Services

logger = logging.getLogger(__name__)

PATIENCE_S = 3.0


async def webhook_metrics(services: Services) -> bytes:
    """The lines of the page; none while the database does not answer, which `/readyz` tells."""
    try:
        async with asyncio.timeout(PATIENCE_S), services.db.autocommit() as connection:
            figures = await webhooks.sending_figures(connection, services.clock.now())
    except Exception:
        # Whatever it is: the other metrics are to be shown.
        logger.warning("the metrics of webhooks cannot be read", exc_info=True)
        return b""
    registry = CollectorRegistry()
    registry.register(_Given(_families(figures)))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(figures: SendingFigures) -> Iterator[Metric]:
    tries = CounterMetricFamily(
        "tongdai_webhook_tries", "Webhook deliveries tried, by what came of it.", labels=["result"]
    )
    for result, number in sorted(figures.tries.items()):
        tries.add_metric([result], number)
    yield tries
    yield GaugeMetricFamily(
        "tongdai_webhook_pending",
        f"Webhook deliveries on their way; more than {webhooks.MOST_COUNTED:,} are not counted.",
        value=figures.pending,
    )
    endpoints = GaugeMetricFamily(
        "tongdai_webhook_endpoints_waiting",
        "Webhook endpoints that something is on its way to, by whether anything is sent to them now.",
        labels=["state"],
    )
    endpoints.add_metric(["open"], figures.open_endpoints)
    endpoints.add_metric(["closed"], figures.closed_endpoints)
    yield endpoints
    yield GaugeMetricFamily(
        "tongdai_webhook_overdue_seconds",
        "For how long the delivery has been due that has waited longest at an open endpoint.",
        value=figures.overdue_s,
    )
