"""The journal of a leg: whoever reads it knows what its writer knew."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.adapters.asterisk.journal import (
    MOST_PIECES,
    PIECE,
    Connection,
    Journal,
    JournalError,
    Recording,
    decode,
    is_whole,
    pieces,
    variable,
)
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Digit,
    PlaybackEnded,
    RecordingEnded,
    Ringing,
    TimerFired,
    TransferEnded,
)

LEG = 8_100_000_001
seconds = st.integers(0, 10_000_000).map(lambda ms: round(ms / 1000, 3))
ids = st.integers(0, 10_000)
made = st.one_of(
    st.builds(lambda at: (Ringing, at, ()), seconds),
    st.builds(lambda at, a, by: (Answered, at, (a, by)), seconds, seconds, st.sampled_from(AnsweredBy)),
    st.builds(lambda at, digit: (Digit, at, (digit,)), seconds, st.sampled_from("0123456789*#ABCD")),
    st.builds(lambda at, id, done: (PlaybackEnded, at, (id, done)), seconds, ids, st.booleans()),
    st.builds(lambda at, id: (TimerFired, at, (id,)), seconds, ids),
    st.builds(
        lambda at, id, s, kept: (RecordingEnded, at, (id, s, f"td-{LEG}-{id}" if kept else None)),
        seconds,
        ids,
        seconds,
        st.booleans(),
    ),
    st.builds(
        lambda at, id, s, leg: (TransferEnded, at, (id, leg is not None, s, leg)),
        seconds,
        ids,
        seconds,
        st.none() | st.integers(1, 10**12),
    ),
)
journals = st.builds(
    Journal,
    leg_id=st.just(LEG),
    started=seconds.map(lambda s: round(1_795_000_000 + s, 3)),
    trunk_id=ids,
    ring_s=seconds,
    max_s=seconds,
    detects=st.booleans(),
    inbound=st.booleans(),
    answered_at=st.none() | seconds,
    done=ids,
    ending=st.booleans(),
    plays=st.dictionaries(ids, ids, max_size=5),
    timers=st.dictionaries(ids, seconds, max_size=5),
    recordings=st.lists(
        st.builds(Recording, ids, ids, seconds, seconds, st.booleans(), st.booleans()), max_size=3
    ).map(lambda each: {one.id: one for one in each}),
    transfer=st.none()
    | st.builds(
        Connection, ids, seconds, st.dictionaries(st.integers(1, 10**12), seconds, max_size=4), ids, seconds
    ),
)


@given(journals, st.lists(made, max_size=30))
def test_a_journal_that_is_read_back_is_the_same(journal: Journal, events: list[tuple]) -> None:  # type: ignore[type-arg]
    for kind, at, fields in events:
        journal.add(kind(LEG, journal.next_seq, at, *fields))

    text = journal.encode()

    assert decode(LEG, text) == journal
    assert is_whole(text)


@given(journals, st.lists(made, max_size=30))
def test_neither_an_address_nor_a_dialplan_reads_a_character_of_it_as_its_own(
    journal: Journal,
    events: list[tuple],  # type: ignore[type-arg]
) -> None:
    for kind, at, fields in events:
        journal.add(kind(LEG, journal.next_seq, at, *fields))

    assert re.fullmatch(r"[A-Za-z0-9!/._-]+", journal.encode())


def _long() -> Journal:
    journal = Journal(LEG, 1_795_000_000.0, 3, 30.0, 300.0)
    for press in range(700):
        journal.add(Digit(LEG, press + 1, press / 10, "5"))
    return journal


def test_a_long_journal_lies_in_several_variables() -> None:
    text = _long().encode()

    cut = pieces(text)

    assert 1 < len(cut) <= MOST_PIECES
    assert all(len(piece) <= PIECE for piece in cut)
    assert "".join(cut) == text
    assert len({variable(LEG, number) for number, _ in enumerate(cut)}) == len(cut)


def test_what_a_longer_journal_left_behind_is_passed_over() -> None:
    journal = Journal(LEG, 1_795_000_000.0, 3, 30.0, 300.0, timers={1: 5.0})

    assert decode(LEG, journal.encode() + _long().encode()) == journal


def test_one_more_event_leaves_all_but_the_last_variable_as_they_were() -> None:
    journal = _long()
    before = pieces(journal.encode())
    journal.add(Digit(LEG, journal.next_seq, 99.0, "1"))
    journal.done += 1

    assert pieces(journal.encode())[: len(before) - 1] == before[:-1]


@pytest.mark.parametrize(
    "text", ["", "!.", "2/1/2/3/4/-!.", "1/1/2/3/4/-", "1/x/2/3/4/-!.", "1/1/2/3/4/-!Z1!.", "1/1/2/3/4/-!!."]
)
def test_what_is_no_journal_is_refused(text: str) -> None:
    with pytest.raises(JournalError):
        decode(LEG, text)
