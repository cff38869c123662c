"""Settings that the server refuses before it starts anything."""

from pathlib import Path

import pytest

from callreel.app.server import serve
from callreel.domain.errors import SettingsError
from callreel.settings import Settings


def test_simulated_softphone_is_for_the_demo_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", softphone_signalling_address="127.0.0.1:8002")
    with pytest.raises(SettingsError, match="CALLREEL_SOFTPHONE_SIGNALLING_ADDRESS is for demo mode"):
        serve(settings)
    with pytest.raises(SettingsError, match="is for demo mode"):
        serve(settings, demo_sign_in=True)
    assert not (tmp_path / "data").exists()


def test_simulated_softphone_is_refused_with_the_real_carrier(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", softphone_signalling_address="127.0.0.1:8002")
    for sign_in in (False, True):
        with pytest.raises(SettingsError, match="CALLREEL_CARRIER_API_URL does not"):
            serve(settings, demo=True, demo_sign_in=sign_in)
    assert not (tmp_path / "data").exists()
