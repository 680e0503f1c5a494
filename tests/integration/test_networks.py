"""Networks of numbers, from the database's prefixes and an account's own knowledge."""

from __future__ import annotations

from datetime import date

import pytest
from tests import factories

from tongdai.domain import contacts
from tongdai.domain.contacts import UNKNOWN_NETWORK, Network
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

VINAPHONE, VIETTEL = Network("vinaphone", "vinaphone"), Network("viettel", "viettel")


async def test_the_shipped_prefixes_can_be_loaded_again_and_again(tx: Tx) -> None:
    await contacts.load_default_prefixes(tx)
    assert await contacts.load_default_prefixes(tx) == 0
    table = await contacts.load_prefixes(tx)
    assert table.network("84912345678") == VINAPHONE
    assert table.network("84871234567") == Network("itel", "vinaphone")


async def test_loading_keeps_what_an_administrator_changed(tx: Tx) -> None:
    await contacts.load_default_prefixes(tx)
    await tx.execute("UPDATE number_prefixes SET operator = 'reddi' WHERE prefix = '55'")
    await contacts.load_default_prefixes(tx)
    assert (await contacts.load_prefixes(tx)).network("84551234567").operator == "reddi"


async def test_a_prefix_moves_to_its_new_operator_on_its_day(tx: Tx) -> None:
    await contacts.load_default_prefixes(tx)
    await tx.execute(
        "INSERT INTO number_prefixes VALUES ('55', '2027-01-01', 'local', 'mobifone', 'ministry')"
    )
    before = await contacts.load_prefixes(tx, date(2026, 12, 31))
    after = await contacts.load_prefixes(tx, date(2027, 1, 1))
    assert before.network("84551234567") == Network("wintel", "vinaphone")
    assert after.network("84551234567") == Network("local", "mobifone")


async def test_an_override_comes_before_the_prefix_and_belongs_to_its_account(db: Database) -> None:
    cast = await factories.cast(db)
    ported, other = "84912345678", "84913456789"
    async with db.transaction() as tx:
        await contacts.load_default_prefixes(tx)
        table = await contacts.load_prefixes(tx)
        await contacts.override_network(
            tx,
            cast.owner.account_id,
            "0912 345 678",
            operator="viettel",
            routing_group="viettel",
            source="import",
        )
        owners = await contacts.networks_of(tx, cast.owner.account_id, [ported, other], table)
        colleagues = await contacts.networks_of(tx, cast.colleague.account_id, [ported, other], table)
        strangers = await contacts.networks_of(tx, cast.stranger.account_id, [ported, other], table)
    assert owners == colleagues == {ported: Network("viettel", "viettel", "override"), other: VINAPHONE}
    assert strangers == {ported: VINAPHONE, other: VINAPHONE}


async def test_the_latest_override_counts(db: Database) -> None:
    cast = await factories.cast(db)
    async with db.transaction() as tx:
        for operator in ("viettel", "mobifone"):
            await contacts.override_network(
                tx,
                cast.owner.account_id,
                "0912345678",
                operator=operator,
                routing_group=operator,
                source="trunk",
            )
        table = contacts.PrefixTable.from_rows([])
        found = await contacts.networks_of(tx, cast.owner.account_id, ["84912345678", "84321234567"], table)
    assert found == {
        "84912345678": Network("mobifone", "mobifone", "override"),
        "84321234567": UNKNOWN_NETWORK,
    }


async def test_what_cannot_be_called_has_no_override(tx: Tx) -> None:
    with pytest.raises(contacts.NumberInvalidError):
        await contacts.override_network(
            tx, 1, "19001234", operator="viettel", routing_group="viettel", source="x"
        )


async def test_no_numbers_have_no_networks(tx: Tx) -> None:
    assert await contacts.networks_of(tx, 1, [], contacts.PrefixTable.from_rows([])) == {}
