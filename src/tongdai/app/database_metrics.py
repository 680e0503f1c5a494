"""Metrics read from the database, since the processes that they are about have no page of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from tongdai.kit.db import Tx
from tongdai.ports.services import Services

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 3.0

Reader = Callable[[Tx, datetime], Awaitable[Iterable[Metric]]]
"""Reads metrics as they are now, on a connection of its own."""


async def database_metrics(services: Services, about: str, read: Reader) -> bytes:
    """The lines of the page; none while the database does not answer, which `/readyz` tells.

    `about`: what they are about, for the log.
    """
    try:
        async with asyncio.timeout(PATIENCE_S), services.db.autocommit() as connection:
            families = await read(connection, services.clock.now())
    except Exception:
        # Whatever it is: the other metrics are to be shown.
        logger.warning("metrics cannot be read", extra={"about": about}, exc_info=True)
        return b""
    registry = CollectorRegistry()
    registry.register(_Given(families))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families
