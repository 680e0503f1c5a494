"""Contact files become calls: every row once, whatever dies meanwhile, and for their account alone."""

from __future__ import annotations

import asyncio
import csv
import io
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests import factories
from tests.factories import Cast, Person
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import eventually
from tests.fakes.xlsx import workbook

from tongdai.adapters.files import FileStorage
from tongdai.domain import campaigns
from tongdai.domain.campaigns import (
    CampaignConfig,
    ContactFile,
    FileImportConfig,
    FileImporter,
    FileOptions,
    FileRefusedError,
)
from tongdai.domain.campaigns.declared import DeclaredField
from tongdai.domain.campaigns.file_reader import ReaderDiedError, ReadingTask, reading
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.storage import StoredFileMissingError

pytestmark = pytest.mark.anyio

SMALL = FileImportConfig(batch_rows=10, poll_s=0.05, retry_s=0.05)


class Office:
    """Somebody who uploads files, and the process that reads them."""

    def __init__(self, db: Database, storage: FileStorage, keyring: Keyring, person: Person) -> None:
        self.db = db
        self.storage = storage
        self.keyring = keyring
        self.person = person
        self.clock = FakeClock()
        self.campaign_id = 0

    async def campaign(self, **settings: Any) -> int:
        made = await factories.campaign(self.db, self.person, **settings)
        self.campaign_id = made.id
        return made.id

    async def upload(
        self, data: bytes, name: str = "khách.csv", *, campaign_id: int | None = None, **options: Any
    ) -> ContactFile:
        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 1000):
                yield data[start : start + 1000]

        chosen = FileOptions(**options)
        account_id, user_id = self.person.account_id, self.person.user.id
        async with (
            campaigns.received_upload(self.storage, account_id, chunks(), chosen) as upload,
            self.db.transaction() as tx,
        ):
            return await campaigns.add_file(
                tx, account_id, user_id, campaign_id or self.campaign_id, upload, name, chosen
            )

    def importer(
        self, config: FileImportConfig = SMALL, *, storage: FileStorage | None = None
    ) -> FileImporter:
        storage = storage or self.storage
        return FileImporter(self.db, storage, self.keyring, self.clock, Hinter(self.db), config)

    async def read(self, file: ContactFile, config: FileImportConfig = SMALL) -> ContactFile:
        await self.importer(config).read_file(file.account_id, file.id)
        return await self.look(file)

    async def look(self, file: ContactFile) -> ContactFile:
        async with self.db.transaction() as tx:
            return await campaigns.get_file(tx, file.account_id, file.campaign_id, file.id)

    async def report(self, file: ContactFile) -> list[list[str]]:
        """Its lines below the header."""
        async with self.db.transaction() as tx:
            key = await campaigns.report_key(tx, file.account_id, file.campaign_id, file.id)
        text = (await self.storage.get(key)).decode("utf-8-sig")
        return list(csv.reader(io.StringIO(text)))[1:]

    async def rows(self, query: str, *values: object) -> list[Any]:
        async with self.db.autocommit() as tx:
            return await (await tx.execute(query, values)).fetchall()

    async def numbers(self) -> list[str]:
        """Of the campaign's calls, in the order in which they were made."""
        found = await self.rows(
            "SELECT number FROM calls WHERE campaign_id = %s ORDER BY id", self.campaign_id
        )
        return [number for (number,) in found]

    async def accepted(self) -> int:
        async with self.db.autocommit() as tx:
            return (await campaigns.progress(tx, self.person.account_id, self.campaign_id)).accepted

    def stored(self) -> list[Path]:
        root = self.storage.path("x").parent
        return [place for place in root.rglob("*") if place.is_file()]

    @asynccontextmanager
    async def working(self, config: FileImportConfig = SMALL) -> AsyncIterator[None]:
        stop = asyncio.Event()
        running = asyncio.create_task(self.importer(config).run(stop))
        try:
            yield
        finally:
            stop.set()
            async with asyncio.timeout(20):
                await running


