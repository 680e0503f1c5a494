"""Trunks for real calls: their SIP settings are given, shown without the password, and changed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Api
from tests.api.test_nodes import NODE
from tests.api.world import TRUNK

from tongdai.domain.routing import TrunkBookOfDatabase
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

PASSWORD = "s3cret word"
SIP: dict[str, Any] = {
    "host": "sip.carrier.vn",
    "port": 5080,
    "username": "02473001234",
    "register": True,
    "match": ["203.0.113.0/24"],
    "causes": {"480": "no_answer", "503": "busy"},
}
SHOWN = SIP | {
    "transport": "udp",
    "has_password": True,
    "from_user": "",
    "from_domain": "",
    "outbound_proxy": "",
    "codecs": ["alaw", "ulaw"],
    "dtmf": "auto",
    "early_media": True,
}
REAL = TRUNK | {"engine": "asterisk", "sip": SIP | {"password": PASSWORD}}


async def test_a_trunk_for_real_calls_is_as_it_was_made_but_for_its_password(owner: Api, viewer: Api) -> None:
    answer = await owner.post("/trunks", REAL)

    assert answer.status_code == 201
    made = answer.json()
    assert (made["sip"], made["node_ids"]) == (SHOWN, None)
    for shown in (answer, await viewer.get("/trunks"), await viewer.get(f"/trunks/{made['id']}")):
        assert PASSWORD not in shown.text
    assert (await viewer.get(f"/trunks/{made['id']}")).json() == made


async def test_a_change_of_the_settings_keeps_the_password_and_a_new_one_takes_its_place(
    owner: Api, services: Services
) -> None:
    made = await owner.made("/trunks", REAL)
    path = f"/trunks/{made['id']}"

    changed = await owner.send("PATCH", path, {"sip": SIP | {"port": 5090, "causes": {}}})

    assert changed.json()["sip"] == SHOWN | {"port": 5090, "causes": {}}
    told = await TrunkBookOfDatabase(services.db, services.keyring).trunk(made["id"])
    assert (told.port, told.password) == (5090, PASSWORD)
    await owner.send("PATCH", path, {"sip": SIP | {"host": "new.carrier.vn", "password": "another"}})
    told = await TrunkBookOfDatabase(services.db, services.keyring).trunk(made["id"])
    assert (told.host, told.password) == ("new.carrier.vn", "another")


@pytest.mark.parametrize("away", [{"host": "evil.example"}, {"outbound_proxy": "sip:evil.example"}])
async def test_a_password_does_not_follow_its_trunk_to_another_server(
    owner: Api, away: dict[str, Any]
) -> None:
    """Who may change a trunk need not know its password, and a server that asks for it can guess it."""
    made = await owner.made("/trunks", REAL)
    path = f"/trunks/{made['id']}"

    answer = await owner.send("PATCH", path, {"sip": SIP | away})

    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["sip.password"]
    assert (await owner.get(path)).json() == made
    without = {"host": "evil.example", "register": False, "username": ""}
    assert (await owner.send("PATCH", path, {"sip": SIP | without})).json()["sip"]["has_password"] is False


async def test_what_is_not_about_sip_leaves_it_as_it_is(owner: Api) -> None:
    made = await owner.made("/trunks", REAL)

    changed = await owner.send("PATCH", f"/trunks/{made['id']}", {"max_cps": None})

    assert changed.json() == made | {"max_cps": None}


async def test_a_trunk_moves_between_engines_with_and_without_its_settings(owner: Api) -> None:
    made = await owner.made("/trunks", TRUNK)
    path = f"/trunks/{made['id']}"
    assert (made["sip"], made["node_ids"]) == (None, None)

    refused = await owner.send("PATCH", path, {"engine": "asterisk"})
    real = await owner.send("PATCH", path, {"engine": "asterisk", "sip": {"host": "10.1.2.3"}})
    back = await owner.send("PATCH", path, {"engine": "sandbox"})
    sandbox = await owner.send("PATCH", path, {"engine": "sandbox", "sip": None})

    assert (refused.status_code, back.status_code) == (400, 400)
    assert [error["path"] for error in refused.json()["errors"]] == ["sip"]
    assert [error["path"] for error in back.json()["errors"]] == ["sip"]
    assert real.json()["sip"]["host"] == "10.1.2.3"
    assert real.json()["sip"]["has_password"] is False
    assert sandbox.json() == made


@pytest.mark.parametrize(
    ("sip", "path"),
    [
        ({}, "sip.host"),
        ({"host": "a b"}, "sip.host"),
        ({"host": "a", "port": 0}, "sip.port"),
        ({"host": "a", "port": "5060"}, "sip.port"),
        ({"host": "a", "transport": "sctp"}, "sip.transport"),
        ({"host": "a", "register": True}, "sip.username"),
        ({"host": "a", "username": "u"}, "sip.password"),
        ({"host": "a", "password": "p"}, "sip.username"),
        ({"host": "a", "username": "u", "password": "mật khẩu"}, "sip.password"),
        ({"host": "a", "codecs": []}, "sip.codecs"),
        ({"host": "a", "codecs": ["alaw", "alaw"]}, "sip.codecs"),
        ({"host": "a", "codecs": ["opus"]}, "sip.codecs[0]"),
        ({"host": "a", "match": ["0.0.0.0/0"]}, "sip.match[0]"),
        ({"host": "a", "outbound_proxy": "b"}, "sip.outbound_proxy"),
        ({"host": "a", "causes": {"480": "banana"}}, "sip.causes[...]"),
        ({"host": "a", "causes": {"200": "busy"}}, "sip.causes"),
        ({"host": "a", "banana": 1}, "sip.banana"),
    ],
)
async def test_settings_that_cannot_be_are_refused_with_their_place(
    owner: Api, sip: dict[str, Any], path: str
) -> None:
    answer = await owner.post("/trunks", TRUNK | {"engine": "asterisk", "sip": sip})

    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["path"].startswith(path)
    assert (await owner.get("/trunks")).json()["items"] == []


async def test_a_trunk_of_the_sandbox_has_no_settings(owner: Api, platform: Api) -> None:
    node = await platform.made("/nodes", NODE)
    for more, path in (({"sip": {"host": "a"}}, "sip"), ({"node_ids": [node["id"]]}, "node_ids")):
        answer = await owner.post("/trunks", TRUNK | more)
        assert [error["path"] for error in answer.json()["errors"]] == [path]


async def test_a_trunk_names_the_nodes_that_its_carrier_knows(owner: Api, platform: Api) -> None:
    one = await platform.made("/nodes", NODE)
    other = await platform.made("/nodes", NODE | {"name": "b"})

    made = await owner.made("/trunks", REAL | {"node_ids": [other["id"], one["id"], one["id"]]})

    assert made["node_ids"] == [one["id"], other["id"]]
    path = f"/trunks/{made['id']}"
    for node_ids in ([], [other["id"] + 1], [0], ["1"]):
        answer = await owner.send("PATCH", path, {"node_ids": node_ids})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["path"].startswith("node_ids")
    await platform.send("DELETE", f"/nodes/{one['id']}")
    assert (await owner.get(path)).json()["node_ids"] == [other["id"]]
    assert (await owner.send("PATCH", path, {"node_ids": None})).json()["node_ids"] is None


async def test_a_stranger_learns_nothing_of_a_carrier(owner: Api, stranger: Api) -> None:
    made = await owner.made("/trunks", REAL)
    path = f"/trunks/{made['id']}"

    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.send("PATCH", path, {"sip": {"host": "evil.example"}})).status_code == 404
    assert (await owner.get(path)).json() == made
