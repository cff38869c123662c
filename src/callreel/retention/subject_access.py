"""Requests of a person about their phone number: everything stored about it as one archive, and its erasure."""

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from callreel.domain.call import Role
from callreel.domain.errors import AudioFileError, CallreelError, StoreError
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.intervals import Interval
from callreel.domain.recording import LayerState
from callreel.formats.zip_pieces import ZipOutlet
from callreel.retention.erasure_orders import ErasureOrders, ErasureRefusedError
from callreel.review.analyses import analysis_history
from callreel.review.exports import Format, export_transcript
from callreel.review.summary import call_summary, layer_names
from callreel.runtime.clock import Clock
from callreel.scorecards.summary import call_reviews
from callreel.store.audio.silenced_layer import silenced_range
from callreel.store.audit.pending import describe
from callreel.store.calls import layers
from callreel.store.db.database import Database
from callreel.store.db.tables import calls, technicians
from callreel.store.db.types import stored_among
from callreel.store.files.blobs import BlobStore
from callreel.store.people import saved_filters

Silences = Callable[[Connection, CallId], Mapping[str, Sequence[Interval]]]
"""What is silent in each file of a call, by path."""
_FEWEST_DIGITS = 5


class NumberError(CallreelError):
    """Something that is not a phone number."""


@dataclass(frozen=True, slots=True)
class SubjectErased:
    """The calls whose erasure was ordered, why others stay, and how many saved filters with the number were deleted."""

    ordered: list[CallId]
    refused: dict[CallId, str]
    filters: int


class SubjectAccess:
    """Blocking."""

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock, *, carrier_usable: bool) -> None:
        self._database = database
        self._blobs = blobs
        self._orders = ErasureOrders(database, clock, carrier_usable=carrier_usable)

    def calls_of(self, number: str) -> list[CallId]:
        """The calls with this number, oldest first. Raises NumberError."""
        wanted = _digits(number)
        with self._database.read() as conn:
            same = stored_among(
                conn, calls.c.remote_number, lambda stored: re.sub(r"\D", "", stored) == wanted
            )
            query = select(calls.c.id).where(same).order_by(calls.c.created_at, calls.c.id)
            return [CallId(found) for found in conn.execute(query).scalars()]

    def filters_of(self, number: str) -> list[Json]:
        """Everyone's saved filters with this number, in JSON. Raises NumberError."""
        with self._database.read() as conn:
            rows = saved_filters.with_number(conn, _digits(number))
        return [
            {"owner": row.owner, "name": row.name, "query": row.query, "at": row.at.isoformat()}
            for row in rows
        ]

    def archive(
        self,
        number: str,
        found: Sequence[CallId],
        names: Mapping[Role, str],
        silences: Silences,
        *,
        original: bool,
    ) -> Iterator[bytes]:
        """A ZIP file of the `found` calls with their transcripts, notes, reviews and audio, and of the phone book's entry and saved filters, in pieces.

        Without `original` it is redacted, and `silences` says what is silent.
        """
        outlet = ZipOutlet()
        with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("phone_book.json", _json(self._phone_book(number)))
            made.writestr("saved_filters.json", _json(self.filters_of(number)))
            made.writestr("calls.json", _json([str(call_id) for call_id in found]))
            for call_id in found:
                with self._database.read() as conn:
                    document = call_summary(conn, call_id, words=True, machine=True, original=original)
                    text = export_transcript(conn, call_id, Format.TEXT, names, original=original)
                    reviews: list[Json] = [*call_reviews(conn, call_id, None)]
                    files = layers.of_call(conn, call_id)
                    silent = {} if original else silences(conn, call_id)
                    analysed = analysis_history(conn, call_id, original=original)
                if document is None:
                    continue  # erased meanwhile
                made.writestr(f"{call_id}/call.json", _json(document))
                made.writestr(f"{call_id}/transcript.txt", text or "")
                if analysed:
                    made.writestr(f"{call_id}/analysis.json", _json(analysed))
                made.writestr(f"{call_id}/reviews.json", _json(reviews))
                yield outlet.taken()
                for name, file in zip(layer_names(files), files, strict=True):
                    if file.state is LayerState.RECORDING:
                        continue
                    try:
                        blocks = silenced_range(
                            self._blobs, file, 0, file.size_bytes, silent.get(file.path, ())
                        )
                    except (StoreError, AudioFileError) as error:
                        made.writestr(f"{call_id}/{name}.missing.txt", f"{error}\n")
                        continue
                    with made.open(f"{call_id}/{name}.wav", "w", force_zip64=True) as entry:
                        for block in blocks:
                            entry.write(block)
                            yield outlet.taken()
        yield outlet.taken()

    def erase(self, number: str, found: Sequence[CallId], by: str, reason: str) -> SubjectErased:
        """Order the erasure of the `found` calls, and delete everyone's saved filters with the number. Raises NumberError."""
        describe(reason=reason, calls=[str(call_id) for call_id in found])
        filters = self._delete_filters(number)
        ordered: list[CallId] = []
        refused: dict[CallId, str] = {}
        for call_id in found:
            try:
                self._orders.request(call_id, by, reason)
                ordered.append(call_id)
            except ErasureRefusedError as error:
                refused[call_id] = str(error)
        return SubjectErased(ordered, refused, filters)

    def _delete_filters(self, number: str) -> int:
        with self._database.write() as conn:
            rows = saved_filters.with_number(conn, _digits(number))
            if rows:
                saved_filters.remove_all(conn, rows)
                describe(filters=len(rows))
        if rows:
            self._database.truncate_wal()
        return len(rows)

    def _phone_book(self, number: str) -> list[Json]:
        wanted = _digits(number)
        with self._database.read() as conn:
            rows = conn.execute(select(technicians.c.name, technicians.c.number)).all()
        return [
            {"name": row.name, "number": row.number}
            for row in rows
            if re.sub(r"\D", "", row.number) == wanted
        ]


def _digits(number: str) -> str:
    digits = re.sub(r"\D", "", number)
    if len(digits) < _FEWEST_DIGITS or re.search(r"[^\d\s()+./-]", number):
        raise NumberError("expected a whole phone number with its country code, such as +12125550123")
    return digits


def _json(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
