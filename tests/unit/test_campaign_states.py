"""Which states lead where, and who may lead."""

from __future__ import annotations

import pytest

from tongdai.domain.campaigns.model import TRANSITIONS, CampaignState

ALLOWED = {
    ("draft", "start", "running"),
    ("stopped", "start", "running"),
    ("running", "pause", "paused"),
    ("paused", "resume", "running"),
    ("running", "stop", "stopped"),
    ("paused", "stop", "stopped"),
    ("running", "finish", "finished"),
}


def test_the_table_holds_exactly_the_changes_that_are_promised() -> None:
    told = {
        (source.value, action, change.target.value)
        for action, change in TRANSITIONS.items()
        for source in change.sources
    }
    assert told == ALLOWED


def test_a_finished_campaign_stays_finished() -> None:
    assert all(CampaignState.FINISHED not in transition.sources for transition in TRANSITIONS.values())


@pytest.mark.parametrize("action", ["start", "pause", "resume", "stop"])
def test_a_viewer_is_not_enough_to_change_a_state(action: str) -> None:
    assert TRANSITIONS[action].role == "operator"


def test_no_user_finishes_a_campaign() -> None:
    assert TRANSITIONS["finish"].role is None
