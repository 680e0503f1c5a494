"""Asterisk nodes: kept with a sealed password and a cap of their own, changed and removed at run time."""

from __future__ import annotations

from typing import Any

import pytest
from tests import factories

from tongdai.domain import dialer, routing
from tongdai.kit.crypto import Keyring, SealBrokenError
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

NODE: dict[str, Any] = {
    "name": "hà nội 1",
    "url": "http://127.0.0.1:8088",
    "username": "tongdai",
    "password": "s3cret!word",
    "sounds_path": "/var/lib/tongdai/sounds",
    "max_channels": 50,
}


async def _limit(tx: Tx, limit_id: int) -> tuple[Any, ...]:
    row = await (
        await tx.execute("SELECT account_id, kind, max_channels, live FROM limits WHERE id = %s", [limit_id])
    ).fetchone()
    assert row is not None
    return row


async def test_a_node_is_as_it_was_added_and_has_a_cap_of_its_own(tx: Tx, keyring: Keyring) -> None:
    made = await routing.add_node(tx, keyring, **NODE)

    assert (made.name, made.url, made.max_channels, made.enabled) == (NODE["name"], NODE["url"], 50, True)
    assert await routing.get_node(tx, made.id) == made
    assert await routing.list_nodes(tx) == [made]
    assert await _limit(tx, made.limit_id) == (0, "node", 50, 0)


async def test_who_connects_is_given_the_password_and_nobody_else_sees_it(tx: Tx, keyring: Keyring) -> None:
    made = await routing.add_node(tx, keyring, **NODE)
    off = await routing.add_node(tx, keyring, **NODE | {"name": "b", "enabled": False, "max_channels": None})

    first, second = await routing.nodes(tx, keyring)

    assert (first.engine, first.password, first.limit_id) == (
        f"asterisk/{made.id}",
        NODE["password"],
        made.limit_id,
    )
    assert (second.id, second.enabled, second.max_channels) == (off.id, False, None)
    assert NODE["password"] not in f"{made}{first}"
    stored = await (await tx.execute("SELECT password FROM asterisk_nodes")).fetchall()
    assert all(NODE["password"].encode() not in sealed for (sealed,) in stored)
    with pytest.raises(SealBrokenError):
        await routing.nodes(tx, Keyring(b"another" * 8))


async def test_what_a_change_leaves_out_stays(tx: Tx, keyring: Keyring) -> None:
    made = await routing.add_node(tx, keyring, **NODE)

    changed = await routing.update_node(tx, keyring, made.id, enabled=False, max_channels=None)

    assert await routing.get_node(tx, made.id) == changed
    assert (changed.name, changed.enabled, changed.max_channels) == (made.name, False, None)
    assert (await routing.nodes(tx, keyring))[0].password == NODE["password"]
    assert (await _limit(tx, made.limit_id))[2] is None
    await routing.update_node(tx, keyring, made.id, password="another")
    assert (await routing.nodes(tx, keyring))[0].password == "another"


async def test_two_nodes_do_not_share_a_name(db: Database, keyring: Keyring) -> None:
    async with db.transaction() as tx:
        await routing.add_node(tx, keyring, **NODE)
        other = await routing.add_node(tx, keyring, **NODE | {"name": "b"})

    with pytest.raises(routing.NodeNameTakenError):
        async with db.transaction() as tx:
            await routing.add_node(tx, keyring, **NODE)
    with pytest.raises(routing.NodeNameTakenError):
        async with db.transaction() as tx:
            await routing.update_node(tx, keyring, other.id, name=NODE["name"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "a\nb"),
        *(
            ("url", url)
            for url in (
                "",
                "127.0.0.1:8088",
                "ftp://127.0.0.1",
                "http://",
                "http://a/b",
                "http://a/",
                "http://a?b",
                "http://a#b",
                "http://me:pw@a",
                "http://a:99999",
                "http://a:0",
                "http://a b",
                "http://[::1",
                "HTTP://a",
                "http://a\n",
            )
        ),
        ("username", "me:you"),
        ("password", ""),
        ("password", "two words"),
        ("sounds_path", "sounds"),
        ("sounds_path", "/a/../b"),
        ("sounds_path", "/a,b"),
        ("max_channels", -1),
        ("max_cps", 0.0),
    ],
)
async def test_a_node_that_cannot_be_is_refused_with_the_field_at_fault(
    tx: Tx, keyring: Keyring, field: str, value: object
) -> None:
    made = await routing.add_node(tx, keyring, **NODE)

    with pytest.raises(routing.NodeInvalidError) as refused:
        await routing.add_node(tx, keyring, **NODE | {"name": "other", field: value})
    assert [path for path, _ in refused.value.facts["errors"]] == [field]  # type: ignore[attr-defined]
    change: dict[str, Any] = {field: value}
    with pytest.raises(routing.NodeInvalidError):
        await routing.update_node(tx, keyring, made.id, **change)
    assert await routing.list_nodes(tx) == [made]


