"""The trunks as engines are told of them: every change is known after a second, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests import factories
from tests.factories import Cast

from tongdai.domain import routing
from tongdai.domain.routing import SipSettings, Trunk, TrunkBookOfDatabase
from tongdai.domain.routing.book import FRESH_S, KEEPERLESS_S
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import TRANSIENT_ERRORS, Database
from tongdai.ports.sip import AsteriskNode, TrunkBook, UnknownTrunkError

pytestmark = pytest.mark.anyio


@dataclass
class Steady:
    """A clock that a test turns."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float = FRESH_S) -> None:
        self.now += seconds


@dataclass
class Shelf:
    """A book, and what changes what it says."""

    db: Database
    keyring: Keyring
    people: Cast
    steady: Steady
    book: TrunkBook

    async def trunk(self, **more: Any) -> Trunk:
        sip = SipSettings(host="sip.carrier.vn", **more.pop("sip", {}))
        async with self.db.transaction() as tx:
            return await routing.create_trunk(
                tx,
                self.people.owner.account_id,
                name=more.pop("name", "Viettel"),
                engine="asterisk",
                max_channels=None,
                max_cps=None,
                sip=sip,
                **more,
            )

    async def change(self, trunk: Trunk, **changes: Any) -> Trunk:
        async with self.db.transaction() as tx:
            return await routing.update_trunk(tx, trunk.account_id, trunk.id, **changes)

    async def nodes(self, number: int) -> list[AsteriskNode]:
        async with self.db.transaction() as tx:
            for at in range(number):
                await routing.add_node(
                    tx,
                    self.keyring,
                    name=f"node {at}",
                    url="http://127.0.0.1:8088",
                    username="u",
                    password="p",
                    sounds_path="/sounds",
                )
            return await routing.nodes(tx, self.keyring)

    def sealed(self, password: str) -> bytes:
        return routing.seal_sip_password(self.keyring, self.people.owner.account_id, password)

    async def registrars(self, nodes: list[AsteriskNode]) -> list[int]:
        """The places of the nodes that register anything."""
        self.steady.later()
        return [at for at, node in enumerate(nodes) if await self.book.registers_on(node.id)]


@pytest.fixture
async def shelf(db: Database, keyring: Keyring) -> Shelf:
    steady = Steady()
    book = TrunkBookOfDatabase(db, keyring, steady=steady)
    return Shelf(db, keyring, await factories.cast(db, keyring), steady, book)


async def test_a_trunk_is_told_with_its_password_and_nobody_reads_that(shelf: Shelf) -> None:
    made = await shelf.trunk(
        sip={"username": "khach", "register": True, "causes": {480: "no_answer"}},
        sip_password=shelf.sealed("pw!"),
    )

    told = await shelf.book.trunk(made.id)

    assert (told.host, told.username, told.password, told.register) == (
        "sip.carrier.vn",
        "khach",
        "pw!",
        True,
    )
    assert told.causes == {480: "no_answer"}
    assert "pw!" not in f"{told}{made}"


async def test_a_change_is_known_after_a_second_and_has_a_larger_revision(shelf: Shelf) -> None:
    made = await shelf.trunk()
    before = await shelf.book.trunk(made.id)
    await shelf.change(made, sip=SipSettings(host="new.carrier.vn"))

    assert await shelf.book.trunk(made.id) is before
    shelf.steady.later()
    after = await shelf.book.trunk(made.id)

    assert (after.host, after.revision > before.revision) == ("new.carrier.vn", True)


async def test_a_change_that_was_begun_first_and_committed_last_is_known(shelf: Shelf) -> None:
    first = await shelf.trunk()
    second = await shelf.trunk(name="VNPT")
    await shelf.book.trunk(first.id)

    async with shelf.db.transaction() as tx:
        await routing.update_trunk(tx, first.account_id, first.id, sip=SipSettings(host="late.vn"))
        await shelf.change(second, sip=SipSettings(host="early.vn"))
        shelf.steady.later()
        assert (await shelf.book.trunk(second.id)).host == "early.vn"
        assert (await shelf.book.trunk(first.id)).host == "sip.carrier.vn"
    shelf.steady.later()

    assert (await shelf.book.trunk(first.id)).host == "late.vn"


async def test_a_trunk_without_sip_is_none_and_one_that_loses_it_is_forgotten(shelf: Shelf) -> None:
    other = await factories.trunk(shelf.db, shelf.people.owner.account_id)
    made = await shelf.trunk()
    await shelf.book.trunk(made.id)
    with pytest.raises(UnknownTrunkError):
        await shelf.book.trunk(other.id)

    await shelf.change(made, engine="sandbox", sip=None)
    shelf.steady.later()

    with pytest.raises(UnknownTrunkError):
        await shelf.book.trunk(made.id)


async def test_a_disabled_trunk_is_known_and_takes_no_calls(shelf: Shelf) -> None:
    [node] = await shelf.nodes(1)
    made = await shelf.trunk()
    assert [one.trunk_id for one in await shelf.book.trunks_of(node.id)] == [made.id]

    await shelf.change(made, enabled=False)
    shelf.steady.later()

    assert await shelf.book.trunks_of(node.id) == []
    assert (await shelf.book.trunk(made.id)).trunk_id == made.id


