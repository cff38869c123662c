"""The page of phrase rules. Its script lists and changes them through the API, which checks the rights."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from callreel.domain.phrases import LONGEST_PHRASE, MOST_PHRASES
from callreel.web.dependencies import Page

routes = APIRouter(include_in_schema=False)


@routes.get("/phrase-rules")
def phrase_rules(page: Page) -> HTMLResponse:
    return page(
        "phrase_rules.html",
        here="phrase_rules",
        longest_text=MOST_PHRASES * (LONGEST_PHRASE + 1),
    )
