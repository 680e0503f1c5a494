"""How many recordings wait for their nodes, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from tongdai.domain import recordings
from tongdai.kit.db import Tx


async def recording_metrics(connection: Tx, now: datetime) -> Iterable[Metric]:
    waiting = await recordings.waiting(connection, now)
    return [
        GaugeMetricFamily(
            "tongdai_recordings_waiting",
            f"Recordings that their nodes still hold; more than {recordings.MOST_COUNTED:,} are not counted.",
            value=waiting.number,
        ),
        GaugeMetricFamily(
            "tongdai_recordings_waiting_seconds",
            "For how long the recording has waited that has waited longest; 0 when none does.",
            value=max(0.0, waiting.oldest_s),
        ),
    ]
