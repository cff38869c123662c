"""All expected errors in one hierarchy. A message says what failed, what was expected, and what to do.

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


class EncryptionKeyError(StoreError):
    """A key for encrypted data is missing, unreadable or not the one that the data was encrypted with."""


class StoreUnavailableError(StoreError):
    """A file is temporarily unavailable: the object store does not respond, or the file is still on another machine."""


class NoCallError(CallreelError):
    """There is no such call, or it was erased."""


class TextDeletedError(CallreelError):
    """A retention policy deleted the text of the call, so nothing more can be written about it."""


class CallErasedError(StoreError):
    """The call was erased or its erasure was ordered, so no new work on it may start."""


class EngineError(CallreelError):
    """A speech engine cannot be used: an extra or a model is missing, or decoding failed."""


class RequestError(CallreelError):
    """A request to another server failed. `retryable` says whether a repetition may succeed.

    `status` is None without an answer; `retry_after_s` is the wait that the server requested, if any.
    """

    def __init__(
        self, message: str, *, retryable: bool, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.status = status
        self.retry_after_s = retry_after_s


class CarrierError(RequestError):
    """A request to the carrier failed."""


class LanguageModelError(RequestError):
    """A request to the language model's server failed."""


class UnusableAnswerError(LanguageModelError):
    """The language model's answer has not the form that was requested."""


class MailError(RequestError):
    """The mail server cannot be used: it does not answer, or refuses the session or the sender."""


class MailRefusedError(MailError):
    """The mail server refused one message or its recipient."""


class MailUnconfirmedError(MailError):
    """The connection broke while a message was handed over, so it may have been sent."""


class AccessEndedError(CallreelError):
    """The session or API token of a request was ended after the request began."""
