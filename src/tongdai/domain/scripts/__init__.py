"""Call flows: what is said and asked on a call, as data, and the pure runner that follows it."""

from tongdai.domain.scripts.check import text_faults
from tongdai.domain.scripts.demo import demo_bodies, demo_scripts
from tongdai.domain.scripts.errors import (
    ScriptInvalidError,
    ScriptNameInvalidError,
    ScriptNotFoundError,
)
from tongdai.domain.scripts.model import (
    CONFIRM_TEXT,
    MAX_STEPS,
    MAX_TEXT_CHARS,
    Script,
    ScriptEntry,
    ScriptRow,
    Step,
    required_fields,
    used_fields,
)
from tongdai.domain.scripts.parse import parse_script
from tongdai.domain.scripts.results import Recording, Result
from tongdai.domain.scripts.runner import RECORD_ANNOUNCEMENT, Runner, VoicemailAction
from tongdai.domain.scripts.service import (
    ResolveAudio,
    check_script,
    create_script,
    get_script,
    list_scripts,
    load_version,
    update_script,
    uses_audio,
)

__all__ = [
    "CONFIRM_TEXT",
    "MAX_STEPS",
    "MAX_TEXT_CHARS",
    "RECORD_ANNOUNCEMENT",
    "Recording",
    "ResolveAudio",
    "Result",
    "Runner",
    "Script",
    "ScriptEntry",
    "ScriptInvalidError",
    "ScriptNameInvalidError",
    "ScriptNotFoundError",
    "ScriptRow",
    "Step",
    "VoicemailAction",
    "check_script",
    "create_script",
    "demo_bodies",
    "demo_scripts",
    "get_script",
    "list_scripts",
    "load_version",
    "parse_script",
    "required_fields",
    "text_faults",
    "update_script",
    "used_fields",
    "uses_audio",
]
