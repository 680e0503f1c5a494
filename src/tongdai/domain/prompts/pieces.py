"""What texts and codes are cut into: pieces that are a sound each, with the pauses around them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tongdai.domain.prompts.reading import DIGITS
from tongdai.domain.prompts.speakable import speakable_pieces
from tongdai.ports.speech import SpeechFailedError
from tongdai.ports.telephony import Speech, SpokenCode

SENTENCE_PAUSE_S: Final = 0.35
CLAUSE_PAUSE_S: Final = 0.18
DIGIT_PAUSE_S: Final = 0.25
GROUP_PAUSE_S: Final = 0.6
"""In the middle of a code of six digits and more, where one writes down what one has heard."""

_MARKS: Final = re.compile(r"[\s,.;:!?…]+$")
_SENTENCE_END: Final = re.compile(r"[.!?…]")


@dataclass(frozen=True, slots=True)
class Piece:
    """What a voice is asked to say at once."""

    words: str
    after_s: float = 0.0
    """Silence after it."""

    def identity(self) -> tuple[str, ...]:
        return self.words, str(self.after_s)


def pieces_of_speech(speech: Speech) -> Sequence[Piece]:
    """None where nothing in the text has a sound."""
    said = speakable_pieces(speech.pieces or (speech.text,))
    return [Piece(words, _pause_after(words)) for words in said if _MARKS.sub("", words)]


def _pause_after(words: str) -> float:
    """By the marks at its end, which stay: voices read them."""
    marks = _MARKS.search(words)
    if marks is None:
        return 0.0
    return SENTENCE_PAUSE_S if _SENTENCE_END.search(marks.group()) else CLAUSE_PAUSE_S


def pieces_of_code(code: SpokenCode) -> Sequence[Piece]:
    """A sound for each digit. Raises SpeechFailedError for a code that has other characters."""
    digits = code.digits
    if not digits or not digits.isascii() or not digits.isdigit():
        raise SpeechFailedError("a code has the digits 0 to 9 alone", retry=False)
    middle = len(digits) // 2 if len(digits) >= 6 else 0
    return [
        Piece(DIGITS[int(digit)], GROUP_PAUSE_S if place == middle else DIGIT_PAUSE_S)
        for place, digit in enumerate(digits, 1)
    ]


def every_digit() -> Sequence[Piece]:
    """All that a code may be made of."""
    return [Piece(digit, pause) for digit in DIGITS for pause in (DIGIT_PAUSE_S, GROUP_PAUSE_S)]
