"""Trunks and hotlines: who may have and see them, and the caps that come with them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import anyio
import pytest
from tests import factories
from tests.factories import Cast

from tongdai.domain import campaigns, routing
from tongdai.domain.routing import (
    HotlineInvalidError,
    HotlineNotFoundError,
    HotlineNumberTakenError,
    TrunkInvalidError,
    TrunkNameTakenError,
    TrunkNotFoundError,
)
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

SPRING = datetime(2027, 3, 1, tzinfo=UTC)
AUTUMN = datetime(2027, 9, 1, tzinfo=UTC)
BRAND_END = date(2029, 11, 20)


@pytest.fixture
async def cast(db: Database) -> Cast:
    return await factories.cast(db)


async def make_trunk(tx: Tx, account_id: int, name: str = "Viettel SIP") -> routing.Trunk:
    return await routing.create_trunk(
        tx, account_id, name=name, engine="sandbox", max_channels=30, max_cps=2.5
    )


async def cap(tx: Tx, limit_id: int) -> tuple[object, ...]:
    row = await (
        await tx.execute(
            "SELECT account_id, kind, max_channels, max_cps, live FROM limits WHERE id = %s", (limit_id,)
        )
    ).fetchone()
    assert row is not None
    return row


async def test_a_trunk_comes_with_its_cap(tx: Tx, cast: Cast) -> None:
    trunk = await make_trunk(tx, cast.owner.account_id)
    assert (trunk.max_channels, trunk.max_cps, trunk.dial_format, trunk.enabled) == (
        30,
        2.5,
        "national",
        True,
    )
    assert await cap(tx, trunk.limit_id) == (cast.owner.account_id, "trunk", 30, 2.5, 0)


async def test_a_changed_cap_is_the_one_that_counts(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    trunk = await make_trunk(tx, account_id)
    changed = await routing.update_trunk(
        tx, account_id, trunk.id, max_channels=100, dial_format="plus", enabled=False
    )
    assert changed == await routing.get_trunk(tx, account_id, trunk.id)
    assert (changed.name, changed.max_cps, changed.dial_format, changed.enabled) == (
        trunk.name,
        2.5,
        "plus",
        False,
    )
    assert await cap(tx, trunk.limit_id) == (account_id, "trunk", 100, 2.5, 0)
    await routing.update_trunk(tx, account_id, trunk.id, max_channels=None)
    assert await cap(tx, trunk.limit_id) == (account_id, "trunk", None, 2.5, 0)


async def wait_for_slot(tx: Tx, limit_id: int) -> float:
    """Seconds until the next dial of a limit."""
    row = await (
        await tx.execute(
            "SELECT extract(epoch FROM next_slot_at - clock_timestamp())::float8 FROM limits WHERE id = %s",
            (limit_id,),
        )
    ).fetchone()
    assert row is not None
    return float(row[0])


async def given_a_slot(tx: Tx, limit_id: int, cps: float | None, *, ahead: float = 0) -> None:
    """As a claim leaves it that gave a slot so many seconds from now."""
    await tx.execute(
        "UPDATE limits SET max_cps = %s, next_slot_at = clock_timestamp() + make_interval(secs => %s)"
        " WHERE id = %s",
        (cps, ahead + (1 / cps if cps else 0), limit_id),
    )


@pytest.mark.parametrize(
    ("old", "new", "at_most"), [(0.01, 10.0, 0.1), (0.01, 0.1, 10.0), (0.01, None, 0.0), (1.0, 0.01, 1.0)]
)
async def test_a_changed_cap_is_not_held_up_by_the_slots_of_the_one_before(
    tx: Tx, cast: Cast, old: float, new: float | None, at_most: float
) -> None:
    account_id = cast.owner.account_id
    trunk = await factories.trunk(tx, account_id)
    hotline = await factories.hotline(tx, account_id, trunk_id=trunk.id)
    campaign = await factories.campaign(tx, cast.owner, state="paused", hotline_ids=[hotline.id])
    for limit_id, change in (
        (trunk.limit_id, routing.update_trunk(tx, account_id, trunk.id, max_cps=new)),
        (hotline.limit_id, routing.update_hotline(tx, account_id, hotline.id, max_cps=new)),
        (campaign.limit_id, campaigns.update_campaign(tx, cast.owner.caller, campaign.id, max_cps=new)),
    ):
        await given_a_slot(tx, limit_id, old)
        await change
        left = await wait_for_slot(tx, limit_id)
        assert at_most - 0.5 < left <= at_most


async def test_a_changed_cap_keeps_its_distance_from_the_last_slot_that_was_given(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    trunk = await factories.trunk(tx, account_id)
    await given_a_slot(tx, trunk.limit_id, 0.1, ahead=20)
    await routing.update_trunk(tx, account_id, trunk.id, max_cps=1.0)
    assert 20 < await wait_for_slot(tx, trunk.limit_id) <= 21


async def test_a_change_of_anything_else_moves_no_slot(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    trunk = await factories.trunk(tx, account_id)
    await given_a_slot(tx, trunk.limit_id, 0.1, ahead=20)
    await routing.update_trunk(tx, account_id, trunk.id, name="renamed", max_channels=3)
    assert 29 < await wait_for_slot(tx, trunk.limit_id) <= 30


async def test_a_colleague_sees_the_trunk_and_a_stranger_does_not(tx: Tx, cast: Cast) -> None:
    trunk = await make_trunk(tx, cast.owner.account_id)
    stranger = cast.stranger.account_id
    assert await routing.get_trunk(tx, cast.colleague.account_id, trunk.id) == trunk
    assert await routing.list_trunks(tx, stranger) == []
    with pytest.raises(TrunkNotFoundError):
        await routing.get_trunk(tx, stranger, trunk.id)
    with pytest.raises(TrunkNotFoundError):
        await routing.update_trunk(tx, stranger, trunk.id, max_channels=1)
    with pytest.raises(TrunkNotFoundError):
        await routing.create_hotline(tx, stranger, number="0912345678", trunk_id=trunk.id)
    assert await routing.get_trunk(tx, cast.owner.account_id, trunk.id) == trunk


async def test_a_hotline_cannot_move_to_a_strangers_trunk(tx: Tx, cast: Cast) -> None:
    theirs = await make_trunk(tx, cast.stranger.account_id)
    own = await factories.hotline(tx, cast.owner.account_id)
    with pytest.raises(TrunkNotFoundError):
        await routing.update_hotline(tx, cast.owner.account_id, own.id, trunk_id=theirs.id)
    assert await routing.get_hotline(tx, cast.owner.account_id, own.id) == own


async def test_lists_come_in_pages(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    trunks = [await make_trunk(tx, account_id, f"trunk {n}") for n in range(3)]
    assert await routing.list_trunks(tx, account_id, limit=2) == trunks[:2]
    assert await routing.list_trunks(tx, account_id, after=trunks[1].id) == trunks[2:]
    hotlines = [
        await routing.create_hotline(tx, account_id, number=f"09123456{n}0", trunk_id=trunks[0].id)
        for n in range(3)
    ]
    assert await routing.list_hotlines(tx, account_id, limit=2) == hotlines[:2]
    assert await routing.list_hotlines(tx, account_id, after=hotlines[1].id) == hotlines[2:]
    assert await routing.list_hotlines(tx, cast.stranger.account_id) == []


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("0912 345 678", "84912345678"),
        (912345678, "84912345678"),
        ("(024) 7300 1234", "842473001234"),
        ("1900 1234", "19001234"),
        ("18001090", "18001090"),
    ],
)
async def test_a_hotlines_number_is_stored_in_its_one_form(
    tx: Tx, cast: Cast, given: str | int, stored: str
) -> None:
    account_id = cast.owner.account_id
    trunk = await make_trunk(tx, account_id)
    hotline = await routing.create_hotline(
        tx, account_id, number=given, trunk_id=trunk.id, network="viettel", max_channels=5
    )
    assert (hotline.number, hotline.network) == (stored, "viettel")
    assert await cap(tx, hotline.limit_id) == (account_id, "hotline", 5, None, 0)


async def test_a_hotline_is_changed_in_what_is_given_only(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    hotline = await factories.hotline(tx, account_id, network="viettel")
    changed = await routing.update_hotline(
        tx, account_id, hotline.id, network=None, max_cps=1.5, number="0912345678"
    )
    assert changed == await routing.get_hotline(tx, account_id, hotline.id)
    assert (changed.number, changed.network, changed.trunk_id) == ("84912345678", None, hotline.trunk_id)
    assert await cap(tx, hotline.limit_id) == (account_id, "hotline", None, 1.5, 0)


async def test_a_trunk_keeps_its_networks_in_order_and_each_once(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    trunk = await routing.create_trunk(
        tx,
        account_id,
        name="MobiFone",
        engine="sandbox",
        max_channels=None,
        max_cps=None,
        networks=["vinaphone", "fixed", "vinaphone"],
        cool_after=5,
        cool_seconds=90,
    )
    assert (trunk.networks, trunk.cool_after, trunk.cool_seconds) == (["fixed", "vinaphone"], 5, 90)
    changed = await routing.update_trunk(tx, account_id, trunk.id, networks=None, cool_after=None)
    assert changed == await routing.get_trunk(tx, account_id, trunk.id)
    assert (changed.networks, changed.cool_after, changed.cool_seconds) == (None, None, 90)


async def test_a_network_that_no_prefix_names_any_more_stands_in_no_ones_way(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await tx.execute("INSERT INTO number_prefixes VALUES ('777', '2027-01-01', 'vnsky', 'vnsky', 'ministry')")
    trunk = await make_trunk(tx, account_id)
    hotline = await factories.hotline(tx, account_id, trunk_id=trunk.id, network="vnsky")
    await routing.update_trunk(tx, account_id, trunk.id, networks=["vnsky"])
    await tx.execute("DELETE FROM number_prefixes WHERE prefix = '777'")

    assert (await routing.update_trunk(tx, account_id, trunk.id, name="renamed")).networks == ["vnsky"]
    assert (await routing.update_hotline(tx, account_id, hotline.id, daily_cap=5)).network == "vnsky"


async def test_a_hotline_has_a_brand_name_a_validity_and_a_daily_cap(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    trunk = await make_trunk(tx, account_id)
    hotline = await routing.create_hotline(
        tx,
        account_id,
        number="0912345678",
        trunk_id=trunk.id,
        brand_name="SAO-MAI_1.0",
        brand_until=BRAND_END,
        valid_from=SPRING,
        valid_until=AUTUMN,
        daily_cap=300,
    )
    assert (hotline.brand_name, hotline.brand_until) == ("SAO-MAI_1.0", BRAND_END)
    assert (hotline.valid_from, hotline.valid_until, hotline.daily_cap) == (SPRING, AUTUMN, 300)
    changed = await routing.update_hotline(
        tx, account_id, hotline.id, brand_name=None, brand_until=None, valid_until=None, daily_cap=0
    )
    assert changed == await routing.get_hotline(tx, account_id, hotline.id)
    assert (changed.brand_name, changed.brand_until, changed.valid_from) == (None, None, SPRING)
    assert (changed.valid_until, changed.daily_cap) == (None, 0)


async def test_an_operator_makes_a_trunk_cool_down_and_ends_it_with_its_failures_forgotten(
    tx: Tx, cast: Cast
) -> None:
    account_id = cast.owner.account_id
    trunk = await factories.trunk(tx, account_id)
    failures = "SELECT failures FROM limits WHERE id = %s"
    await tx.execute("UPDATE limits SET failures = 4 WHERE id = %s", [trunk.limit_id])

    cooling = await routing.update_trunk(tx, account_id, trunk.id, cooling_until=SPRING)
    kept = await routing.update_trunk(tx, account_id, trunk.id, name="renamed", max_channels=3)
    assert (cooling.cooling_until, kept.cooling_until) == (SPRING, SPRING)
    assert await (await tx.execute(failures, [trunk.limit_id])).fetchone() == (4,)

    assert (await routing.update_trunk(tx, account_id, trunk.id, cooling_until=None)).cooling_until is None
    assert await (await tx.execute(failures, [trunk.limit_id])).fetchone() == (0,)


async def test_a_change_of_anything_else_forgets_no_failure_of_a_trunk(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    trunk = await factories.trunk(tx, account_id)
    await tx.execute("UPDATE limits SET failures = 4 WHERE id = %s", [trunk.limit_id])

    await routing.update_trunk(tx, account_id, trunk.id, name="renamed")

    found = await tx.execute("SELECT failures FROM limits WHERE id = %s", [trunk.limit_id])
    assert await found.fetchone() == (4,)


async def test_a_hotline_cools_down_when_an_operator_says_so(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    hotline = await factories.hotline(tx, account_id)
    until = SPRING + timedelta(hours=1)

    await routing.update_hotline(tx, account_id, hotline.id, cooling_until=until)

    assert (await routing.get_hotline(tx, account_id, hotline.id)).cooling_until == until
    again = await routing.update_hotline(tx, account_id, hotline.id, cooling_until=None)
    assert again.cooling_until is None


async def test_a_stranger_neither_sees_nor_changes_a_hotline(tx: Tx, cast: Cast) -> None:
    hotline = await factories.hotline(tx, cast.owner.account_id)
    with pytest.raises(HotlineNotFoundError):
        await routing.get_hotline(tx, cast.stranger.account_id, hotline.id)
    with pytest.raises(HotlineNotFoundError):
        await routing.update_hotline(tx, cast.stranger.account_id, hotline.id, enabled=False)
    assert await routing.get_hotline(tx, cast.colleague.account_id, hotline.id) == hotline


async def test_ids_that_no_bigint_holds_are_not_found(tx: Tx, cast: Cast) -> None:
    with pytest.raises(TrunkNotFoundError):
        await routing.get_trunk(tx, cast.owner.account_id, 10**30)
    with pytest.raises(HotlineNotFoundError):
        await routing.get_hotline(tx, cast.owner.account_id, -1)


async def test_a_name_and_a_number_are_taken_once_per_account(db: Database, cast: Cast) -> None:
    owner, stranger = cast.owner.account_id, cast.stranger.account_id
    async with db.transaction() as tx:
        trunk = await make_trunk(tx, owner)
        await routing.create_hotline(tx, owner, number="0912345678", trunk_id=trunk.id)
    with pytest.raises(TrunkNameTakenError):
        async with db.transaction() as tx:
            await make_trunk(tx, owner)
    with pytest.raises(HotlineNumberTakenError):
        async with db.transaction() as tx:
            await routing.create_hotline(tx, owner, number="+84 912 345 678", trunk_id=trunk.id)
    async with db.transaction() as tx:
        theirs = await make_trunk(tx, stranger)
        await routing.create_hotline(tx, stranger, number="0912345678", trunk_id=theirs.id)
        count = await (
            await tx.execute("SELECT count(*) FROM limits WHERE kind IN ('trunk', 'hotline')")
        ).fetchone()
    assert count == (4,)


async def test_renaming_a_trunk_to_a_taken_name_is_refused(db: Database, cast: Cast) -> None:
    owner = cast.owner.account_id
    async with db.transaction() as tx:
        await make_trunk(tx, owner, "first")
        second = await make_trunk(tx, owner, "second")
    with pytest.raises(TrunkNameTakenError):
        async with db.transaction() as tx:
            await routing.update_trunk(tx, owner, second.id, name="first", max_channels=1)
    async with db.transaction() as tx:
        assert await routing.get_trunk(tx, owner, second.id) == second


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "nul\x00"}, "name"),
        ({"name": "lone \ud800"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"engine": ""}, "engine"),
        ({"max_channels": -1}, "max_channels"),
        ({"max_channels": 2**31}, "max_channels"),
        ({"max_cps": 0}, "max_cps"),
        ({"max_cps": 1e-300}, "max_cps"),
        ({"max_cps": 0.0099}, "max_cps"),
        ({"max_cps": 10_001}, "max_cps"),
        ({"max_cps": float("nan")}, "max_cps"),
        ({"max_cps": float("inf")}, "max_cps"),
        ({"dial_format": "local"}, "dial_format"),
        ({"networks": []}, "networks"),
        ({"networks": ["viettel", "vittel"]}, "networks"),
        ({"networks": ["unknown"]}, "networks"),
        ({"cool_after": 0}, "cool_after"),
        ({"cool_after": 1001}, "cool_after"),
        ({"cool_seconds": 0}, "cool_seconds"),
        ({"cool_seconds": 86_401}, "cool_seconds"),
    ],
)
async def test_a_trunk_that_makes_no_sense_is_refused(
    tx: Tx, cast: Cast, changes: dict[str, object], field: str
) -> None:
    account_id = cast.owner.account_id
    values: dict[str, object] = {"name": "a", "engine": "sandbox", "max_channels": 1, "max_cps": 1.0}
    with pytest.raises(TrunkInvalidError) as caught:
        await routing.create_trunk(tx, account_id, **{**values, **changes})  # type: ignore[arg-type]
    assert [path for path, _ in caught.value.facts["errors"]] == [field]  # type: ignore[attr-defined]
    trunk = await make_trunk(tx, account_id)
    with pytest.raises(TrunkInvalidError):
        await routing.update_trunk(tx, account_id, trunk.id, **changes)  # type: ignore[arg-type]
    assert await routing.get_trunk(tx, account_id, trunk.id) == trunk


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"number": "113"}, "number"),
        ({"number": "+14155550100"}, "number"),
        ({"number": "my shop"}, "number"),
        ({"network": "Viettel Mobile"}, "network"),
        ({"network": "vnsky"}, "network"),
        ({"max_cps": -1.0}, "max_cps"),
        ({"brand_name": "12345", "brand_until": BRAND_END}, "brand_name"),
        ({"brand_name": "SAO MAI SHOP", "brand_until": BRAND_END}, "brand_name"),
        ({"brand_name": "", "brand_until": BRAND_END}, "brand_name"),
        ({"brand_name": "SAO MAI\n", "brand_until": BRAND_END}, "brand_name"),
        ({"brand_name": "Sữa", "brand_until": BRAND_END}, "brand_name"),
        ({"brand_name": "SAO MAI"}, "brand_until"),
        ({"brand_until": BRAND_END}, "brand_until"),
        ({"valid_from": AUTUMN, "valid_until": SPRING}, "valid_until"),
        ({"valid_from": SPRING, "valid_until": SPRING}, "valid_until"),
        ({"valid_from": SPRING.replace(tzinfo=None)}, "valid_from"),
        ({"valid_until": datetime.max.replace(tzinfo=UTC)}, "valid_until"),
        ({"daily_cap": -1}, "daily_cap"),
        ({"daily_cap": 1_000_001}, "daily_cap"),
    ],
)
async def test_a_hotline_that_makes_no_sense_is_refused(
    tx: Tx, cast: Cast, changes: dict[str, object], field: str
) -> None:
    account_id = cast.owner.account_id
    trunk = await make_trunk(tx, account_id)
    values: dict[str, object] = {"number": "0912345678", "trunk_id": trunk.id}
    with pytest.raises(HotlineInvalidError) as caught:
        await routing.create_hotline(tx, account_id, **{**values, **changes})  # type: ignore[arg-type]
    assert [path for path, _ in caught.value.facts["errors"]] == [field]  # type: ignore[attr-defined]
    assert await routing.list_hotlines(tx, account_id) == []
    hotline = await factories.hotline(tx, account_id)
    with pytest.raises(HotlineInvalidError):
        await routing.update_hotline(tx, account_id, hotline.id, **changes)  # type: ignore[arg-type]
    assert await routing.get_hotline(tx, account_id, hotline.id) == hotline


async def test_every_fault_of_a_hotline_is_told_at_once(tx: Tx, cast: Cast) -> None:
    trunk = await make_trunk(tx, cast.owner.account_id)
    with pytest.raises(HotlineInvalidError) as caught:
        await routing.create_hotline(
            tx,
            cast.owner.account_id,
            number="113",
            trunk_id=trunk.id,
            network="vnsky",
            brand_name="!",
            daily_cap=-1,
            max_cps=0,
        )
    fields = [path for path, _ in caught.value.facts["errors"]]  # type: ignore[attr-defined]
    assert fields == ["number", "network", "brand_name", "brand_until", "daily_cap", "max_cps"]


async def test_a_routing_group_that_an_administrator_added_has_hotlines(tx: Tx, cast: Cast) -> None:
    await tx.execute("INSERT INTO number_prefixes VALUES ('777', '2027-01-01', 'vnsky', 'vnsky', 'ministry')")
    hotline = await factories.hotline(tx, cast.owner.account_id, network="vnsky")
    assert hotline.network == "vnsky"


async def test_two_editors_at_once_lose_neither_change(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    async with db.transaction() as tx:
        trunk = await make_trunk(tx, account_id)
    first_wrote, waiting = anyio.Event(), anyio.Event()

    async def rename() -> None:
        await first_wrote.wait()
        async with db.transaction() as tx:
            waiting.set()
            await routing.update_trunk(tx, account_id, trunk.id, name="renamed")

    async def blocked() -> bool:
        async with db.autocommit() as watcher:
            row = await (
                await watcher.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
            ).fetchone()
        return row is not None and row[0] > 0

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rename)
        async with db.transaction() as tx:
            await routing.update_trunk(tx, account_id, trunk.id, max_channels=7)
            first_wrote.set()
            await waiting.wait()
            with anyio.fail_after(4):
                while not await blocked():
                    await anyio.lowlevel.checkpoint()
    async with db.transaction() as tx:
        after = await routing.get_trunk(tx, account_id, trunk.id)
    assert (after.name, after.max_channels) == ("renamed", 7)
