"""What SIP statuses and Q.850 causes mean."""

from __future__ import annotations

import pytest

from tongdai.adapters.asterisk.adopting import clock_ahead
from tongdai.adapters.asterisk.causes import BY_Q850_CAUSE, BY_SIP_STATUS, Hangup, end_cause
from tongdai.ports.telephony import EndCause

STATUSES = {
    EndCause.UNALLOCATED: (404, 410, 484, 604),
    EndCause.BUSY: (486, 600),
    EndCause.REJECTED: (403, 603, 607, 608),
    EndCause.UNREACHABLE: (480,),
    EndCause.NO_ANSWER: (408, 487),
    EndCause.CONGESTION: (500, 502, 503, 504),
    EndCause.FAILURE: (401, 407, 415, 488),
}


@pytest.mark.parametrize(("cause", "statuses"), STATUSES.items())
def test_a_sip_status_decides_whatever_the_q850_cause(cause: EndCause, statuses: tuple[int, ...]) -> None:
    told = {end_cause(Hangup(q850, status)) for status in statuses for q850 in (0, 1, 17, 34, 127)}

    assert told == {cause}


def test_every_status_of_the_table_is_an_error() -> None:
    assert all(400 <= status < 700 for status in BY_SIP_STATUS)


@pytest.mark.parametrize(
    ("q850", "cause"),
    [
        (1, EndCause.UNALLOCATED),
        (17, EndCause.BUSY),
        (19, EndCause.NO_ANSWER),
        (21, EndCause.REJECTED),
        (34, EndCause.CONGESTION),
        (16, EndCause.NO_ANSWER),
        (0, EndCause.FAILURE),
        (126, EndCause.FAILURE),
    ],
)
def test_without_a_known_status_the_q850_cause_decides(q850: int, cause: EndCause) -> None:
    assert end_cause(Hangup(q850, 0)) is cause
    assert end_cause(Hangup(q850, 433)) is cause


def test_only_a_call_that_nobody_answered_is_looked_up_so_none_ends_in_good_order() -> None:
    told = {end_cause(Hangup(q850, status)) for q850 in BY_Q850_CAUSE for status in (0, *BY_SIP_STATUS)}

    assert EndCause.NORMAL not in told


def test_a_trunk_says_what_its_statuses_mean() -> None:
    overrides = {503: EndCause.UNREACHABLE, 480: EndCause.BUSY}

    assert end_cause(Hangup(34, 503), overrides) is EndCause.UNREACHABLE
    assert end_cause(Hangup(19, 480), overrides) is EndCause.BUSY
    assert end_cause(Hangup(17, 486), overrides) is EndCause.BUSY


def test_our_own_ring_time_is_told_apart_from_a_carriers_480() -> None:
    overrides = {480: EndCause.BUSY}

    rang = end_cause(Hangup(19, 480, rang_out=True, alerted=True), overrides)
    silent = end_cause(Hangup(19, 480, rang_out=True, alerted=False), overrides)

    assert (rang, silent) == (EndCause.NO_ANSWER, EndCause.CONGESTION)


def test_what_we_ended_was_cancelled_whatever_the_carrier_said_to_it() -> None:
    assert end_cause(Hangup(127, 487, by_us=True, alerted=True)) is EndCause.CANCELLED


@pytest.mark.parametrize(
    ("made", "ahead"),
    [(100.0, 0.0), (100.1, 0.0), (103.0, 0.0), (104.5, 3.0), (98.5, -3.0), (3701.5, 3600.0)],
)
def test_a_busy_nodes_clock_is_not_taken_for_another_than_ours(made: float, ahead: float) -> None:
    assert clock_ahead(made, asked=100.0, answered=103.0) == ahead
