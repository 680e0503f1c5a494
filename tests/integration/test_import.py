"""Importing contacts: who may, what is taken, what is skipped and why."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest
from tests import factories
from tests.fakes.clock import FakeClock

from tongdai.domain import calls, campaigns
from tongdai.domain.campaigns import (
    CampaignConfig,
    CampaignStoppedError,
    DeclaredField,
    ImportReport,
    NewContact,
)
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

SIZES = pytest.mark.parametrize("padding", [0, 100], ids=["one_statement", "copy"])
"""The same promises hold on both paths: `padding` more contacts send an import through COPY."""


def padded(contacts: list[NewContact], padding: int) -> list[NewContact]:
    return contacts + [NewContact(f"03{n:08d}", {}, "123456") for n in range(20000000, 20000000 + padding)]


class Desk:
    """A campaign of the owner's, and imports into it."""

    def __init__(self, db: Database, keyring: Keyring, owner: factories.Person, padding: int) -> None:
        self.db, self.keyring, self.owner, self.padding = db, keyring, owner, padding
        self.campaign_id = 0

    async def open(self, **settings: Any) -> campaigns.Campaign:
        campaign = await factories.campaign(self.db, self.owner, **settings)
        self.campaign_id = campaign.id
        return campaign

    async def give(self, *contacts: NewContact, **options: Any) -> ImportReport:
        async with self.db.transaction() as tx:
            return await campaigns.import_contacts(
                tx,
                self.keyring,
                FakeClock(),
                self.owner.account_id,
                self.campaign_id,
                padded(list(contacts), self.padding),
                **options,
            )

    async def rows(self, columns: str = "*") -> list[Any]:
        async with self.db.autocommit() as tx:
            cursor = await tx.execute(
                f"SELECT {columns} FROM calls"
                " WHERE campaign_id = %s AND number NOT LIKE '8432%%' ORDER BY id",
                (self.campaign_id,),
            )
            return await cursor.fetchall()

    async def accepted(self) -> int:
        async with self.db.autocommit() as tx:
            return (await campaigns.progress(tx, self.owner.account_id, self.campaign_id)).accepted


@pytest.fixture
async def cast(db: Database) -> factories.Cast:
    return await factories.cast(db)


@pytest.fixture
def padding() -> int:
    return 0


@pytest.fixture
async def desk(db: Database, keyring: Keyring, cast: factories.Cast, padding: int) -> Desk:
    return Desk(db, keyring, cast.owner, padding)


@SIZES
async def test_good_contacts_become_queued_calls_with_the_ids_that_are_reported(
    desk: Desk, padding: int
) -> None:
    campaign = await desk.open()
    report = await desk.give(
        NewContact("0912345678", {"ho_ten": "Nguyễn Văn A", "tuoi": 30}), NewContact("+84 987 654 321", {})
    )
    assert report.received == 2 + padding
    assert len(report.accepted) == 2 + padding
    rows = await desk.rows("id, number, number_given, fields, state, user_id, account_id, attempts")
    assert [row[0] for row in rows] == [report.accepted[0][1], report.accepted[1][1]]
    assert [row[1:5] for row in rows] == [
        ("84912345678", "0912345678", {"ho_ten": "Nguyễn Văn A", "tuoi": 30}, "queued"),
        ("84987654321", "+84 987 654 321", {}, "queued"),
    ]
    assert all(row[5:] == (campaign.user_id, campaign.account_id, 0) for row in rows)
    assert await desk.accepted() == 2 + padding


@SIZES
async def test_call_ids_rise_in_the_order_of_the_list(desk: Desk, padding: int) -> None:
    await desk.open()
    report = await desk.give(*(NewContact(f"09876543{n:02d}") for n in reversed(range(40))))
    assert [index for index, _ in report.accepted] == list(range(40 + padding))
    assert [call_id for _, call_id in report.accepted] == sorted(call_id for _, call_id in report.accepted)


