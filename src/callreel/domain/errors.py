"""One tree of errors. A message is a short fact: what was expected, what came, what to do.

A message never contains secrets, a full phone number or transcript text, since messages reach logs.
"""


class CallreelError(Exception):
    """Any expected failure. The command line prints it as one line and exits with 2."""


class SettingsError(CallreelError):
    """A setting is unknown, missing, or forbidden in this combination."""


class AudioFileError(CallreelError):
    """A file contains no usable audio."""


class StoreError(CallreelError):
    """The database or the data folder cannot be used as configured."""


class StoreAwayError(StoreError):
    """A file cannot be read or stored now, but later: the object store does not answer, or another machine still holds it."""


class CallErasedError(StoreError):
    """The call was erased, or an erasure of it was ordered: no work on it begins any more."""


class EngineError(CallreelError):
    """A speech engine cannot be used: an extra or a model is missing, or decoding failed."""


class CarrierError(CallreelError):
    """A request to the carrier failed. `retryable` says whether a repetition may succeed.

    `status` is None without an answer; `retry_after_s` is the wait that the carrier requested, if any.
    """

    def __init__(
        self, message: str, *, retryable: bool, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.status = status
        self.retry_after_s = retry_after_s
