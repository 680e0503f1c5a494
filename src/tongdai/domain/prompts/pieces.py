"""What texts and codes are cut into: pieces that are a sound each, with the pauses around them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tongdai.domain.prompts.reading import DIGITS
from tongdai.ports.speech import SpeechFailedError
from tongdai.ports.telephony import Speech, SpokenCode

SENTENCE_PAUSE_S: Final = 0.35
CLAUSE_PAUSE_S: Final = 0.18
DIGIT_PAUSE_S: Final = 0.25
GROUP_PAUSE_S: Final = 0.6
"""In the middle of a code of six digits and more, where one writes down what one has heard."""

_LEADING = re.compile(r"^[\s,.;:!?…]+")
_TRAILING = re.compile(r"[\s,.;:!?…]+$")
_SENTENCE_END = re.compile(r"[.!?…]")
_CLAUSE_END = re.compile(r"[,;:]")


@dataclass(frozen=True, slots=True)
class Piece:
    """What a voice is asked to say at once. Without words it is a pause."""

    words: str
    before_s: float = 0.0
    after_s: float = 0.0
    """Silence around it."""

    def identity(self) -> tuple[str, ...]:
        return self.words, str(self.before_s), str(self.after_s)


def pieces_of_speech(speech: Speech) -> Sequence[Piece]:
    return [piece for text in speech.pieces or (speech.text,) if (piece := _piece(text)) is not None]


@lru_cache(maxsize=4096)
def _piece(text: str) -> Piece | None:
    """A text as it is spoken; None when there is nothing in it. Its last mark stays: voices read it."""
    first = _LEADING.search(text)
    before = _pause(first.group()) if first else 0.0
    words = text[first.end() if first else 0 :].strip()
    last = _TRAILING.search(words)
    after = _pause(last.group()) if last else 0.0
    if not words:
        return Piece("", before) if before else None
    return Piece(words, before, after)


def _pause(marks: str) -> float:
    if _SENTENCE_END.search(marks):
        return SENTENCE_PAUSE_S
    return CLAUSE_PAUSE_S if _CLAUSE_END.search(marks) else 0.0


def pieces_of_code(code: SpokenCode) -> Sequence[Piece]:
    """A sound for each digit. Raises SpeechFailedError for a code that has other characters."""
    digits = code.digits
    if not digits or not digits.isascii() or not digits.isdigit():
        raise SpeechFailedError("a code has the digits 0 to 9 alone", retry=False)
    middle = len(digits) // 2 if len(digits) >= 6 else 0
    return [
        Piece(DIGITS[int(digit)], 0.0, GROUP_PAUSE_S if place == middle else DIGIT_PAUSE_S)
        for place, digit in enumerate(digits, 1)
    ]