@SIZES
async def test_bad_contacts_are_reported_and_do_not_fail_the_others(desk: Desk, padding: int) -> None:
    await desk.open()
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"x": deep}
    report = await desk.give(
        NewContact("12"),
        NewContact("0912345678"),
        NewContact("84912345678"),
        NewContact("0912345679", {"x": "a\x00b"}),
        NewContact("0912345680", {"x": "\ud800"}),
        NewContact("0912345681", {"x": float("inf")}),
        NewContact("0912345682", {"x": [{"y": float("nan")}]}),
        NewContact("0912345683", deep),
        NewContact("0912345684", {"a\x00": 1}),
        NewContact("0912\x00345685"),
        NewContact("0912345686", {"x": "y" * 70_000}),
    )
    assert [index for index, _ in report.accepted][:1] == [1]
    assert len(report.accepted) == 1 + padding
    assert dict(report.rejected) == {
        0: "too_short",
        2: "duplicate",
        3: "fields_invalid",
        4: "fields_invalid",
        5: "fields_invalid",
        6: "fields_invalid",
        7: "fields_invalid",
        8: "fields_invalid",
        9: "not_a_number",
        10: "fields_too_large",
    }


@SIZES
async def test_every_character_of_a_contact_comes_back_as_it_was_given(desk: Desk, padding: int) -> None:
    await desk.open()
    fields = {
        "path": "C:\\new\\table\\r\\u0000\\.",
        "lines": "a\tb\nc\r\nd",
        "null": None,
        "word": "\\N",
        "emoji": "📞",
        "quote": "\"'",
        "big": 10**30,
        "small": 1e-300,
        "control": "\x01\x7f\u2028",
    }
    given = "(091)\t234\n5678"
    report = await desk.give(NewContact(given, fields))
    assert len(report.accepted) == 1 + padding
    assert await desk.rows("number_given, fields") == [(given, fields)]


@SIZES
async def test_a_stopped_or_paused_voice_campaign_keeps_what_it_is_given(desk: Desk, padding: int) -> None:
    for state in ("draft", "paused", "stopped"):
        await desk.open(state=state)
        assert len((await desk.give(NewContact("0912345678"))).accepted) == 1 + padding
        assert [row[0] for row in await desk.rows("state")] == ["queued"]


@SIZES
@pytest.mark.parametrize("state", ["draft", "paused", "stopped", "finished"])
async def test_an_otp_campaign_takes_nothing_unless_it_runs(desk: Desk, state: str) -> None:
    await desk.open(kind="otp", state=state)
    with pytest.raises(CampaignStoppedError) as refused:
        await desk.give(NewContact("0912345678", {}, "123456"))
    assert refused.value.facts["state"] == state
    assert await desk.accepted() == 0


@SIZES
async def test_a_finished_campaign_takes_nothing(desk: Desk) -> None:
    await desk.open(state="finished")
    with pytest.raises(CampaignStoppedError):
        await desk.give(NewContact("0912345678"))


@SIZES
async def test_a_campaign_may_refuse_contacts_while_it_is_stopped(desk: Desk) -> None:
    await desk.open(state="stopped", config=CampaignConfig(refuse_when_stopped=True))
    with pytest.raises(CampaignStoppedError):
        await desk.give(NewContact("0912345678"))


@SIZES
async def test_an_otp_is_sealed_and_expires_and_is_nowhere_else(
    desk: Desk, keyring: Keyring, padding: int
) -> None:
    await desk.open(kind="otp", config=CampaignConfig(otp_seconds=45))
    report = await desk.give(NewContact("0912345678", {"otp_code": "004217", "ten": "A"}, "004217"))
    assert len(report.accepted) == 1 + padding
    ((fields, secret, lifetime),) = await desk.rows(
        "fields, secret, extract(epoch FROM expires_at - created_at)::float"
    )
    assert fields == {"ten": "A"}
    assert keyring.open(secret, context="otp") == b"004217"
    assert 43 < lifetime <= 45.5


@SIZES
@pytest.mark.parametrize(
    "code", [None, "", "000000", "1234", "1234567", "12345a", "１２３４５６", " 12345", "-12345"]
)
async def test_a_code_out_of_range_skips_its_contact(desk: Desk, padding: int, code: str | None) -> None:
    await desk.open(kind="otp")
    report = await desk.give(NewContact("0912345678", {}, code), NewContact("0912345679", {}, "000001"))
    assert report.rejected == [(0, "otp_invalid")]
    assert len(report.accepted) == 1 + padding


