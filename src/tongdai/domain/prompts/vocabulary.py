"""The words behind the signs: letters, units, currencies, abbreviations. Pure data.

Letter names are those of Vietnamese schools, but for F, J, W, Z, which have none there, and M, N, S, X, which
are said short, as in `vê en pê tê`.
"""

from __future__ import annotations

from typing import Final

LOWER: Final = "a-zàáảãạăằắẳẵặâầấẩẫậđèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵ"
UPPER: Final = LOWER.upper()
"""Insides of character classes: Vietnamese letters, small and capital, composed."""

LETTERS: Final = {
    "a": "a", "ă": "á", "â": "ớ", "b": "bê", "c": "xê", "d": "dê", "đ": "đê", "e": "e", "ê": "ê", "f": "ép",
    "g": "giê", "h": "hát", "i": "i", "j": "gi", "k": "ca", "l": "e lờ", "m": "em", "n": "en", "o": "o",
    "ô": "ô", "ơ": "ơ", "p": "pê", "q": "quy", "r": "e rờ", "s": "ét", "t": "tê", "u": "u", "ư": "ư",
    "v": "vê", "w": "vê kép", "x": "ích", "y": "i dài", "z": "dét",
}  # fmt: skip

CURRENCIES: Final = {
    "đ": "đồng", "Đ": "đồng", "d": "đồng", "đồng": "đồng", "₫": "đồng", "vnđ": "đồng", "vnd": "đồng",
    "$": "đô la", "usd": "đô la Mỹ", "us$": "đô la Mỹ", "€": "ơ rô", "eur": "ơ rô", "£": "bảng Anh",
    "gbp": "bảng Anh", "¥": "yên", "jpy": "yên Nhật", "cny": "nhân dân tệ", "rmb": "nhân dân tệ",
    "krw": "uôn", "aud": "đô la Úc", "sgd": "đô la Xinh ga po", "thb": "bạt",
}  # fmt: skip

MULTIPLES: Final = {
    "k": "nghìn", "ngàn": "ngàn", "nghìn": "nghìn", "tr": "triệu", "trđ": "triệu đồng", "triệu": "triệu",
    "tỷ": "tỷ", "tỉ": "tỉ",
}  # fmt: skip

UNITS: Final = {
    "km": "ki lô mét", "m": "mét", "dm": "đề xi mét", "cm": "xen ti mét", "mm": "mi li mét",
    "km2": "ki lô mét vuông", "m2": "mét vuông", "cm2": "xen ti mét vuông", "m3": "mét khối",
    "cm3": "xen ti mét khối", "ha": "héc ta", "inch": "in", "kg": "ki lô gam", "g": "gam", "gr": "gam",
    "mg": "mi li gam", "l": "lít", "L": "lít", "lit": "lít", "ml": "mi li lít", "ML": "mi li lít",
    "cc": "xê xê", "KB": "ki lô bai", "MB": "mê ga bai", "GB": "gi ga bai", "TB": "tê ra bai",
    "kbps": "ki lô bít trên giây", "Mbps": "mê ga bít trên giây", "Gbps": "gi ga bít trên giây",
    "Hz": "héc", "kHz": "ki lô héc", "MHz": "mê ga héc", "GHz": "gi ga héc", "W": "oát",
    "kW": "ki lô oát", "KW": "ki lô oát", "MW": "mê ga oát", "kWh": "ki lô oát giờ",
    "KWh": "ki lô oát giờ", "kwh": "ki lô oát giờ", "V": "vôn", "mAh": "mi li am pe giờ",
    "mg/dL": "mi li gam trên đề xi lít", "mmol/L": "mi li mol trên lít", "mmHg": "mi li mét thủy ngân",
    "°C": "độ xê", "°F": "độ ép", "°": "độ", "km/h": "ki lô mét trên giờ", "m/s": "mét trên giây",
    "p": "phút", "ph": "phút", "'": "phút", "s": "giây", "ms": "mi li giây", "%": "phần trăm",
    "‰": "phần nghìn",
}  # fmt: skip

