"""What is found in a text, in the order in which it is tried, and how each find is read. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tongdai.domain.prompts import amounts, moments, phones
from tongdai.domain.prompts.context import Place
from tongdai.domain.prompts.reading import read_digits, read_int, read_ordinal, read_whole
from tongdai.domain.prompts.spelling import (
    read_address,
    read_capitals,
    read_code,
    read_decree,
    roman_value,
    spell_letters,
)
from tongdai.domain.prompts.vocabulary import CURRENCIES, LOWER, UPPER

Read = Callable[[str, Place], str]

_TITLES: Final = {
    "ths": "thạc sĩ", "pgs": "phó giáo sư", "gs": "giáo sư", "ts": "tiến sĩ", "bs": "bác sĩ", "ks": "kỹ sư",
    "ls": "luật sư", "mr": "ông", "mrs": "bà", "ms": "cô", "dr": "tiến sĩ",
}  # fmt: skip
_PLACES: Final = {
    "q": "quận", "p": "phường", "h": "huyện", "x": "xã", "tx": "thị xã", "tt": "thị trấn", "đ": "đường",
    "tp": "thành phố", "kp": "khu phố",
}  # fmt: skip
_SHORT: Final = {
    "cty": "công ty", "sđt": "số điện thoại", "đt": "điện thoại", "vd": "ví dụ", "stk": "số tài khoản",
    "tphcm": "thành phố Hồ Chí Minh", "tp": "thành phố", "vv": "vân vân", "v.v": "vân vân",
}  # fmt: skip
_SYMBOLS: Final = {
    "&": "và", "@": "a còng", "+": "cộng", "=": "bằng", "%": "phần trăm", "‰": "phần nghìn", "<": "nhỏ hơn",
    ">": "lớn hơn", "≤": "nhỏ hơn hoặc bằng", "≥": "lớn hơn hoặc bằng", "×": "nhân", "÷": "chia",
    "^": "mũ", "±": "cộng trừ", "≈": "xấp xỉ", "°": "độ", "(": ",", ")": ",", "[": ",", "]": ",", "{": ",", "}": ",",
    "|": ",", **{sign: CURRENCIES[sign] for sign in "$€£¥₫"},
}  # fmt: skip


def _symbol(text: str, place: Place) -> str:
    sign = text[0]
    if sign in ")]}" and not place.after.strip():
        return ""
    if sign in "#*":
        if place.last_word in ("phím", "dấu", "nút", "bấm", "nhấn", "ấn"):
            return "thăng" if sign == "#" else "sao"
        return ""
    if sign == "~":
        return "khoảng" if place.after[:1].isdecimal() else ""
    return _SYMBOLS.get(sign, "")


def _slash(text: str, place: Place) -> str:
    """`anh/chị` is `anh chị`; after an amount, `/tháng` is `một tháng`."""
    if place.after[:1].isdecimal():
        return "trên"
    return "một" if place.follows_money() else ""


_DASH_TO = re.compile(r"(?:(?!0\d+(?![\dhg:/.-]))\d|t[2-7]|\$|thứ |ngày |tháng |cn(?!\w))", re.IGNORECASE)
_DASH_FROM = re.compile(
    r"(?:\d ?(?:h|p|k|tr|đ|₫|%|vnđ|vnd|usd|\$|am|pm|sa|ch)?|thứ \w+|\d ?(?:triệu|nghìn|ngàn|tỷ|tỉ|đồng|ngày|tháng|năm|tuổi|phút|giờ))$",
    re.IGNORECASE,
)


def _dash(text: str, place: Place) -> str:
    """`từ … đến`, a pause between words, nothing within a word."""
    if _DASH_TO.match(place.after) and _DASH_FROM.search(place.before):
        return "đến"
    between_digits = place.before[-1:].isdecimal() and place.after[:1].isdecimal()
    return "," if len(text) > 1 or between_digits else ""


def _service_code(text: str, place: Place) -> str:
    """`*101#`, as it is keyed."""
    words = {"*": "sao", "#": "thăng"}
    return " ".join(words.get(key) or read_digits(key) for key in text)


def _abbreviation(text: str, place: Place) -> str:
    word = text.lower().rstrip(". ")
    if len(word) == 1 and "." not in text and place.kind() in ("code", "secret"):
        return spell_letters(word)
    return _SHORT.get(word) or _TITLES.get(word) or _PLACES.get(word) or text


def _weekday(text: str, place: Place) -> str:
    return f"thứ {read_ordinal(int(text[1:]))}"


def _short_month(text: str, place: Place) -> str:
    return moments.read_month_of_year(text[1:], place)


def _quarter(text: str, place: Place) -> str:
    quarter, year = text.split("/")
    number = int(quarter[1]) if quarter[0] == "Q" else roman_value(quarter)
    return f"{'' if place.last_word == 'quý' else 'quý '}{read_int(number)} năm {read_int(int(year))}"


def _iso_time(text: str, place: Place) -> str:
    return f", {moments.read_clock(text[1:6], place)}"


def _network(text: str, place: Place) -> str:
    return f"{read_int(int(text[0]))} gờ"


def _ratio(text: str, place: Place) -> str:
    words = " trên ".join(read_whole(number) for number in re.findall(r"\d+", text))
    return f"{words} giờ" if text[-1] in "hH" else words


def _day_or_ratio(text: str, place: Place) -> str:
    words = moments.read_date_or_ratio(text.rstrip("hH"), place)
    return f"{words} giờ" if text[-1] in "hH" else words


def _dotted(text: str, place: Place) -> str:
    return " chấm ".join(read_whole(number) for number in text.split("."))


def _code(text: str, place: Place) -> str:
    return read_code(text, in_full=place.kind() in ("code", "secret"))


def _mixed(text: str, place: Place) -> str:
    """`iPhone15`, `covid19`: letters stay, digits are read; after `mã` all of it is spelled."""
    if place.kind() in ("code", "secret"):
        return read_code(text, in_full=True)
    runs = re.findall(r"\d+|\D+", text)
    return " ".join(amounts.read_plain(run, place) if run.isdecimal() else run for run in runs)


def _times(text: str, place: Place) -> str:
    return "nhân"


def _capitals(text: str, place: Place) -> str:
    if text == "CN" and re.search(r"(?:thứ \w+|t[2-7])[ ,và&-]*$", place.before):
        return "chủ nhật"
    return read_capitals(text, place)


_A, _L = r"A-Za-z0-9", r"A-Za-z0-9_"
_TLD = "com|vn|net|org|edu|gov|info|io|asia|app|shop|online|site|xyz|biz|store|me"
_REST = r"[^\s<>\"']{0,200}[^\s<>\"'.,;:!?)]"
_D = r"\d{1,2}"
_Y = r"(?:\d{4}|\d{2})"
_NOT_PLAIN = "|".join((*(word for word in _SHORT if word != "v.v"), *_TITLES, "tx", "x"))
_WORD = rf"[{UPPER}{LOWER}]"

_RULES: Final[tuple[tuple[str, str, Read | None], ...]] = (
    (
        "plain",
        rf"(?:(?<!\w)(?!(?i:{_NOT_PLAIN})(?!\w))[{UPPER}]?[{LOWER}]+(?=[ ,;!?]|\.?(?:\s|$))[ ,;]*)+",
        None,
    ),
    ("keys", r"(?<!\w)[*#]\d[\d*]{0,30}#", _service_code),
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
    (
        "date",
        rf"(?<!\d)(?:\d{{4}}(?:-{_D}-{_D}|/{_D}/{_D}|\.{_D}\.{_D})(?:[T ]00:00(?::00(?:\.0{{1,6}})?)?(?![:\d]))?"
        rf"|{_D} ?/ ?{_D} ?/ ?{_Y}|{_D}-{_D}-{_Y}|{_D}\.{_D}\.\d{{4}}|{_D} - {_D} - \d{{4}})(?!\d|[/.]\d)",
        moments.read_date,
    ),
    ("iso_time", r"(?<=\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?(?!\w)", _iso_time),
    ("days", rf"(?<!\d){_D} ?- ?{_D}/{_D}(?:/\d{{4}})?(?!\d|/\d)", moments.read_days_of_month),
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
        r"(?<!\w)(?:\d{1,4}/(?:\d{4}/)?)?(?:NĐ|NQ|QĐ|CT|TT)-(?:CP|TTg|[A-ZĐ]{2,6})(?!\w)",
        lambda text, place: read_decree(text),
    ),
    ("month", rf"(?<!\d){_D} ?[/-] ?\d{{4}}(?!\d|[/-]\d)", moments.read_month_of_year),
    ("day", rf"(?<![\d/]){_D} ?/ ?{_D}[hH]?(?!\w| ?/ ?\d)", _day_or_ratio),
    ("money", rf"(?<![\w.,]){amounts.IN_SPACED_GROUPS}", amounts.read_money_in_spaced_groups),
    ("quantity", amounts.QUANTITY, amounts.read_quantity),
    ("ratio", r"\d+(?: ?/ ?\d+)+[hH]?(?!\w|/)", _ratio),
    ("short_month", rf"(?<!\w)[Tt]{_D}/\d{{4}}(?!\d)", _short_month),
    ("network", r"(?<!\w)[2-6]G(?!\w)", _network),
    ("weekday", r"(?<!\w)T[2-7](?!\w)", _weekday),
    ("quarter", r"(?<!\w)(?:I{1,3}|IV|Q[1-4])/\d{4}(?!\d)", _quarter),
    ("et_cetera", r"(?<!\w)(?i:v\.v)\.?", lambda text, place: "vân vân"),
    (
        "place",
        rf"(?<!\w)(?:(?i:tx|tt|tp|kp)\. ?(?=[{UPPER}]|\d)|(?i:[qphxđ])(?:\.(?=[{UPPER}])|\. ?(?=\d))"
        rf"|(?:(?<=[,(\d] )|(?<=ở )|(?<=tại )|(?<=thuộc )|(?<![\w ]))(?i:[qphxđ])\. (?=[{UPPER}])|[QP](?=\d{{1,2}}(?!\w)))",
        _abbreviation,
    ),
    (
        "title",
        rf"(?<!\w)(?i:{'|'.join(_TITLES)})\.(?=\s?{_WORD})|(?<!\w)(?:P?GS|TS|ThS|BS|LS)(?= [{UPPER}][{LOWER}])",
        _abbreviation,
    ),
    (
        "short",
        rf"(?<!\w)(?:{'|'.join(w for w in _SHORT if w not in ('v.v', 'tp'))}|Cty|SĐT|Tp|tp)(?!\w)(?:\.(?= ?{_WORD}))?",
        _abbreviation,
    ),
    (
        "code",
        r"(?<!\w)(?=[A-ZĐ0-9./_-]{0,40}[A-ZĐ])(?=[A-ZĐ./_-]{0,40}\d)[A-ZĐ0-9]{1,40}(?:[-./_][A-ZĐ0-9]{1,40}){0,10}(?!\w)",
        _code,
    ),
    ("spaced", r"(?<![\w.,])\d{1,6}(?: \d{2,6}){1,8}(?![\w]|[.,/:-]\d)", amounts.read_spaced),
    ("times", r"(?<=\d) ?[xX×] ?(?=\d)|(?<=\d\s)[xX×] ?(?=\d)", _times),
    ("number", amounts.PLAIN, amounts.read_plain),
    ("dotted", r"(?<![\w.,])\d{1,6}(?:\.\d{1,6}){2,5}(?!\.?\d)", _dotted),
    ("digits", r"\d+", amounts.read_plain),
    ("capitals", rf"(?<!\w)[{UPPER}]+(?!\w)", _capitals),
    ("mixed", r"[^\W\d_]+\d[^\W_]*", _mixed),
    ("word", r"[^\W\d_]+(?:'[^\W\d_]+)*", None),
    ("per_unit", rf"(?<=\w){amounts.PER_UNIT}", amounts.read_per_unit),
    ("dash", r"(?!\s+-\d)\s*-+\s*", _dash),
    ("slash", r" ?/ ?", _slash),
    ("symbol", r"[^\w\s.,;:!?]|_", _symbol),
)
UNTOUCHED: Final = frozenset({"plain", "word"})
READERS: Final[dict[str, Read]] = {name: read for name, _, read in _RULES if read is not None}
FINDER: Final = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern, _ in _RULES))
