"""Contact files over the API: sent in any way, watched, and their report downloaded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.api.conftest import Api
from tests.api.world import World, build, upload_contacts
from tests.fakes.xlsx import workbook

from tongdai.domain.campaigns import FileImporter
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

DATA = "Họ tên;SĐT\nLan;912345678\nMai;0912345678\nCúc;113\n".encode()
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture
async def world(owner: Api) -> World:
    return await build(owner)


async def send_form(api: Api, campaign_id: int, files: Any, data: Any = None, **query: str) -> httpx.Response:
    return await api.http.post(
        f"/v1/campaigns/{campaign_id}/contact-files",
        files=files,
        data=data,
        params=query,
        headers={"Authorization": f"Bearer {api.key}"},
    )


async def read_all(services: Services, people_account: int, *file_ids: int) -> None:
    importer = FileImporter(services.db, services.storage, services.keyring, services.clock, services.hinter)
    for file_id in file_ids:
        await importer.read_file(people_account, file_id)


async def test_a_file_is_taken_as_a_body_or_as_a_form(owner: Api, world: World) -> None:
    plain = await upload_contacts(owner, world.campaign_id, DATA, "tháng 3.csv")
    form = await send_form(owner, world.campaign_id, {"file": ("a.xlsx", workbook(["sdt"], ["1"]), XLSX)})
    named = await send_form(owner, world.campaign_id, {"file": ("a.csv", DATA)}, {"name": "Danh sách"})

    assert [answer.status_code for answer in (plain, form, named)] == [201, 201, 201]
    assert [answer.json()["name"] for answer in (plain, form, named)] == [
        "tháng 3.csv",
        "a.xlsx",
        "Danh sách",
    ]
    assert [answer.json()["format"] for answer in (plain, form, named)] == ["csv", "xlsx", "csv"]
    taken = plain.json()
    assert (taken["state"], taken["percent"], taken["rows"], taken["size_bytes"]) == (
        "received",
        0,
        None,
        len(DATA),
    )
    assert owner.person is not None
    assert taken["uploaded_by"] == owner.person.user.id
    listed = (await owner.get(f"/campaigns/{world.campaign_id}/contact-files")).json()["items"]
    assert [item["id"] for item in listed][1:] == [answer.json()["id"] for answer in (plain, form, named)]


async def test_a_file_that_was_read_shows_its_counts_and_gives_its_report(
    owner: Api, viewer: Api, services: Services, world: World
) -> None:
    taken = (await upload_contacts(owner, world.campaign_id, DATA)).json()
    path = f"/campaigns/{world.campaign_id}/contact-files/{taken['id']}"
    early = await owner.get(f"{path}/report")
    assert owner.person is not None
    await read_all(services, owner.person.account_id, taken["id"])

    read = (await viewer.get(path)).json()
    report = await viewer.get(f"{path}/report")

    assert early.status_code == 409
    assert "received" in early.json()["detail"]
    assert early.json()["retryable"] is True
    counts = ("rows", "rows_read", "accepted", "repaired", "converted", "duplicate", "rejected")
    assert (read["state"], read["percent"], read["error"]) == ("done", 100, None)
    assert [read[name] for name in counts] == [3, 3, 1, 1, 0, 1, 1]
    assert read["layout"] == {
        "phone_column": "SĐT",
        "fields": {"Họ tên": "Họ tên"},
        "special": {},
        "header_row": 1,
        "sheet": None,
        "encoding": "utf-8",
        "delimiter": ";",
    }
    assert read["has_report"] is True
    assert report.headers["content-type"].startswith("text/csv")
    assert report.headers["content-disposition"].startswith("attachment; filename=")
    assert report.content.startswith(b"\xef\xbb\xbf")
    assert [line.split(",")[0] for line in report.text.splitlines()[1:]] == ["2", "3", "4"]


async def test_columns_may_be_chosen_in_the_query(owner: Api, services: Services, world: World) -> None:
    data = workbook(["A", "Liên hệ", "SĐT"], ["Lan", "0987654321", "x"])
    answer = await upload_contacts(
        owner,
        world.campaign_id,
        data,
        phone_column="lien he",
        sheet="sheet1",
        mapping=json.dumps({"A": "ten", "SĐT": ""}),
    )
    assert owner.person is not None
    await read_all(services, owner.person.account_id, answer.json()["id"])
    (call,) = (await owner.get("/calls", campaign_id=world.campaign_id, number="0987654321")).json()["items"]
    assert (await owner.get(f"/calls/{call['id']}")).json()["fields"] == {"ten": "Lan"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Tệp không có dữ liệu."),
        (b"%PDF-1.7\n", "lưu lại thành .xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "mật khẩu"),
        (b"PK\x03\x04", "Tệp bị hỏng"),
        ("mã,tên\n1,Lan\n".encode(), "Không tìm thấy cột số điện thoại"),
        (b"sdt\n", "không có dòng dữ liệu"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused_at_once_in_words_for_its_owner(
    owner: Api, world: World, data: bytes, says: str
) -> None:
    answer = await upload_contacts(owner, world.campaign_id, data)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["path"] == "file"
    assert says in error["message"]


async def test_a_file_that_failed_later_says_why_in_vietnamese(
    owner: Api, services: Services, world: World
) -> None:
    taken = (await upload_contacts(owner, world.campaign_id, workbook(["mã"], ["1"]))).json()
    assert owner.person is not None
    await read_all(services, owner.person.account_id, taken["id"])
    read = (await owner.get(f"/campaigns/{world.campaign_id}/contact-files/{taken['id']}")).json()
    assert (read["state"], read["error"]["code"]) == ("failed", "no_phone_column")
    assert "Không tìm thấy cột số điện thoại" in read["error"]["message"]


@pytest.mark.parametrize(
    "query",
    [{"mapping": "x{"}, {"mapping": "[1]"}, {"mapping": '{"a": 1}'}, {"sheet": ""}, {"phone_column": ""}],
)
async def test_choices_that_make_no_sense_are_refused(
    owner: Api, world: World, query: dict[str, str]
) -> None:
    answer = await upload_contacts(owner, world.campaign_id, DATA, **query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] in query


async def test_a_chosen_column_that_is_not_there_is_refused_at_once(owner: Api, world: World) -> None:
    answer = await upload_contacts(owner, world.campaign_id, DATA, phone_column="Mobile")
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"path": "file", "message": "Không có cột “Mobile” trong tệp."}]


async def test_a_form_without_a_file_and_one_that_is_broken_are_refused(owner: Api, world: World) -> None:
    path = f"/v1/campaigns/{world.campaign_id}/contact-files"
    headers = {"Authorization": f"Bearer {owner.key}"}
    broken = headers | {"Content-Type": "multipart/form-data; boundary=x"}
    bad_name = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff\r\n--x--\r\n'
    for answer in (
        await send_form(owner, world.campaign_id, {"other": ("a.csv", DATA)}),
        await owner.http.post(path, content=b"--x\r\n\r\nbroken", headers=broken),
        await owner.http.post(path, content=bad_name, headers=broken),
    ):
        assert answer.status_code == 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_file_above_the_limit_is_too_large_and_not_kept(
    owner: Api, services: Services, world: World
) -> None:
    folder = services.storage.path("contact-files")
    assert folder is not None
    before = sorted(folder.rglob("*"))

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b"0" * 1024 * 1024

    answer = await owner.http.post(
        f"/v1/campaigns/{world.campaign_id}/contact-files",
        content=endless(),
        headers={"Authorization": f"Bearer {owner.key}"},
    )
    assert answer.status_code == 413
    assert sorted(folder.rglob("*")) == before


async def test_a_viewer_may_look_and_not_upload(owner: Api, viewer: Api, world: World) -> None:
    assert (await upload_contacts(viewer, world.campaign_id, DATA)).status_code == 403
    assert (await viewer.get(f"/campaigns/{world.campaign_id}/contact-files")).status_code == 200


async def test_a_campaign_of_codes_takes_no_file(owner: Api, world: World) -> None:
    script = await owner.made(
        "/scripts",
        {
            "name": "Mã",
            "script": {
                "kind": "otp",
                "start": "read",
                "steps": {"read": {"kind": "read_code", "purpose": "Mã xác thực của quý khách là"}},
            },
        },
    )
    campaign = await owner.made(
        "/campaigns",
        {
            "name": "OTP",
            "kind": "otp",
            "purpose": "otp",
            "script_id": script["id"],
            "hotline_ids": [world.hotline_id],
        },
    )
    assert (await upload_contacts(owner, campaign["id"], DATA)).status_code == 409
