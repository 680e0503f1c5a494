"""Scripts that sessions follow are read once, by those whose they are."""

from __future__ import annotations

import pytest
from tests import factories

from tongdai.domain import scripts
from tongdai.domain.live import ScriptCache
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio


async def test_a_version_is_read_once_and_the_one_used_longest_ago_makes_room(db: Database) -> None:
    account_id = (await factories.cast(db)).owner.account_id
    ids = [(await factories.script(db, account_id)).id for _ in range(3)]
    cache = ScriptCache(db, scripts.load_version, most=2)
    first, second = [await cache.get(account_id, script_id, 1) for script_id in ids[:2]]
    assert await cache.get(account_id, ids[0], 1) is first
    await cache.get(account_id, ids[2], 1)
    assert await cache.get(account_id, ids[0], 1) is first
    assert await cache.get(account_id, ids[1], 1) is not second


async def test_a_script_that_is_kept_for_its_owner_is_not_given_to_a_stranger(db: Database) -> None:
    cast = await factories.cast(db)
    script_id = (await factories.script(db, cast.owner.account_id)).id
    cache = ScriptCache(db, scripts.load_version)
    await cache.get(cast.owner.account_id, script_id, 1)
    with pytest.raises(scripts.ScriptNotFoundError):
        await cache.get(cast.stranger.account_id, script_id, 1)
