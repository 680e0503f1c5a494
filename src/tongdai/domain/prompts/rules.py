"""What is found in a text, in the order in which it is tried, and how each find is read. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tongdai.domain.prompts import amounts, moments, phones, rows, signs
from tongdai.domain.prompts.addresses import read_address
from tongdai.domain.prompts.context import Place
from tongdai.domain.prompts.spelling import read_code, read_decree
from tongdai.domain.prompts.vocabulary import LOWER, UPPER

Read = Callable[[str, Place], str]
Rule = tuple[str, str, Read | None]
"""A name, what is found, and how it is read; None: it stays as it is."""

_A, _L = r"A-Za-z0-9", r"A-Za-z0-9_"
_TLD = "com|vn|net|org|edu|gov|info|io|asia|app|shop|online|site|xyz|biz|store|me"
_REST = r"[^\s<>\"']{0,200}[^\s<>\"'.,;:!?)]"
_D = r"\d{1,2}"
_Y = r"(?:\d{4}|\d{2})"
_WORD = rf"[{UPPER}{LOWER}]"
_UNIT = "km/h|km|kg|cm|mm|ml|mg"
_NOT_PLAIN = "|".join((*signs.SHORT, *signs.TITLES, "tx", "x", "đ", "no", _UNIT)).replace(".", r"\.")
_SHORT = "|".join(word for word in signs.SHORT if word.isalpha())
_TITLES = "|".join(signs.TITLES)

_PLAIN: Final[tuple[Rule, ...]] = (
    (
        "plain",
        rf"(?<!\w)(?:(?!(?i:{_NOT_PLAIN})(?!\w))[{UPPER}]?[{LOWER}]+"
        r"(?:(?:[,;!?]|\.(?!\S))*(?: +|$)|(?=[,;!?])))+",
        None,
    ),
)
_ADDRESSES: Final[tuple[Rule, ...]] = (
    (
        "mail",
        rf"(?<![{_L}.])[{_A}][{_L}.+-]{{0,63}}@[{_A}-]{{1,63}}(?:\.[{_A}-]{{1,63}}){{1,5}}",
        lambda text, place: read_address(text),
    ),
    (
        "web",
        rf"(?i:https?://|www\.){_REST}"
        rf"|(?<![{_L}.@-])(?:[{_A}][{_A}-]{{0,62}}\.){{1,4}}(?:{_TLD})(?!\w)(?:/{_REST}|/)?",
        lambda text, place: read_address(text),
    ),
)
_NUMBERS: Final[tuple[Rule, ...]] = (
    ("keys", r"(?<!\w)[*#]\d[\d*]{0,30}#", signs.read_keys),
    (
        "date",
        rf"(?<!\d)(?:\d{{4}}(?:-{_D}-{_D}|/{_D}/{_D}|\.{_D}\.{_D})"
        r"(?:[T ]00:00(?::00(?:\.0{1,6})?)?(?![:\d]))?"
        rf"|{_D} ?/ ?{_D} ?/ ?{_Y}|{_D}-{_D}-{_Y}|{_D}\.{_D}\.\d{{4}}|{_D} - {_D} - \d{{4}})(?!\d|[/.]\d)",
        moments.read_date,
    ),
    ("chain", r"(?<![\w.,-])\d{1,2}(?:-\d{1,2}){2,5}(?![\w-])", signs.read_weekdays),
    ("days", rf"(?<!\d){_D} ?- ?{_D}/{_D}(?:/\d{{4}})?(?!\d|/\d)", moments.read_days_of_month),
    ("months", rf"(?<!\d){_D} ?- ?{_D}/\d{{4}}(?!\d|/\d)", moments.read_months_of_year),
    ("phone", rf"(?<![\w.,/])(?:{phones.MOBILE}|{phones.FIXED}|{phones.SERVICE})", phones.read_phone),
    (
        "clock",
        rf"(?<!\d){_D}:\d{{2}}(?::\d{{2}})?(?![\d:])(?: ?(?:AM|PM|SA|CH|am|pm)(?!\w))?(?: giờ(?!\w))?",
        moments.read_clock,
    ),
    (
        "hours",
        rf"(?<!\d)\d{{1,3}}(?: ?[hH]|[gG](?=\d{{2}}))(?:{_D}(?:ph?|')?| {_D}(?= ?(?:ph?|phút)(?!\w))|)(?!\w)",
        moments.read_clock,
    ),
    (
        "decree",
        r"(?<!\w)\d{1,4}/(?:\d{4}/)?(?:NĐ|NQ|QĐ|CT|TT)-(?:TTg|[A-ZĐ]{2,6})(?!\w)",
        lambda text, place: read_decree(text),
    ),
    ("month", rf"(?<!\d){_D} ?[/-] ?\d{{4}}(?!\d|/\d)", moments.read_month_of_year),
    (
        "day",
        rf"(?<![\d/]){_D} ?/ ?{_D}[hH]?(?:(?=(?:{_UNIT})(?!\w))|(?!\w| ?/ ?\d))",
        signs.read_day_or_ratio,
    ),
    ("money", rf"(?<![\w.,]){amounts.IN_SPACED_GROUPS}", amounts.read_money_in_spaced_groups),
    ("quantity", amounts.QUANTITY, amounts.read_quantity),
    ("ratio", r"\d{1,12}(?: ?/ ?\d{1,12}){1,8}[hH]?(?![\w/])", signs.read_ratio),
    ("proportion", r"(?<![\d:])\d{1,4}:\d{1,4}(?![\d:])", signs.read_ratio),
    ("hyphened", r"(?<![\w.,-])\d{3,6}(?:-\d{2,6}){2,6}(?![\w-])", signs.read_hyphened),
    ("network", r"(?<!\w)[2-6]G(?!\w)", signs.read_network),
)
_LETTERS: Final[tuple[Rule, ...]] = (
    (
        "iso_time",
        r"(?<=\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?(?!\w)",
        signs.read_iso_time,
    ),
    ("unit", rf"(?<![^\W\d_])(?:{_UNIT}|m2|m3|kWh|mmHg|GB|Mbps)(?!\w)", amounts.read_unit),
    ("dong", r"(?<= )đ(?!\w)", signs.read_dong),
    (
        "act",
        r"(?<!\w)(?:NĐ|NQ|QĐ|CT|TT)-(?:CP|TTg)(?!\w)",
        lambda text, place: read_decree(text),
    ),
    ("short_month", rf"(?<!\w)[Tt]{_D}/\d{{4}}(?!\d)", signs.read_short_month),
    ("weekdays", r"(?<!\w)T[2-7](?:-T[2-7]){2,5}(?!\w)", signs.read_weekdays),
    ("weekday", r"(?<!\w)T[2-7](?!\w)", signs.read_weekday),
    ("quarter", r"(?<!\w)(?:I{1,3}|IV|Q[1-4])/\d{4}(?!\d)", signs.read_quarter),
    ("et_cetera", r"(?<!\w)(?i:v\.v|đ/c)(?!\w)\.?", signs.read_abbreviation),
    (
        "place",
        rf"(?<!\w)(?:(?i:tx|tt|tp|kp)\. ?(?=[{UPPER}]|\d)|(?i:[qphxđ])\.(?=[{UPPER}]|\d)|[QPĐ]\. (?=\d)"
        rf"|(?:(?<=[,(\d] )|(?<=ở )|(?<=tại )|(?<=thuộc )|(?<![\w ]))(?i:[qphxđ])\. (?=[{UPPER}])"
        r"|(?:[QP]|KP)(?=\d{1,2}(?!\w))|[QT]L ?(?=\d)|N[oO]\. ?(?=\d))",
        signs.read_abbreviation,
    ),
    (
        "title",
        rf"(?<!\w)(?:(?i:{_TITLES})\.(?=\s?{_WORD})|(?:P?GS|TS|ThS|BS|LS)(?= [{UPPER}][{LOWER}]))",
        signs.read_abbreviation,
    ),
    (
        "short",
        rf"(?<!\w)(?:{_SHORT}|Cty|SĐT|Tp)(?!\w)(?:\.(?= ?{_WORD}))?",
        signs.read_abbreviation,
    ),
)
_CODES: Final[tuple[Rule, ...]] = (
    (
        "plate",
        r"(?<!\w)\d{2}[A-ZĐ]{1,2}\d?[ -]\d{3}\.\d{2}(?![\w.])",
        lambda text, place: read_code(text.replace(" ", "-"), in_full=True),
    ),
    (
        "code",
        r"(?<!\w)(?=[A-ZĐ0-9./_-]{0,40}[A-ZĐ])(?=[A-ZĐ./_-]{0,40}\d)"
        r"[A-ZĐ0-9]{1,40}(?:[-./_][A-ZĐ0-9]{1,40}){0,10}(?!\w)",
        signs.read_code_in_text,
    ),
)
_BARE_NUMBERS: Final[tuple[Rule, ...]] = (
    ("spaced", r"(?<![\w.,])\d{1,6}(?: \d{2,6}){1,8}(?![\w]|[.,/:-]\d)", rows.read_spaced),
    ("number", rows.PLAIN, rows.read_plain),
    ("dotted", r"(?<![\w.,])\d{1,6}(?:\.\d{1,6}){2,5}(?!\.?\d)", signs.read_dotted),
    ("digits", r"\d+", rows.read_plain),
)
_WORDS: Final[tuple[Rule, ...]] = (
    ("capitals", rf"(?<![^\W\d_])[{UPPER}]+(?![^\W_])", signs.read_capitals_in_text),
    ("masked", r"(?<!\w)[xX]{3,}\d{3,6}(?!\w)", signs.read_masked),
    ("mixed", r"[^\W\d_]+\d[^\W_]*", signs.read_mixed),
    ("word", r"[^\W\d_]+(?:'[^\W\d_]+)*", None),
)
_SIGNS: Final[tuple[Rule, ...]] = (
    ("hidden", r"(?:(?:\*{2,8} ?){1,4}|\.{3,})\d{3,6}(?![\w.,])", signs.read_masked),
    ("times", r"(?<=\d) ?[xX×] ?(?=\d)|(?<=\w )[xX×] (?=\d)", signs.read_times),
    ("per_unit", rf"(?<=\w)(?<![A-CE-Z]){amounts.PER_UNIT}", amounts.read_per_unit),
    ("dash", r"(?: (?!-\d))?-+ ?", signs.read_dash),
    ("slash", r" ?/ ?", signs.read_slash),
    ("symbol", r"[^\w\s.,;:!?]|_", signs.read_sign),
)


def _any(rules: tuple[Rule, ...], begins: str = "") -> str:
    """Any of the rules, in order. `begins` saves trying them where none can begin."""
    found = "|".join(f"(?P<{name}>{pattern})" for name, pattern, _ in rules)
    return f"{begins}(?:{found})"


_DIGIT_OR_SIGN = r"(?=[\d+\-*#($€£¥₫UuVE])"
_LETTER = r"(?=[^\W\d_])"
_ALL = (*_PLAIN, *_ADDRESSES, *_NUMBERS, *_LETTERS, *_CODES, *_BARE_NUMBERS, *_WORDS, *_SIGNS)
UNTOUCHED: Final = frozenset(name for name, _, read in _ALL if read is None)
READERS: Final[dict[str, Read]] = {name: read for name, _, read in _ALL if read is not None}
FINDER: Final = re.compile(
    "|".join((
        _any(_SIGNS[:2], r"(?=[ xX×*.])"),
        _any(_PLAIN, _LETTER),
        _any(_ADDRESSES, rf"(?=[{_A}])"),
        _any(_NUMBERS, _DIGIT_OR_SIGN),
        _any(_LETTERS, _LETTER),
        _any(_CODES, r"(?=[A-ZĐ0-9])"),
        _any(_BARE_NUMBERS, r"(?=[\d+-])"),
        _any(_WORDS, _LETTER),
        _any(_SIGNS[2:], r"(?=[^\w\t\n.,;:!?]|_)"),
    ))
)  # fmt: skip