@SIZES
async def test_a_contact_without_a_valid_code_does_not_push_out_the_next_of_its_number(desk: Desk) -> None:
    await desk.open(kind="otp")
    report = await desk.give(
        NewContact("0912345678", {"n": 1}, None),
        NewContact("0912345678", {"n": 2}, "111111"),
        NewContact("0912345678", {"n": 3}, "222222"),
    )
    assert report.rejected == [(0, "otp_invalid"), (2, "duplicate")]
    assert report.accepted[0][0] == 1
    assert await desk.rows("fields") == [({"n": 2},)]


@SIZES
async def test_a_code_given_to_a_voice_campaign_is_not_kept(desk: Desk) -> None:
    await desk.open()
    await desk.give(
        NewContact("0912345678", {"otp_code": "123456"}, "123456"), NewContact("0912345679", {}, "x")
    )
    assert await desk.rows("fields, secret, expires_at") == [({}, None, None), ({}, None, None)]


@SIZES
async def test_a_number_may_be_imported_again_unless_the_campaign_says_no(desk: Desk, padding: int) -> None:
    await desk.open()
    await desk.give(NewContact("0912345678"))
    assert len((await desk.give(NewContact("0912345678"))).accepted) == 1 + padding

    await desk.open(config=CampaignConfig(allow_duplicates=False))
    await desk.give(NewContact("0912345678"))
    again = await desk.give(NewContact("+84912345678"), NewContact("0912345679"))
    assert [index for index, _ in again.accepted] == [1]
    assert again.rejected[0] == (0, "duplicate_earlier")
    assert len(again.rejected) == 1 + padding
    assert await desk.accepted() == 2 + padding


@SIZES
async def test_what_is_no_number_can_be_kept_as_a_finished_call(
    desk: Desk, padding: int, cast: factories.Cast
) -> None:
    campaign = await desk.open()
    report = await desk.give(
        NewContact("0912345678"),
        NewContact("abc\x00\\\t", {"a": "\\"}),
        NewContact("x" * 500),
        keep_invalid=True,
    )
    assert [index for index, _ in report.accepted] == list(range(3 + padding))
    assert report.rejected == []
    assert report.kept == [
        (1, report.accepted[1][1], "not_a_number"),
        (2, report.accepted[2][1], "not_a_number"),
    ]
    rows = await desk.rows("state, outcome, note, number, number_given, fields")
    assert rows[1:] == [
        ("done", "invalid_number", "not_a_number", "", "abc\ufffd\\\t", {"a": "\\"}),
        ("done", "invalid_number", "not_a_number", "", "x" * 100, {}),
    ]
    async with desk.db.autocommit() as tx:
        state = await campaigns.progress(tx, campaign.account_id, campaign.id)
        page = await calls.export_page(
            tx, calls.CampaignScope(campaign.account_id, campaign.id), limit=10, offset=0
        )
    assert (state.accepted, state.done, state.outcomes) == (3 + padding, 2, {"invalid_number": 2})
    assert [row.id for row in page.rows] == [report.accepted[1][1], report.accepted[2][1]]


DECLARED = (
    DeclaredField("ten", required=True),
    DeclaredField("tien", "integer"),
    DeclaredField("lan", "integer", default=1),
)


@SIZES
async def test_declared_fields_are_checked_and_filled_in(desk: Desk, padding: int) -> None:
    await desk.open(fields=DECLARED)
    report = await desk.give(
        NewContact("0912345678", {"ten": "Lan", "tien": "1500000", "khac": [1]}),
        NewContact("0912345679", {"tien": 5}),
        NewContact("0912345680", {"ten": "Mai", "tien": "1.500.000"}),
        NewContact("0912345681", {"ten": "Cúc", "lan": 3}),
    )
    assert [one for one in report.rejected if one[0] < 4] == [
        (1, "field_missing: ten"),
        (2, "field_invalid: tien"),
    ]
    assert report.rejected[2:] == [(at, "field_missing: ten") for at in range(4, 4 + padding)]
    assert await desk.rows("fields") == [
        ({"ten": "Lan", "tien": 1500000, "khac": [1], "lan": 1},),
        ({"ten": "Cúc", "lan": 3},),
    ]
    assert await desk.accepted() == 2


