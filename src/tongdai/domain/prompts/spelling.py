"""Letters, words in capitals, abbreviations, Roman numerals, codes, web and e-mail addresses as words. Pure."""

from __future__ import annotations

import re
from typing import Final

from tongdai.domain.prompts.context import Place
from tongdai.domain.prompts.reading import group_digits, read_digits, read_int, read_whole
from tongdai.domain.prompts.vocabulary import ACRONYMS, LETTERS, READ_AS_WORDS, ROMAN_AFTER, UPPER

_ROMAN = re.compile(r"(?=[IVXL])(XL|L?X{0,3})(IX|IV|V?I{0,3})")
_ROMAN_VALUES: Final = {"I": 1, "V": 5, "X": 10, "L": 50}
_ONSET = r"(?:ngh|ng|nh|ch|gh|kh|ph|th|tr|qu|gi|[bcdđghjklmnpqrstvwxz])"
_VOWELS = r"(?:[aeiou]y?|[aeiou]{2,3}|y)"
# Without tone marks: a Vietnamese syllable that ends in c, ch, p or t always has one, so it is not among these.
_TONELESS = re.compile(rf"{_ONSET}{_VOWELS}(?:ng|nh|n|m)?(?:{_ONSET}{_VOWELS}(?:ng|nh|n|m)?)*")
_SYLLABLES = re.compile(rf"{_ONSET}?{_VOWELS}(?:ng|nh|ch|[nmcpt])?")
_VOWEL = re.compile(r"[AEIOUY]")
_CAPITAL_BEFORE = re.compile(rf"[{UPPER}]{{2,}}[ ,]+$")
_CAPITAL_AFTER = re.compile(rf"[ ,]+[{UPPER}]{{2,}}(?!\w)")
_RUNS = re.compile(r"\d+|[^\W\d_]+|[^\w]|_")
_NAME_PARTS = re.compile(r"[^\W\d_]+|\d+|[.@/_?=&-]")
_LONGEST_ACRONYM = 4
_MARKS: Final = {
    ".": "chấm",
    "@": "a còng",
    "-": "gạch ngang",
    "_": "gạch dưới",
    "/": "gạch chéo",
    "=": "bằng",
}
_DOMAIN_WORDS: Final = {"vn": "vê en", "gmail": "gờ meo", "www": "", "io": "i ô"}


def spell_letters(word: str) -> str:
    """`AB` → `a bê`. What has no name is left as it is."""
    return " ".join(LETTERS.get(letter, letter) for letter in word.lower())


def roman_value(word: str) -> int:
    """1 to 89; 0 for what is no Roman numeral in capitals."""
    if not word or not _ROMAN.fullmatch(word):
        return 0
    values = [_ROMAN_VALUES[letter] for letter in word]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def read_capitals(word: str, place: Place) -> str:
    """A word all in capitals: an abbreviation, a Roman numeral, spelled, or a word.

    It is read as a word when it has a Vietnamese mark, when it is longer than four letters and has a vowel,
    when it can be a Vietnamese word, and among other capitals.
    """
    if len(word) == 1:
        return _single(word, place)
    roman = roman_value(word)
    if roman and (word != "VI" or place.before.rstrip().endswith(ROMAN_AFTER)):
        return read_int(roman)
    if word in ACRONYMS:
        return ACRONYMS[word]
    if _is_word(word, place):
        return word.capitalize()
    return spell_letters(word)


def _single(letter: str, place: Place) -> str:
    if letter in "IVX" and place.before.rstrip().endswith(ROMAN_AFTER):
        return read_int(_ROMAN_VALUES[letter])
    # A vowel's name is its sound: nothing is gained by a small letter.
    return letter if letter in "AĂÂEÊIOÔƠUƯY" else spell_letters(letter)


def _is_word(word: str, place: Place) -> bool:
    bare = word.replace("Đ", "D")
    if not bare.isascii() or word in READ_AS_WORDS:
        return True
    if not _VOWEL.search(bare):
        return False
    if len(word) > _LONGEST_ACRONYM or _TONELESS.fullmatch(bare.lower()):
        return True
    among_capitals = _CAPITAL_BEFORE.search(place.text[max(0, place.start - 24) : place.start])
    among_capitals = among_capitals or _CAPITAL_AFTER.match(place.text, place.end)
    return bool(among_capitals and _SYLLABLES.fullmatch(bare.lower()))


def read_code(code: str, *, in_full: bool) -> str:
    """Letters and digits of a code: `AB12-3456` → `a bê một hai, ba bốn năm sáu`.

    `in_full`: every digit by itself; else a number of one or two digits is read as one, as in `lớp 12A`.
    """
    words: list[str] = []
    short = not in_full and not re.search(r"[^\w]", code)
    for run in _RUNS.findall(code):
        if run.isdecimal():
            words.append(_digits_of_code(run, as_number=short and len(run) <= 2 and run[0] != "0"))
        elif run == "/":
            words.append("trên")
        elif run[0].isalpha():
            words.append(spell_letters(run))
        elif words and words[-1] != ",":
            words.append(",")
    return " ".join(words).replace(" ,", ",")


def _digits_of_code(digits: str, *, as_number: bool) -> str:
    if as_number:
        return read_whole(digits)
    return read_digits(digits) if len(digits) <= 4 else group_digits(digits)


def read_address(address: str) -> str:
    """An e-mail address or a web address. What follows `?` or `#` is left out, as nobody can write it down."""
    address = re.sub(r"^(?:https?://)?(?:www\.)?", "", address, flags=re.IGNORECASE)
    address = re.split(r"[?#]", address, maxsplit=1)[0].rstrip("/.")
    return " ".join(filter(None, map(_part_of_address, _NAME_PARTS.findall(address))))


def _part_of_address(part: str) -> str:
    if part in _MARKS:
        return _MARKS[part]
    if part.isdecimal():
        return group_digits(part) if len(part) > 4 else read_digits(part)
    known = _DOMAIN_WORDS.get(part.lower())
    if known is not None:
        return known
    return part.lower() if re.search(r"[aeiouy]", part.lower()) else spell_letters(part)
