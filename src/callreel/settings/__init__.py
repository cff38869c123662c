"""Settings: their defaults and bounds, where each value came from, and one clear error line for a wrong one.

Precedence, highest first: the command line, the environment (`CALLREEL_…`, and the carrier's credentials under their
usual `TWILIO_…` names), `callreel.toml`, the defaults. Nothing here opens a database or reaches a network.
"""

from callreel.settings.carrier import MEDIA_PATH
from callreel.settings.lines import SettingLine, default_shown, describe
from callreel.settings.load import check, load_settings
from callreel.settings.model import Settings, env_name, env_names

__all__ = [
    "MEDIA_PATH",
    "SettingLine",
    "Settings",
    "check",
    "default_shown",
    "describe",
    "env_name",
    "env_names",
    "load_settings",
]