@SIZES
async def test_a_contact_that_lacks_a_field_does_not_push_out_the_next_of_its_number(desk: Desk) -> None:
    await desk.open(fields=DECLARED, config=CampaignConfig(allow_duplicates=False))
    report = await desk.give(NewContact("0912345678"), NewContact("+84912345678", {"ten": "Lan"}))
    assert [index for index, _ in report.accepted] == [1]
    again = await desk.give(NewContact("0912345678", {"ten": "Lan"}))
    assert again.rejected[0] == (0, "duplicate_earlier")


@SIZES
async def test_a_contact_that_is_wrong_for_itself_can_be_kept_with_its_reason(
    desk: Desk, padding: int
) -> None:
    campaign = await desk.open(fields=DECLARED[:1])
    report = await desk.give(
        NewContact("0912345678", {"ten": "Lan"}),
        NewContact("0912345679", {"x": "a\tb"}),
        NewContact("0912345680", {"ten": "Mai"}, problem="attempts_invalid"),
        NewContact("0912345681", {"ten": "\ud800"}),
        NewContact("0912345678", {"ten": "Cúc"}),
        NewContact("19001234", {"ten": "Hoa"}, max_attempts=0),
        NewContact("0912345682", {"ten": "Hoa"}, max_attempts=0),
        keep_invalid=True,
    )
    assert report.rejected == [(4, "duplicate")]
    assert [index for index, _ in report.accepted] == [0, 1, 2, 3, *range(5, 7 + padding)]
    ids = dict(report.accepted)
    assert [(index, reason) for index, _, reason in report.kept][:5] == [
        (1, "field_missing: ten"),
        (2, "attempts_invalid"),
        (3, "fields_invalid"),
        (5, "service"),
        (6, "max_attempts_invalid"),
    ]
    assert all(ids[index] == call_id for index, call_id, _ in report.kept)
    assert await desk.rows("state, number, note, fields") == [
        ("queued", "84912345678", None, {"ten": "Lan"}),
        ("done", "84912345679", "field_missing: ten", {"x": "a\tb"}),
        ("done", "84912345680", "attempts_invalid", {"ten": "Mai"}),
        ("done", "84912345681", "fields_invalid", {}),
        ("done", "", "service", {"ten": "Hoa"}),
        ("done", "84912345682", "max_attempts_invalid", {"ten": "Hoa"}),
    ]
    async with desk.db.autocommit() as tx:
        state = await campaigns.progress(tx, campaign.account_id, campaign.id)
    assert (state.accepted, state.outcomes) == (6 + padding, {"invalid_number": 5 + padding})


@SIZES
async def test_what_a_contact_brings_for_itself_is_stored_and_the_others_have_nothing(
    desk: Desk, padding: int
) -> None:
    await desk.open()
    own: dict[str, Any] = {
        "max_attempts": 3,
        "call_after": "08:30",
        "call_before": "2027-01-31T20:00:00+07:00",
        "person_ref": "KH\\01",
    }
    report = await desk.give(NewContact("0912345678"), NewContact("0912345679", {"a": 1}, **own))
    assert len(report.accepted) == 2 + padding
    assert await desk.rows("max_attempts, call_after, call_before, person_ref, fields") == [
        (None, None, None, None, {}),
        (*own.values(), {"a": 1}),
    ]


@SIZES
async def test_an_otp_may_bring_its_own_too(desk: Desk, keyring: Keyring) -> None:
    await desk.open(kind="otp")
    await desk.give(
        NewContact("0912345678", {}, "1"),
        NewContact("0912345678", {}, "123456", max_attempts=2),
        NewContact("0912345679", {}, "654321", person_ref="b"),
    )
    found = await desk.rows("max_attempts, person_ref, secret, expires_at IS NOT NULL")
    assert [row[:2] + row[3:] for row in found] == [(2, None, True), (None, "b", True)]
    assert [keyring.open(row[2], context="otp") for row in found] == [b"123456", b"654321"]


