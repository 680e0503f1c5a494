"""How webhooks fare, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tongdai.domain import webhooks
from tongdai.domain.webhooks import SendingFigures
from tongdai.kit.db import Tx


async def webhook_metrics(connection: Tx, now: datetime) -> Iterable[Metric]:
    return _families(await webhooks.sending_figures(connection, now))


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
