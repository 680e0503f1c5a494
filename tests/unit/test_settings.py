"""Settings are read once, refuse what is doubtful, and are all explained in config.default.toml."""

from __future__ import annotations

import base64
import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from tongdai import settings
from tongdai.settings import Settings, SettingsError, load

DEFAULTS = Path(__file__).parents[2] / "config.default.toml"
KEY = bytes(range(32))


def test_every_setting_is_in_the_default_file_with_its_default() -> None:
    text = DEFAULTS.read_text("utf-8")
    written = tomllib.loads(text)
    commented = set(re.findall(r"^# ([a-z0-9_]+) = ", text, re.MULTILINE))
    for one in dataclasses.fields(Settings):
        if one.name in settings.SECRETS or settings.default_of(one) is None:
            assert one.name in commented, one.name
            assert one.name not in written, one.name
        else:
            assert written[one.name] == settings.default_of(one), one.name
    assert written.keys() | commented == {one.name for one in dataclasses.fields(Settings)}


def test_the_default_file_is_itself_usable() -> None:
    assert load(DEFAULTS, {}) == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tongdai.toml"
    file.write_text('port = 1234\nhost = "::1"\n')
    loaded = load(file, {"TONGDAI_PORT": "4321", "TONGDAI_METRICS": "false", "HOME": "/"})
    assert (loaded.port, loaded.host, loaded.metrics) == (4321, "::1", False)


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "tongdai.toml"
    file.write_text("otp_seconds = 7\n")
    assert load(None, {"TONGDAI_CONFIG": str(file)}).otp_seconds == 7


def test_an_empty_variable_counts_as_not_given() -> None:
    assert load(None, {"TONGDAI_DATABASE_URL": "", "TONGDAI_PORT": ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TONGDAI_METRICS", "yes"),
        ("TONGDAI_METRICS", "1"),
        ("TONGDAI_PORT", "70000"),
        ("TONGDAI_PORT", "http"),
        ("TONGDAI_SANDBOX_SPEED", "0"),
        ("TONGDAI_SANDBOX_SPEED", "inf"),
        ("TONGDAI_SANDBOX_SPEED", "nan"),
        ("TONGDAI_LOG_LEVEL", "loud"),
        ("TONGDAI_PROT", "8080"),
        ("TONGDAI_PORT_FILE", "/dev/null"),
    ],
)
def test_a_doubtful_variable_stops_the_start(variable: str, text: str) -> None:
    with pytest.raises(SettingsError):
        load(None, {variable: text})


@pytest.mark.parametrize(
    "line", ["metrics = 1", 'port = "8080"', "prot = 1", "port = ", "sandbox_speed = inf"]
)
def test_a_doubtful_line_stops_the_start(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tongdai.toml"
    file.write_text(line + "\n")
    with pytest.raises(SettingsError):
        load(file, {})


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml", {})


def test_there_is_no_master_key_by_default_and_the_message_says_how_to_make_one() -> None:
    with pytest.raises(SettingsError, match="token_urlsafe"):
        Settings().master_key()


@pytest.mark.parametrize(
    "text",
    [KEY.hex(), base64.b64encode(KEY).decode(), base64.urlsafe_b64encode(KEY).decode().rstrip("=")],
)
def test_a_master_key_is_hexadecimal_or_base64(text: str) -> None:
    assert load(None, {"TONGDAI_SECRET_KEY": text}).master_key() == KEY


@pytest.mark.parametrize(
    "text", ["changeme", "ab" * 31, "không phải khóa", base64.b64encode(KEY[:31]).decode()]
)
def test_a_weak_master_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(secret_key=text).master_key()
    assert text not in str(caught.value)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY.hex() + "\n")
    assert load(None, {"TONGDAI_SECRET_KEY_FILE": str(file)}).master_key() == KEY


def test_a_secret_given_twice_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY.hex())
    with pytest.raises(SettingsError, match="both"):
        load(None, {"TONGDAI_SECRET_KEY_FILE": str(file), "TONGDAI_SECRET_KEY": KEY.hex()})


def test_secrets_are_not_printed() -> None:
    shown = repr(Settings(secret_key="hidden-key", database_url="postgresql://u:hidden-pw@h/d"))
    assert "hidden" not in shown


def test_settings_cannot_be_changed_after_the_start() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]
