"""What can be set, where it came from, and one clear line when it is wrong.

From strongest to weakest: the command line, the environment (`CALLREEL_…`, and the carrier's credentials under their
usual `TWILIO_…` names), `callreel.toml`, the defaults. Nothing here opens a database or reaches a network.
"""

from callreel.settings.lines import SECTIONS, SettingLine, default_shown, describe
from callreel.settings.load import check, load_settings
from callreel.settings.model import LOOPBACK_HOSTS, MEDIA_PATH, Settings, env_name, env_names

__all__ = [
    "LOOPBACK_HOSTS",
    "MEDIA_PATH",
    "SECTIONS",
    "SettingLine",
    "Settings",
    "check",
    "default_shown",
    "describe",
    "env_name",
    "env_names",
    "load_settings",
]
