"""Call flows: what is said and asked on a call, as data, and the pure runner that follows it."""

from tongdai.domain.scripts.demo import demo_bodies, demo_scripts
from tongdai.domain.scripts.errors import ScriptInvalidError, ScriptNotFoundError
from tongdai.domain.scripts.model import Script, required_fields, used_fields
from tongdai.domain.scripts.parse import parse_script
from tongdai.domain.scripts.results import Recording, Result
from tongdai.domain.scripts.runner import Runner, VoicemailAction

__all__ = [
    "Recording",
    "Result",
    "Runner",
    "Script",
    "ScriptInvalidError",
    "ScriptNotFoundError",
    "VoicemailAction",
    "demo_bodies",
    "demo_scripts",
    "parse_script",
    "required_fields",
    "used_fields",
]
