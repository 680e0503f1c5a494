"""Which rules are in force on a day: only what is law is on, and a policy in doubt lets nobody be called."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tongdai.domain.compliance import (
    CLOSED,
    PURPOSES,
    Policy,
    PolicyBook,
    PolicyInvalidError,
    load_policies,
    parse_policies,
)
from tongdai.domain.compliance.policy import FrequencyRule
from tongdai.kit.clock import VIETNAM

NOW = datetime(2026, 11, 18, 3, 0, tzinfo=UTC)

BASE = """
[[policy]]
id = "base"
valid_from = 2026-07-01
[[policy.rule]]
id = "hours"
purpose = "survey"
kind = "window"
start = "08:00"
end = "20:00"
on = false
confidence = "D"
source = "recommended"
"""
LATER = """
[[policy]]
id = "later"
valid_from = 2026-12-01
valid_until = 2026-12-31
[[policy.rule]]
id = "hours"
purpose = "survey"
kind = "window"
start = "09:00"
end = "20:00"
on = false
confidence = "D"
source = "recommended"
"""
OWN = """
id = "ours"
valid_from = 2026-11-01
valid_until = 2026-11-30
[[rule]]
id = "hours"
on = true
"""


def at(day: str, clock: str = "12:00") -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=VIETNAM)


@pytest.fixture
def shipped() -> Policy:
    return load_policies().at(NOW)


def test_only_rules_that_are_confirmed_as_law_are_on(shipped: Policy) -> None:
    assert {rule.confidence for rule in shipped.rules if rule.on} == {"A"}
    assert {rule.confidence for rule in shipped.rules if not rule.on} == {"C", "D"}


def test_every_rule_says_where_it_comes_from(shipped: Policy) -> None:
    assert all(len(rule.source) > 10 for rule in shipped.rules)
    assert {rule.purpose for rule in shipped.rules} == set(PURPOSES)


def test_the_shipped_rules_are_the_law_s_own(shipped: Policy) -> None:
    advertising, debt = shipped.terms["advertising"], shipped.terms["debt_reminder"]
    assert (advertising.fixed, advertising.lawful) == (((0, 1440),), ((8 * 60, 17 * 60),))
    assert (advertising.consent, advertising.brand_name) == (True, True)
    assert advertising.national_list is not None
    assert (debt.fixed, debt.consent, debt.national_list) == (((7 * 60, 21 * 60),), False, None)
    caps = [(limit.max, limit.within, limit.per) for limit in (*advertising.limits, *debt.limits)]
    assert caps == [(1, "24h", "advertiser"), (5, "day", "person")]


@pytest.mark.parametrize("purpose", ["customer_care", "transactional", "survey", "otp"])
def test_nothing_that_is_no_law_binds_other_purposes(shipped: Policy, purpose: str) -> None:
    terms = shipped.terms[purpose]
    assert terms.fixed == terms.lawful == ((0, 1440),)
    assert (terms.limits, terms.consent, terms.closed_on_holidays, terms.brand_name) == (
        (),
        False,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("moment", "policy"),
    [
        (at("2026-06-30", "23:59"), ""),
        (at("2026-07-01", "00:00"), "base"),
        (at("2026-11-30", "23:59"), "base"),
        (at("2026-12-01", "00:00"), "later"),
        (at("2026-12-31", "23:59"), "later"),
        (at("2027-01-01", "00:00"), ""),
        (datetime(2026, 6, 30, 17, 0, tzinfo=UTC), "base"),
    ],
)
def test_a_policy_holds_on_its_days_in_vietnam_and_nothing_holds_after_the_newest_has_ended(
    moment: datetime, policy: str
) -> None:
    assert parse_policies(BASE + LATER).at(moment).id == policy


def test_a_clock_without_a_zone_has_no_policy() -> None:
    assert parse_policies(BASE).at(datetime(2026, 11, 18, 3, 0)) is CLOSED  # noqa: DTZ001


def test_without_a_policy_one_time_codes_alone_have_terms() -> None:
    assert set(CLOSED.terms) == {"otp"}
    assert PolicyBook().at(NOW) is CLOSED


# ---------------------------------------------------------------- an operator's own file


def test_an_operator_s_file_changes_a_rule_on_its_days() -> None:
    book = parse_policies(BASE + LATER, OWN)
    assert book.at(at("2026-10-31")).terms["survey"].fixed == ((0, 1440),)
    changed = book.at(at("2026-11-01"))
    assert (changed.id, changed.terms["survey"].fixed) == ("base+ours", ((480, 1200),))
    assert book.at(at("2026-12-01")).id == "later"


def test_an_operator_may_add_rules_of_their_own() -> None:
    more = """
        [[rule]]
        id = "twice"
        purpose = "survey"
        kind = "frequency"
        max = 2
        within = "day"
        per = "person"
        on = true
        confidence = "D"
        source = "our own promise"
    """
    (limit,) = parse_policies(BASE, OWN + more).at(NOW).terms["survey"].limits
    assert isinstance(limit, FrequencyRule)
    assert (limit.max, limit.rule) == (2, "freq_day")


def test_what_an_operator_s_file_does_not_name_stays_as_shipped(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('id = "x"\nvalid_from = 2026-01-01\n[[rule]]\nid = "customer_care_window"\non = true\n')
    policy = load_policies(own).at(NOW)
    assert policy.terms["customer_care"].fixed == ((480, 1200),)
    assert policy.terms["advertising"] == load_policies().at(NOW).terms["advertising"]


@pytest.mark.parametrize(
    "own",
    [
        "",
        "id = 1",
        OWN + "surprise = 1",
        OWN.replace("hours", "huors"),
        OWN.replace('"hours"', "[1]"),
        OWN + '[[rule]]\nid = "hours"\non = false\n',
        OWN + 'start = "21:00"\n',
        OWN + 'start = "8:00"\n',
        OWN + 'start = "24:30"\n',
        OWN + 'confidence = "E"\n',
        OWN + 'kind = "frequency"\n',
        OWN + 'unless_agreed = "yes"\n',
        OWN + 'purpose = "otp"\n',
        OWN + 'purpose = "emergency"\n',
    ],
)
def test_a_file_in_doubt_is_refused_whole(own: str) -> None:
    with pytest.raises(PolicyInvalidError):
        parse_policies(BASE, own)


@pytest.mark.parametrize("content", [b"id = ", b"\xff\xfe", None])
def test_a_file_that_cannot_be_used_leaves_no_policy_and_says_so(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "own.toml"
    if content is not None:
        own.write_bytes(content)
    with caplog.at_level(logging.ERROR):
        assert load_policies(own).at(NOW) is CLOSED
    assert "no compliance policy" in caplog.text


def test_only_a_number_of_calls_in_24_hours_can_be_agreed() -> None:
    rule = """
        [[policy.rule]]
        id = "cap"
        purpose = "survey"
        kind = "frequency"
        max = 2
        within = "day"
        per = "person"
        unless_agreed = true
        on = true
        confidence = "D"
        source = "x"
    """
    with pytest.raises(PolicyInvalidError, match="24 hours"):
        parse_policies(BASE + rule)
