"""Retries do exactly what the form says (promise 2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.calls.model import NEVER_RETRIED, REFUSALS, RETRIED_ON_REQUEST, Outcome
from tongdai.domain.campaigns.model import (
    LOST_RULE,
    VOICEMAIL_RULE,
    CampaignConfig,
    Final,
    RetryAt,
    RetryRule,
    next_step,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
FORM = {outcome.value: RetryRule(times=2, after_seconds=300) for outcome in RETRIED_ON_REQUEST}


def step(
    outcome: Outcome, config: CampaignConfig, *, attempts: int = 1, times: int = 1, cap: int | None = None
) -> Final | RetryAt:
    return next_step(
        outcome,
        attempts=attempts,
        max_attempts=cap,
        outcome_counts={outcome.value: times},
        config=config,
        now=NOW,
    )


@pytest.mark.parametrize("outcome", sorted(NEVER_RETRIED))
def test_what_is_final_is_never_redialled_whatever_the_stored_form_says(outcome: Outcome) -> None:
    rules = dict(FORM)
    config = CampaignConfig(retries=rules, redial_lost=True)
    rules[outcome.value] = RetryRule(times=5, after_seconds=1)
    assert step(outcome, config) == Final()


@pytest.mark.parametrize("outcome", sorted(NEVER_RETRIED))
def test_a_form_cannot_ask_for_a_retry_after_a_final_outcome(outcome: Outcome) -> None:
    body = {"retries": {outcome.value: {"times": 1, "after_seconds": 60}}}
    with pytest.raises(msgspec.ValidationError, match="no rule is possible"):
        msgspec.convert(body, CampaignConfig)


@pytest.mark.parametrize("outcome", sorted(RETRIED_ON_REQUEST))
def test_nothing_is_redialled_without_a_rule_for_it(outcome: Outcome) -> None:
    assert step(outcome, CampaignConfig()) == Final()


def test_a_voicemail_is_tried_again_once_where_the_form_says_so_without_a_rule() -> None:
    config = CampaignConfig(voicemail_action="retry")
    assert step(Outcome.VOICEMAIL, config) == RetryAt(NOW + timedelta(seconds=VOICEMAIL_RULE.after_seconds))
    assert step(Outcome.VOICEMAIL, config, attempts=2, times=2) == Final()
    assert step(Outcome.NO_ANSWER, config) == Final()


def test_a_rule_for_voicemail_counts_instead_of_the_usual_one() -> None:
    config = CampaignConfig(voicemail_action="retry", retries={"voicemail": RetryRule(2, 60)})
    assert step(Outcome.VOICEMAIL, config, attempts=2, times=2) == RetryAt(NOW + timedelta(seconds=60))
    assert step(Outcome.VOICEMAIL, config, attempts=3, times=3) == Final()


@pytest.mark.parametrize("outcome", sorted(RETRIED_ON_REQUEST - {Outcome.LOST}))
def test_a_rule_gives_exactly_as_many_tries_as_it_says_and_never_early(outcome: Outcome) -> None:
    config = CampaignConfig(retries=FORM)
    assert step(outcome, config, attempts=1, times=1) == RetryAt(NOW + timedelta(seconds=300))
    assert step(outcome, config, attempts=2, times=2) == RetryAt(NOW + timedelta(seconds=300))
    assert step(outcome, config, attempts=3, times=3) == Final()


def test_each_outcome_has_a_budget_of_its_own() -> None:
    config = CampaignConfig(
        retries={
            "busy": RetryRule(times=1, after_seconds=60),
            "no_answer": RetryRule(times=1, after_seconds=900),
        }
    )
    counts = {"no_answer": 1, "busy": 1}
    then = next_step(
        Outcome.NO_ANSWER, attempts=2, max_attempts=None, outcome_counts=counts, config=config, now=NOW
    )
    assert then == RetryAt(NOW + timedelta(seconds=900))
    counts = {"no_answer": 1, "busy": 2}
    assert (
        next_step(Outcome.BUSY, attempts=3, max_attempts=None, outcome_counts=counts, config=config, now=NOW)
        == Final()
    )


def test_the_campaigns_cap_on_attempts_holds_over_all_outcomes() -> None:
    config = CampaignConfig(retries=FORM, max_attempts=2)
    assert isinstance(step(Outcome.BUSY, config, attempts=1), RetryAt)
    assert step(Outcome.BUSY, config, attempts=2) == Final()


@pytest.mark.parametrize("of_campaign", [None, 1, 2, 9])
def test_a_contacts_own_number_of_attempts_replaces_the_rules_times_and_the_campaigns_cap(
    of_campaign: int | None,
) -> None:
    config = CampaignConfig(retries=FORM, max_attempts=of_campaign)
    for attempts in range(1, 5):
        again = step(Outcome.BUSY, config, attempts=attempts, times=attempts, cap=5)
        assert again == RetryAt(NOW + timedelta(seconds=300))
    assert step(Outcome.BUSY, config, attempts=5, times=5, cap=5) == Final()
    assert step(Outcome.BUSY, config, attempts=1, times=1, cap=1) == Final()


def test_a_contacts_own_attempts_follow_only_the_outcomes_that_have_a_rule_and_wait_as_long() -> None:
    rules = {"busy": RetryRule(times=1, after_seconds=60), "congestion": RetryRule(times=0, after_seconds=60)}
    config = CampaignConfig(retries=rules)
    assert step(Outcome.BUSY, config, cap=3) == RetryAt(NOW + timedelta(seconds=60))
    for outcome in (Outcome.NO_ANSWER, Outcome.CONGESTION, Outcome.LOST):
        assert step(outcome, config, cap=3) == Final()


@pytest.mark.parametrize("outcome", sorted(Outcome))
def test_without_any_rules_a_contacts_own_attempts_follow_no_answer_and_busy_five_minutes_apart(
    outcome: Outcome,
) -> None:
    then = RetryAt(NOW + timedelta(minutes=5)) if outcome in ("no_answer", "busy") else Final()
    assert step(outcome, CampaignConfig(), attempts=2, times=2, cap=3) == then
    assert step(outcome, CampaignConfig(), attempts=3, times=3, cap=3) == Final()
    assert step(outcome, CampaignConfig(), attempts=1, times=1, cap=1) == Final()


def test_a_lost_call_is_redialled_only_with_the_campaigns_own_consent() -> None:
    assert step(Outcome.LOST, CampaignConfig(retries=FORM)) == Final()
    by_rule = CampaignConfig(retries=FORM, redial_lost=True)
    assert step(Outcome.LOST, by_rule) == RetryAt(NOW + timedelta(seconds=300))
    once = CampaignConfig(redial_lost=True)
    assert step(Outcome.LOST, once) == RetryAt(NOW + timedelta(seconds=LOST_RULE.after_seconds))
    assert step(Outcome.LOST, once, attempts=2, times=2) == Final()


@given(
    rules=st.dictionaries(
        st.sampled_from(sorted(RETRIED_ON_REQUEST)),
        st.builds(RetryRule, times=st.integers(0, 4), after_seconds=st.integers(0, 3600)),
    ),
    endings=st.lists(st.sampled_from(sorted(Outcome)), min_size=60, max_size=60),
    cap=st.none() | st.integers(1, 6),
    own=st.none() | st.integers(1, 6),
)
def test_a_call_is_never_dialled_more_often_than_its_form_or_its_contact_allows(
    rules: dict[Outcome, RetryRule], endings: list[Outcome], cap: int | None, own: int | None
) -> None:
    config = CampaignConfig(retries={str(k): v for k, v in rules.items()}, max_attempts=cap, redial_lost=True)
    counts: dict[str, int] = {}
    attempts = 0
    for ending in endings:
        attempts += 1
        counts[ending] = counts.get(ending, 0) + 1
        then = next_step(
            ending, attempts=attempts, max_attempts=own, outcome_counts=counts, config=config, now=NOW
        )
        if isinstance(then, Final):
            break
        assert then.at >= NOW
        assert ending in RETRIED_ON_REQUEST
    given_by_rules = sum(rule.times for rule in rules.values())
    allowed = 1 + given_by_rules + (0 if Outcome.LOST in rules else LOST_RULE.times)
    assert attempts <= (own or min(allowed, cap or allowed))


def test_every_outcome_is_either_retried_on_request_or_never() -> None:
    assert set(Outcome) == RETRIED_ON_REQUEST | NEVER_RETRIED
    assert not RETRIED_ON_REQUEST & (NEVER_RETRIED | REFUSALS)