ACRONYMS: Final = {
    "AI": "ây ai", "API": "a pê i", "ATM": "a tê em", "BCH": "ban chấp hành",
    "BHTN": "bảo hiểm thất nghiệp", "BHXH": "bảo hiểm xã hội", "BHYT": "bảo hiểm y tế",
    "BIDV": "bê i đê vê", "BKS": "biển kiểm soát", "BQL": "ban quản lý", "BSX": "biển số xe",
    "BV": "bệnh viện", "CCCD": "căn cước công dân", "CD": "xê đê", "CEO": "xi i âu",
    "CKI": "chuyên khoa một", "CKII": "chuyên khoa hai", "CMND": "chứng minh nhân dân",
    "CMT": "chứng minh thư", "CN": "chi nhánh", "CNTT": "công nghệ thông tin", "COD": "xê ô đê",
    "CP": "cổ phần", "CSGT": "cảnh sát giao thông", "CSKH": "chăm sóc khách hàng",
    "CTCP": "công ty cổ phần", "CTKM": "chương trình khuyến mãi", "CTV": "cộng tác viên",
    "CTY": "công ty", "DV": "dịch vụ", "DVD": "đê vê đê",
    "GD": "giao dịch", "GPLX": "giấy phép lái xe", "GTGT": "giá trị gia tăng", "GĐ": "giám đốc",
    "HCM": "Hồ Chí Minh", "HDSD": "hướng dẫn sử dụng", "HN": "Hà Nội", "HS": "học sinh",
    "HSD": "hạn sử dụng", "HĐ": "hợp đồng", "HĐND": "hội đồng nhân dân", "ID": "ai đi", "IP": "ai pi",
    "IT": "ai ti", "KCN": "khu công nghiệp", "KH": "khách hàng", "KM": "khuyến mãi", "KTX": "ký túc xá",
    "KĐT": "khu đô thị", "LH": "liên hệ", "MSSV": "mã số sinh viên", "MST": "mã số thuế",
    "MTV": "một thành viên", "NCC": "nhà cung cấp", "NH": "ngân hàng", "NHNN": "ngân hàng nhà nước",
    "NSX": "ngày sản xuất", "NTD": "người tiêu dùng", "NV": "nhân viên", "NVKD": "nhân viên kinh doanh",
    "NXB": "nhà xuất bản", "NĐ": "nghị định", "OK": "ô kê", "OTP": "ô tê pê", "PGD": "phòng giao dịch",
    "PGĐ": "phó giám đốc", "PTTH": "phổ thông trung học", "QLKH": "quản lý khách hàng", "QR": "quy a",
    "QĐ": "quyết định", "SBD": "số báo danh", "SDT": "số điện thoại", "SL": "số lượng",
    "SP": "sản phẩm", "STK": "số tài khoản", "STT": "số thứ tự", "SV": "sinh viên",
    "SĐT": "số điện thoại", "THCS": "trung học cơ sở", "THPT": "trung học phổ thông", "TK": "tài khoản",
    "TMCP": "thương mại cổ phần", "TMĐT": "thương mại điện tử", "TNHH": "trách nhiệm hữu hạn",
    "TP": "thành phố", "TPHCM": "thành phố Hồ Chí Minh", "TPHN": "thành phố Hà Nội",
    "TTTM": "trung tâm thương mại", "TV": "ti vi", "TX": "thị xã", "UAE": "u a e",
    "UBND": "ủy ban nhân dân", "USA": "u ét a", "USB": "u ét bê", "USD": "đô la Mỹ", "VD": "ví dụ",
    "VIP": "víp", "VN": "Việt Nam", "VND": "Việt Nam đồng", "VNĐ": "Việt Nam đồng",
    "XNK": "xuất nhập khẩu", "ĐC": "địa chỉ", "ĐH": "đại học", "ĐHQG": "đại học quốc gia",
    "ĐK": "đăng ký", "ĐKKD": "đăng ký kinh doanh", "ĐT": "điện thoại", "ĐTDĐ": "điện thoại di động",
}  # fmt: skip
"""Capitals that stand for words, or are spelled otherwise than by the names of their letters."""

READ_AS_WORDS: Final = frozenset({
    "APP", "BANK", "BLACK", "CALL", "CARD", "COMBO", "DAT", "DUC", "FAX", "FREE", "GAS", "GOLD", "GRAB",
    "HOP", "LED", "LIVE", "LOC", "LUC", "MALL", "PLUS", "SHOP", "SPA", "TOP", "WEB", "WIFI", "YES",
})  # fmt: skip
"""Capitals that would be spelled by the rule, but are said as words."""

ROMAN_AFTER: Final = (
    "quý", "thế kỷ", "chương", "khóa", "khoá", "kỳ", "hạng", "loại", "cấp", "giai đoạn", "đợt", "phần",
    "tập", "thứ", "vùng", "đại hội", "lần", "bậc", "nhóm", "mục", "điều", "khu vực",
)  # fmt: skip
"""A Roman numeral after one of these is a number."""
