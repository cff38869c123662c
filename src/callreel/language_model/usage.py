"""What answers of a language model took: tokens and their cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from callreel.language_model.chat_server import ChatAnswer

_PER: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """Prices of a million tokens. None: unknown, so no cost is reported."""

    prompt: Decimal | None = None
    completion: Decimal | None = None
    currency: str = "USD"

    def cost(self, prompt_tokens: int | None, completion_tokens: int | None) -> Decimal | None:
        """None without both prices and both counts."""
        if None in (self.prompt, self.completion, prompt_tokens, completion_tokens):
            return None
        assert self.prompt is not None and self.completion is not None
        return (self.prompt * (prompt_tokens or 0) + self.completion * (completion_tokens or 0)) / _PER


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all answers to one question. Tokens are None if the server did not count them, `cost` and `currency` without prices."""

    requests: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: str | None
    currency: str | None


def usage_of(answers: Sequence[ChatAnswer], prices: TokenPrices) -> Usage:
    """The sums of the answers."""
    prompt = _total([one.prompt_tokens for one in answers])
    completion = _total([one.completion_tokens for one in answers])
    cost = prices.cost(prompt, completion)
    priced = (None, None) if cost is None else (str(cost), prices.currency)
    return Usage(len(answers), prompt, completion, *priced)


def _total(counts: Sequence[int | None]) -> int | None:
    """The sum; None if one is unknown."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
