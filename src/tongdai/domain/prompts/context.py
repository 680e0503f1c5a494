"""What the words around a number say about it: an amount, a code, a telephone number. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["secret", "code", "phone", "amount", "item", ""]

_FAR = 80
"""Characters in which the words before a number are looked for."""

_NOUNS: Final[dict[Kind, str]] = {
    "secret": r"otp|mã (?:xác (?:thực|nhận|minh)|bảo mật|kích hoạt|pin|otp)|mật khẩu|pin|passcode|mật mã",
    "code": (
        r"mã(?: số thuế| giảm giá| thanh toán| nạp tiền)?|tài khoản (?:tiền gửi|thanh toán)|stk|số cuối|đuôi"
        r"|tận cùng|kết thúc bằng|số (?:tài khoản|tk|thẻ|cccd|cmnd|cmt|xe|seri|serial"
        r"|hợp đồng|hđ|h[oó]á? đơn|đơn|đơn hàng|tham chiếu|hồ sơ|vé|phiếu|hiệu|căn cước|hộ chiếu|định danh"
        r"|khung|bảo hiểm|bhxh|sổ|vận đơn|lô)|cmnd|cccd|cmt|căn cước(?: công dân)?"
        r"|chứng minh (?:nhân dân|thư)|hộ chiếu|biển (?:số|kiểm soát)|bks|mst|bsx|sbd|mssv"
        r"|số báo danh|imei|serial|seri|vận đơn"
        r"|(?:hợp đồng|h[oó]á? đơn|đơn|đơn hàng|phiếu|hồ sơ|tài khoản|thẻ) số"
        r"|voucher|coupon|id|gplx|chuyến bay"
    ),
    "phone": (
        r"(?:số )?điện thoại|sđt|sdt|đt|đtdđ|tel|số máy|hotline|tổng đài|đường dây nóng|đầu số|fax|zalo"
        r"|máy lẻ|(?<!chi )nhánh|di động"
    ),
    "amount": (
        r"số (?:tiền|dư|lượng|nợ|vốn|dân)|tiền|giá|trị giá|phí|lệ phí|cước|dư nợ|nợ|tổng(?: cộng)?|hạn mức"
        r"|lương|thưởng|doanh thu|cọc|dân số|diện tích|khoảng|hơn|gần|lãi|gốc|thuế|thành tiền"
    ),
}
_VERBS: Final[dict[Kind, str]] = {
    "phone": r"gọi|liên hệ|lh|nhắn tin|soạn tin|gửi|bấm số|quay số",
    "amount": r"thanh toán|nạp|rút|hoàn|thu|chi|trả|đóng|giảm|tăng|chuyển khoản|chuyển|còn(?: lại)?|trừ|cộng",
    "item": (
        r"đơn(?: hàng)?|hợp đồng|h[oó]á? đơn|tài khoản|thẻ|vé|hồ sơ|phiếu|lô|kiện|bưu kiện|giao dịch"
        r"|khách hàng|kh"
    ),
}


def _words(of: dict[Kind, str]) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?P<{kind}>(?<!\w)(?:{words})(?!\w))" for kind, words in of.items()))


_NOUN, _VERB = _words(_NOUNS), _words(_VERBS)
# Beyond a sentence's end, or another number, words no longer speak of this one.
_CLAUSE_ENDS = frozenset(".;!?0123456789")
_COUNTED = re.compile(
    r" ?(?:trăm|nghìn|ngàn|triệu|tỷ|tỉ|đồng|đô|usd|vnd|vnđ|euro|cái|chiếc|sản phẩm|món|người|khách|nhân viên"
    r"|lần|ngày|tháng|năm|tuần|giờ|phút|giây|km|mét|ki lô|kg|cân|tấn|tạ|lít|điểm|hộ|gói|suất|phần|bộ|đôi|cặp"
    r"|chai|hộp|thùng|bao|quyển|cuốn|tờ|trang|con|cây|căn|phòng|tầng|bước|cuộc|tin|lượt|xe|vé|học sinh"
    r"|sinh viên|cổ phiếu|cổ phần|độ|quý|hành khách|đơn vị|thuê bao|bài|câu|đơn hàng|tuổi)(?!\w)",
    re.IGNORECASE,
)
_MONEY = re.compile(r" ?(?:trăm|nghìn|ngàn|triệu|tỷ|tỉ|đồng|đô|usd|vnd|vnđ|euro|đ|₫)(?!\w)", re.IGNORECASE)
_NAMED_AFTER = re.compile(
    r" là (?:(mã (?:xác|otp|bảo mật|kích hoạt)|otp|mật khẩu)|mã|số (?:tài khoản|thẻ|điện thoại))",
    re.IGNORECASE,
)
_MONEY_BEFORE = re.compile(r"(?:\d ?(?:đ|₫|vnđ|vnd|k|tr|usd|\$|%)|đồng|nghìn|ngàn|triệu|tỷ|đô la) ?$")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was found in a text."""

    text: str
    start: int
    end: int
    before: str
    """The words before it, in small letters."""

    @classmethod
    def of(cls, text: str, start: int, end: int) -> Place:
        return cls(text, start, end, text[max(0, start - _FAR) : start].lower())

    @property
    def after(self) -> str:
        return self.text[self.end : self.end + 24]

    @property
    def last_word(self) -> str:
        """The word right before it, in small letters; `""` when a comma or a full stop lies between."""
        before = self.before.rstrip(" :(")
        begin = len(before)
        while begin and before[begin - 1].isalnum():
            begin -= 1
        return before[begin:]

    def counts(self) -> bool:
        """What follows is something that is counted."""
        return _COUNTED.match(self.after) is not None

    def is_money(self) -> bool:
        return _MONEY.match(self.after) is not None

    def is_named_after(self) -> Kind:
        """`123456 là mã xác thực của bạn`."""
        found = _NAMED_AFTER.match(self.after)
        return "" if found is None else "secret" if found[1] else "code"

    def follows_money(self) -> bool:
        return _MONEY_BEFORE.search(self.before[-12:]) is not None

    def kind(self) -> Kind:
        """What the nearest noun of the clause says; without one, the nearest verb."""
        words = self._clause()
        return _nearest(_NOUN, words) or _nearest(_VERB, words)

    def _clause(self) -> str:
        before = self.before
        for place in range(len(before) - 1, -1, -1):
            if before[place] in _CLAUSE_ENDS:
                return before[place + 1 :]
        return before


def _nearest(pattern: re.Pattern[str], words: str) -> Kind:
    kind: Kind = ""
    for found in pattern.finditer(words):
        kind = found.lastgroup or ""  # type: ignore[assignment]
    return kind
