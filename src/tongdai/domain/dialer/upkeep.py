"""Invariants that periodic jobs hold the database to."""

from __future__ import annotations

import logging

from tongdai.domain.dialer.store import recovering as store
from tongdai.kit.db import Tx

log = logging.getLogger(__name__)


async def recount_limits(tx: Tx) -> int:
    """Hold every cap's count of channels against the open legs; what differs is mended and logged.

    Returns how many differed: anything but 0 is a defect.
    """
    wrong = await store.recount_limits(tx)
    for limit_id, said, counted in wrong:
        log.error(
            "a cap miscounted its channels", extra={"limit": limit_id, "said": said, "counted": counted}
        )
    return len(wrong)
