"""An app, Official Accounts and templates to begin with."""

from __future__ import annotations

from typing import Any, Final

APP_ID: Final = 3791405228651924317
APP_SECRET: Final = "khoa-bi-mat-cua-ung-dung"  # noqa: S105 - of an app that exists nowhere
WEBHOOK_SECRET: Final = "khoa-bi-mat-cua-oa"  # noqa: S105 - the same
OA_ID: Final = 4318657068771012646
SECOND_OA_ID: Final = 2960518337144069285
UNVERIFIED_OA_ID: Final = 1847263905518273649
CALLBACK_URL: Final = "http://127.0.0.1:8080/zalo/callback"

JOURNEY_TEMPLATE: Final = 432101
OTP_TEMPLATE: Final = 432102
TRANSACTION_TEMPLATE: Final = 432103
CARE_TEMPLATE: Final = 432104
PROMOTION_TEMPLATE: Final = 432105
PENDING_TEMPLATE: Final = 432106
REJECTED_TEMPLATE: Final = 432107


def fixtures() -> dict[str, Any]:
    """A new document each time: whoever asks may change it."""
    return {
        "apps": [_app()],
        "oas": _oas(),
        "templates": [*_sendable(), *_unsendable()],
        "recipients": [],
    }


def _app() -> dict[str, Any]:
    return {
        "app_id": APP_ID,
        "name": "Tổng đài",
        "secret": APP_SECRET,
        "webhook_secret": WEBHOOK_SECRET,
        "callback_urls": [CALLBACK_URL],
        "admins": ["84901000001"],
    }


def _oas() -> list[dict[str, Any]]:
    return [
        {
            "oa_id": OA_ID,
            "name": "Giao Hàng Sao Việt",
            "description": "Giao hàng nhanh toàn quốc",
            "alias": "giaohangsaoviet",
            "category": "Dịch vụ vận chuyển",
            "followers": 12_846,
            "avatar": "https://s160-ava-talk.zadn.vn/sao-viet/160/ava.jpg",
            "cover": "https://cover-talk.zadn.vn/sao-viet/cover.jpg",
            "package_name": "OA Nâng cao",
            "package_valid_through": "31/12/2026",
            "admins": ["84901000002"],
        },
        {
            "oa_id": SECOND_OA_ID,
            "name": "Nhà Xe Hoa Mai",
            "description": "Xe khách Bắc – Nam",
            "category": "Vận tải hành khách",
            "followers": 3_120,
            "linked_zca": "ZCA-2",
            "package_valid_through": "30/06/2027",
            "quality": "MEDIUM",
            "week_quality": "HIGH",
        },
        {
            "oa_id": UNVERIFIED_OA_ID,
            "name": "Tiệm Bánh Chưa Xác Thực",
            "is_verified": False,
            "category": "Ẩm thực",
            "followers": 41,
            "package_name": "",
            "linked_zca": "",
            "quality": "UNDEFINED",
            "week_quality": "UNDEFINED",
        },
    ]


def _param(name: str, longest: int, kind: str = "STRING", **more: object) -> dict[str, object]:
    return {"name": name, "type": kind, "max_length": longest, **more}


def _template(
    number: int, name: str, tag: str, params: list[dict[str, object]], **more: object
) -> dict[str, Any]:
    return {
        "template_id": number,
        "oa_id": OA_ID,
        "name": name,
        "tag": tag,
        "params": params,
        "preview_url": f"https://account.zalo.cloud/znspreview/{number}",
        **more,
    }


def _sendable() -> list[dict[str, Any]]:
    order = [_param("ten_khach_hang", 30), _param("ma_don", 20)]
    journey_types = ["token_logistics_7", "token_logistics_30", "token_coach_bus_7", "token_coach_bus_30"]
    return [
        _template(
            JOURNEY_TEMPLATE,
            "Hành trình đơn hàng",
            "TRANSACTION",
            [*order, _param("trang_thai", 80, require=False)],
            journey_types=journey_types,
            price="180.0",
        ),
        _template(
            OTP_TEMPLATE,
            "Mã xác thực",
            "OTP",
            [_param("otp", 10, min_length=4)],
            timeout_ms=15_000,
            price="300.0",
        ),
        _template(
            TRANSACTION_TEMPLATE,
            "Xác nhận đơn hàng",
            "TRANSACTION",
            [
                *order,
                _param("so_tien", 20, "NUMBER"),
                _param("ngay", 20, "DATE"),
                _param("ghi_chu", 400, require=False),
            ],
        ),
        _template(
            CARE_TEMPLATE,
            "Chăm sóc sau mua",
            "CUSTOMER_CARE",
            [*order, _param("dia_chi", 200)],
            daily_quota=1_000,
            buttons=[{"type": 1, "title": "Đánh giá", "content": "https://example.vn/danh-gia"}],
        ),
        _template(
            PROMOTION_TEMPLATE,
            "Ưu đãi tháng này",
            "PROMOTION",
            [_param("ten_khach_hang", 30, accept_null=True), _param("ma_giam_gia", 15)],
            price="400.0",
        ),
    ]


def _unsendable() -> list[dict[str, Any]]:
    name = [_param("ten_khach_hang", 30)]
    return [
        _template(PENDING_TEMPLATE, "Mẫu chờ duyệt", "CUSTOMER_CARE", name, status="PENDING_REVIEW"),
        _template(
            REJECTED_TEMPLATE,
            "Mẫu bị từ chối",
            "PROMOTION",
            name,
            status="REJECT",
            reason="Nội dung không đúng loại mẫu",
        ),
    ]
