"""Suggested answers to the questions of a scorecard, by a language model, for the person who reviews a call.

Nothing of it is kept: a suggestion becomes an answer when the reviewer accepts it and saves their draft.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.transcript import Turn
from callreel.insight import prompts
from callreel.insight.scorecard import (
    SuggestedAnswers,
    Suggestion,
    as_data,
    as_parts,
    checked_suggestions,
    suggestible,
)
from callreel.language_model.inquiry import Inquiry, Progress, Watch
from callreel.review.model_access import AskRefusedError, ModelAccess
from callreel.review.summary import turn_summary
from callreel.scoring.questions import Question

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Suggested:
    """What is kept of the answer; `dropped` others were no possible answers, or cited no turn. `facts` as `ModelAccess.facts`."""

    suggestions: Sequence[Suggestion]
    turns: Sequence[Turn] = field(repr=False)
    dropped: int
    facts: dict[str, Json]

    def summary(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "suggestions": [
                {
                    "question": one.answer.question,
                    "points": one.answer.points,
                    "not_applicable": one.answer.not_applicable,
                    "reason": one.reason,
                    "turns": [turn_summary(self.turns[number - 1]) for number in one.turns],
                }
                for one in self.suggestions
            ],
            "dropped": self.dropped,
            "prompt": prompts.SCORECARD,
            **self.facts,
        }


def suggest(access: ModelAccess, call_id: CallId, questions: Sequence[Question], watch: Watch) -> Suggested:
    """Ask about a call. Blocking.

    Raises AskRefusedError, LanguageModelError, CancelledRequestError, and AccessEndedError for a request whose session ended
    meanwhile.
    """
    inquiry = access.inquiry(watch)
    with access.database.read() as conn:
        sent = access.text(conn, call_id)
    if sent is None:
        raise AskRefusedError("the call has no text that may be sent to the language model")
    found, dropped = _suggestions(sent.turns, suggestible(questions), inquiry)
    facts = access.facts(inquiry)
    access.require_unchanged([sent])
    log.info(
        "answers suggested model=%s suggestions=%d dropped=%d duration_ms=%d",
        facts["model"], len(found), dropped, facts["duration_ms"], extra={"call_id": call_id},
    )  # fmt: skip
    return Suggested(found, sent.turns, dropped, facts)


def _suggestions(
    turns: Sequence[Turn], questions: Sequence[Question], inquiry: Inquiry
) -> tuple[list[Suggestion], int]:
    """What is kept of the answers, and how many suggestions are not."""
    template, data = prompts.template(prompts.SCORECARD), as_data(questions)
    pieces = prompts.pieces(turns)
    requests = len(pieces) + (len(pieces) > 1)
    parts, dropped = list[list[Suggestion]](), 0
    for number, piece in enumerate(pieces):
        inquiry.report(Progress(number, requests, 0, 1))
        reply = inquiry.reply(prompts.about_scorecard(template, data, piece), SuggestedAnswers)
        kept, others = checked_suggestions(reply, questions, {number for number, _ in piece})
        dropped += others
        parts += [kept] if kept else []
    every = [suggestion for part in parts for suggestion in part]
    if len(parts) < 2:
        return every, dropped
    inquiry.report(Progress(len(pieces), requests, 1, 1))
    merging = prompts.about_scorecard_parts(
        prompts.template(prompts.MERGE_SCORECARD), data, [as_parts(part, questions) for part in parts]
    )
    reply = inquiry.reply(merging, SuggestedAnswers)
    kept, others = checked_suggestions(reply, questions, {number for one in every for number in one.turns})
    return kept, dropped + others
