"""Model files by the name of their repository at the public model hub: which are here, and downloading the others.

Engines name the repository and the files. Files are kept where the hub's own client keeps them
(`HF_HOME`), so that other programs share them; an interrupted download resumes. The client checks the sizes
of what it fetched and that a snapshot is complete. Only `fetch` makes requests.
"""

import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callreel.domain.errors import EngineError

Progress = Callable[[int, int], None]
"""Bytes that are here, and of how many. Called from threads, often."""

_TIMEOUT_S = 10.0


class NotFetchedError(EngineError):
    """Only the model is missing: it has to be fetched first."""


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one engine, by a folder or by a name.

    `mark`: the file that marks a model folder. `files`: patterns of what a model needs of its repository.
    `sizes_mb`: its names, with their megabytes. `repository`: where another name leads; raises EngineError.
    """

    engine: str
    mark: str
    files: Sequence[str]
    sizes_mb: Mapping[str, int]
    repository: Callable[[str], str]

    def knows(self, model: str) -> bool:
        """Whether a model of that name, or in that folder, is one of them."""
        return model in self.sizes_mb or (Path(model).expanduser() / self.mark).is_file()

    def folder(self, model: str) -> Path:
        """Where the model is. A folder is looked for before a name is. Raises EngineError, or NotFetchedError."""
        folder = Path(model).expanduser()
        if folder.is_dir():
            if not (folder / self.mark).is_file():
                raise EngineError(
                    f"engine {self.engine}: expected a {self.mark} in the folder {model}, found none"
                )
            return folder
        found = here(self.repository(model), self.files)
        if found is None:
            size = f" ({self.sizes_mb[model]} MB)" if model in self.sizes_mb else ""
            raise NotFetchedError(
                f"engine {self.engine}: its model {model}{size} is not here yet: callreel models fetch {model}"
            )
        return found

    def fetch(self, model: str, progress: Progress | None = None) -> Path:
        """Have the model here; answers its folder. Raises EngineError."""
        try:
            return self.folder(model)
        except NotFetchedError:
            return fetch(self.repository(model), self.files, progress)


def here(repository: str, files: Sequence[str]) -> Path | None:
    """The folder with all `files` (patterns as `vocabulary.*`) of the repository, or None. Makes no request."""
    if not _client():
        return None
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=list(files), local_files_only=True))
    except (OSError, ValueError):
        return None


def fetch(repository: str, files: Sequence[str], progress: Progress | None = None) -> Path:
    """Download what is missing and return the folder. Blocking. Raises EngineError with the reason."""
    if not _client():
        raise EngineError(
            "models cannot be fetched without the package huggingface_hub; give a folder instead"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        folder = snapshot_download(
            repository,
            allow_patterns=list(files),
            etag_timeout=_TIMEOUT_S,
            tqdm_class=_bar(progress or (lambda done, whole: None)),
        )
    except GatedRepoError as error:
        raise EngineError(
            f"{repository} at the model hub requires an account; give a folder with the model"
        ) from error
    except RepositoryNotFoundError as error:
        raise EngineError(f"the model hub has no {repository}") from error
    except Exception as error:  # the client lets its HTTP library's errors through
        raise EngineError(
            f"{repository} could not be fetched ({_kind(error)}); go online once, or give a folder with the model"
        ) from error
    return Path(folder)


def _client() -> bool:
    return importlib.util.find_spec("huggingface_hub") is not None


def _kind(error: BaseException) -> str:
    """The name of the innermost reason, as `ConnectError`."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__


def _bar(progress: Progress) -> Any:
    """A progress bar class for the client that draws nothing and reports bytes. The client has one bar for the network and
    one for the disk; the one that is furthest counts."""
    from tqdm import tqdm

    lock = threading.Lock()
    furthest = [0]

    class ByteProgress(tqdm):  # type: ignore[misc]  # it has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            self._bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": True})
            self.n, self.total = kwargs.get("initial") or 0, kwargs.get("total") or 0

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if self._bytes:
                with lock:
                    furthest[0] = max(furthest[0], int(self.n))
                    progress(furthest[0], max(int(self.total or 0), furthest[0]))
            return None

    return ByteProgress
