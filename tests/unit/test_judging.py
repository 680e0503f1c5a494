"""What is known of a person, held against the policy: who is called, who is not, and who waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.compliance import (
    CLOSED,
    Block,
    Go,
    Person,
    PersonCase,
    Policy,
    Verdict,
    Wait,
    keys_of,
    load_policies,
    parse_policies,
    with_persons,
)
from tongdai.domain.compliance.judging import Agreement, Known, Listed, Ring, decide
from tongdai.kit.clock import VIETNAM

NOW = datetime(2026, 11, 18, 3, 0, tzinfo=UTC)
"""10:00 in Vietnam."""
POLICY = load_policies().at(NOW)
NUMBER = "84912345678"
YES = Agreement(given=True, at=NOW - timedelta(days=9))
PURPOSES = ("advertising", "customer_care", "transactional", "survey", "debt_reminder")


def case(purpose: str = "advertising", call_id: int = 1, **changes: object) -> PersonCase:
    plain = PersonCase(
        call_id=call_id,
        account_id=7,
        number=NUMBER,
        advertiser="",
        purpose=purpose,
        person_ref=None,
        attestation_id=None,
        campaign_id=3,
        call_after=None,
        call_before=None,
        persons=(Person(),),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def rang(ago: timedelta, advertiser: str = "", *, under_way: bool = False) -> Ring:
    return Ring(NOW - ago, advertiser, under_way)


def judge(
    one: PersonCase,
    *,
    listed: Listed | None = None,
    agreement: Agreement | None = YES,
    rings: list[Ring] | None = None,
    policy: Policy = POLICY,
    now: datetime = NOW,
) -> Verdict:
    known = Known(
        {} if listed is None else {one.call_id: listed},
        {} if agreement is None else {one.call_id: agreement},
        {one.call_id: rings or []},
    )
    return decide([one], known, policy, now)[one.call_id]


# ---------------------------------------------------------------- whose locks


def test_a_claim_locks_the_person_in_the_account_in_the_advertiser_s_name_and_as_a_borrower() -> None:
    assert keys_of(case()) == ((7, "", NUMBER),)
    assert keys_of(case(advertiser="An Bình", person_ref="HD-1")) == (
        (7, "", NUMBER),
        (7, "An Bình", NUMBER),
        (7, "", "ref:HD-1"),
    )


def test_a_person_who_was_not_locked_is_not_judged() -> None:
    one = case(advertiser="An Bình")
    with pytest.raises(KeyError):
        with_persons(one, {(7, "", NUMBER): Person()})
    assert judge(replace(one, persons=())) == Block("opted_out")


# ---------------------------------------------------------------- the person's own word, and lists


@pytest.mark.parametrize("purpose", PURPOSES)
def test_who_opted_out_is_called_for_no_purpose(purpose: str) -> None:
    assert judge(case(purpose, persons=(Person(), Person(opted_out=True)))) == Block("opted_out")


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("listed", ["dnc_account", "dnc_platform"])
def test_who_is_on_our_lists_is_called_for_no_purpose(purpose: str, listed: Listed) -> None:
    assert judge(case(purpose), listed=listed) == Block(listed)


def test_the_national_register_forbids_advertising_alone() -> None:
    assert judge(case(), listed="dnc_national") == Block("dnc_national")
    for purpose in PURPOSES[1:]:
        assert isinstance(judge(case(purpose), listed="dnc_national"), Go)


def test_one_time_codes_reach_everybody() -> None:
    opted_out = case("otp", persons=(Person(opted_out=True),))
    assert judge(opted_out, listed="dnc_account", agreement=None) == Go()


# ---------------------------------------------------------------- consent

BEFORE, AFTER = NOW - timedelta(days=2), NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("agreement", "verdict"),
    [
        (None, Block("no_consent")),
        (Agreement(), Block("no_consent")),
        (Agreement(given=True, at=BEFORE), Go(NUMBER)),
        (Agreement(given=True, at=BEFORE, until=NOW), Block("no_consent")),
        (Agreement(given=True, at=BEFORE, until=NOW + timedelta(seconds=1)), Go(NUMBER)),
        (Agreement(given=False, at=BEFORE), Block("consent_withdrawn")),
        (Agreement(attested_at=BEFORE), Go(NUMBER)),
        (Agreement(given=False, at=AFTER, attested_at=BEFORE), Block("consent_withdrawn")),
        (Agreement(given=False, at=BEFORE, attested_at=BEFORE), Block("consent_withdrawn")),
        (Agreement(given=False, at=BEFORE, attested_at=AFTER), Go(NUMBER)),
        (Agreement(given=True, at=BEFORE, until=NOW, attested_at=BEFORE), Go(NUMBER)),
    ],
)
def test_nobody_is_advertised_to_without_a_word_that_still_holds(
    agreement: Agreement | None, verdict: Verdict
) -> None:
    assert judge(case(), agreement=agreement) == verdict


@pytest.mark.parametrize("purpose", PURPOSES[1:])
def test_other_purposes_need_no_consent(purpose: str) -> None:
    assert isinstance(judge(case(purpose), agreement=None), Go)


# ---------------------------------------------------------------- one advertising call in 24 hours

DAY = timedelta(hours=24)
INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("ago", "verdict"),
    [
        (timedelta(0), Block("freq_24h")),
        (DAY - INSTANT, Block("freq_24h")),
        (DAY, Go(NUMBER)),
        (DAY + INSTANT, Go(NUMBER)),
    ],
)
def test_an_advertiser_calls_a_number_once_in_any_24_hours(ago: timedelta, verdict: Verdict) -> None:
    assert judge(case(), rings=[rang(ago)]) == verdict


def test_another_advertiser_counts_for_itself() -> None:
    rings = [rang(timedelta(hours=1), "Hoa Sen")]
    assert judge(case(advertiser="An Bình"), rings=rings) == Go(NUMBER)
    assert judge(case(advertiser="Hoa Sen"), rings=rings) == Block("freq_24h")


def test_a_retry_waits_until_it_may_ring_again() -> None:
    retry = case(attempts=1)
    rung = NOW - timedelta(hours=1)
    assert judge(retry, rings=[Ring(rung, "", False)]) == Wait("freq_24h", rung + DAY)
    assert judge(retry, rings=[Ring(rung, "", False)], now=rung + DAY) == Go(NUMBER)


def test_who_is_being_dialled_now_is_looked_at_again_soon() -> None:
    verdict = judge(case(), rings=[rang(timedelta(seconds=5), under_way=True)])
    assert isinstance(verdict, Wait)
    assert verdict.rule == "freq_24h"
    assert timedelta(0) < verdict.until - NOW <= timedelta(minutes=1)


@pytest.mark.parametrize(
    ("agreement", "rings", "verdict"),
    [
        (replace(YES, max_per_24h=3), 2, Go(NUMBER)),
        (replace(YES, max_per_24h=3), 3, Block("freq_24h")),
        (replace(YES, max_per_24h=0), 0, Block("freq_24h")),
        (Agreement(attested_at=BEFORE, attested_max_per_24h=2), 1, Go(NUMBER)),
        (Agreement(attested_at=BEFORE, attested_max_per_24h=2), 2, Block("freq_24h")),
        (replace(YES, max_per_24h=1, attested_at=BEFORE, attested_max_per_24h=9), 1, Block("freq_24h")),
    ],
)
def test_more_calls_need_an_agreement_of_their_own(
    agreement: Agreement, rings: int, verdict: Verdict
) -> None:
    given = [rang(timedelta(hours=hour + 1)) for hour in range(rings)]
    assert judge(case(), agreement=agreement, rings=given) == verdict


def test_a_withdrawn_agreement_on_more_calls_is_worth_nothing() -> None:
    withdrawn = Agreement(given=False, at=BEFORE, max_per_24h=9, attested_at=AFTER)
    assert judge(case(), agreement=withdrawn, rings=[rang(timedelta(hours=1))]) == Block("freq_24h")


# ---------------------------------------------------------------- five reminders a day


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VIETNAM).astimezone(UTC)


@pytest.mark.parametrize(("rings", "verdict"), [(4, Go("ref:HD-1")), (5, Block("freq_day"))])
def test_a_borrower_is_reminded_five_times_a_day_over_all_their_numbers(rings: int, verdict: Verdict) -> None:
    given = [rang(timedelta(minutes=minute + 10), f"lender {minute}") for minute in range(rings)]
    assert judge(case("debt_reminder", person_ref="HD-1"), rings=given) == verdict


def test_a_borrower_without_a_reference_is_their_number() -> None:
    assert judge(case("debt_reminder")) == Go(NUMBER)


@pytest.mark.parametrize(
    ("now", "first"),
    [("2026-11-30 23:59:59", "2026-12-01 00:00"), ("2028-02-28 20:00", "2028-02-29 00:00")],
)
def test_the_day_of_reminders_is_vietnam_s_and_ends_at_its_midnight(now: str, first: str) -> None:
    moment, midnight = local(now), local(first)
    rings = [Ring(moment - timedelta(hours=hour), "", False) for hour in range(5)]
    retry = case("debt_reminder", attempts=1)
    assert judge(retry, rings=rings, now=moment) == Wait("freq_day", midnight)
    assert judge(retry, rings=rings, now=midnight) == Go(NUMBER)
    at_midnight = [Ring(midnight, "", False)] * 5
    assert judge(case("debt_reminder"), rings=at_midnight, now=midnight) == Block("freq_day")


def test_what_may_go_in_one_batch_counts_against_what_comes_after_it() -> None:
    numbers = [
        case("debt_reminder", call, number=f"8491234567{call}", person_ref="HD-1") for call in range(7)
    ]
    verdicts = decide(numbers, Known({}, {}, {}), POLICY, NOW)
    assert [isinstance(verdict, Go) for verdict in verdicts.values()] == [True] * 5 + [False] * 2
    late = verdicts[6]
    assert isinstance(late, Wait)
    assert late.rule == "freq_day"


# ---------------------------------------------------------------- the contact's own hours


def test_a_contact_s_own_hours_wait_or_end_and_come_before_frequency() -> None:
    busy = [rang(timedelta(hours=1))]
    later = case(call_after="11:00")
    assert judge(later, rings=busy) == Wait("contact_window", NOW + timedelta(hours=1))
    assert judge(case(call_before="2026-11-18T10:00")) == Block("contact_window_over")
    assert judge(case("otp", call_after="11:00")) == Wait("contact_window", NOW + timedelta(hours=1))


# ---------------------------------------------------------------- in doubt, nobody


@pytest.mark.parametrize("purpose", [*PURPOSES, "unheard_of"])
def test_without_a_policy_everybody_waits_but_for_one_time_codes(purpose: str) -> None:
    verdict = judge(case(purpose), policy=CLOSED)
    assert isinstance(verdict, Wait)
    assert verdict.rule == "no_policy"
    assert judge(case("otp"), policy=CLOSED) == Go()


LIMITED = parse_policies("""
[[policy]]
id = "limited"
valid_from = 2020-01-01
[[policy.rule]]
id = "resend"
purpose = "otp"
kind = "frequency"
max = 1
within = "minute"
per = "number"
on = true
confidence = "D"
source = "x"
""").at(NOW)


def test_one_time_codes_have_limits_per_number_where_an_operator_wants_them() -> None:
    code = case("otp", person_ref="HD-1", persons=(Person(opted_out=True),))
    assert judge(code, policy=LIMITED) == Go(NUMBER)
    assert judge(code, policy=LIMITED, rings=[rang(timedelta(seconds=59))]) == Block("freq_minute")
    assert judge(code, policy=LIMITED, rings=[rang(timedelta(seconds=60))]) == Go(NUMBER)


@given(st.lists(st.timedeltas(timedelta(0), timedelta(days=3)), max_size=8))
def test_no_24_hours_ever_hold_two_advertising_calls(agos: list[timedelta]) -> None:
    verdict = judge(case(attempts=1), rings=[rang(ago) for ago in agos])
    if isinstance(verdict, Wait):
        assert all(verdict.until >= NOW - ago + DAY for ago in agos)
    else:
        assert isinstance(verdict, Go) is all(ago >= DAY for ago in agos)
