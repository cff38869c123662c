"""The page of webhook endpoints. Its script lists and changes them through the API, which checks the rights."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from callreel.domain.webhook import SUBSCRIBABLE
from callreel.web.dependencies import Page

routes = APIRouter(include_in_schema=False)


@routes.get("/webhooks")
def webhooks(page: Page) -> HTMLResponse:
    return page("webhooks.html", here="webhooks", events=[event.value for event in SUBSCRIBABLE])
