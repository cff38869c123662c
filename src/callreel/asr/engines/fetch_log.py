"""Telling the log how far the downloading of a model has come: at the beginning, at each tenth, at the end."""

import logging

log = logging.getLogger(__name__)

_MB = 1_000_000


class FetchLog:
    """A `hub.Progress` for one engine's model."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._logged_tenth = -1

    def __call__(self, done_bytes: int, whole_bytes: int) -> None:
        tenth = 10 * done_bytes // whole_bytes if whole_bytes else 0
        if tenth > self._logged_tenth:
            self._logged_tenth = tenth
            log.info(
                "downloading the model of engine %s: %d of %d MB",
                self._engine, done_bytes // _MB, whole_bytes // _MB,
            )  # fmt: skip
