"""Asterisk nodes: an administrator of the platform adds, changes and removes them; nobody else sees them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Api

from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

NODE: dict[str, Any] = {
    "name": "Hà Nội 1",
    "url": "http://127.0.0.1:8088",
    "username": "tongdai",
    "password": "s3cret!word",
    "sounds_path": "/var/lib/tongdai/sounds",
    "max_channels": 50,
}
SHOWN = {name: value for name, value in NODE.items() if name != "password"}


async def test_a_node_is_as_it_was_added_but_for_its_password(platform: Api) -> None:
    answer = await platform.post("/nodes", NODE)

    assert answer.status_code == 201
    made = answer.json()
    assert made.items() >= (SHOWN | {"enabled": True, "max_cps": None}).items()
    for shown in (answer, await platform.get("/nodes"), await platform.get(f"/nodes/{made['id']}")):
        assert "password" not in shown.text
        assert NODE["password"] not in shown.text
    assert (await platform.get("/nodes")).json() == {"items": [made], "next": None}
    assert (await platform.get(f"/nodes/{made['id']}")).json() == made


async def test_what_a_change_leaves_out_stays(platform: Api) -> None:
    made = await platform.made("/nodes", NODE)

    changed = await platform.send("PATCH", f"/nodes/{made['id']}", {"max_channels": None, "enabled": False})
    again = await platform.send("PATCH", f"/nodes/{made['id']}", {"password": "another"})

    assert changed.json() == again.json() == made | {"max_channels": None, "enabled": False}


async def test_nodes_are_listed_page_by_page(platform: Api) -> None:
    ids = [(await platform.made("/nodes", NODE | {"name": f"node {n}"}))["id"] for n in range(3)]

    first = (await platform.get("/nodes", limit=2)).json()
    second = (await platform.get("/nodes", limit=2, cursor=first["next"])).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ids
    assert second["next"] is None


async def test_two_nodes_do_not_share_a_name(platform: Api) -> None:
    await platform.made("/nodes", NODE)
    other = await platform.made("/nodes", NODE | {"name": "b"})

    assert (await platform.post("/nodes", NODE)).status_code == 409
    assert (await platform.send("PATCH", f"/nodes/{other['id']}", {"name": NODE["name"]})).status_code == 409


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ftp://a"),
        ("url", "http://a/b"),
        ("url", "http://me:you@a"),
        ("username", "a b"),
        ("password", "a b"),
        ("password", None),
        ("sounds_path", "sounds"),
        ("sounds_path", "/a/../b"),
        ("max_channels", -1),
        ("max_cps", 0),
        ("banana", 1),
    ],
)
async def test_a_node_that_cannot_be_is_refused_with_the_field_at_fault(
    platform: Api, field: str, value: object
) -> None:
    made = await platform.made("/nodes", NODE)

    for answer in (
        await platform.post("/nodes", NODE | {"name": "x", field: value}),
        await platform.send("PATCH", f"/nodes/{made['id']}", {field: value}),
    ):
        assert answer.status_code == 400
        assert [error["path"] for error in answer.json()["errors"]] == [field]
        assert "s3cret" not in answer.text
    assert (await platform.get("/nodes")).json()["items"] == [made]


async def test_a_node_is_removed_when_it_has_no_calls(platform: Api, services: Services) -> None:
    made = await platform.made("/nodes", NODE)
    path = f"/nodes/{made['id']}"
    async with services.db.transaction() as tx:
        await tx.execute("UPDATE limits SET live = 2 WHERE kind = 'node'")
    assert (await platform.get(f"{path}/status")).json() == {"live": 2, "kept": False}
    assert (await platform.send("DELETE", path)).status_code == 409
    async with services.db.transaction() as tx:
        await tx.execute("UPDATE limits SET live = 0 WHERE kind = 'node'")

    assert (await platform.send("DELETE", path)).status_code == 204

    for method, address in (("GET", path), ("GET", f"{path}/status"), ("DELETE", path)):
        assert (await platform.send(method, address)).status_code == 404
    assert (await platform.send("PATCH", path, {"enabled": True})).status_code == 404
    assert (await platform.get("/nodes")).json()["items"] == []


async def test_whether_a_node_is_kept_is_shown(platform: Api, services: Services) -> None:
    made = await platform.made("/nodes", NODE)
    keeper = await services.db.dedicated()
    await keeper.execute("SELECT pg_advisory_lock(7342, %s)", [made["id"]])

    assert (await platform.get(f"/nodes/{made['id']}/status")).json() == {"live": 0, "kept": True}
    await keeper.close()


async def test_nodes_are_for_a_platform_key_alone(owner: Api, platform: Api) -> None:
    made = await platform.made("/nodes", NODE)
    path = f"/nodes/{made['id']}"

    for method, address, body in (
        ("GET", "/nodes", None),
        ("POST", "/nodes", NODE | {"name": "x"}),
        ("GET", path, None),
        ("GET", f"{path}/status", None),
        ("PATCH", path, {"enabled": False}),
        ("DELETE", path, None),
    ):
        assert (await owner.send(method, address, body)).status_code == 403, method
    assert (await platform.get(path)).json() == made
