"""Settings: read once at the start from a TOML file and the environment, then frozen.

Each field of `Settings` is a key of the file and, in capitals after `TONGDAI_`, a variable of the
environment, which wins. `config.default.toml` explains every one. A secret may also come from a file, named
by the variable with `_FILE` behind it. An unknown key or a doubtful value stops the start.
"""

from __future__ import annotations

import base64
import os
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

PREFIX = "TONGDAI_"
SECRETS = frozenset({"secret_key", "database_url", "s3_access_key", "s3_secret_key", "httptts_key"})
"""Not printed, and readable from `TONGDAI_…_FILE`."""

# Variables with our prefix that are no settings: the name of the file, and what tests are told.
OTHER_VARIABLES = frozenset({"TONGDAI_CONFIG"})
TEST_PREFIX = "TONGDAI_TEST_"

MASTER_KEY_BYTES = 32
HOW_TO_MAKE_A_KEY = 'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"'

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Life = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class SettingsError(Exception):
    """The settings are not usable; the message says which one and why, never its value if it is a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that may be set. Times are seconds, sizes bytes."""

    secret_key: str = field(default="", repr=False)
    database_url: str = field(default="", repr=False)
    database_pool_size: Count = 10
    data_dir: str = ".data/tongdai"
    host: str = "127.0.0.1"
    port: Port = 8080
    max_body_bytes: Count = 64 * 1024 * 1024
    body_timeout_s: Seconds = 60.0
    export_max_limit: Count = 10_000
    metrics: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    aicallcenter_strict_http_status: bool = False
    aicallcenter_token_life_s: Seconds | None = None
    vbot_token_life_s: Life = 24 * 3600
    vbot_refresh_life_s: Life = 30 * 24 * 3600
    vbot_message_field: bool = True
    vbot_date_format: Literal["MM/dd/yyyy", "dd/MM/yyyy"] = "MM/dd/yyyy"
    otp_seconds: Count = 60
    compliance_policy: str = ""
    dialer_max_calls: Count = 1000
    dialer_batch: Count = 100
    dialer_horizon_s: Seconds = 0.25
    dialer_engine_timeout_s: Seconds = 5.0
    dialer_end_margin_s: Seconds = 60.0
    webhooks_allow_private: bool = False
    webhooks_timeout_s: Seconds = 15.0
    webhooks_connect_timeout_s: Seconds = 5.0
    webhooks_max_in_flight: Count = 500
    webhooks_give_up_s: Seconds = 86_400.0
    webhooks_keep_days: Count = 30
    public_url: str = ""
    recordings_storage: Literal["files", "s3"] = "files"
    recording_link_s: Life = 3600
    recording_webhook_link_s: Life = 7 * 24 * 3600
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_bucket: str = ""
    s3_path_style: bool = True
    s3_access_key: str = field(default="", repr=False)
    s3_secret_key: str = field(default="", repr=False)
    s3_timeout_s: Seconds = 30.0
    zalo_oauth_url: str = "https://oauth.zaloapp.com"
    zalo_openapi_url: str = "https://openapi.zalo.me"
    zalo_business_url: str = "https://business.openapi.zalo.me"
    zalo_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=20)] = 10.0
    zalo_connect_timeout_s: Seconds = 3.0
    zalo_capital_enums: bool = False
    interits_success_code: Literal[0, 200] = 0
    sencloud_owner_id: bool = True
    speech_voice: str = "espeak:vi"
    speech_fallback: str = ""
    sounds_dir: str = ""
    speech_cache_bytes: Count = 2_000_000_000
    speech_look_ahead: Count = 500
    piper_program: str = "piper"
    piper_voices: str = ""
    httptts_provider: str = ""
    httptts_url: str = ""
    httptts_key: str = field(default="", repr=False)
    httptts_timeout_s: Seconds = 15.0
    httptts_at_once: Count = 4
    sandbox_address: str = ""
    sandbox_speed: Seconds = 1.0
    sandbox_log: str = ""
    sandbox_seed: int = 0

    @property
    def aicallcenter_token_life(self) -> timedelta | None:
        life = self.aicallcenter_token_life_s
        return None if life is None else timedelta(seconds=life)

    @property
    def own_policy(self) -> Path | None:
        """The operator's changes to the shipped compliance policies, if there are any."""
        return Path(self.compliance_policy) if self.compliance_policy else None

    @property
    def sounds_path(self) -> Path:
        """Where what is said on calls is kept, for the engines to play."""
        return Path(self.sounds_dir) if self.sounds_dir else Path(self.data_dir) / "sounds"

    @property
    def own_url(self) -> str:
        """Where this platform is reached, without a path, as far as one can tell: behind a reverse proxy only
        `public_url` can. "": at a port that nobody knows yet."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url.rstrip("/") or (f"http://{host}:{self.port}" if self.port else "")

    @property
    def sandbox_socket(self) -> str:
        """Where the sandbox carrier listens."""
        return self.sandbox_address or str(Path(self.data_dir).absolute() / "carrier.sock")

    @property
    def sandbox_log_path(self) -> Path:
        """What the sandbox carrier was asked, one line each."""
        return Path(self.sandbox_log) if self.sandbox_log else Path(self.data_dir) / "carrier.log"

    def master_key(self) -> bytes:
        """The key that all others are derived from. Raises SettingsError when it is missing or weak."""
        if not self.secret_key:
            raise SettingsError(f"secret_key (TONGDAI_SECRET_KEY) is not set; {HOW_TO_MAKE_A_KEY}")
        key = _decoded_key(self.secret_key)
        if key is None or len(key) < MASTER_KEY_BYTES:
            weak = f"secret_key must be {MASTER_KEY_BYTES} bytes or more as base64 or hexadecimal"
            raise SettingsError(f"{weak}; {HOW_TO_MAKE_A_KEY}")
        return key


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings from `config` (or the file that TONGDAI_CONFIG names, if any) and the environment.

    Raises SettingsError.
    """
    env = os.environ if environ is None else environ
    named = env.get("TONGDAI_CONFIG")
    path = config or (Path(named) if named else None)
    values = _from_file(path) if path else {}
    values.update(_from_environment(env))
    return Settings(**values)


