"""What a process is wired with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tongdai.bootstrap import RENDERERS, build
from tongdai.domain.webhooks import FORMATS
from tongdai.settings import Settings


def test_the_apis_know_the_engines_that_the_dialer_has() -> None:
    platform = build(Settings(database_url="postgresql://nowhere", secret_key=bytes(range(32)).hex()))
    assert platform.services.engines == set(platform.engines()) != set()


def test_each_format_of_a_webhook_has_a_body() -> None:
    assert set(RENDERERS) == set(FORMATS)


def test_an_operator_s_own_policy_reaches_the_dialer_and_the_apis(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('id = "ours"\nvalid_from = 2026-01-01\n[[rule]]\nid = "customer_care_window"\non = true\n')
    settings = Settings(
        database_url="postgresql://nowhere", secret_key=bytes(range(32)).hex(), compliance_policy=str(own)
    )
    platform = build(settings)
    now = datetime(2026, 11, 18, tzinfo=UTC)
    assert platform.policies().at(now).id == "vn-2026-07+ours"
    assert platform.services.policies is not None
    assert platform.services.policies.at(now).id == "vn-2026-07+ours"


def test_zalo_is_asked_where_the_settings_say() -> None:
    settings = Settings(
        database_url="postgresql://nowhere",
        secret_key=bytes(range(32)).hex(),
        zalo_oauth_url="http://127.0.0.1:9/zalo/",
    )
    platform = build(settings)
    assert platform.services.zalo is not None
    for zalo in (platform.services.zalo, platform.zalo_client()):
        page = zalo.permission_url(12, "https://shop.vn/back", "s", None)
        assert page.startswith("http://127.0.0.1:9/zalo/v4/oa/permission?app_id=12&")