@pytest.fixture
async def cast(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


@pytest.fixture
async def office(db: Database, keyring: Keyring, cast: Cast, tmp_path: Path) -> Office:
    office = Office(db, FileStorage(tmp_path / "files"), keyring, cast.owner)
    await office.campaign()
    return office


def listed(*rows: str) -> bytes:
    return "\n".join(("sdt,ten", *rows)).encode()


def many(count: int, first: int = 0) -> Iterator[str]:
    return (f"09{n:08d},Khách {n}" for n in range(first, first + count))


# ---------------------------------------------------------------- what becomes of rows


async def test_every_row_is_accepted_or_told_why_not(office: Office) -> None:
    file = await office.upload(
        workbook(
            ["Họ tên", "Số điện thoại"],
            ["Lan", 912345678],
            ["Mai", "0912 345 678"],
            ["Cúc", "01234567890"],
            ["Đào", "8.4912E+10"],
            [],
            ["Hồng", None],
            ["Sen", 84987654321.0],
            ["Tổng cộng: 6", None],
        )
    )
    assert (file.state, file.format, file.user_id) == ("received", "xlsx", office.person.user.id)

    read = await office.read(file)

    assert read.state == "done"
    assert (read.rows_total, read.rows_read) == (7, 7)
    assert (read.accepted, read.repaired, read.converted, read.duplicate, read.rejected) == (3, 1, 1, 1, 3)
    assert await office.numbers() == ["84912345678", "84834567890", "84987654321"]
    assert await office.accepted() == 3
    assert [line[:4] + line[5:] for line in await office.report(read)] == [
        ["2", "912345678", "Đã sửa", "0912 345 678", "repaired"],
        ["3", "0912 345 678", "Trùng", "0912 345 678", "duplicate"],
        ["4", "01234567890", "Đã đổi đầu số", "0834 567 890", "converted"],
        ["5", "8.4912E+10", "Không nhận", "", "digits_lost"],
        ["7", "", "Không nhận", "", "number_missing"],
        ["9", "", "Không nhận", "", "number_missing"],
    ]


async def test_fields_are_kept_with_their_declared_types_and_missing_ones_told(office: Office) -> None:
    await office.campaign(
        fields=[DeclaredField("ho_ten", required=True), DeclaredField("so_tien", "integer")]
    )
    read = await office.read(
        await office.upload(
            "SĐT;HỌ TÊN;Số tiền;Ghi chú\n0912345678;Lan;1.500.000;007\n0912345679;;5;\n"
            "0912345680;Mai;nhiều;\n".encode()
        )
    )
    assert (read.accepted, read.rejected) == (1, 2)
    assert await office.rows("SELECT fields FROM calls WHERE campaign_id = %s", office.campaign_id) == [
        ({"ho_ten": "Lan", "so_tien": 1500000, "Ghi chú": "007"},)
    ]
    assert [line[5] for line in await office.report(read)] == [
        "field_missing: ho_ten",
        "field_invalid: so_tien",
    ]


async def test_what_a_contact_brings_for_itself_goes_to_its_call(office: Office) -> None:
    read = await office.read(
        await office.upload(
            workbook(
                ["sdt", "max_attempts", "call_after", "call_before", "person_ref"],
                ["0912345678", 3, 0.375, "17h30", "HĐ-1"],
                ["0912345679", 1000, None, None, None],
                ["0912345680", None, "tối", None, None],
            )
        )
    )
    assert (read.accepted, read.rejected) == (1, 2)
    found = await office.rows(
        "SELECT max_attempts, call_after, call_before, person_ref FROM calls WHERE campaign_id = %s",
        office.campaign_id,
    )
    assert found == [(3, "09:00", "17:30", "HĐ-1")]
    assert [line[5] for line in await office.report(read)] == ["max_attempts_invalid", "call_window_invalid"]


async def test_duplicates_are_found_over_the_whole_file(office: Office) -> None:
    rows = [*many(9), "0987654321,a", *many(20, first=100), "84987654321,b", *many(9), "+84 987 654 321,c"]
    read = await office.read(await office.upload(listed(*rows)))
    assert (read.accepted, read.duplicate, read.rows_read) == (30, 11, 41)
    assert len(set(await office.numbers())) == len(await office.numbers()) == 30
    lines = {line[0]: (line[4], line[5]) for line in await office.report(read)}
    assert lines["32"] == ("Trùng với dòng 11", "duplicate")
    assert lines["33"] == ("Trùng với dòng 2", "duplicate")
    assert lines["42"] == ("Trùng với dòng 11", "duplicate")
    assert len(lines) == 11


async def test_a_number_that_could_not_be_taken_is_no_duplicate_of_itself(office: Office) -> None:
    await office.campaign(fields=[DeclaredField("ten", required=True)])
    rows = ["0912345678,", *many(15), "0912345678,Lan", *many(10, first=50), "0912345678,Mai"]
    read = await office.read(await office.upload(listed(*rows)))
    assert (read.accepted, read.duplicate, read.rejected) == (26, 1, 1)
    assert [line[:1] + line[4:5] for line in await office.report(read)] == [
        ["2", "Thiếu thông tin bắt buộc: ten"],
        ["29", "Trùng với dòng 18"],
    ]


async def test_a_campaign_without_duplicates_takes_no_number_of_an_earlier_file(office: Office) -> None:
    await office.campaign(config=CampaignConfig(allow_duplicates=False))
    await office.read(await office.upload(listed(*many(15))))
    again = await office.read(await office.upload(listed(*many(25), *many(2))))
    assert (again.accepted, again.duplicate) == (10, 17)
    codes = [line[5] for line in await office.report(again)]
    assert codes == ["duplicate_earlier"] * 15 + ["duplicate"] * 2
    assert await office.accepted() == 25


# ---------------------------------------------------------------- while it is read


async def test_the_first_rows_can_be_dialled_while_the_others_are_read(office: Office) -> None:
    file = await office.upload(listed(*many(3000)))
    listener = await office.db.dedicated()
    try:
        await listener.execute("LISTEN tongdai_dial")
        hinter = Hinter(office.db)
        await hinter.start()
        importer = FileImporter(office.db, office.storage, office.keyring, office.clock, hinter, SMALL)
        reading = asyncio.create_task(importer.read_file(file.account_id, file.id))
        async with asyncio.timeout(20):
            first = await anext(listener.notifies())
        seen = await office.look(file)
        accepted = await office.accepted()
        await reading
        await hinter.stop()
    finally:
        await listener.close()
    assert first.payload == str(office.campaign_id)
    assert (seen.state, seen.rows_total) == ("reading", 3000)
    assert 0 < accepted < 3000
    assert (await office.look(file)).accepted == 3000


async def test_a_campaign_does_not_run_dry_while_a_file_of_it_waits(office: Office) -> None:
    await office.campaign(takes_imports=False)
    async with office.db.transaction() as tx:
        await campaigns.import_contacts(
            tx,
            office.keyring,
            office.clock,
            office.person.account_id,
            office.campaign_id,
            [campaigns.NewContact("113")],
            keep_invalid=True,
        )
    file = await office.upload(listed("114,x"))

    async def finished() -> list[int]:
        async with office.db.transaction() as tx:
            return list(await campaigns.finish_dry_campaigns(tx))

    assert await finished() == []
    await office.read(file)
    assert await finished() == [office.campaign_id]


async def test_a_campaign_that_stops_keeps_what_was_read_and_says_why_it_is_all(office: Office) -> None:
    await office.campaign(config=CampaignConfig(refuse_when_stopped=True))
    file = await office.upload(listed(*many(3000)))
    async with office.working():
        await eventually(office.accepted)
        async with office.db.transaction() as tx:
            await campaigns.stop_campaign(tx, office.person.caller, office.campaign_id)

        async def failed() -> bool:
            return (await office.look(file)).state == "failed"

        await eventually(failed)
    read = await office.look(file)
    assert read.error_code == "campaign_closed"
    assert 0 < read.accepted == read.rows_read == await office.accepted() < 3000


async def test_a_file_that_cannot_be_read_fails_with_a_reason_and_is_not_kept(office: Office) -> None:
    file = await office.upload(workbook(["mã", "tên"], [1, "Lan"]), "danh sách.xlsx")
    read = await office.read(file)
    assert (read.state, read.error_code, read.accepted) == ("failed", "no_phone_column", 0)
    assert await office.report(read) == []
    assert read.storage_key is None
    assert read.report_key is not None
    assert office.stored() == [office.storage.path(read.report_key)]


async def test_a_file_that_asks_for_half_a_terabyte_fails_alone(office: Office) -> None:
    bomb = [None] * 16_383 + ["1"]
    rows = [["sdt"]] + [[]] * 40_000 + [bomb]
    file = await office.upload(workbook(*rows))
    read = await office.read(file)
    assert (read.state, read.error_code) == ("failed", "too_large_inside")


# ---------------------------------------------------------------- crashes


READS_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from tests.factories import MASTER_KEY
from tests.fakes.clock import FakeClock
from tongdai.adapters.files import FileStorage
from tongdai.domain.campaigns import FileImportConfig, FileImporter
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter

async def main():
    db = Database(sys.argv[1])
    await db.open()
    config = FileImportConfig(batch_rows=20, poll_s=0.05)
    storage = FileStorage(Path(sys.argv[2]))
    importer = FileImporter(db, storage, Keyring(MASTER_KEY), FakeClock(), Hinter(db), config)
    await importer.run(asyncio.Event())

asyncio.run(main())
"""


async def test_a_file_is_read_once_though_its_readers_are_killed(
    office: Office, database_url: str, tmp_path: Path
) -> None:
    rows = [*many(2000), "0987654321,x", *many(500), *many(1000, first=2000)]
    file = await office.upload(listed(*rows))

    async def beyond(row: int) -> None:
        async def look() -> bool:
            return (await office.look(file)).last_row > row

        await eventually(look, timeout_s=60)

    for _ in range(2):
        before = (await office.look(file)).last_row
        reader = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            READS_UNTIL_KILLED,
            database_url,
            str(tmp_path / "files"),
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path.cwd()), str(Path.cwd() / "tests")))},
        )
        try:
            await beyond(before + 300)
        finally:
            reader.kill()
            await reader.wait()
        killed = await office.look(file)
        assert killed.state == "reading"
        assert killed.accepted == await office.accepted() == len(await office.numbers())

    async with office.working():

        async def done() -> bool:
            return (await office.look(file)).state == "done"

        await eventually(done, timeout_s=60)

    read = await office.look(file)
    assert (read.accepted, read.duplicate, read.rows_read) == (3001, 500, 3501)
    numbers = await office.numbers()
    assert numbers == [f"849{n:08d}" for n in range(2000)] + ["84987654321"] + [
        f"849{n:08d}" for n in range(2000, 3000)
    ]
    report = await office.report(read)
    assert [(line[0], line[4]) for line in report] == [
        (str(2003 + n), f"Trùng với dòng {2 + n}") for n in range(500)
    ]
    assert await office.rows("SELECT FROM contact_file_batches") == []


async def test_two_processes_that_both_hold_a_file_to_be_theirs_take_each_row_once(office: Office) -> None:
    file = await office.upload(listed(*many(300)))
    await asyncio.gather(*(office.importer().read_file(file.account_id, file.id) for _ in range(3)))
    read = await office.look(file)
    assert (read.state, read.accepted) == ("done", 300)
    assert await office.numbers() == [f"849{n:08d}" for n in range(300)]
    assert read.report_key is not None
    assert office.stored() == [office.storage.path(read.report_key)]


class Watched(FileStorage):
    """Files that something happens to right before they are opened."""

    def __init__(self, root: Path, happens: Callable[[], Awaitable[None]]) -> None:
        super().__init__(root)
        self._happens = happens

    async def exists(self, key: str) -> bool:
        there = await super().exists(key)
        await self._happens()
        return there


@pytest.mark.parametrize("name", ["khách.csv", "khách.xlsx"])
async def test_a_file_that_another_process_ends_before_ours_has_opened_it_is_left_to_that(
    office: Office, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    people = [f"09{n:08d}" for n in range(30)]
    data = workbook(["sdt"], *([number] for number in people)) if name.endswith("x") else listed(*people)
    file = await office.upload(data, name)

    async def ends() -> None:
        await office.importer().read_file(file.account_id, file.id)

    late = office.importer(storage=Watched(tmp_path / "files", ends))
    with caplog.at_level(logging.INFO):
        await late.read_file(file.account_id, file.id)
    read = await office.look(file)
    assert (read.state, read.accepted, read.error_code) == ("done", 30, None)
    assert read.report_key is not None
    assert office.stored() == [office.storage.path(read.report_key)]
    told = [record for record in caplog.records if record.name.startswith("tongdai.domain.campaigns")]
    assert [record.message for record in told] == ["another process reads this contact file"]


async def test_an_upload_that_goes_before_it_is_opened_fails_the_file(office: Office, tmp_path: Path) -> None:
    file = await office.upload(listed(*many(3)))

    async def goes() -> None:
        assert file.storage_key is not None
        await office.storage.delete(file.storage_key)

    await office.importer(storage=Watched(tmp_path / "files", goes)).read_file(file.account_id, file.id)
    read = await office.look(file)
    assert (read.state, read.error_code) == ("failed", "internal")


async def test_a_reader_that_breaks_says_where_and_nothing_of_what_it_read(tmp_path: Path) -> None:
    odd = tmp_path / "0912345678"
    odd.mkdir()
    task = ReadingTask(str(odd), "csv", FileOptions(), (), 0, 10)
    with pytest.raises(ReaderDiedError) as died:
        async with reading(task):
            pytest.fail("a folder was read")
    assert re.fullmatch(r"it ended with 1: IsADirectoryError 21 at .*spreadsheet\.py:\d+.*", str(died.value))
    assert "0912345678" not in str(died.value)


async def test_a_reader_that_cannot_even_begin_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\necho no room for it >&2\nexit 3\n")
    (tmp_path / "python").chmod(0o700)
    task = ReadingTask(str(tmp_path / "khách.csv"), "csv", FileOptions(), (), 0, 10)
    with pytest.raises(ReaderDiedError, match=r"^it ended with 3: no room for it$"):
        async with reading(task):
            pytest.fail("nobody read")


async def test_a_reader_that_is_killed_is_started_again(office: Office) -> None:
    file = await office.upload(listed(*many(3000)))
    async with office.working():
        await eventually(office.accepted)
        for child in psutil.Process().children():
            if "tongdai.domain.campaigns.file_reader" in child.cmdline():
                child.kill()

        async def done() -> bool:
            return (await office.look(file)).state == "done"

        await eventually(done, timeout_s=60)
    assert (await office.look(file)).accepted == len(set(await office.numbers())) == 3000


async def test_a_file_that_kills_its_readers_is_given_up(office: Office) -> None:
    file = await office.upload(listed(*many(3)))
    await office.rows("UPDATE contact_files SET tries = 5 WHERE id = %s RETURNING 1", file.id)
    read = await office.read(file)
    assert (read.state, read.error_code) == ("failed", "internal")


async def test_an_upload_that_is_gone_from_storage_fails_the_file(office: Office) -> None:
    file = await office.upload(listed(*many(3)))
    assert file.storage_key is not None
    await office.storage.delete(file.storage_key)
    assert (await office.read(file)).error_code == "internal"


async def test_files_of_one_account_are_read_in_turn_by_any_number_of_processes(
    office: Office, cast: Cast
) -> None:
    await office.campaign(config=CampaignConfig(allow_duplicates=False))
    files = [await office.upload(listed(*many(40))) for _ in range(3)]
    elsewhere = Office(office.db, office.storage, office.keyring, cast.stranger)
    await elsewhere.campaign()
    others = await elsewhere.upload(listed(*many(40)))
    async with office.working(), office.working(), office.working():

        async def done() -> bool:
            seen = [(await office.look(file)).state for file in (*files, others)]
            return seen == ["done"] * 4

        await eventually(done)
    assert [(await office.look(file)).accepted for file in (*files, others)] == [40, 0, 0, 40]


# ---------------------------------------------------------------- taking files in, and letting go of them


async def test_what_is_refused_at_once_is_not_kept(office: Office) -> None:
    for data in (b"", b"%PDF-1.7", b"a,b\n1,2\n", b"sdt\n"):
        with pytest.raises(FileRefusedError):
            await office.upload(data)
    assert office.stored() == []
    assert await office.rows("SELECT FROM contact_files") == []


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"kind": "otp"}, campaigns.NoFilesForOtpError),
        ({"state": "finished"}, campaigns.CampaignStoppedError),
        (
            {"state": "stopped", "config": CampaignConfig(refuse_when_stopped=True)},
            campaigns.CampaignStoppedError,
        ),
    ],
)
async def test_a_campaign_that_takes_no_contacts_takes_no_file(
    office: Office, settings: dict[str, Any], error: type[Exception]
) -> None:
    wanted = settings.pop("state", "running")
    await office.campaign(**settings)
    await office.rows("UPDATE campaigns SET state = %s WHERE id = %s RETURNING 1", wanted, office.campaign_id)
    with pytest.raises(error):
        await office.upload(listed("0912345678,Lan"))
    assert office.stored() == []


async def test_a_stranger_finds_no_file_and_gives_nobody_one(office: Office, cast: Cast) -> None:
    file = await office.upload(listed("0912345678,Lan"))
    await office.read(file)
    stranger = Office(office.db, office.storage, office.keyring, cast.stranger)
    account_id = cast.stranger.account_id
    own = await stranger.campaign()
    async with office.db.transaction() as tx:
        for campaign_id in (office.campaign_id, own):
            with pytest.raises(campaigns.ContactFileNotFoundError):
                await campaigns.get_file(tx, account_id, campaign_id, file.id)
            with pytest.raises(campaigns.ContactFileNotFoundError):
                await campaigns.report_key(tx, account_id, campaign_id, file.id)
            assert await campaigns.list_files(tx, account_id, campaign_id) == []
    with pytest.raises(campaigns.CampaignNotFoundError):
        await stranger.upload(listed("0912345679,Mai"), campaign_id=office.campaign_id)
    assert await office.numbers() == ["84912345678"]


async def test_a_file_is_found_under_its_own_campaign_alone(office: Office) -> None:
    first = office.campaign_id
    file = await office.upload(listed("0912345678,Lan"), "C:\\Danh sách\\thang\t3.csv")
    second = await office.campaign()
    async with office.db.transaction() as tx:
        assert file.name == "thang3.csv"
        assert await campaigns.list_files(tx, file.account_id, first) == [file]
        assert await campaigns.list_files(tx, file.account_id, second) == []
        with pytest.raises(campaigns.ContactFileNotFoundError):
            await campaigns.get_file(tx, file.account_id, second, file.id)
        with pytest.raises(campaigns.ReportNotReadyError):
            await campaigns.report_key(tx, file.account_id, first, file.id)


async def test_a_report_is_kept_for_thirty_days_and_an_upload_until_it_was_read(office: Office) -> None:
    file = await office.upload(listed("0912345678,Lan"))
    read = await office.read(file)
    assert (file.storage_key is not None, read.storage_key) == (True, None)
    assert len(office.stored()) == 1

    async def forget() -> int:
        async with office.db.transaction() as tx:
            return await campaigns.forget_old_files(tx, office.storage, office.clock.now())

    office.clock.advance(timedelta(days=29))
    assert await forget() == 0
    await office.report(read)
    office.clock.advance(timedelta(days=2))
    assert (await forget(), await forget()) == (1, 0)
    assert office.stored() == []
    with pytest.raises(campaigns.ReportGoneError):
        await office.report(read)


async def test_an_upload_that_a_crash_left_after_its_end_is_removed(office: Office) -> None:
    read = await office.read(await office.upload(listed("0912345678,Lan")))
    await office.storage.put("contact-files/left", b"0912345678")
    await office.rows(
        "UPDATE contact_files SET storage_key = 'contact-files/left' WHERE id = %s RETURNING 1", read.id
    )
    async with office.db.transaction() as tx:
        assert await campaigns.forget_old_files(tx, office.storage, office.clock.now()) == 1
    assert not await office.storage.exists("contact-files/left")
    await office.report(read)


async def test_what_is_streamed_to_storage_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "files")

    async def pieces(*, breaking: bool = False) -> AsyncIterator[bytes]:
        yield b"a" * 300_000
        if breaking:
            raise ConnectionError
        yield b"b" * 300_000

    assert await storage.put_stream("a/b", pieces()) == 600_000
    with pytest.raises(ConnectionError):
        await storage.put_stream("a/b", pieces(breaking=True))
    whole = b"".join([piece async for piece in storage.stream("a/b")])
    assert whole == b"a" * 300_000 + b"b" * 300_000
    assert [place.name for place in (tmp_path / "files").rglob("*") if place.is_file()] == ["b"]
    with pytest.raises(StoredFileMissingError):
        await anext(storage.stream("a/c"))
