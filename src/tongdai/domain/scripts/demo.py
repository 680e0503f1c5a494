"""Three call flows in Vietnamese that work as they are, and show what a script can do. Pure."""

from __future__ import annotations

from tongdai.domain.scripts.model import Script
from tongdai.domain.scripts.parse import parse_script

_ORDER_REMINDER: dict[str, object] = {
    "start": "menu",
    "steps": {
        "menu": {
            "kind": "gather",
            "prompt": (
                "Xin chào {danh_xung|quý khách} {ten_khach|}. {ten_cua_hang|Cửa hàng} xin nhắc: đơn hàng"
                " {ma_don_hang|} của {danh_xung|quý khách} dự kiến giao {ngay_giao|trong thời gian tới}."
                " Để xác nhận nhận hàng, xin nhấn phím 1. Để hẹn lại ngày giao, xin nhấn phím 2."
            ),
            "retry_prompt": "Xin lỗi, chúng tôi chưa nhận được lựa chọn hợp lệ.",
            "on": {"1": "confirmed", "2": "change"},
            "timeout_s": 6,
            "tries": 2,
            "on_invalid": "no_choice",
            "on_timeout": "no_choice",
        },
        "confirmed": {
            "kind": "say",
            "text": (
                "Cảm ơn {danh_xung|quý khách} đã xác nhận. Đơn hàng sẽ được giao đúng hẹn."
                " Xin chào và hẹn gặp lại."
            ),
            "next": "end_confirmed",
        },
        "end_confirmed": {"kind": "hang_up", "end_code": "confirmed"},
        "change": {
            "kind": "say",
            "text": (
                "Chúng tôi đã ghi nhận yêu cầu hẹn lại. Nhân viên sẽ gọi cho {danh_xung|quý khách} để"
                " thống nhất ngày giao mới. Xin cảm ơn."
            ),
            "next": "end_change",
        },
        "end_change": {"kind": "hang_up", "end_code": "change_requested"},
        "no_choice": {
            "kind": "say",
            "text": "Chúng tôi sẽ liên hệ lại sau. Xin cảm ơn và chào {danh_xung|quý khách}.",
            "next": "end_no_choice",
        },
        "end_no_choice": {"kind": "hang_up", "end_code": "no_choice"},
        "message": {
            "kind": "say",
            "text": (
                "Xin chào {danh_xung|quý khách} {ten_khach|}. {ten_cua_hang|Cửa hàng} xin nhắc: đơn hàng"
                " {ma_don_hang|} của {danh_xung|quý khách} dự kiến giao {ngay_giao|trong thời gian tới}."
                " Xin cảm ơn."
            ),
        },
    },
    "voicemail": "message",
}

_PAYMENT_NOTICE: dict[str, object] = {
    "start": "notice",
    "steps": {
        "notice": {
            "kind": "gather",
            "prompt": (
                "Xin chào {danh_xung|quý khách} {ten_khach|}. {ten_cong_ty|Chúng tôi} xin thông báo: khoản"
                " thanh toán {noi_dung|} số tiền {so_tien} đồng đến hạn vào ngày {han_thanh_toan}."
                " Nếu {danh_xung|quý khách} đã thanh toán, xin bỏ qua thông báo này."
                " Để nghe lại, xin nhấn phím 1."
            ),
            "on": {"1": "notice"},
            "timeout_s": 4,
            "tries": 1,
            "on_invalid": "goodbye",
            "on_timeout": "goodbye",
        },
        "goodbye": {"kind": "say", "text": "Xin cảm ơn và chào {danh_xung|quý khách}."},
    },
}

_VOICE_OTP: dict[str, object] = {
    "kind": "otp",
    "start": "code",
    "steps": {
        "code": {
            "kind": "read_code",
            "purpose": (
                "Xin chào quý khách. Mã xác thực {dich_vu|} dùng để {muc_dich|xác minh số điện thoại}"
                " của quý khách là"
            ),
            "again": "Xin nhắc lại, mã xác thực của quý khách là",
            "repeats": 2,
            "pause_s": 1,
            "next": "warning",
        },
        "warning": {
            "kind": "say",
            "text": "Vui lòng không cung cấp mã này cho bất kỳ ai. Xin cảm ơn.",
        },
    },
}


def demo_scripts() -> dict[str, Script]:
    """By name: `order_reminder`, `payment_notice` and `voice_otp`."""
    return {name: parse_script(body) for name, body in demo_bodies().items()}


def demo_bodies() -> dict[str, dict[str, object]]:
    """The same as `demo_scripts`, as JSON values: what `create_script` takes."""
    return {
        "order_reminder": _ORDER_REMINDER,
        "payment_notice": _PAYMENT_NOTICE,
        "voice_otp": _VOICE_OTP,
    }
