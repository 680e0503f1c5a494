"""Trunks, and the hotlines on them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.api.conftest import Api
from tests.api.world import HOTLINE, TRUNK
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.anyio


async def test_a_trunk_is_as_it_was_made(owner: Api, viewer: Api) -> None:
    made = await owner.made("/trunks", TRUNK)

    assert made.items() >= (TRUNK | {"dial_format": "national", "enabled": True}).items()
    assert (await viewer.get(f"/trunks/{made['id']}")).json() == made
    assert (await viewer.get("/trunks")).json() == {"items": [made], "next": None}


async def test_what_a_change_leaves_out_stays(owner: Api) -> None:
    made = await owner.made("/trunks", TRUNK)

    changed = await owner.send("PATCH", f"/trunks/{made['id']}", {"max_cps": None, "dial_format": "plus"})

    assert changed.json() == made | {"max_cps": None, "dial_format": "plus"}
    assert (await owner.get(f"/trunks/{made['id']}")).json() == changed.json()


async def test_two_trunks_of_an_account_do_not_share_a_name(owner: Api, stranger: Api) -> None:
    await owner.made("/trunks", TRUNK)

    assert (await owner.post("/trunks", TRUNK)).status_code == 409
    assert (await stranger.post("/trunks", TRUNK)).status_code == 201


async def test_a_trunk_without_the_contract_values_is_refused(owner: Api) -> None:
    assert (await owner.post("/trunks", {"name": "x", "engine": "sandbox"})).status_code == 400
    for cps in (0, 1e-300, 0.009, 10_001):
        assert (await owner.post("/trunks", TRUNK | {"max_cps": cps})).status_code == 400, cps
    assert (await owner.post("/trunks", TRUNK | {"max_channels": "30"})).status_code == 400


@pytest.mark.parametrize("engine", ["banana", "freeswitch"])
async def test_an_engine_that_is_not_there_is_refused_with_those_that_are(owner: Api, engine: str) -> None:
    made = await owner.made("/trunks", TRUNK)

    for answer in (
        await owner.post("/trunks", TRUNK | {"name": "x", "engine": engine}),
        await owner.send("PATCH", f"/trunks/{made['id']}", {"engine": engine}),
    ):
        assert answer.status_code == 400
        [error] = answer.json()["errors"]
        assert (error["path"], "sandbox" in error["message"]) == ("engine", True)
    assert (await owner.get("/trunks")).json()["items"] == [made]


@pytest.mark.parametrize("network", ["viettell", "unknown"])
async def test_a_network_that_no_number_is_of_is_refused_with_those_that_are(
    owner: Api, network: str
) -> None:
    trunk = await owner.made("/trunks", TRUNK)
    made = await owner.made("/hotlines", {"number": HOTLINE, "trunk_id": trunk["id"], "network": "fixed"})

    for answer in (
        await owner.post("/hotlines", {"number": "0912345678", "trunk_id": trunk["id"], "network": network}),
        await owner.send("PATCH", f"/hotlines/{made['id']}", {"network": network}),
    ):
        assert answer.status_code == 400
        [error] = answer.json()["errors"]
        assert error["path"] == "network"
        assert "fixed, gmobile, mobifone, vietnamobile, viettel, vinaphone" in error["message"]


@pytest.mark.parametrize("written", ["02473001234", "+84 247 300 1234", "84.24.7300.1234", "(024) 7300-1234"])
async def test_a_hotline_is_shown_as_people_write_it(owner: Api, written: str) -> None:
    trunk = await owner.made("/trunks", TRUNK)

    made = await owner.made("/hotlines", {"number": written, "trunk_id": trunk["id"]})

    assert made["number"] == HOTLINE


async def test_a_hotline_moves_to_another_trunk_and_network(owner: Api) -> None:
    one = await owner.made("/trunks", TRUNK)
    other = await owner.made("/trunks", TRUNK | {"name": "Viettel"})
    made = await owner.made("/hotlines", {"number": HOTLINE, "trunk_id": one["id"]})

    change = {"trunk_id": other["id"], "network": "viettel"}
    changed = await owner.send("PATCH", f"/hotlines/{made['id']}", change)

    assert changed.json() == made | change


async def test_a_hotline_is_added_once(owner: Api) -> None:
    trunk = await owner.made("/trunks", TRUNK)
    body = {"number": HOTLINE, "trunk_id": trunk["id"]}
    await owner.made("/hotlines", body)

    assert (await owner.post("/hotlines", body)).status_code == 409


async def test_what_is_no_number_is_refused_with_its_place(owner: Api) -> None:
    trunk = await owner.made("/trunks", TRUNK)

    answer = await owner.post("/hotlines", {"number": "hello", "trunk_id": trunk["id"]})

    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["number"]


async def test_a_trunk_says_which_networks_it_carries_and_when_it_rests(owner: Api) -> None:
    routes = {"networks": ["mobifone", "viettel"], "cool_after": 5, "cool_seconds": 60}

    made = await owner.made("/trunks", TRUNK | routes)

    assert made.items() >= (routes | {"cooling_until": None}).items()
    changed = await owner.send("PATCH", f"/trunks/{made['id']}", {"networks": None, "cool_after": None})
    assert changed.json() == made | {"networks": None, "cool_after": None}


@pytest.mark.parametrize("networks", [[], ["viettell"], ["unknown"], ["viettel", "vnsky"]])
async def test_a_trunk_for_a_network_that_no_number_is_of_is_refused(owner: Api, networks: list[str]) -> None:
    answer = await owner.post("/trunks", TRUNK | {"networks": networks})

    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["networks"]


async def test_a_cooling_down_is_set_shown_while_it_lasts_and_ended(owner: Api, clock: FakeClock) -> None:
    trunk = await owner.made("/trunks", TRUNK)
    hotline = await owner.made("/hotlines", {"number": HOTLINE, "trunk_id": trunk["id"]})
    until = "2026-11-18T12:00:00+07:00"

    for path in (f"/trunks/{trunk['id']}", f"/hotlines/{hotline['id']}"):
        assert (await owner.send("PATCH", path, {"cooling_until": until})).json()["cooling_until"] == until
        assert (await owner.get(path)).json()["cooling_until"] == until
        ended = await owner.send("PATCH", path, {"cooling_until": None})
        assert ended.json()["cooling_until"] is None
        await owner.send("PATCH", path, {"cooling_until": until})
    clock.advance(timedelta(hours=2))
    assert (await owner.get("/trunks")).json()["items"] == [trunk]
    assert (await owner.get("/hotlines")).json()["items"] == [hotline]


async def test_a_hotline_shows_its_brand_name_and_warns_before_it_ends(owner: Api, clock: FakeClock) -> None:
    trunk = await owner.made("/trunks", TRUNK)
    body = {
        "number": HOTLINE,
        "trunk_id": trunk["id"],
        "brand_name": "SAO MAI",
        "brand_until": "2027-01-18",
        "valid_from": "2026-11-01T00:00:00+07:00",
        "valid_until": "2027-11-01T00:00:00+07:00",
        "daily_cap": 300,
    }

    made = await owner.made("/hotlines", body)

    assert made.items() >= (body | {"brand_expires_soon": False}).items()
    clock.advance(timedelta(days=1))
    shown = (await owner.get(f"/hotlines/{made['id']}")).json()
    assert shown == made | {"brand_expires_soon": True}
    renewed = await owner.send("PATCH", f"/hotlines/{made['id']}", {"brand_until": "2030-01-18"})
    assert renewed.json() == made | {"brand_until": "2030-01-18"}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"brand_name": "0123"}, "brand_name"),
        ({"brand_name": "SAO MAI SHOP"}, "brand_name"),
        ({"brand_until": None}, "brand_until"),
        ({"brand_until": "soon"}, "brand_until"),
        ({"valid_from": "2026-11-01T00:00:00"}, "valid_from"),
        ({"valid_from": "0001-01-01T00:00:00+14:00"}, "valid_from"),
        ({"valid_until": "9999-12-31T23:59:59-12:00"}, "valid_until"),
        ({"valid_until": "2026-01-01T00:00:00+07:00"}, "valid_until"),
        ({"daily_cap": -1}, "daily_cap"),
        ({"cooling_until": "0001-01-01T00:00:00+00:00"}, "cooling_until"),
    ],
)
async def test_what_a_hotline_cannot_be_is_refused_with_its_place(
    owner: Api, change: dict[str, object], path: str
) -> None:
    trunk = await owner.made("/trunks", TRUNK)
    body = {"number": HOTLINE, "trunk_id": trunk["id"], "brand_name": "SAO MAI", "brand_until": "2029-01-18"}
    made = await owner.made("/hotlines", body | {"valid_from": "2026-11-01T00:00:00+07:00"})

    answer = await owner.send("PATCH", f"/hotlines/{made['id']}", change)

    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == [path]
    assert (await owner.get(f"/hotlines/{made['id']}")).json() == made
