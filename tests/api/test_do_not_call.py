"""Lists, opt-outs and the national register, as customers and the platform's administrators keep them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests import factories
from tests.api.conftest import Api
from tests.api.world import build
from tests.fakes.clock import FakeClock

from tongdai.domain import compliance
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio


async def text(api: Api, method: str, path: str, body: str | bytes, **query: Any) -> httpx.Response:
    return await api.http.request(
        method,
        f"/v1{path}",
        params=query,
        content=body,
        headers={"Authorization": f"Bearer {api.key}", "Content-Type": "text/csv"},
    )


# ---------------------------------------------------------------- the account's list


async def test_an_operator_who_may_take_nobody_off_may_not_loosen_the_list_either(
    owner: Api, colleague: Api
) -> None:
    listed = {"numbers": ["0912345678"], "source": "complaint", "until": "2030-01-01T00:00:00+07:00"}
    await owner.post("/do-not-call", listed)

    async def seen() -> tuple[bool, bool, str | None]:
        (item,) = (await owner.get("/do-not-call")).json()["items"]
        return item["voice"], item["sms"], item["until"]

    for change in ({"voice": False}, {"until": "2026-01-01T00:00:00+07:00"}):
        assert (await colleague.post("/do-not-call", listed | change)).status_code == 200
        assert await seen() == (True, True, "2030-01-01T00:00:00+07:00")
    assert (await text(colleague, "POST", "/do-not-call/import", "0912345678,S\n")).status_code == 200
    assert await seen() == (True, True, None)
    await colleague.post("/do-not-call", listed)
    assert await seen() == (True, True, None)
    await owner.post("/do-not-call", listed | {"voice": False})
    assert await seen() == (False, True, "2030-01-01T00:00:00+07:00")


async def test_a_list_of_more_lines_than_anybody_has_is_refused(owner: Api) -> None:
    answer = await text(owner, "POST", "/do-not-call/import", " \n" * (compliance.MOST_LINES + 1))

    assert answer.status_code == 400
    assert "1,000,000 lines" in answer.json()["errors"][0]["message"]


async def test_numbers_are_listed_shown_and_taken_off(owner: Api, colleague: Api) -> None:
    body = {
        "numbers": ["0912 345 678", 987654321, "113"],
        "source": "complaint",
        "reason": "gọi điện phàn nàn",
    }
    report = await colleague.post("/do-not-call", body)

    assert report.status_code == 200
    assert report.json() == {
        "received": 3,
        "listed": 2,
        "rejected": [{"index": 2, "reason": "short_code"}],
    }
    page = (await owner.get("/do-not-call")).json()
    assert {item["number"] for item in page["items"]} == {"0912345678", "0987654321"}
    assert colleague.person is not None
    assert {item["user_id"] for item in page["items"]} == {colleague.person.user.id}
    [found] = (await owner.get("/do-not-call", number="+84912345678")).json()["items"]
    assert (found["source"], found["reason"], found["until"]) == ("complaint", "gọi điện phàn nàn", None)

    assert (await colleague.send("DELETE", f"/do-not-call/{found['id']}")).status_code == 403
    assert (await owner.send("DELETE", f"/do-not-call/{found['id']}")).status_code == 204
    assert (await owner.get("/do-not-call", number="0912345678")).json()["items"] == []


async def test_a_number_is_on_the_list_once_with_the_latest_word(owner: Api) -> None:
    await owner.post("/do-not-call", {"numbers": ["0912345678"]})
    until = "2027-01-01T00:00:00+07:00"
    await owner.post("/do-not-call", {"numbers": ["0912345678"], "sms": False, "until": until})

    [found] = (await owner.get("/do-not-call")).json()["items"]
    assert (found["voice"], found["sms"], found["until"]) == (True, False, until)


@pytest.mark.parametrize(
    "body",
    [
        {"numbers": []},
        {"numbers": ["0912345678"], "until": "2027-01-01T00:00:00"},
        {"numbers": ["0912345678"], "until": "9999-01-01T00:00:00Z"},
        {"numbers": ["0912345678"], "source": ""},
        {"numbers": ["0912345678"], "numbr": 1},
        {"numbers": ["0912345678"] * 1001},
    ],
)
async def test_what_is_no_listing_is_refused(owner: Api, body: dict[str, Any]) -> None:
    assert (await owner.post("/do-not-call", body)).status_code == 400


async def test_a_long_list_comes_as_text_as_excel_saves_it(owner: Api) -> None:
    lines = (
        '\ufeffSố điện thoại,Loại\r\n912345678,V\r\n\r\n"0987654321";s\r\n0901234567\tVS\r\n0901234568,?\r\n'
    )
    report = await text(owner, "POST", "/do-not-call/import", lines, source="5656")

    assert report.json() == {
        "received": 5,
        "listed": 4,
        "rejected": [{"index": 0, "reason": "not_a_number"}],
    }
    flags = {
        item["number"]: (item["voice"], item["sms"], item["source"])
        for item in (await owner.get("/do-not-call")).json()["items"]
    }
    assert flags == {
        "0912345678": (True, False, "5656"),
        "0987654321": (False, True, "5656"),
        "0901234567": (True, True, "5656"),
        "0901234568": (True, True, "5656"),
    }


async def test_a_list_longer_than_other_bodies_may_be_is_taken(owner: Api) -> None:
    lines = "\n".join(f"0901{n:06d}" + " " * 100 for n in range(25_000))
    report = await text(owner, "POST", "/do-not-call/import", lines)

    assert (report.status_code, report.json()["listed"]) == (200, 25_000)


@pytest.mark.parametrize("body", [b"", b"no number\n", b"\xff\xfe0912345678", b"0912345678\x00"])
async def test_a_text_that_is_no_list_is_refused(owner: Api, body: bytes) -> None:
    assert (await text(owner, "POST", "/do-not-call/import", body)).status_code == 400


# ---------------------------------------------------------------- opt-outs


async def test_an_opt_out_ends_what_is_queued_and_says_which(owner: Api, stranger: Api) -> None:
    world = await build(owner)
    elsewhere = await build(stranger)

    report = (await owner.post("/opt-outs", {"numbers": ["0912345678", "x"], "source": "sms"})).json()

    assert report == {
        "received": 2,
        "refused_calls": [world.call_id],
        "rejected": [{"index": 1, "reason": "not_a_number"}],
    }
    call = (await owner.get(f"/calls/{world.call_id}")).json()
    assert (call["state"], call["outcome"], call["note"]) == ("done", "blocked", "opted_out")
    assert (await stranger.get(f"/calls/{elsewhere.call_id}")).json()["state"] == "queued"
    assert (await stranger.get("/opt-outs")).json()["items"] == []


async def test_an_opt_out_is_lifted_by_an_owner_with_a_reason_and_stays_on_record(
    owner: Api, colleague: Api
) -> None:
    await owner.post("/opt-outs", {"numbers": ["0912345678"], "advertiser": "Hoa Sen"})
    lift = {"number": "0912345678", "advertiser": "Hoa Sen", "reason": "khách gọi lại"}

    assert (await colleague.post("/opt-outs/lift", lift)).status_code == 403
    assert (await owner.post("/opt-outs/lift", lift | {"advertiser": ""})).status_code == 404
    assert (await owner.post("/opt-outs/lift", lift | {"number": "113"})).status_code == 400
    assert (await owner.post("/opt-outs/lift", lift)).status_code == 204
    assert (await owner.post("/opt-outs/lift", lift)).status_code == 404

    said = (await owner.get("/opt-outs", number="0912345678")).json()["items"]
    assert [(one["action"], one["advertiser"], one["reason"]) for one in said] == [
        ("opted_out", "Hoa Sen", None),
        ("lifted", "Hoa Sen", "khách gọi lại"),
    ]


async def test_opt_outs_are_listed_page_by_page(owner: Api) -> None:
    await owner.post("/opt-outs", {"numbers": [f"091234567{n}" for n in range(3)]})

    first = (await owner.get("/opt-outs", limit=2)).json()
    second = (await owner.get("/opt-outs", limit=2, cursor=first["next"])).json()

    assert [one["number"] for one in first["items"] + second["items"]] == [f"091234567{n}" for n in range(3)]
    assert second["next"] is None
    assert (await owner.get("/opt-outs", number="113")).status_code == 400


# ---------------------------------------------------------------- the platform's lists


async def test_the_platform_s_list_is_its_administrators_and_nobody_else_s(platform: Api, owner: Api) -> None:
    assert (await platform.post("/platform/do-not-call", {"numbers": ["0912345678"]})).status_code == 200
    assert (await text(platform, "POST", "/platform/do-not-call/import", "0987654321")).status_code == 200
    assert (await owner.get("/platform/do-not-call")).status_code == 403
    assert (await owner.get("/do-not-call")).json()["items"] == []
    assert (await platform.get("/do-not-call")).status_code == 403

    items = (await platform.get("/platform/do-not-call")).json()["items"]
    assert [(one["number"], one["user_id"]) for one in items] == [("0912345678", None), ("0987654321", None)]
    entry = f"/do-not-call/{items[0]['id']}"
    assert (await owner.send("DELETE", entry)).status_code == 404
    assert (await platform.send("DELETE", f"/platform{entry}")).status_code == 204


async def test_the_national_register_is_imported_with_its_date(
    platform: Api, owner: Api, services: Services, clock: FakeClock
) -> None:
    at, path = clock.now(), "/platform/national-list"
    assert (await platform.get(path)).json() == {"as_of": None, "connected": False}

    report = await text(platform, "PUT", path, "0912345678,V\n0987654321,S\n", as_of=at.isoformat())

    assert (report.status_code, report.json()["listed"]) == (200, 2)
    assert (await platform.get(path)).json()["as_of"] == "2026-11-18T10:00:00+07:00"
    older = (at - timedelta(seconds=1)).isoformat()
    assert (await text(platform, "PUT", path, "0912345678", as_of=older)).status_code == 409
    ahead = (at + timedelta(hours=1)).isoformat()
    for when, body in ((ahead, "0912345678"), (at.isoformat(), ""), ("2026-11-18T10:00:00", "0912345678")):
        assert (await text(platform, "PUT", path, body, as_of=when)).status_code == 400
    undated = await text(platform, "PUT", path, "0912345678")
    assert [error["path"] for error in undated.json()["errors"]] == ["as_of"]
    assert (await text(owner, "PUT", path, "0912345678", as_of=at.isoformat())).status_code == 403
    async with services.db.transaction() as tx:
        assert await compliance.national_list(tx) == compliance.NationalList(at)


# ---------------------------------------------------------------- what a dialer makes of it


async def test_what_the_api_was_told_is_what_a_call_is_judged_by(
    owner: Api, platform: Api, services: Services, clock: FakeClock
) -> None:
    assert owner.person is not None
    await owner.post("/do-not-call", {"numbers": ["0912345671"]})
    await owner.post("/opt-outs", {"numbers": ["0912345672"]})
    await platform.post("/platform/do-not-call", {"numbers": ["0912345673"]})
    await text(platform, "PUT", "/platform/national-list", "0912345674,V", as_of=clock.now().isoformat())
    consents = [
        {
            "number": f"091234567{n}",
            "purpose": "advertising",
            "given": n != 5,
            "method": "web",
            "evidence": "x",
        }
        for n in (1, 2, 3, 4, 5, 7)
    ]
    await owner.post("/consents", {"consents": consents})

    rules = {n: await judged(services, clock, owner.person, f"8491234567{n}") for n in range(1, 8)}

    assert rules == {
        1: "dnc_account",
        2: "opted_out",
        3: "dnc_platform",
        4: "dnc_national",
        5: "consent_withdrawn",
        6: "no_consent",
        7: "",
    }


async def judged(services: Services, clock: FakeClock, person: factories.Person, number: str) -> str:
    """The rule that forbids an advertising call; "" when it may be made."""
    case = compliance.PersonCase(1, person.account_id, number, "", "advertising", None, None, 1, None, None)
    policy = compliance.load_policies().at(clock.now())
    async with services.db.transaction() as tx:
        locked = await compliance.lock_persons(tx, compliance.keys_of(case))
        found = await compliance.judge(tx, [compliance.with_persons(case, locked)], policy, clock.now())
    verdict = found[1]
    return "" if isinstance(verdict, compliance.Go) else verdict.rule