@pytest.mark.parametrize("url", ["https://pbx.example.vn", "http://[::1]:8088", "http://pbx_1:80"])
async def test_a_node_may_be_at_a_name_or_at_any_address(tx: Tx, keyring: Keyring, url: str) -> None:
    assert (await routing.add_node(tx, keyring, **NODE | {"url": url})).url == url


async def test_a_node_is_removed_for_good_and_its_cap_has_no_channel_left(tx: Tx, keyring: Keyring) -> None:
    made = await routing.add_node(tx, keyring, **NODE)

    await routing.remove_node(tx, made.id)

    assert await routing.list_nodes(tx) == []
    assert (await _limit(tx, made.limit_id))[2] == 0
    for doing in (
        routing.get_node(tx, made.id),
        routing.remove_node(tx, made.id),
        routing.update_node(tx, keyring, made.id, enabled=True),
    ):
        with pytest.raises(routing.NodeNotFoundError):
            await doing
    again = await routing.add_node(tx, keyring, **NODE)
    assert again.id != made.id


async def test_a_node_with_calls_on_it_stays(db: Database, keyring: Keyring) -> None:
    async with db.transaction() as tx:
        made = await routing.add_node(tx, keyring, **NODE)
        await tx.execute("UPDATE limits SET live = 3 WHERE id = %s", [made.limit_id])

    with pytest.raises(routing.NodeInUseError) as refused:
        async with db.transaction() as tx:
            await routing.remove_node(tx, made.id)

    assert refused.value.facts == {"live": 3}
    async with db.transaction() as tx:
        assert await routing.list_nodes(tx) == [made]
        assert (await _limit(tx, made.limit_id))[2] == 50


async def test_who_recounts_the_caps_recounts_a_node_like_any_other(db: Database, keyring: Keyring) -> None:
    async with db.transaction() as tx:
        made = await routing.add_node(tx, keyring, **NODE)
        await tx.execute("UPDATE limits SET live = 3 WHERE id = %s", [made.limit_id])

    await dialer.recount_limits(db)

    async with db.transaction() as tx:
        assert await _limit(tx, made.limit_id) == (0, "node", 50, 0)


async def test_a_trunk_names_a_node_no_more_when_it_is_gone(tx: Tx, keyring: Keyring) -> None:
    account = (await factories.cast(tx, keyring)).owner.account_id
    made = await routing.add_node(tx, keyring, **NODE)
    other = await routing.add_node(tx, keyring, **NODE | {"name": "b"})
    trunk = await factories.trunk(tx, account)
    await tx.execute("UPDATE trunks SET node_ids = %s WHERE id = %s", [[made.id, other.id], trunk.id])
    sql = "SELECT node_ids, revision FROM trunks WHERE id = %s"
    [(_, before)] = await (await tx.execute(sql, [trunk.id])).fetchall()

    await routing.remove_node(tx, made.id)

    [(named, after)] = await (await tx.execute(sql, [trunk.id])).fetchall()
    assert named == [other.id]
    assert after > before
