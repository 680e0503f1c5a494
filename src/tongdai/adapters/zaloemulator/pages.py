"""The emulator's HTML: the permission page, its refusal, and its error page. Everything shown is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from tongdai.adapters.zaloemulator import words
from tongdai.adapters.zaloemulator.fixtures import App, Oa

PASSED_ON: Final = ("app_id", "redirect_uri", "state", "code_challenge")
GROUPS: Final = (
    ("Gửi tin nhắn và thông báo", "Gửi tin qua OA tới người dùng"),
    ("Gửi tin ZBS Template (ZNS)", "Gửi tin theo mẫu tới số điện thoại, tạo hành trình"),
    ("Thông tin Official Account", "Tên, ảnh đại diện, gói dịch vụ, hạn mức và chất lượng gửi tin"),
    ("Thông tin người dùng", "Những người đang quan tâm OA"),
    ("Nhận sự kiện", "Trạng thái tin, đánh giá và thay đổi của mẫu tin"),
)

STYLE: Final = Path(__file__).with_name("page.css")


def permission(app: App, oas: Sequence[Oa], told: Mapping[str, str], wrong: str = "") -> str:
    """`told`: what the address or the form before said."""
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(told[name])}">'
        for name in PASSED_ON
        if name in told
    )
    name = escape(app.name)
    chosen = told.get("oa_id", str(oas[0].oa_id) if len(oas) == 1 else "")
    choices = "".join(_choice(oa, chosen) for oa in oas) or '<p class="quiet">Bạn không quản trị OA nào.</p>'
    groups = "".join(f"<li><span>{what}<small>{more}</small></span></li>" for what, more in GROUPS)
    body = f"""
<form method="post" action="/v4/oa/permission" accept-charset="utf-8">{hidden}
<section>
{f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""}
<h1>Ứng dụng <b>{name}</b> muốn truy cập Official Account của bạn</h1>
<p class="quiet">Mã ứng dụng {app.app_id} · Sau khi cho phép, bạn sẽ được đưa về {escape(_host(told))}</p>
<h2>Chọn Official Account</h2>
<div role="radiogroup" aria-label="Official Account">{choices}</div>
<h2>{name} sẽ được phép</h2>
<ul>{groups}</ul>
<label class="agree"><input type="checkbox" name="agree" value="1" required>
<span>Tôi là quản trị viên của Official Account đã chọn và đồng ý cho phép ứng dụng này sử dụng các quyền trên
theo điều khoản của Zalo.</span></label>
</section>
<footer><button class="no" name="decision" value="deny" formnovalidate>Từ chối</button>
<button class="yes" name="decision" value="allow">Cho phép</button></footer>
</form>"""
    return _document("Cấp quyền cho ứng dụng", body)


def denied(app: App) -> str:
    body = f"""<section><h1>Bạn đã từ chối cấp quyền</h1>
<p>Ứng dụng <b>{escape(app.name)}</b> không được truy cập Official Account nào của bạn.</p>
<p class="quiet">Bạn có thể đóng trang này. Để cấp quyền, hãy bắt đầu lại từ ứng dụng.</p></section>"""
    return _document("Đã từ chối", body)


def error(code: int) -> str:
    why = {
        -14002: "Mã ứng dụng không hợp lệ, hoặc ứng dụng chưa được kích hoạt.",
        -14003: "Đường dẫn chuyển hướng không trùng với Official Account Callback Url đã lưu của ứng dụng.",
        -14012: "Official Account này không cấp quyền được cho ứng dụng.",
    }.get(code, "Có lỗi xảy ra. Vui lòng thử lại sau.")
    name = words.OAUTH.get(code, "Unknown error.")
    body = f"""<section><h1>Không thể cấp quyền</h1><p>{why}</p>
<p class="quiet">Mã lỗi <code>{code}</code> {escape(name)}</p></section>"""
    return _document("Lỗi", body)


def _choice(oa: Oa, chosen: str) -> str:
    verified = (
        '<span class="badge">Đã xác thực</span>'
        if oa.is_verified
        else '<span class="badge off">Chưa xác thực</span>'
    )
    checked = " checked" if chosen == str(oa.oa_id) else ""
    return f"""<label class="oa"><input type="radio" name="oa_id" value="{oa.oa_id}" required{checked}>
<span class="face" aria-hidden="true">{escape(oa.name[:1].upper())}</span>
<span><b>{escape(oa.name)}{verified}</b><small>{escape(oa.category)} · {oa.oa_id}</small></span></label>"""


def _host(told: Mapping[str, str]) -> str:
    return told.get("redirect_uri", "").split("?")[0]


def _document(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="vi"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title} · Zalo (giả lập)</title>
<style>{STYLE.read_text()}</style></head>
<body>
<div class="note">Đây là Zalo giả lập để thử nghiệm: không có Official Account thật nào bị ảnh hưởng.</div>
<main><header><span class="mark" aria-hidden="true">Z</span><span><b>Zalo Official Account</b>
<small>Cấp quyền cho ứng dụng</small></span></header>{body}</main></body></html>"""
