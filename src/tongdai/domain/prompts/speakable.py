"""Text as a Vietnamese speaker reads it: plain words, and marks only for pauses. Pure.

One pattern walks over the text and finds what is not a plain word; each find is read by one rule, with the
words around it as its context, and is never looked at again. So what plain words a text has come out as they
were.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from tongdai.domain.prompts.amounts import SUFFIX
from tongdai.domain.prompts.cleaning import cleaned
from tongdai.domain.prompts.context import Place
from tongdai.domain.prompts.reading import spell_digits
from tongdai.domain.prompts.rules import FINDER, READERS, UNTOUCHED
from tongdai.domain.prompts.vocabulary import ACRONYMS, UPPER

__all__ = ["speakable", "speakable_pieces", "spell_digits"]

_MARKS = re.compile(r" ?([.,;:!?][ .,;:!?]*)")
_SPACE = re.compile(r"\s{2,}")
_LEADING = re.compile(r"[\s.,;:!?]+")
_STRONGEST_FIRST: Final = "?!.;:,"
_DIGIT = re.compile(r"\d")
_CAPITALS_AT_THE_END = re.compile(rf"[{UPPER}]+$")
_UNIT_AT_THE_BEGINNING = re.compile(SUFFIX)


def speakable(text: str) -> str:
    """Plain Vietnamese words for any text; `""` when nothing in it has a sound. Never raises."""
    whole = cleaned(text)
    return _tidied("".join(whole[start:end] if said is None else said for start, end, said in _read(whole)))


def speakable_pieces(pieces: Sequence[str]) -> list[str]:
    """The same for a sentence cut into pieces: each is read as it is within the whole sentence.

    As many come out as went in; a piece of which nothing is left is `""`. What lies across a cut (`50` and
    `k`) is said by the piece that has its first digit, and a pause after a cut by the piece before it. Pieces
    that would run together (`lúc` and `8:30`) are kept apart, but not the letters and the digits of a code
    (`DH` and `12`). Said one after the other, the pieces are what `speakable` makes of the whole.
    """
    parts = _apart([cleaned(piece) for piece in pieces])
    whole = "".join(parts)
    ends = list(accumulate(map(len, parts)))
    said: list[list[str]] = [[] for _ in parts]
    for start, end, words in _read(whole):
        if words is not None:
            digit = _DIGIT.search(whole, start, end)
            said[bisect_right(ends, digit.start() if digit else start)].append(words)
            continue
        while start < end:
            piece = bisect_right(ends, start)
            said[piece].append(whole[start : min(end, ends[piece])])
            start = min(end, ends[piece])
    return _marks_moved([_tidied("".join(words), within=True) for words in said])


def _apart(pieces: list[str]) -> list[str]:
    """With one space at each cut between two words, and no more than one anywhere."""
    before = " "
    for place, piece in enumerate(pieces):
        if before[-1] == " ":
            pieces[place] = piece = piece.lstrip()
        if not piece:
            continue
        if before[-1:].isalnum() and piece[0].isalnum() and not _belong_together(before, piece):
            pieces[place] = " " + piece
        before = piece
    return pieces


def _belong_together(before: str, piece: str) -> bool:
    """A number and its unit, the letters and the digits of a code."""
    if before[-1].isdecimal():
        return _UNIT_AT_THE_BEGINNING.match(piece) is not None
    capitals = _CAPITALS_AT_THE_END.search(before)
    return piece[0].isdecimal() and capitals is not None and capitals[0] not in ACRONYMS


def _read(whole: str) -> Iterator[tuple[int, int, str | None]]:
    """Places of the text in order, with the words for each; None where it stays as it is."""
    end = 0
    for found in FINDER.finditer(whole):
        if found.start() > end:
            yield end, found.start(), None
        rule = found.lastgroup or ""
        start, end = found.span()
        if rule in UNTOUCHED:
            yield start, end, None
        else:
            yield start, end, f" {READERS[rule](found.group(), Place.of(whole, start, end))} "
    if end < len(whole):
        yield end, len(whole), None


def _tidied(text: str, *, within: bool = False) -> str:
    """One space between words, one mark at a pause and none at the beginning (but `within` a sentence)."""
    tidy = _MARKS.sub(_one_mark, _SPACE.sub(" ", text)).strip()
    if within:
        return tidy
    begin = _LEADING.match(tidy)
    return tidy[begin.end() :] if begin else tidy


def _one_mark(marks: re.Match[str]) -> str:
    """The strongest of several marks that follow each other."""
    return min(marks[1].replace(" ", ""), key=_STRONGEST_FIRST.find) + " "


def _marks_moved(pieces: list[str]) -> list[str]:
    """With the marks that begin a piece at the end of the piece before, where the pause is."""
    last = -1
    for place, piece in enumerate(pieces):
        begin = _LEADING.match(piece)
        if begin:
            pieces[place] = piece[begin.end() :]
            if last >= 0:
                pieces[last] = _tidied(pieces[last] + begin[0])
        if pieces[place]:
            last = place
    return pieces
