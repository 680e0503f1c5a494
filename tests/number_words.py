"""Two readers of Vietnamese numbers that share nothing with ours, to hold ours against.

`value` reads words back to a number by the grammar of the spoken language, and refuses what nobody says.
`cldr` spells a number by the rules that the Unicode Common Locale Data Repository publishes for Vietnamese.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ONES = ["không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín"]
_GROUPS = [("triệu", 10**6), ("nghìn", 10**3), ("", 1)]


class NotANumberError(ValueError):
    """Nobody says it so."""


def value(words: str) -> int:
    """The number that the words say. Raises NotANumberError for what is no number, or not said so."""
    if words.startswith("âm "):
        return -_positive(words.removeprefix("âm ").split())
    return 0 if words == "không" else _positive(words.split())


def _positive(words: list[str]) -> int:
    """What comes before the last `tỷ` counts billions; what comes after it is below a billion."""
    if "tỷ" not in words:
        return _below_billion(words, full=False)
    last = len(words) - 1 - words[::-1].index("tỷ")
    rest = words[last + 1 :]
    return _positive(words[:last]) * 10**9 + (_below_billion(rest, full=True) if rest else 0)


def _below_billion(words: list[str], *, full: bool) -> int:
    total = 0
    for name, size in _GROUPS:
        if name and name not in words:
            continue
        end = words.index(name) if name else len(words)
        group, words = words[:end], words[end + 1 :]
        if not group:
            if name:
                raise NotANumberError(name)
            continue
        total += _three(group, full=full) * size
        full = True
    if words or not total:
        raise NotANumberError(words)
    return total


def _three(words: list[str], *, full: bool) -> int:
    """1 to 999. `full`: hundreds are said even when there are none."""
    hundreds = 0
    if words[1:2] == ["trăm"]:
        hundreds, words = _digit(words[0]), words[2:]
        if not hundreds and (not full or not words):
            raise NotANumberError(words)
        if not words:
            return hundreds * 100
        if words[0] == "lẻ":
            if len(words) != 2 or words[1] == "không":
                raise NotANumberError(words)
            return hundreds * 100 + _digit(words[1])
        if len(words) == 1 and words != ["mười"]:
            raise NotANumberError(words)
    elif full:
        raise NotANumberError(words)
    return hundreds * 100 + _two(words)


def _two(words: list[str]) -> int:
    match words:
        case ["mười"]:
            return 10
        case ["mười", ones]:
            return 10 + _after_ten(ones, {"lăm": 5}, {"năm", "không"})
        case [tens, "mươi"] if _digit(tens) > 1:
            return _digit(tens) * 10
        case [tens, "mươi", ones] if _digit(tens) > 1:
            said = _after_ten(ones, {"mốt": 1, "tư": 4, "lăm": 5}, {"một", "bốn", "năm", "không"})
            return _digit(tens) * 10 + said
        case [ones] if ones != "không":
            return _digit(ones)
        case _:
            raise NotANumberError(words)


def _after_ten(word: str, special: dict[str, int], refused: set[str]) -> int:
    if word in refused:
        raise NotANumberError(word)
    return special[word] if word in special else _digit(word)


def _digit(word: str) -> int:
    if word not in _ONES:
        raise NotANumberError(word)
    return _ONES.index(word)


def digits(words: str) -> str:
    """The digits of a row that is said one by one, whatever the pauses."""
    return "".join(str(_digit(word)) for word in words.replace(",", "").split())


# The rules of common/rbnf/vi.xml in the Unicode CLDR, © Unicode, Inc. (Unicode License v3), as named there.
_RULES: dict[str, dict[int, str]] = {
    "teen": {0: "=c=", 5: "lăm", 6: "=c="},
    "x-ty": {0: "=c=", 1: "mốt", 2: "=teen=", 4: "tư", 5: "=teen="},
    "after-hundred": {0: "lẻ =c=", 10: "=c="},
    "after-thousand-or-more": {0: "không trăm =after-hundred=", 100: "=c="},
    "c": {
        **dict(enumerate(_ONES)),
        10: "mười[ >teen>]",
        20: "< mươi[ >x-ty>]",
        100: "< trăm[ >after-hundred>]",
        1000: "< nghìn[ >after-thousand-or-more>]",
        1000000: "< triệu[ >after-hundred>]",
        1000000000: "< tỷ[ >after-hundred>]",
    },
}
_STEP = re.compile(r"=([\w-]+)=|\[ >([\w-]+)>\]|<|[^=<\[]+")


def cldr(number: int, rule: str = "c") -> str:
    """The words for 0 to 10^18 - 1, by CLDR."""
    return "".join(_spelled(number, rule))


def _spelled(number: int, rule: str) -> Iterator[str]:
    base = max(begin for begin in _RULES[rule] if begin <= number)
    size = 1
    while size * 10 <= base:
        size *= 10
    for step in _STEP.finditer(_RULES[rule][base]):
        if step[1]:
            yield cldr(number, step[1])
        elif step[2]:
            yield f" {cldr(number % size, step[2])}" if number % size else ""
        else:
            yield cldr(number // size) if step[0] == "<" else step[0]
