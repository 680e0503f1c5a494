"""Use cases of a claim: lock the persons, judge about them, and count the calls that ring them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tongdai.domain.compliance.judging import (
    Person,
    PersonCase,
    PersonKey,
    Verdict,
    decide,
    ring_key,
    rings_since,
)
from tongdai.domain.compliance.policy import OTP, Policy
from tongdai.domain.compliance.store import persons as store
from tongdai.kit.db import Later, Tx

RINGS_KEPT = timedelta(days=3)
"""Longer than any rule on frequency looks back."""
PURGED_AT_ONCE = 10_000


async def lock_persons(tx: Tx, keys: Iterable[PersonKey]) -> dict[PersonKey, Person]:
    """Makes the persons that are new, locks all in key order until the transaction ends, and returns them."""
    return await (await lock_persons_later(tx, keys))()


async def lock_persons_later(tx: Tx, keys: Iterable[PersonKey]) -> Later[dict[PersonKey, Person]]:
    """The same in two steps, for who has more to lock in the same turn: what it returns reads the persons."""
    wanted = list(keys)
    return await store.lock_persons(tx, wanted) if wanted else _nobody


async def _nobody() -> dict[PersonKey, Person]:
    return {}


async def judge(tx: Tx, cases: Sequence[PersonCase], policy: Policy, now: datetime) -> dict[int, Verdict]:
    """A verdict for every case by its call id. Each case holds its locked persons (`with_persons`).

    What was committed until the locks were held is seen: call it after `lock_persons` in the same
    transaction. At most three statements, sent at once: lists; consents, where a purpose needs them; and
    calls that rang, where a purpose limits them. A case without persons counts as opted out.
    """
    listable, needing_consent, counted = [], [], []
    for case in cases:
        terms = policy.terms.get(case.purpose)
        if terms is None:
            continue
        if case.purpose != OTP:
            listable.append((case, terms.national_list is not None))
        if terms.consent:
            needing_consent.append(case)
        key = ring_key(case, terms)
        if key is not None:
            counted.append((case, key, rings_since(terms, now)))
    known = await store.look_up(tx, listable, needing_consent, counted, now)
    return decide(cases, known, policy, now)


async def record_rings(tx: Tx, rings: Sequence[tuple[int, str, str, str, int, datetime]]) -> None:
    """Counts legs that are committed: (account id, person key, advertiser, purpose, leg id, moment of its
    dial).

    A leg counts from now on, whether it has rung yet or not, until `forget_rings` says that it never did.
    """
    if rings:
        await store.record_rings(tx, rings)


async def forget_rings(tx: Tx, rings: Sequence[tuple[int, str, int]]) -> None:
    """Takes back legs that ended without ringing: (account id, person key, leg id). Unknown ones are
    ignored."""
    if rings:
        await store.forget_rings(tx, rings)


async def purge_rings(tx: Tx, now: datetime, limit: int = PURGED_AT_ONCE) -> int:
    """Deletes what no rule looks back to, of every account; at most `limit`. Returns how many went."""
    return await store.purge_rings(tx, now - RINGS_KEPT, limit)
