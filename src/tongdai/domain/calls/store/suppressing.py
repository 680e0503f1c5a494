"""SQL that finds what is queued for somebody who wants no more calls."""

from __future__ import annotations

from collections.abc import Sequence

from tongdai.kit.db import Sql, Tx

# Queued calls to some numbers in an advertiser's name, or for '' in whoever's, other than one-time codes.
# Skips what is being claimed: that claim waits for our person lock, and what it finds there ends its call.
# Index calls_by_number.
LOCK_QUEUED_OF_PERSONS: Sql = """
    SELECT c.id FROM calls AS c JOIN campaigns AS p ON p.id = c.campaign_id
     WHERE c.account_id = %(account_id)s AND c.number = ANY(%(numbers)s) AND c.state = 'queued'
       AND p.purpose <> 'otp' AND (%(advertiser)s = '' OR p.advertiser = %(advertiser)s)
     LIMIT %(limit)s FOR UPDATE OF c SKIP LOCKED"""


async def lock_queued_of_persons(
    tx: Tx, account_id: int, numbers: Sequence[str], advertiser: str, limit: int
) -> list[int]:
    values = {
        "account_id": account_id,
        "numbers": list(numbers),
        "advertiser": advertiser,
        "limit": limit,
    }
    return [id_ for (id_,) in await (await tx.execute(LOCK_QUEUED_OF_PERSONS, values)).fetchall()]
