"""What a process is wired with."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tongdai.bootstrap import RENDERERS, build, speakers
from tongdai.domain.webhooks import FORMATS
from tongdai.settings import Settings, SettingsError


def test_the_apis_know_the_engines_that_the_dialer_has() -> None:
    platform = build(Settings(database_url="postgresql://nowhere", secret_key=bytes(range(32)).hex()))
    assert platform.services.engines == {*platform.engines(), "asterisk"}
    assert platform.engines()


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


def voiced(**more: object) -> Settings:
    return Settings(database_url="postgresql://nowhere", secret_key=bytes(range(32)).hex(), **more)  # type: ignore[arg-type]


def test_only_voices_that_are_set_up_are_providers(tmp_path: Path) -> None:
    assert set(speakers(voiced())) == {"espeak"}
    everything = voiced(
        piper_voices=str(tmp_path), httptts_provider="zalo", httptts_key="k", speech_voice="http:2"
    )
    assert set(speakers(everything)) == {"espeak", "piper", "http"}
    assert build(everything).sounds().known([]) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"speech_voice": "piper:x"}, "speech_voice"),
        ({"speech_voice": ""}, "speech_voice"),
        ({"speech_fallback": "http:banmai"}, "speech_fallback"),
        ({"httptts_provider": "nobody"}, "httptts_provider"),
    ],
)
def test_a_voice_that_is_not_set_up_stops_the_start(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        build(voiced(**settings)).sounds()


def test_sounds_are_kept_beside_the_other_data_unless_told_otherwise(tmp_path: Path) -> None:
    assert voiced(data_dir=str(tmp_path)).sounds_path == tmp_path / "sounds"
    assert voiced(sounds_dir="/srv/sounds").sounds_path == Path("/srv/sounds")


def test_the_key_of_a_voice_is_not_printed() -> None:
    assert "s3cret" not in repr(voiced(httptts_key="s3cret"))


KEYS: dict[str, Any] = {"s3_bucket": "recordings", "s3_access_key": "who", "s3_secret_key": "shown to nobody"}


def test_recordings_go_where_the_settings_say() -> None:
    nowhere = Settings(database_url="postgresql://nowhere", secret_key=bytes(range(32)).hex())
    on_disk = build(nowhere).services
    assert on_disk.recorded is on_disk.storage
    in_bucket = build(dataclasses.replace(nowhere, recordings_storage="s3", **KEYS)).services
    assert in_bucket.recorded is not in_bucket.storage
    assert in_bucket.recorded.path("a/b") is None


@pytest.mark.parametrize("missing", KEYS)
def test_a_bucket_without_its_name_or_keys_stops_the_start(missing: str) -> None:
    settings = Settings(
        database_url="postgresql://nowhere",
        secret_key=bytes(range(32)).hex(),
        recordings_storage="s3",
        **{**KEYS, missing: ""},
    )
    with pytest.raises(SettingsError, match="s3_bucket"):
        build(settings)
    assert "shown to nobody" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"public_url": "https://tongdai.example.vn/"}, "https://tongdai.example.vn"),
        ({"host": "127.0.0.1", "port": 8081}, "http://127.0.0.1:8081"),
        ({"host": "::1", "port": 8081}, "http://[::1]:8081"),
        ({"port": 0}, ""),
    ],
)
def test_links_lead_to_the_public_url_or_to_where_the_server_listens(given: dict[str, Any], url: str) -> None:
    settings = Settings(database_url="postgresql://nowhere", secret_key=bytes(range(32)).hex(), **given)
    assert build(settings).services.recordings.public_url == url
