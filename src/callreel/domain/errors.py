"""One tree of errors. A message is a short fact: what was expected, what came, what to do.

No secrets, no phone number in full and no transcript text ever stands in a message, since messages reach logs.
"""


class CallreelError(Exception):
    """Anything that Callreel itself says went wrong. The command line prints it as one line and exits with 2."""


class SettingsError(CallreelError):
    """A setting is unknown, missing, or forbidden in this combination."""


class AudioFileError(CallreelError):
    """A file that should hold audio does not."""


class StoreError(CallreelError):
    """The database or the data folder cannot be used as configured."""


class StoreAwayError(StoreError):
    """A file cannot be had or kept now: the object store does not answer, or another machine still has it. Later it can."""


class CallErasedError(StoreError):
    """The call was erased, or an erasure of it was ordered: no work on it begins any more."""


class EngineError(CallreelError):
    """A speech engine cannot be used: an extra is missing, a model cannot be had, or decoding failed."""


class CarrierError(CallreelError):
    """The carrier answered something that we cannot use. `retryable` says whether asking again can help.

    `status` is None when nothing came; `retry_after_s` is what the carrier asked for, if it did.
    """

    def __init__(
        self, message: str, *, retryable: bool, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.status = status
        self.retry_after_s = retry_after_s