def default_of(one: Field[Any]) -> object:
    """The default of a setting; every setting has one, if only an empty one that does not work."""
    if one.default is MISSING:
        raise TypeError(f"{one.name} has no default")
    return one.default


def _from_file(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    known = _types()
    unknown = sorted(raw.keys() - known.keys())
    if unknown:
        raise SettingsError(f"{path}: there is no setting {', '.join(unknown)}")
    return {name: _checked(name, value, known[name], strict=True) for name, value in raw.items()}


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    known = _types()
    values: dict[str, Any] = {}
    for variable, text in env.items():
        if not _is_setting(variable) or text == "":
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known and name.removesuffix("_file") in SECRETS:
            name, text = name.removesuffix("_file"), _secret_in(variable, text)
            if env.get(PREFIX + name.upper()):
                raise SettingsError(f"both {PREFIX}{name.upper()} and {variable} are set; keep one")
        if name not in known:
            raise SettingsError(f"{variable}: there is no such setting")
        values[name] = _checked(name, text, known[name], strict=False)
    return values


def _is_setting(variable: str) -> bool:
    return (
        variable.startswith(PREFIX)
        and variable not in OTHER_VARIABLES
        and not variable.startswith(TEST_PREFIX)
    )


def _secret_in(variable: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}: cannot read {path}") from error


def _checked(name: str, value: object, wanted: Any, *, strict: bool) -> object:
    """`value` as the type of the setting. Text from the environment is converted, but never to a boolean
    from anything but `true` and `false`."""
    if not strict and wanted is bool:
        if value not in ("true", "false"):
            raise SettingsError(f"{name} must be true or false")
        return value == "true"
    try:
        return msgspec.convert(value, wanted, strict=strict)
    except msgspec.ValidationError as error:
        reason = "is not usable" if name in SECRETS else str(error)
        raise SettingsError(f"{name}: {reason}") from error


def _types() -> dict[str, Any]:
    hints = typing.get_type_hints(Settings, include_extras=True)
    return {one.name: hints[one.name] for one in fields(Settings)}


def _decoded_key(text: str) -> bytes | None:
    compact = text.strip()
    if re.fullmatch(r"(?:[0-9a-fA-F]{2})+", compact):
        return bytes.fromhex(compact)
    standard = compact.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError:  # not base64, or not even ASCII
        return None