async def test_calls_come_in_over_the_nodes_that_the_carrier_knows(shelf: Shelf) -> None:
    one, other = await shelf.nodes(2)
    everywhere = await shelf.trunk()
    made = await shelf.trunk(name="VNPT", node_ids=[other.id])

    assert [trunk.trunk_id for trunk in await shelf.book.trunks_of(one.id)] == [everywhere.id]
    assert [trunk.trunk_id for trunk in await shelf.book.trunks_of(other.id)] == [everywhere.id, made.id]
    async with shelf.db.transaction() as tx:
        await routing.update_node(tx, shelf.keyring, other.id, enabled=False)
    shelf.steady.later()
    assert await shelf.book.trunks_of(other.id) == []
    assert await shelf.book.trunks_of(10**9) == []


async def test_one_node_keeps_a_registration_up_and_another_when_nobody_hears_it(shelf: Shelf) -> None:
    nodes = await shelf.nodes(3)
    await shelf.trunk(
        sip={"username": "u", "register": True},
        sip_password=shelf.sealed("p"),
        node_ids=[nodes[1].id, nodes[2].id],
    )
    assert await shelf.registrars(nodes) == [1]

    keeper = await shelf.db.dedicated()
    await keeper.execute("SELECT pg_advisory_lock(7342, %s)", [nodes[2].id])
    await keeper.execute("SELECT pg_advisory_lock(7342, %s)", [nodes[0].id])
    assert await shelf.registrars(nodes) == [1], "its keeper may be on the way"
    shelf.steady.later(KEEPERLESS_S)
    assert await shelf.registrars(nodes) == [2]

    await keeper.execute("SELECT pg_advisory_lock(7342, %s)", [nodes[1].id])
    assert await shelf.registrars(nodes) == [1]

    await keeper.close()
    assert await shelf.registrars(nodes) == [1]
    shelf.steady.later(KEEPERLESS_S)
    assert await shelf.registrars(nodes) == [1], "none is better"


async def test_a_disabled_node_registers_nothing(shelf: Shelf) -> None:
    nodes = await shelf.nodes(2)
    await shelf.trunk(sip={"username": "u", "register": True}, sip_password=shelf.sealed("p"))
    assert await shelf.registrars(nodes) == [0]

    async with shelf.db.transaction() as tx:
        await routing.update_node(tx, shelf.keyring, nodes[0].id, enabled=False)

    assert await shelf.registrars(nodes) == [1]


async def test_a_password_of_another_master_key_makes_no_other_trunk_unknown(shelf: Shelf) -> None:
    sealed = routing.seal_sip_password(Keyring(b"another" * 8), shelf.people.owner.account_id, "p")
    strange = await shelf.trunk(name="strange", sip={"username": "u"}, sip_password=sealed)
    made = await shelf.trunk()

    assert (await shelf.book.trunk(made.id)).trunk_id == made.id
    with pytest.raises(UnknownTrunkError):
        await shelf.book.trunk(strange.id)
    await shelf.change(strange, sip_password=shelf.sealed("p"))
    shelf.steady.later()
    assert (await shelf.book.trunk(strange.id)).password == "p"


async def test_while_the_database_is_away_what_was_read_is_told(shelf: Shelf) -> None:
    made = await shelf.trunk()
    before = await shelf.book.trunk(made.id)
    await shelf.db.close()
    shelf.steady.later(60)

    assert await shelf.book.trunk(made.id) is before
    with pytest.raises(TRANSIENT_ERRORS):
        await TrunkBookOfDatabase(shelf.db, shelf.keyring).trunk(made.id)


# --------------------------------------------------------------------------- what a trunk may be


async def test_a_sip_engine_needs_settings_and_no_other_has_them(shelf: Shelf) -> None:
    [node] = await shelf.nodes(1)
    account = shelf.people.owner.account_id
    caps: dict[str, Any] = {"max_channels": None, "max_cps": None}
    sip = SipSettings(host="a")
    for engine, more, path in (
        ("asterisk", {}, "sip"),
        ("sandbox", {"sip": sip}, "sip"),
        ("sandbox", {"node_ids": [node.id]}, "node_ids"),
        ("asterisk", {"sip": sip, "node_ids": [node.id, node.id + 1]}, "node_ids"),
        ("asterisk", {"sip": sip, "node_ids": []}, "node_ids"),
        ("asterisk", {"sip": sip, "sip_password": b"x"}, "sip.username"),
    ):
        with pytest.raises(routing.TrunkInvalidError) as refused:
            async with shelf.db.transaction() as tx:
                await routing.create_trunk(tx, account, name="x", engine=engine, **caps, **more)
        assert [one for one, _ in refused.value.facts["errors"]] == [path]  # type: ignore[attr-defined]


async def test_the_password_stays_as_long_as_there_is_a_username(shelf: Shelf) -> None:
    made = await shelf.trunk(sip={"username": "u"}, sip_password=shelf.sealed("p"))

    await shelf.change(made, sip=SipSettings(host="Sip.carrier.vn.", username="v"), name="renamed")
    assert (await shelf.book.trunk(made.id)).password == "p"
    changed = await shelf.change(made, sip=SipSettings(host="b"))

    assert changed.sip_password is None
    shelf.steady.later()
    assert (await shelf.book.trunk(made.id)).password == ""


async def test_every_change_of_a_trunk_grows_its_revision(shelf: Shelf) -> None:
    [node, other] = await shelf.nodes(2)
    made = await shelf.trunk(node_ids=[node.id, other.id])
    seen = [(await shelf.book.trunk(made.id)).revision]

    await shelf.change(made, max_channels=3)
    shelf.steady.later()
    seen.append((await shelf.book.trunk(made.id)).revision)
    async with shelf.db.transaction() as tx:
        await routing.remove_node(tx, other.id)
    shelf.steady.later()
    seen.append((await shelf.book.trunk(made.id)).revision)

    assert seen == sorted(set(seen))
    assert await shelf.book.trunks_of(other.id) == []
