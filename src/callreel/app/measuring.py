"""Builds the measure stage from the settings."""

from callreel.app.offline import OfflineInstallation
from callreel.app.runtime import Runtime
from callreel.asr.silero import SileroDetector
from callreel.postcall.measuring import Measuring
from callreel.settings import Settings


def measuring_of(settings: Settings, runtime: Runtime | OfflineInstallation) -> Measuring:
    """The measure stage."""
    return Measuring(runtime.database, runtime.blobs, SileroDetector, round(settings.dead_air_s * 1000))