@SIZES
@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({"max_attempts": 0}, "max_attempts_invalid"),
        ({"max_attempts": 101}, "max_attempts_invalid"),
        ({"max_attempts": 10**30}, "max_attempts_invalid"),
        ({"call_after": "8:30"}, "call_window_invalid"),
        ({"call_before": "31/12/2026"}, "call_window_invalid"),
        ({"call_after": "20:00", "call_before": "08:00"}, "call_window_invalid"),
        ({"call_after": "\x00"}, "call_window_invalid"),
        ({"person_ref": ""}, "person_ref_invalid"),
        ({"person_ref": "x" * 101}, "person_ref_invalid"),
        ({"person_ref": "a\x00"}, "person_ref_invalid"),
        ({"person_ref": "\ud800"}, "person_ref_invalid"),
    ],
)
async def test_what_a_contact_cannot_have_for_itself_rejects_it_alone(
    desk: Desk, padding: int, own: dict[str, Any], reason: str
) -> None:
    await desk.open()
    report = await desk.give(NewContact("0912345678", {}, **own), NewContact("0912345679"))
    assert report.rejected == [(0, reason)]
    assert len(report.accepted) == 1 + padding


@SIZES
async def test_numbers_that_were_mended_or_of_the_old_plan_are_told(desk: Desk) -> None:
    await desk.open(config=CampaignConfig(allow_duplicates=False))
    await desk.give(NewContact("0912345670"))
    report = await desk.give(
        NewContact("0912345678"),
        NewContact("912345679"),
        NewContact("01632345678"),
        NewContact("912345670"),
        NewContact("912345679"),
    )
    assert [index for index, _ in report.accepted if index < 5] == [0, 1, 2]
    assert (report.repaired, report.converted) == ([1], [2])


async def test_contacts_are_read_by_the_fields_that_are_declared_when_they_are_stored(
    desk: Desk, db: Database
) -> None:
    """A small import believes that nothing is declared until the database says otherwise."""
    campaign = await desk.open()
    assert len((await desk.give(NewContact("0912345678"))).accepted) == 1
    async with db.autocommit() as tx:
        await tx.execute(
            """UPDATE campaigns SET fields = '[{"name": "ten", "required": true}]' WHERE id = %s""",
            (campaign.id,),
        )
    report = await desk.give(NewContact("0912345679"), NewContact("0912345680", {"ten": "Lan"}))
    assert (len(report.accepted), report.rejected) == (1, [(0, "field_missing: ten")])
    assert await desk.accepted() == 2


async def test_a_claim_that_refuses_calls_and_an_import_that_counts_results_wait_in_no_circle(
    desk: Desk, db: Database
) -> None:
    campaign = await desk.open()
    report = await desk.give(NewContact("0912345678"))
    async with anyio.create_task_group() as tasks, db.transaction() as claim:
        await claim.execute("SELECT FROM campaigns WHERE id = %s FOR NO KEY UPDATE", (campaign.id,))
        tasks.start_soon(partial(desk.give, NewContact("hello"), keep_invalid=True))
        await someone_waits(db, 1)
        refusal = calls.Refusal(report.accepted[0][1], calls.Outcome.BLOCKED, "opted_out")
        with anyio.fail_after(3):
            await calls.refuse_calls(claim, [refusal], FakeClock().now())
    async with db.autocommit() as tx:
        state = await campaigns.progress(tx, campaign.account_id, campaign.id)
    assert state.outcomes == {"blocked": 1, "invalid_number": 1}


