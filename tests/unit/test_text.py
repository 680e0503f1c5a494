from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.campaigns.columns import folded
from tongdai.domain.campaigns.spreadsheet import _tidy_text
from tongdai.domain.scripts.template import field_values
from tongdai.kit.text import MARKS_KEPT, composed, decomposed

# What of a field may be stored, in marks that have to be sorted: 4 s of the standard library.
MARKED = "a" + "\u0301\u0316" * 16_000

WORDS = st.lists(
    st.text(max_size=6) | st.text(alphabet="aê\u0301\u0316\u0323\u1100\u1161\u11a8", max_size=MARKS_KEPT)
).map(" ".join)


@given(WORDS)
def test_text_is_composed_and_decomposed_as_unicode_says(text: str) -> None:
    for one in (text, text + " " * 200):
        assert composed(one) == unicodedata.normalize("NFC", one)
        assert decomposed(one) == unicodedata.normalize("NFD", one)


def test_every_mark_that_is_sorted_is_known() -> None:
    marks = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.combining(chr(c))]
    assert len(marks) > 900
    assert composed("".join(f"{mark * 50} " for mark in marks)).count(" ") == len(marks)
    assert all(len(composed(mark * 200)) <= 2 * MARKS_KEPT for mark in marks)


def test_of_more_marks_than_any_letter_has_the_first_are_kept() -> None:
    assert decomposed(MARKED) == "a" + "\u0316" * (MARKS_KEPT // 2) + "\u0301" * (MARKS_KEPT // 2)
    kept = "a" + "\u0301\u0316" * (MARKS_KEPT // 2)
    assert composed(f"x {MARKED} y") == unicodedata.normalize("NFC", f"x {kept} y")


@pytest.mark.parametrize(
    "read",
    [
        lambda text: field_values({"name": text}),
        lambda text: field_values({text: "Lan"}),
        folded,
        _tidy_text,
    ],
)
def test_no_heap_of_marks_keeps_a_process_from_its_work(read: Callable[[str], object]) -> None:
    began = time.process_time()
    read(MARKED)
    assert time.process_time() - began < 1
