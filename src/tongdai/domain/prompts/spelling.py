"""Letters, words in capitals, Roman numerals and codes as words. Pure."""

from __future__ import annotations

import re
from typing import Final

from tongdai.domain.prompts.context import Place
from tongdai.domain.prompts.reading import group_digits, read_digits, read_int, read_whole
from tongdai.domain.prompts.vocabulary import ACRONYMS, LETTERS, READ_AS_WORDS, ROMAN_AFTER, UPPER

_ROMAN = re.compile(r"X{0,3}(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES: Final = {"I": 1, "V": 5, "X": 10}
_ONSET = r"(?:ngh|ng|nh|ch|gh|kh|ph|th|tr|qu|gi|[bcdđghjklmnpqrstvwxz])"
_VOWELS = r"[aeiouy]{1,3}"
_END = r"(?:ng|nh|n|m)"
# A Vietnamese syllable that ends in c, ch, p or t has a tone mark: without one, it is not among these.
_TONELESS = re.compile(rf"{_ONSET}{_VOWELS}{_END}?(?:{_ONSET}{_VOWELS}{_END}?)*|{_VOWELS}{_END}")
_SYLLABLES = re.compile(rf"{_ONSET}?{_VOWELS}(?:ng|nh|ch|[nmcpt])?")
_VOWEL = re.compile(r"[AEIOUY]")
_CAPITAL_BEFORE = re.compile(rf"[{UPPER}]{{2,}}[ ,]+$")
_CAPITAL_AFTER = re.compile(rf"[ ,]+[{UPPER}]{{2,}}(?!\w)")
_LONGEST_ACRONYM = 4
_CONSONANTS: Final = frozenset("BCDĐFGHJKLMNPQRSTVWXZ")
_SUM_BEFORE = re.compile(r"(?:[.,]\d{3}|\d{4}) $")
_CODE_MARKS: Final = {"/": "trên", ".": ",", "-": ",", "_": ","}
_ACTS: Final = {"NĐ": "nghị định", "NQ": "nghị quyết", "QĐ": "quyết định", "CT": "chỉ thị", "TT": "thông tư"}
_BODIES: Final = {
    "CP": "chính phủ", "TTg": "thủ tướng", "BCT": "bộ công thương", "BTC": "bộ tài chính",
    "BTTTT": "bộ thông tin và truyền thông", "BKHCN": "bộ khoa học và công nghệ", "BYT": "bộ y tế",
    "BCA": "bộ công an", "BGDĐT": "bộ giáo dục và đào tạo",
}  # fmt: skip


def spell_letters(word: str) -> str:
    """`AB` → `a bê`. What has no name is left as it is."""
    return " ".join(LETTERS.get(letter, letter) for letter in word.lower())


def roman_value(word: str) -> int:
    """1 to 39; 0 for what is no Roman numeral in capitals."""
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
    if word in ACRONYMS and not (word == "AI" and _among_capitals(place)):
        return ACRONYMS[word]
    if _is_word(word, place):
        return word.capitalize()
    return spell_letters(word)


def _single(letter: str, place: Place) -> str:
    if letter in "IVX" and place.before.rstrip().endswith(ROMAN_AFTER):
        return read_int(_ROMAN_VALUES[letter])
    if letter == "Đ" and _SUM_BEFORE.search(place.before):
        return "đồng"
    return spell_letters(letter) if letter in _CONSONANTS else letter


def _is_word(word: str, place: Place) -> bool:
    bare = word.replace("Đ", "D")
    if not bare.isascii() or word in READ_AS_WORDS:
        return True
    if _reads(bare):
        return True
    return _among_capitals(place) and _SYLLABLES.fullmatch(bare.lower()) is not None


def _reads(bare: str) -> bool:
    """What the letters of a word without marks say: long with a vowel, or like a Vietnamese word."""
    if _VOWEL.search(bare) is None:
        return False
    # Unmarked names are written so: VIET, NGOC.
    as_syllable = _SYLLABLES if len(bare) == _LONGEST_ACRONYM else _TONELESS
    return len(bare) > _LONGEST_ACRONYM or any(p.fullmatch(bare.lower()) for p in (as_syllable, _TONELESS))


def _among_capitals(place: Place) -> bool:
    before = _CAPITAL_BEFORE.search(place.text[max(0, place.start - 24) : place.start])
    return before is not None or _CAPITAL_AFTER.match(place.text, place.end) is not None


def read_code(code: str, *, in_full: bool) -> str:
    """Letters and digits of a code: `AB12-3456` → `a bê một hai, ba bốn năm sáu`.

    `in_full`: every letter and digit by itself. Else what can be a word is one (`COVID-19`), numbers of one
    or two digits are read as such when there are no longer ones (`12A1`), and so are those between slashes.
    """
    words: list[str] = []
    rows = re.findall(r"\d+", code)
    short = not in_full and all(len(row) <= 2 and row[0] != "0" for row in rows)
    for part in re.split(r"([^\w]|_)", code):
        as_number = short or (not in_full and "/" in code and len(part) <= 4 and part[:1] != "0")
        words.append(_CODE_MARKS.get(part) or _part_of_code(part, in_full=in_full, as_number=as_number))
    return " ".join(filter(None, words)).replace(" ,", ",")


def _part_of_code(part: str, *, in_full: bool, as_number: bool) -> str:
    words = [read_int(roman_value(part))] if not in_full and len(part) > 1 and roman_value(part) else []
    for run in re.findall(r"\d+|\D+", part) if not words else []:
        if not run.isdecimal():
            words.append(
                run.capitalize()
                if not in_full and len(run) >= _LONGEST_ACRONYM and _reads(run)
                else spell_letters(run)
            )
        elif as_number:
            words.append(read_whole(run))
        else:
            words.append(read_digits(run) if len(run) <= 4 else group_digits(run))
    return " ".join(words)


def read_decree(text: str) -> str:
    """`91/2020/NĐ-CP`, as an act of the state is named."""
    *numbers, kind = text.split("/")
    act, _, body = kind.partition("-")
    words = [" trên ".join(read_whole(number) for number in numbers), _ACTS[act]]
    return " ".join(filter(None, [*words, _BODIES.get(body) or ACRONYMS.get(body) or spell_letters(body)]))
