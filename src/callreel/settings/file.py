"""Changes a settings file in place: comments and other settings stay, and only its owner may read it.

Only settings whose values are text on one line are changed here. The result is parsed before it replaces the file.
"""

import os
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from callreel.domain.errors import SettingsError
from callreel.settings.load import CONFIG_NAME, field_of

_KEY = re.compile(r'\s*"?(\w+)"?\s*=')


def settings_path(environ: Mapping[str, str], folder: Path) -> Path:
    """The settings file of this folder and environment, whether it exists or not."""
    return folder / Path(environ.get("CALLREEL_CONFIG") or CONFIG_NAME).expanduser()


def texts_in(path: Path) -> dict[str, str]:
    """The settings that the file sets, as text, by the names of their fields. Raises SettingsError."""
    return {name: str(value) for name, value in _parsed(path, _read(path)).items()}


def change_settings(path: Path, values: Mapping[str, str], remove: Collection[str] = ()) -> None:
    """Set and remove settings by the names of their fields. The file is created if it is missing; its mode becomes 0600.

    Raises SettingsError and leaves the file as it was.
    """
    before = _read(path)
    expected = {name: value for name, value in _parsed(path, before).items() if name not in remove} | dict(
        values
    )
    lines, missing, inside_table = list[str](), dict(values), False
    for line in before.splitlines():
        inside_table = inside_table or line.lstrip().startswith("[")
        key = _KEY.match(line)
        name = field_of(key[1]) if key and not inside_table else None
        if name is not None and name in values:
            lines.append(_line(name, missing.pop(name)))
        elif name is None or name not in remove:
            lines.append(line)
    # At the top: below a table's heading they would belong to that table.
    text = "".join(f"{line}\n" for line in [*(_line(*item) for item in missing.items()), *lines])
    if _parsed(path, text) != expected:
        raise SettingsError(
            f"cannot change {path}: the settings to change must be on lines of their own; edit the file by hand"
        )
    _replace(path, text)


def require_writable(path: Path) -> None:
    """Raise SettingsError if the file cannot be written, before anything depends on it."""
    folder = path.resolve().parent  # where a link leads, the file is replaced
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.R_OK)):
        raise SettingsError(
            f"cannot write the settings file {path}: this user lacks access to its folder; run in another folder or set CALLREEL_CONFIG"
        )


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole by one that only its owner may read. Raises SettingsError."""
    _replace(path, text)


def _line(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name} = "{escaped}"'


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the settings file {path}: {error}") from None


def _parsed(path: Path, text: str) -> dict[str, object]:
    try:
        return {field_of(key) or key: value for key, value in tomllib.loads(text).items()}
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None


def _replace(path: Path, text: str) -> None:
    target = path.resolve()  # a link stays a link
    part = target.with_name(f".{target.name}.new")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from None
