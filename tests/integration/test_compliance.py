"""Who may be called, on the real database: lists, consent, attestations, frequency, two at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

import psycopg
import pytest
from tests import factories
from tests.fakes.dialling import eventually, rows

from tongdai.domain import compliance
from tongdai.domain.compliance import (
    PLATFORM,
    Block,
    Go,
    NewAttestation,
    NewConsent,
    NewDoNotCall,
    Person,
    PersonCase,
    Verdict,
    Wait,
    keys_of,
    with_persons,
)
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 18, 3, 0, tzinfo=UTC)
POLICY = compliance.load_policies().at(NOW)
NUMBER, OTHER = "84912345678", "84987654321"


@pytest.fixture
async def cast(db: Database) -> factories.Cast:
    return await factories.cast(db)


def case(person: factories.Person, purpose: str = "customer_care", **changes: Any) -> PersonCase:
    plain = PersonCase(
        call_id=1,
        account_id=person.account_id,
        number=NUMBER,
        advertiser="",
        purpose=purpose,
        person_ref=None,
        attestation_id=None,
        campaign_id=1,
        call_after=None,
        call_before=None,
    )
    return replace(plain, **changes)


async def judge_all(tx: Tx, cases: Sequence[PersonCase], now: datetime = NOW) -> dict[int, Verdict]:
    locked = await compliance.lock_persons(tx, [key for one in cases for key in keys_of(one)])
    return await compliance.judge(tx, [with_persons(one, locked) for one in cases], POLICY, now)


async def judge(tx: Tx, one: PersonCase, now: datetime = NOW) -> Verdict:
    return (await judge_all(tx, [one], now))[one.call_id]


async def listed(tx: Tx, account_id: int, *numbers: str, **more: bool) -> None:
    entries = [NewDoNotCall(number, **more) for number in numbers]
    await compliance.list_numbers(tx, account_id, entries, source="manual")


async def consented(
    tx: Tx, person: factories.Person, given: bool = True, *, at: datetime = NOW, **more: Any
) -> None:
    new = NewConsent(NUMBER, "advertising", given, "web", at=at, evidence="form 7")
    report = await compliance.record_consents(
        tx,
        person.account_id,
        person.user.id,
        [replace(new, **more)],
        NOW,
    )
    assert not report.rejected


async def attested(tx: Tx, person: factories.Person, **changes: Any) -> int:
    new = NewAttestation("advertising", NOW - timedelta(days=5), "shop form", "folder 12")
    made = await compliance.attest(
        tx,
        person.account_id,
        person.user.id,
        replace(new, **changes),
        NOW,
    )
    return made.id


# ---------------------------------------------------------------- lists


async def test_an_account_s_list_binds_its_own_calls_and_nobody_else_s(tx: Tx, cast: factories.Cast) -> None:
    await listed(tx, cast.owner.account_id, "0912 345 678")
    assert await judge(tx, case(cast.owner)) == Block("dnc_account")
    assert await judge(tx, case(cast.colleague)) == Block("dnc_account")
    assert await judge(tx, case(cast.stranger)) == Go()
    assert await judge(tx, case(cast.owner, number=OTHER)) == Go()
    assert await judge(tx, case(cast.owner, "otp")) == Go()


async def test_the_platform_s_list_binds_everybody(tx: Tx, cast: factories.Cast) -> None:
    await listed(tx, PLATFORM, NUMBER)
    assert await judge(tx, case(cast.owner)) == Block("dnc_platform")
    assert await judge(tx, case(cast.stranger)) == Block("dnc_platform")


async def test_a_number_that_wants_no_messages_may_be_called(tx: Tx, cast: factories.Cast) -> None:
    await listed(tx, cast.owner.account_id, NUMBER, voice=False)
    assert await judge(tx, case(cast.owner)) == Go()


async def test_an_entry_ends_when_its_time_is_up(tx: Tx, cast: factories.Cast) -> None:
    entry = [NewDoNotCall(NUMBER)]
    await compliance.list_numbers(tx, cast.owner.account_id, entry, source="manual", until=NOW)
    assert await judge(tx, case(cast.owner), NOW - timedelta(microseconds=1)) == Block("dnc_account")
    assert await judge(tx, case(cast.owner), NOW) == Go()


async def test_an_entry_can_be_taken_off_by_its_own_account_alone(tx: Tx, cast: factories.Cast) -> None:
    await listed(tx, cast.owner.account_id, NUMBER)
    [entry] = await compliance.do_not_call_entries(tx, cast.owner.account_id, after=0, limit=10)
    for account_id in (cast.stranger.account_id, PLATFORM):
        with pytest.raises(compliance.DoNotCallNotFoundError):
            await compliance.unlist(tx, account_id, entry.id)
    await compliance.unlist(tx, cast.owner.account_id, entry.id)
    assert await judge(tx, case(cast.owner)) == Go()


async def test_a_list_reports_what_is_no_number_and_holds_each_number_once(
    tx: Tx, cast: factories.Cast
) -> None:
    entries = [NewDoNotCall(given) for given in ("0912345678", "+84 912 345 678", "113", "x", "0987654321")]
    report = await compliance.list_numbers(tx, cast.owner.account_id, entries, source="manual")
    assert (report.received, report.listed) == (5, 2)
    assert report.rejected == ((2, "short_code"), (3, "not_a_number"))


# ---------------------------------------------------------------- the national register


async def imported(db: Database, text: str, as_of: datetime = NOW) -> None:
    entries = compliance.read_list(text)
    await compliance.import_national_list(db, entries, as_of=as_of, source="file", now=NOW)


async def test_nobody_on_the_national_register_is_advertised_to(db: Database, cast: factories.Cast) -> None:
    await imported(db, f"{NUMBER},V\n{OTHER},S\n")
    async with db.transaction() as tx:
        for number in (NUMBER, OTHER):
            await consented(tx, cast.owner, given_number=number)
        assert await judge(tx, case(cast.owner, "advertising")) == Block("dnc_national")
        assert await judge(tx, case(cast.owner, "customer_care")) == Go()
        assert await judge(tx, case(cast.owner, "advertising", number=OTHER)) == Go(OTHER)


async def test_a_new_copy_replaces_the_one_before(
    db: Database, cast: factories.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tongdai.domain.compliance.importing.PAGE", 2)
    many = [f"8491234{n:04d}" for n in range(7)]
    await imported(db, "\n".join([NUMBER, *many]), NOW - timedelta(days=1))
    await imported(db, "\n".join([*many, OTHER]))
    left = await rows(db, "SELECT number FROM national_do_not_call ORDER BY number")
    assert [number for (number,) in left] == [*many, OTHER]
    async with db.transaction() as tx:
        state = await compliance.national_list(tx)
    assert state == compliance.NationalList(NOW, connected=False)


async def test_an_import_that_breaks_off_lets_nobody_be_called_and_makes_no_copy_fresh(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await imported(db, NUMBER, NOW - timedelta(days=1))
    async with db.autocommit() as connection:
        await connection.execute(
            "ALTER TABLE national_do_not_call ADD CONSTRAINT broken CHECK (number < '84987') NOT VALID"
        )
    monkeypatch.setattr("tongdai.domain.compliance.importing.PAGE", 1)
    with pytest.raises(psycopg.errors.CheckViolation):
        await imported(db, f"84900000001\n{OTHER}")
    left = await rows(db, "SELECT number FROM national_do_not_call ORDER BY number")
    assert [number for (number,) in left] == ["84900000001", NUMBER]
    async with db.transaction() as tx:
        state = await compliance.national_list(tx)
    assert state is not None
    assert state.as_of == NOW - timedelta(days=1)


async def test_an_older_an_empty_and_a_future_register_are_refused(db: Database) -> None:
    await imported(db, NUMBER)
    with pytest.raises(compliance.NationalListOldError):
        await imported(db, OTHER, NOW - timedelta(seconds=1))
    for text, as_of in (("", NOW), ("no number\n", NOW), (OTHER, NOW + timedelta(hours=1))):
        with pytest.raises(compliance.RecordInvalidError):
            await imported(db, text, as_of)
    assert await rows(db, "SELECT number FROM national_do_not_call") == [(NUMBER,)]


# ---------------------------------------------------------------- consent


async def test_the_latest_word_of_a_person_counts(tx: Tx, cast: factories.Cast) -> None:
    advert = case(cast.owner, "advertising")
    assert await judge(tx, advert) == Block("no_consent")
    await consented(tx, cast.owner, at=NOW - timedelta(days=3))
    assert await judge(tx, advert) == Go(NUMBER)
    await consented(tx, cast.owner, False, at=NOW - timedelta(days=2))
    assert await judge(tx, advert) == Block("consent_withdrawn")
    await consented(tx, cast.owner, at=NOW - timedelta(days=4))
    assert await judge(tx, advert) == Block("consent_withdrawn")
    await consented(tx, cast.owner, at=NOW - timedelta(days=1))
    assert await judge(tx, advert) == Go(NUMBER)
    assert await judge(tx, case(cast.stranger, "advertising")) == Block("no_consent")


async def test_a_consent_holds_for_its_advertiser_and_a_withdrawal_towards_the_account_for_all(
    tx: Tx, cast: factories.Cast
) -> None:
    for_lotus = case(cast.owner, "advertising", advertiser="Hoa Sen")
    await consented(tx, cast.owner, at=NOW - timedelta(days=3))
    assert await judge(tx, for_lotus) == Block("no_consent")
    await consented(tx, cast.owner, at=NOW - timedelta(days=3), advertiser="Hoa Sen")
    assert await judge(tx, for_lotus) == Go(NUMBER)
    await consented(tx, cast.owner, False, at=NOW - timedelta(days=2), advertiser="An Bình")
    assert await judge(tx, for_lotus) == Go(NUMBER)
    await consented(tx, cast.owner, False, at=NOW - timedelta(days=1))
    assert await judge(tx, for_lotus) == Block("consent_withdrawn")


async def test_a_consent_to_another_purpose_is_none(tx: Tx, cast: factories.Cast) -> None:
    await consented(tx, cast.owner, purpose="survey")
    assert await judge(tx, case(cast.owner, "advertising")) == Block("no_consent")


async def test_what_is_no_consent_is_reported_and_not_written_down(tx: Tx, cast: factories.Cast) -> None:
    good = NewConsent(NUMBER, "advertising", True, "web", evidence="form 7")
    given = [
        replace(good, given_number="113"),
        replace(good, purpose="otp"),
        replace(good, at=NOW + timedelta(hours=1)),
        replace(good, evidence=" "),
        replace(good, until=NOW - timedelta(days=1)),
        replace(good, max_per_24h=101),
        replace(good, at=datetime(1, 1, 1, tzinfo=UTC)),
        good,
    ]
    report = await compliance.record_consents(tx, cast.owner.account_id, cast.owner.user.id, given, NOW)
    assert [reason for _, reason in report.rejected] == [
        "short_code",
        "purpose_invalid",
        "at_in_future",
        "evidence_missing",
        "until_before_at",
        "max_per_24h_invalid",
        "time_out_of_range",
    ]
    assert [index for index, _ in report.accepted] == [7]
    kept = await compliance.list_consents(tx, cast.owner.account_id, number=NUMBER, after=0, limit=10)
    assert [(one.number, one.at, one.user_id) for one in kept] == [(NUMBER, NOW, cast.owner.user.id)]
    assert await compliance.list_consents(tx, cast.stranger.account_id, after=0, limit=10) == []


# ---------------------------------------------------------------- attestations


async def test_an_attestation_stands_for_a_list_without_consents(tx: Tx, cast: factories.Cast) -> None:
    theirs = await attested(tx, cast.stranger)
    mine = await attested(tx, cast.owner)
    assert await judge(tx, case(cast.owner, "advertising", attestation_id=theirs)) == Block("no_consent")
    assert await judge(tx, case(cast.colleague, "advertising", attestation_id=mine)) == Go(NUMBER)


@pytest.mark.parametrize("changes", [{"purpose": "survey"}, {"advertiser": "Hoa Sen"}])
async def test_an_attestation_for_something_else_is_none(
    tx: Tx, cast: factories.Cast, changes: dict[str, str]
) -> None:
    made = await attested(tx, cast.owner, **changes)
    assert await judge(tx, case(cast.owner, "advertising", attestation_id=made)) == Block("no_consent")


async def test_who_withdrew_after_the_attestation_is_not_called(tx: Tx, cast: factories.Cast) -> None:
    made = await attested(tx, cast.owner, obtained_at=NOW - timedelta(days=5))
    advert = case(cast.owner, "advertising", attestation_id=made)
    await consented(tx, cast.owner, False, at=NOW - timedelta(days=6))
    assert await judge(tx, advert) == Go(NUMBER)
    await consented(tx, cast.owner, False, at=NOW - timedelta(days=4))
    assert await judge(tx, advert) == Block("consent_withdrawn")


async def test_an_attestation_that_was_ended_stands_for_nobody(tx: Tx, cast: factories.Cast) -> None:
    made = await attested(tx, cast.owner, agreed=compliance.AgreedTerms("07:00", "21:00", 2))
    assert await compliance.agreed_terms(tx, [made]) == {made: compliance.AgreedTerms("07:00", "21:00", 2)}
    user_id = cast.owner.user.id
    with pytest.raises(compliance.AttestationNotFoundError):
        await compliance.end_attestation(
            tx, cast.stranger.account_id, made, user_id=cast.stranger.user.id, reason="x"
        )
    ended = await compliance.end_attestation(
        tx, cast.owner.account_id, made, user_id=user_id, reason="bought"
    )
    assert (ended.ended_by, ended.ended_reason) == (user_id, "bought")
    assert await judge(tx, case(cast.owner, "advertising", attestation_id=made)) == Block("no_consent")
    assert await compliance.agreed_terms(tx, [made]) == {}
    with pytest.raises(compliance.AttestationEndedError):
        await compliance.end_attestation(tx, cast.owner.account_id, made, user_id=user_id, reason="again")


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "otp"},
        {"obtained_at": NOW + timedelta(days=1)},
        {"obtained_at": datetime(1, 1, 1, tzinfo=UTC)},
        {"method": " "},
        {"evidence": ""},
        {"agreed": compliance.AgreedTerms("21:00", "08:00")},
        {"agreed": compliance.AgreedTerms("21:00", None)},
        {"agreed": compliance.AgreedTerms(max_per_24h=101)},
    ],
)
async def test_an_attestation_says_how_when_and_where_the_proof_is(
    tx: Tx, cast: factories.Cast, changes: dict[str, Any]
) -> None:
    with pytest.raises(compliance.RecordInvalidError):
        await attested(tx, cast.owner, **changes)


@pytest.mark.parametrize("table", ["consents", "attestations", "attestation_ends", "opt_outs"])
@pytest.mark.parametrize("change", ["UPDATE {} SET account_id = 0", "DELETE FROM {}"])
async def test_evidence_is_neither_changed_nor_deleted(
    db: Database, cast: factories.Cast, table: str, change: str
) -> None:
    owner = cast.owner
    async with db.transaction() as tx:
        await consented(tx, owner)
        made = await attested(tx, owner)
        await compliance.end_attestation(tx, owner.account_id, made, user_id=owner.user.id, reason="x")
        await compliance.mark_opted_out(tx, owner.account_id, [NUMBER], "", "api", NOW)
    with pytest.raises(psycopg.errors.RaiseException, match="evidence"):
        await rows(db, change.format(table))


# ---------------------------------------------------------------- opting out


async def test_an_opt_out_holds_for_its_advertiser_or_for_the_whole_account(
    tx: Tx, cast: factories.Cast
) -> None:
    account_id = cast.owner.account_id
    lotus, peace = case(cast.owner, advertiser="Hoa Sen"), case(cast.owner, advertiser="An Bình")
    assert await compliance.mark_opted_out(tx, account_id, [NUMBER], "Hoa Sen", "script", NOW) == [NUMBER]
    assert await compliance.mark_opted_out(tx, account_id, [NUMBER], "Hoa Sen", "script", NOW) == []
    assert (await judge(tx, lotus), await judge(tx, peace)) == (Block("opted_out"), Go())
    await compliance.mark_opted_out(tx, account_id, [NUMBER], "", "api", NOW)
    assert (await judge(tx, lotus), await judge(tx, peace)) == (Block("opted_out"), Block("opted_out"))
    assert await judge(tx, case(cast.owner, "otp")) == Go()
    assert await judge(tx, case(cast.stranger)) == Go()


async def test_an_opt_out_is_lifted_as_it_was_made_and_both_stay_on_record(
    tx: Tx, cast: factories.Cast
) -> None:
    account_id, user_id = cast.owner.account_id, cast.owner.user.id
    await compliance.mark_opted_out(tx, account_id, [NUMBER], "Hoa Sen", "script", NOW)
    for where, advertiser in ((account_id, ""), (cast.stranger.account_id, "Hoa Sen")):
        with pytest.raises(compliance.OptOutNotFoundError):
            await compliance.lift_opt_out(
                tx, where, NUMBER, advertiser, "api", NOW, reason="called us", user_id=user_id
            )
    await compliance.lift_opt_out(
        tx, account_id, NUMBER, "Hoa Sen", "api", NOW, reason="called us", user_id=user_id
    )
    assert await judge(tx, case(cast.owner, advertiser="Hoa Sen")) == Go()
    said = await compliance.list_opt_outs(tx, account_id, number=NUMBER, after=0, limit=10)
    assert [(one.action, one.source, one.user_id) for one in said] == [
        ("opted_out", "script", None),
        ("lifted", "api", user_id),
    ]


# ---------------------------------------------------------------- frequency


async def test_a_call_that_rang_counts_and_one_that_did_not_is_forgotten(
    tx: Tx, cast: factories.Cast
) -> None:
    await consented(tx, cast.owner, at=NOW - timedelta(days=9))
    advert, account_id = case(cast.owner, "advertising"), cast.owner.account_id
    await compliance.record_rings(tx, [(account_id, NUMBER, "", "advertising", 5, NOW - timedelta(hours=3))])
    assert await judge(tx, advert) == Block("freq_24h")
    assert await judge(tx, case(cast.owner, "debt_reminder")) == Go(NUMBER)
    assert await judge(tx, case(cast.stranger, "debt_reminder")) == Go(NUMBER)
    await compliance.forget_rings(tx, [(cast.stranger.account_id, NUMBER, 5), (account_id, NUMBER, 6)])
    assert await judge(tx, advert) == Block("freq_24h")
    await compliance.forget_rings(tx, [(account_id, NUMBER, 5)])
    assert await judge(tx, advert) == Go(NUMBER)


async def test_a_leg_that_has_not_ended_makes_the_next_call_wait_and_not_end(
    tx: Tx, cast: factories.Cast
) -> None:
    account_id = cast.owner.account_id
    await consented(tx, cast.owner, at=NOW - timedelta(days=9))
    await compliance.record_rings(tx, [(account_id, NUMBER, "", "advertising", 5, NOW)])
    await tx.execute(
        """INSERT INTO legs (id, account_id, attempt_id, call_id, campaign_id, trunk_id, hotline_id, engine,
                             dialer_id, number, limit_ids, dial_at, dial_before, gives_up_at)
           VALUES (5, %s, 1, 1, 1, 1, 1, 'sandbox', 1, %s, '{}', now(), now(), now())""",
        (account_id, NUMBER),
    )
    verdict = await judge(tx, case(cast.owner, "advertising"))
    assert isinstance(verdict, Wait)
    assert verdict.rule == "freq_24h"
    await tx.execute("UPDATE legs SET state = 'ended' WHERE id = 5")
    assert await judge(tx, case(cast.owner, "advertising")) == Block("freq_24h")


async def test_reminders_of_a_borrower_count_over_numbers_advertisers_and_campaigns(
    tx: Tx, cast: factories.Cast
) -> None:
    account_id = cast.owner.account_id
    rings = [(account_id, "ref:HD-1", f"lender {leg}", "debt_reminder", leg, NOW) for leg in range(5)]
    await compliance.record_rings(tx, rings)
    reminder = case(cast.owner, "debt_reminder", number=OTHER, person_ref="HD-1", campaign_id=9)
    assert await judge(tx, reminder) == Block("freq_day")
    assert await judge(tx, replace(reminder, person_ref="HD-2")) == Go("ref:HD-2")
    assert await judge(tx, reminder, NOW + timedelta(hours=14)) == Go("ref:HD-1")


async def test_rings_that_no_rule_looks_back_to_are_purged(tx: Tx, cast: factories.Cast) -> None:
    account_id = cast.owner.account_id
    ages = [timedelta(0), timedelta(days=2), timedelta(days=4), timedelta(days=5)]
    rings = [(account_id, NUMBER, "", "advertising", leg, NOW - age) for leg, age in enumerate(ages)]
    await compliance.record_rings(tx, rings)
    assert await compliance.purge_rings(tx, NOW, limit=1) == 1
    assert await compliance.purge_rings(tx, NOW) == 1
    assert await compliance.purge_rings(tx, NOW) == 0


# ---------------------------------------------------------------- two at once


async def waits(db: Database) -> bool:
    found = await rows(
        db,
        """SELECT count(*) FROM pg_stat_activity
           WHERE wait_event_type = 'Lock' AND datname = current_database()""",
    )
    return bool(found[0][0])


async def test_who_opts_out_first_is_not_called_by_a_claim_that_came_second(
    db: Database, cast: factories.Cast
) -> None:
    async def claim() -> Verdict:
        async with db.transaction() as tx:
            return await judge(tx, case(cast.owner))

    async with db.transaction() as tx:
        await compliance.mark_opted_out(tx, cast.owner.account_id, [NUMBER], "", "script", NOW)
        claiming = asyncio.create_task(claim())
        await eventually(lambda: waits(db))
    assert await claiming == Block("opted_out")


@pytest.mark.parametrize("advertiser", ["", "Hoa Sen"])
async def test_an_opt_out_is_answered_only_when_a_claim_before_it_has_committed(
    db: Database, cast: factories.Cast, advertiser: str
) -> None:
    async def opt_out() -> None:
        async with db.transaction() as tx:
            await compliance.mark_opted_out(tx, cast.owner.account_id, [NUMBER], advertiser, "script", NOW)

    async with db.transaction() as tx:
        assert await judge(tx, case(cast.owner, advertiser="Hoa Sen")) == Go()
        opting_out = asyncio.create_task(opt_out())
        await eventually(lambda: waits(db))
        assert not opting_out.done()
    await opting_out
    async with db.transaction() as tx:
        assert await judge(tx, case(cast.owner, advertiser="Hoa Sen")) == Block("opted_out")


@pytest.mark.parametrize("what", ["list", "withdrawal"])
async def test_a_listing_and_a_withdrawal_are_answered_after_a_claim_before_them(
    db: Database, cast: factories.Cast, what: str
) -> None:
    async def forbid() -> None:
        async with db.transaction() as tx:
            if what == "list":
                await listed(tx, cast.owner.account_id, NUMBER)
            else:
                await consented(tx, cast.owner, False)

    async with db.transaction() as tx:
        await consented(tx, cast.owner, at=NOW - timedelta(days=1))
        assert await judge(tx, case(cast.owner, "advertising")) == Go(NUMBER)
        forbidding = asyncio.create_task(forbid())
        await eventually(lambda: waits(db))
        assert not forbidding.done()
    await forbidding
    async with db.transaction() as tx:
        assert isinstance(await judge(tx, case(cast.owner, "advertising")), Block)


async def test_two_dialers_never_remind_a_borrower_a_sixth_time(db: Database, cast: factories.Cast) -> None:
    account_id = cast.owner.account_id

    async def claim(leg: int) -> Verdict:
        number = f"8491234{leg:04d}"
        reminder = case(cast.owner, "debt_reminder", number=number, person_ref="HD-1")
        async with db.transaction() as tx:
            verdict = await judge(tx, reminder)
            if isinstance(verdict, Go):
                assert verdict.person_key is not None
                rung = (account_id, verdict.person_key, "", "debt_reminder", leg, NOW)
                await compliance.record_rings(tx, [rung])
        return verdict

    verdicts = await asyncio.gather(*(claim(leg) for leg in range(12)))
    assert sum(isinstance(verdict, Go) for verdict in verdicts) == 5


async def test_claims_and_opt_outs_of_many_persons_never_wait_for_each_other_in_a_circle(
    db: Database, cast: factories.Cast
) -> None:
    chance = random.Random(7)
    numbers = [f"8491234{n:04d}" for n in range(30)]

    def some() -> list[PersonCase]:
        return [
            case(
                cast.owner,
                call_id=at,
                number=number,
                advertiser=chance.choice(["", "A", "B"]),
                person_ref="x",
            )
            for at, number in enumerate(chance.sample(numbers, 15))
        ]

    async def claim(cases: list[PersonCase]) -> None:
        async with db.transaction() as tx:
            await judge_all(tx, cases)

    async def opt_out(given: list[str], advertiser: str) -> None:
        async with db.transaction() as tx:
            await compliance.mark_opted_out(tx, cast.owner.account_id, given, advertiser, "api", NOW)

    await asyncio.gather(
        *(claim(some()) for _ in range(20)),
        *(opt_out(chance.sample(numbers, 15), chance.choice(["", "A"])) for _ in range(20)),
    )
    opted_out = await rows(db, "SELECT count(*) FROM persons WHERE opted_out_at IS NOT NULL")
    assert opted_out[0][0] > 0


# ---------------------------------------------------------------- cost


class Counting(psycopg.AsyncCursor[Any]):
    """Notes each statement that it is given."""

    executed: ClassVar[list[object]] = []

    async def execute(self, query: Any, *values: Any, **more: Any) -> Self:
        self.executed.append(query)
        return await super().execute(query, *values, **more)


@pytest.mark.parametrize(
    ("purposes", "statements"),
    [
        (("customer_care", "transactional", "survey"), 1),
        (("debt_reminder", "survey"), 2),
        (("advertising", "debt_reminder", "customer_care", "otp"), 3),
        (("otp",), 0),
    ],
)
async def test_a_batch_costs_as_many_statements_as_one_call(
    tx: Tx, cast: factories.Cast, purposes: tuple[str, ...], statements: int
) -> None:
    cases = [
        case(
            cast.owner,
            purposes[at % len(purposes)],
            call_id=at,
            number=f"8491234{at:04d}",
            person_ref=f"{at}",
        )
        for at in range(100)
    ]
    locked = await compliance.lock_persons(tx, [key for one in cases for key in keys_of(one)])
    assert set(locked.values()) == {Person()}
    tx.cursor_factory = Counting
    Counting.executed.clear()
    verdicts = await compliance.judge(tx, [with_persons(one, locked) for one in cases], POLICY, NOW)
    assert (len(Counting.executed), len(verdicts)) == (statements, 100)


async def test_long_lists_are_looked_up_and_not_read(db: Database, cast: factories.Cast) -> None:
    """Whatever the statistics say: none were gathered since the lists came."""
    async with db.autocommit() as connection:
        await connection.execute(
            """INSERT INTO national_do_not_call
               SELECT '8490' || lpad(n::text, 7, '0'), true, true, 1 FROM generate_series(1, 50000) n"""
        )
        await connection.execute(
            """INSERT INTO do_not_call (account_id, number, voice, sms, source)
               SELECT %s, '8490' || lpad(n::text, 7, '0'), true, true, 'x'
               FROM generate_series(1, 50000) n""",
            (cast.owner.account_id,),
        )
    cases = [case(cast.owner, "advertising", call_id=at, number=f"8491234{at:04d}") for at in range(100)]
    before = await rows(db, READ)
    async with db.transaction() as tx:
        await judge_all(tx, cases)
        await tx.execute("SELECT pg_stat_force_next_flush()")
    after = await rows(db, READ)
    assert after[0][0] - before[0][0] < 1000


READ = """
SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint FROM pg_stat_user_tables
WHERE relname IN ('do_not_call', 'national_do_not_call')
"""
