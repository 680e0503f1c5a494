"""Vietnamese telephone numbers: one canonical form, and the network that a prefix belongs to.

A number is stored as `84` + national number, digits only, and shown as `0…`. Service numbers (1800, 1900)
have no international form and are stored as they are dialled. Everything that people type, paste or export
from a spreadsheet is turned into that form, or refused with a reason; nothing raises.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import msgspec
import phonenumbers

Kind = Literal["mobile", "fixed", "service", "rejected"]
Reason = Literal[
    "too_short", "too_long", "unknown_prefix", "foreign", "service", "short_code", "not_a_number"
]
DialFormat = Literal["national", "e164", "plus"]


# A struct and not a dataclass: built once per imported row, and a frozen dataclass takes ten times as long.
class Normalised(msgspec.Struct, frozen=True, gc=False):
    """What a given number turned out to be."""

    number: str
    """Canonical: `84…` for mobile and fixed, as dialled for service, empty when rejected."""
    kind: Kind
    repaired: bool = False
    """True: it was read only after mending, such as a leading zero that a spreadsheet dropped."""
    converted: bool = False
    """True: it was an 11-digit mobile number of the plan before September 2018."""
    reason: Reason | None = None
    """Why it may not be called; `service` for a service number, which is a valid hotline but no target."""

    @property
    def callable(self) -> bool:
        """True for what a campaign may call: a mobile or a fixed line."""
        return self.reason is None


_MOBILE: Final = r"(?:3[0-9]|5[1-9]|7[06-9]|8[1-9]|9[0-9])[0-9]{7}"
_FIXED: Final = (
    r"(?:24|28)[0-9]{8}"
    r"|2(?:0[3-9]|1[0-689]|2[0-25-9]|3[2-9]|5[124-9]|6[0-39]|7[0-7]|9[0-4679])[0-9]{7}"
)
# Nearly every row of a list is a mobile number without any ornament; this one match takes it.
_plain_mobile: Final = re.compile(rf"(?:\+84|0084|84)?0?{_MOBILE}").fullmatch
_mobile: Final = re.compile(_MOBILE).fullmatch
_fixed: Final = re.compile(_FIXED).fullmatch
# Five digits after 1800/1900 are in no published plan, but libphonenumber admits them.
_service: Final = re.compile(r"1[89]00[0-9]{4,6}").fullmatch
_digits_only: Final = re.compile(r"\+?[0-9]+").fullmatch
# A program's number, negative or with a fraction: without its marks it would be somebody's number.
_no_whole_number: Final = re.compile(
    r"[-\u2212][1-9][0-9]*(?:[.,][0-9]+)?|[1-9][0-9]{7,}\.(?!0+$)[0-9]{1,2}"
).fullmatch
_spreadsheet_float: Final = re.compile(r"(\+?[0-9]{8,13})\.0{1,2}").fullmatch
# Text that PostgreSQL cannot store; accepting its number would fail the whole import later.
_unstorable: Final = re.compile("[\x00\ud800-\udfff]").search
_scientific: Final = re.compile(r"([1-9])[.,]([0-9]+)[eE]\+?([0-9]{1,2})").fullmatch

_PREFIXES: Final = ("", "0", "84", "840", "0084", "00840")
"""Digits that may stand before a national number: the trunk zero, the country code, or both."""

_MOST_DIGITS: Final = 17
"""Of one number: the 15 of the longest international one, after `00`."""

_LONGEST_TEXT: Final = 100
"""Characters beyond which a text is not searched for a number: a row with more holds something else."""

_OLD_MOBILE: Final[Mapping[str, str]] = {
    "120": "70", "121": "79", "122": "77", "126": "76", "128": "78",
    "123": "83", "124": "84", "125": "85", "127": "81", "129": "82",
    "162": "32", "163": "33", "164": "34", "165": "35", "166": "36", "167": "37", "168": "38", "169": "39",
    "186": "56", "188": "58", "199": "59",
}  # fmt: skip


def _ornaments() -> dict[int, None]:
    """What people and programs put between digits: spaces, dashes, dots, brackets, invisible marks."""
    separators = " \t\r\n\v\f.,-_()[]/'\"`´‘’“”·•~"
    invisible = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
    embedding = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    spaces = "\u00a0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
    dashes = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
    return dict.fromkeys(map(ord, separators + invisible + embedding + spaces + dashes))


_ORNAMENTS: Final = _ornaments()


def normalise(text: str) -> Normalised:
    """Read one number from a text. Never raises; what cannot be called says why in `reason`."""
    if _plain_mobile(text):
        return Normalised("84" + text[-9:], "mobile", len(text) == 9)
    if _digits_only(text):
        return _read_digits(text)
    return _read_ornamented(text)


def normalise_given(value: object) -> Normalised:
    """Read a number from whatever a file or a request held: text, an integer, a spreadsheet's float.

    Anything else (None, a truth value, a list, …) is rejected as `not_a_number`. Never raises.
    """
    if isinstance(value, str):
        return normalise(value)
    if isinstance(value, bool):
        return _rejected("not_a_number")
    if isinstance(value, float):
        if not value.is_integer():
            return _rejected("not_a_number")
        value = int(value)
    if isinstance(value, int):
        return _read_integer(value)
    return _rejected("not_a_number")


def shown(number: str) -> str:
    """A canonical number as people write it: `0…`; a service number as it is."""
    return "0" + number[2:] if number.startswith("84") else number


def dial_form(number: str, fmt: DialFormat) -> str:
    """A canonical number as a carrier wants it: `0…`, `84…` or `+84…`. Service numbers have one form only."""
    if not number.startswith("84") or fmt == "e164":
        return number
    return "+" + number if fmt == "plus" else "0" + number[2:]


def is_allocated(number: str) -> bool:
    """Whether libphonenumber knows the range of a canonical number. It trails new ranges: False is a warning.

    About 30 µs, so not part of `normalise`: only a report that shows the warning pays for it.
    """
    text = number if not number.startswith("84") else "+" + number
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, "VN"))
    except phonenumbers.NumberParseException:
        return False


def _rejected(reason: Reason) -> Normalised:
    return Normalised("", "rejected", reason=reason)


def _read_integer(value: int) -> Normalised:
    if value < 0:
        return _rejected("not_a_number")
    # Python refuses to print integers beyond 4,300 digits.
    return normalise(str(value)) if value < 10**20 else _rejected("too_long")


def _read_ornamented(text: str) -> Normalised:
    text = text.strip()
    if len(text) > _LONGEST_TEXT:
        return _rejected("too_long" if any(map(str.isdigit, text[:_LONGEST_TEXT])) else "not_a_number")
    if _unstorable(text) or _no_whole_number(text):
        return _rejected("not_a_number")
    mended = _mend_spreadsheet(text)
    if mended is not None:
        return msgspec.structs.replace(_read_digits(mended), repaired=True)
    bare = unicodedata.normalize("NFKC", text).translate(_ORNAMENTS)
    if _digits_only(bare):
        return _read_digits(bare)
    return _read_with_library(text)


def _mend_spreadsheet(text: str) -> str | None:
    """The digits of a number that a spreadsheet wrote as a float: `912345678.0`, `9.12345678E8`.

    Scientific notation is read only when it kept the digits: `9.12E+08` would ring a stranger.
    """
    plain = _spreadsheet_float(text)
    if plain:
        return plain[1]
    scientific = _scientific(text)
    if scientific is None:
        return None
    whole, fraction, exponent = scientific[1], scientific[2].rstrip("0"), int(scientific[3])
    missing = exponent - len(fraction)
    return whole + fraction + "0" * missing if 0 <= missing <= 1 else None


def _read_with_library(text: str) -> Normalised:
    """What holds letters or odd marks: labels, `tel:` addresses. Letters are never read as digits.

    More digits than one number has are a second number or an extension, which a campaign cannot dial: who
    would answer is not whom the list means.
    """
    given = "".join(str(unicodedata.decimal(c)) for c in text if c.isdecimal())
    if len(given) > _MOST_DIGITS:
        return _rejected("too_long")
    try:
        parsed = phonenumbers.parse(text, "VN")
    except phonenumbers.NumberParseException:
        return _rejected("not_a_number")
    national = phonenumbers.national_significant_number(parsed)
    if national not in given:
        return _rejected("not_a_number")
    if parsed.country_code != 84:
        return _rejected("foreign")
    if not given.endswith(national) or given[: -len(national)] not in _PREFIXES:
        return _rejected("too_long")
    return msgspec.structs.replace(_read_national(national, zero_lost=False), repaired=True)


def _read_digits(text: str) -> Normalised:
    """Digits with at most a leading `+`: strip the country code and the trunk zero, then read."""
    if _service(text):
        return Normalised(text, "service", reason="service")
    plus = text[0] == "+"
    digits = text[1:] if plus else text
    if not plus and 3 <= len(digits) <= 5 and digits[0] != "0":
        return _rejected("short_code")
    rest = _without_country_code(digits, plus)
    if rest is None:
        return _rejected("foreign")
    stripped = rest[1:] if rest[:1] == "0" else rest
    return _read_national(stripped, zero_lost=stripped == digits)


def _without_country_code(digits: str, plus: bool) -> str | None:
    """The digits after Vietnam's country code, if there is one; None for another country's number.

    A bare `84` counts only by length: 084 is a live mobile prefix, so `841234567` is 0841234567 with
    its zero eaten by a spreadsheet.
    """
    if digits.startswith("0084"):
        return digits[4:]
    if plus and digits[0] != "0":
        return digits[2:] if digits.startswith("84") else None
    if digits.startswith("00") and digits[2:3] != "0":
        return None
    if digits.startswith("84") and 11 <= len(digits) <= 13:
        return digits[2:]
    return digits


def _read_national(nsn: str, *, zero_lost: bool) -> Normalised:
    """Read a national significant number (no zero, no country code)."""
    if _mobile(nsn):
        return Normalised("84" + nsn, "mobile", zero_lost)
    if _fixed(nsn):
        return Normalised("84" + nsn, "fixed", zero_lost)
    if _service(nsn):
        return Normalised(nsn, "service", reason="service")
    if len(nsn) == 10 and nsn[:3] in _OLD_MOBILE:
        return Normalised("84" + _OLD_MOBILE[nsn[:3]] + nsn[3:], "mobile", zero_lost, converted=True)
    return _rejected(_why_not(nsn))


def _why_not(nsn: str) -> Reason:
    expected = 10 if nsn[:1] == "2" else 9
    if len(nsn) < expected:
        return "too_short"
    known = nsn[:1] == "2" or _mobile(nsn[:9]) is not None
    return "too_long" if len(nsn) > (expected if known else 10) else "unknown_prefix"


@dataclass(frozen=True, slots=True)
class Prefix:
    """Numbers that begin so (national, without the zero) belong to an operator from a date on."""

    prefix: str
    valid_from: date
    operator: str
    routing_group: str
    source: str


@dataclass(frozen=True, slots=True)
class Network:
    """Whose number it is, and whose hotline is cheapest towards it.

    Virtual operators ride on a host: `iTel` has operator `itel` and routing group `vinaphone`.
    """

    operator: str
    routing_group: str
    source: Literal["override", "prefix", "unknown"] = "prefix"
    """How it is known. A prefix names the first operator: numbers are portable since 2018."""


UNKNOWN_NETWORK: Final = Network("unknown", "unknown", "unknown")


@dataclass(frozen=True, slots=True)
class PrefixTable:
    """Longest prefix wins. Built once and kept; a look-up takes under a microsecond."""

    _networks: Mapping[str, Network]
    _lengths: tuple[int, ...]

    @classmethod
    def from_rows(cls, rows: Iterable[Prefix], on: date | None = None) -> PrefixTable:
        """Of several rows for one prefix the newest counts, ignoring those that begin after `on`."""
        newest: dict[str, Prefix] = {}
        for row in sorted(rows, key=lambda row: row.valid_from):
            if on is None or row.valid_from <= on:
                newest[row.prefix] = row
        shared: dict[tuple[str, str], Network] = {}
        networks = {
            prefix: shared.setdefault(
                (row.operator, row.routing_group), Network(row.operator, row.routing_group)
            )
            for prefix, row in newest.items()
        }
        return cls(networks, tuple(sorted({len(prefix) for prefix in networks}, reverse=True)))

    def network(self, number: str) -> Network:
        """The network of a canonical number; `UNKNOWN_NETWORK` if no prefix matches (service numbers)."""
        if not number.startswith("84"):
            return UNKNOWN_NETWORK
        for length in self._lengths:
            found = self._networks.get(number[2 : 2 + length])
            if found is not None:
                return found
        return UNKNOWN_NETWORK
