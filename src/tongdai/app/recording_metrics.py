"""How many recordings wait for their nodes, for Prometheus: read from the database, as webhooks are."""

from __future__ import annotations

import asyncio
import logging

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tongdai.domain import recordings
from tongdai.ports.services import Services

logger = logging.getLogger(__name__)

PATIENCE_S = 3.0


async def recording_metrics(services: Services) -> bytes:
    """The lines of the page; none while the database does not answer, which `/readyz` tells."""
    try:
        async with asyncio.timeout(PATIENCE_S), services.db.autocommit() as connection:
            waiting = await recordings.waiting(connection, services.clock.now())
    except Exception:
        # Whatever it is: the other metrics are to be shown.
        logger.warning("the metrics of recordings cannot be read", exc_info=True)
        return b""
    registry = CollectorRegistry()
    number = Gauge(
        "tongdai_recordings_waiting",
        f"Recordings that their nodes still hold; more than {recordings.MOST_COUNTED:,} are not counted.",
        registry=registry,
    )
    number.set(waiting.number)
    oldest = Gauge(
        "tongdai_recordings_waiting_seconds",
        "For how long the recording has waited that has waited longest; 0 when none does.",
        registry=registry,
    )
    oldest.set(max(0.0, waiting.oldest_s))
    return generate_latest(registry)
