"""What a person may have a language model read: which text of a call, and the server that it is sent to.

The text of the calls is read before, and compared after the model answered, in transactions of their own. If a call changed
meanwhile, such as by a redaction, the answer may contain words that may not be seen any more, so there is none.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import Connection

from callreel.domain.call import CallState
from callreel.domain.errors import CallreelError
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.transcript import Turn
from callreel.language_model.chat_server import ChatServer
from callreel.language_model.inquiry import Inquiry, Watch
from callreel.language_model.usage import TokenPrices
from callreel.redaction.masking import masked_turns
from callreel.review.summary import displayed_turns
from callreel.runtime.clock import Clock
from callreel.runtime.loopback import is_loopback
from callreel.store.calls import calls, erasures
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.transcripts import redactions, revisions


class AskRefusedError(CallreelError):
    """The state of the calls does not allow the question."""


@dataclass(frozen=True, slots=True)
class SentText:
    """The text of a call as it is sent, with the displayed roles. `version` is equal as long as nothing of it changes."""

    call: CallRow
    version: tuple[int, datetime, int, bool, Sequence[object]]
    turns: Sequence[Turn]


class ModelAccess:
    """Blocking; safe from any thread."""

    def __init__(
        self, database: Database, clock: Clock, server: ChatServer, prices: TokenPrices, *, redacts: bool
    ) -> None:
        """`redacts`: the policy is on, so the text of a call that was not redacted is not sent."""
        self.database = database
        self._clock = clock
        self._server = server
        self._prices = prices
        self._redacts = redacts

    def inquiry(self, watch: Watch, *, original: bool = False) -> Inquiry:
        """Begin. `original`: what is redacted is sent too, to a server on this machine only.

        Raises AskRefusedError, LanguageModelError.
        """
        if original and not is_loopback(urlsplit(self._server.access.url).hostname):
            raise AskRefusedError("originals are sent to a language model on this machine only")
        return Inquiry(self._server, self._clock, watch)

    def text(self, conn: Connection, call_id: CallId, *, original: bool = False) -> SentText | None:
        """None for a call whose text may not be sent, or that has none."""
        call = calls.get(conn, call_id)
        if call is None or call.state is not CallState.CLOSED or erasures.get(conn, call_id) is not None:
            return None
        if not original and (call.withheld or (self._redacts and call.redacted_at is None)):
            return None
        shown = revisions.shown(conn, call_id)
        if shown is None:
            return None
        hidden = [] if original else redactions.in_force(conn, call_id)
        turns = displayed_turns(call, masked_turns(shown.turns, hidden))
        version = (shown.machine.id, shown.machine.created_at, shown.number, call.roles_swapped, hidden)
        return SentText(call, version, turns)

    def require_unchanged(self, sent: Sequence[SentText], *, original: bool = False) -> None:
        """Raises AskRefusedError, and AccessEndedError for a request whose session ended meanwhile."""
        with self.database.write():
            pass  # a transaction that may change something is refused to a request whose session or token has ended
        with self.database.read() as conn:
            for before in sent:
                now = self.text(conn, before.call.id, original=original)
                if now is None or now.version != before.version:
                    raise AskRefusedError("the calls changed meanwhile; ask again")

    def facts(self, inquiry: Inquiry) -> dict[str, Json]:
        """Which model answered, and what that took, as JSON."""
        server = self._server.access
        return {
            "server": urlsplit(server.url).netloc, "model": server.model,
            "duration_ms": inquiry.duration_ms, **asdict(inquiry.usage(self._prices)),
        }  # fmt: skip