@pytest.mark.parametrize("takes_imports", [True, False])
async def test_a_small_and_a_big_import_of_one_number_wait_in_no_circle(
    db: Database, keyring: Keyring, cast: factories.Cast, takes_imports: bool
) -> None:
    big, small = (Desk(db, keyring, cast.owner, padding) for padding in (100, 0))
    campaign = await big.open(config=CampaignConfig(allow_duplicates=False), takes_imports=takes_imports)
    small.campaign_id = campaign.id
    reports: dict[Desk, ImportReport] = {}

    async def give(desk: Desk, *numbers: str) -> None:
        reports[desk] = await desk.give(*map(NewContact, numbers))

    async with anyio.create_task_group() as tasks, db.transaction() as tx:
        # Holds up the big import between its first number and its last.
        await tx.execute(
            "INSERT INTO campaign_numbers (campaign_id, number, account_id) VALUES (%s, '84999999999', %s)",
            (campaign.id, campaign.account_id),
        )
        tasks.start_soon(give, big, "0312345678", "0999999999")
        await someone_waits(db, 1)
        tasks.start_soon(give, small, "0312345678")
        await someone_waits(db, 2)
    assert [index for index, _ in reports[big].rejected] == [1]
    assert reports[small].rejected == [(0, "duplicate_earlier")]


async def someone_waits(db: Database, many: int) -> None:
    """Returns when so many transactions wait for a lock of another."""
    with anyio.fail_after(4):
        async with db.autocommit() as watcher:
            while True:
                cursor = await watcher.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                if await cursor.fetchone() == (many,):
                    return


@SIZES
@pytest.mark.parametrize("campaign_id", [0, -1, 2**63, 10**12])
async def test_an_unknown_campaign_is_not_found(desk: Desk, campaign_id: int) -> None:
    desk.campaign_id = campaign_id
    with pytest.raises(campaigns.CampaignNotFoundError):
        await desk.give(NewContact("0912345678"))


@SIZES
async def test_a_colleague_may_import_and_a_stranger_finds_no_campaign(
    db: Database, keyring: Keyring, cast: factories.Cast, padding: int
) -> None:
    campaign = await factories.campaign(db, cast.owner)
    contacts = padded([NewContact("0912345678")], padding)

    async def give(tx: Tx, person: factories.Person) -> ImportReport:
        return await campaigns.import_contacts(
            tx, keyring, FakeClock(), person.account_id, campaign.id, contacts
        )

    async with db.transaction() as tx:
        assert len((await give(tx, cast.colleague)).accepted) == 1 + padding
    with pytest.raises(campaigns.CampaignNotFoundError):
        async with db.transaction() as tx:
            await give(tx, cast.stranger)
    async with db.autocommit() as tx:
        assert (await campaigns.progress(tx, cast.owner.account_id, campaign.id)).accepted == 1 + padding


async def test_a_list_without_contacts_is_taken_and_changes_nothing(desk: Desk) -> None:
    await desk.open()
    assert await desk.give() == ImportReport(0, [], [], [], [], [])
    assert await desk.accepted() == 0


async def test_a_big_import_brings_the_floor_down_to_where_it_began(desk: Desk, db: Database) -> None:
    await desk.open()
    desk.padding = 100
    async with db.autocommit() as tx:
        await tx.execute("UPDATE campaigns SET floor_at = now() + interval '1 hour', floor_id = 5")
    await desk.give(NewContact("0912345678"))
    async with db.autocommit() as tx:
        cursor = await tx.execute(
            "SELECT count(*) FROM calls q JOIN campaigns c ON c.id = q.campaign_id"
            " WHERE (q.due_at, q.id) >= (c.floor_at, c.floor_id)"
        )
        assert await cursor.fetchone() == (101,)


async def test_a_code_shows_in_no_repr() -> None:
    assert "700217" not in repr(NewContact("0912345678", {}, "700217"))


async def test_a_big_import_may_take_longer_than_other_transactions(
    db: Database, keyring: Keyring, cast: factories.Cast, database_url: str
) -> None:
    hurried = Database(database_url, max_size=1, max_transaction_s=0.3)
    await hurried.open()
    try:
        desk = Desk(hurried, keyring, cast.owner, padding=100)
        await desk.open()
        async with db.transaction() as tx:
            await tx.execute(
                "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END $$"
            )
            await tx.execute("CREATE TRIGGER slow BEFORE INSERT ON calls EXECUTE FUNCTION slowly()")
        report = await desk.give(NewContact("0901234567", {}))
        assert len(report.accepted) == 101
    finally:
        await hurried.close()
