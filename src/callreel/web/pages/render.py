"""Pages from templates: Jinja with escaping on for everything, and the words of `wording.py` as filters."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Final, cast

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from callreel import __version__
from callreel.asr.languages import named
from callreel.domain.call import Role
from callreel.domain.redaction import Entity
from callreel.runtime.typed_command import as_typed
from callreel.web.auth.person import Person
from callreel.web.options import WebOptions
from callreel.web.pages import sparkline, wording

TEMPLATES: Final = Path(__file__).parents[1] / "templates"
STATIC: Final = Path(__file__).parents[1] / "static"
BUILT: Final = STATIC / "built"
"""What `make ui` makes of `ui/`. Its files are named after their content."""


class Renderer:
    """One a server; `create_app` keeps it in `app.state.renderer` for the error pages."""

    def __init__(self, options: WebOptions) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=wording.closed,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            options=options, version=__version__, assets=_assets_version(), script=_script()
        )
        self._environment.filters.update(_filters(options))

    def page(self, request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
        """The rendered template. Its context has `user`, who is signed in, and `can`, the rights of the request.

        Pages are private, so caches must not store them.
        """
        user = getattr(request.state, "user", None)
        person: Person | None = getattr(request.state, "person", None)
        can = person.rights if person else frozenset()
        text = self._environment.get_template(template).render(user=user, can=can, **{"here": None, **values})
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


def render_error(request: Request, status: int, message: str) -> HTMLResponse:
    """The error page."""
    renderer = cast(Renderer, request.app.state.renderer)
    return renderer.page(request, "error.html", status, problem=message, number=status)


def _filters(options: WebOptions) -> dict[str, Any]:
    return {
        "clock": wording.clock_text,
        "duration": wording.duration_text,
        "second": wording.second_text,
        "span": wording.span_text,
        "step_name": lambda step: wording.TIMELINE.get(step, step),
        "fragment": wording.position_fragment,
        "size": wording.size_text,
        "live_score": wording.live_score_text,
        "figure": wording.figure_text,
        "month": wording.month_text,
        "number": wording.number_text,
        "code_marks": _code_marks,
        "as_typed": as_typed,
        "measure": wording.measure_text,
        "measures": lambda head: wording.measures_text(
            head, wording.label(options.role_names.get(Role.AGENT, Role.AGENT))
        ),
        "sentence": wording.sentence,
        "percent": wording.percent_text,
        "language_name": named,
        "money": wording.money_text,
        "role_name": lambda role: wording.label(options.role_names.get(Role(role), role)),
        "verdict_name": lambda verdict: wording.VERDICTS.get(verdict, verdict),
        "verdict_meaning": lambda verdict: wording.VERDICT_MEANINGS.get(verdict, ""),
        "erasure_step": lambda step: wording.ERASURE_STEPS.get(step, step),
        "entity_name": lambda entity: wording.label(Entity(entity).mask.strip("[]")),
        "at_carrier": lambda outcome: wording.AT_CARRIER.get(outcome, outcome),
        "moment_kind": lambda kind: wording.MOMENTS[kind],
        "action_name": lambda action: wording.label(action.replace("_", " ")),
        "trend_points": sparkline.points,
        "trend_values": sparkline.spoken,
        "light_name": lambda light: wording.LIGHTS.get(light, light),
    }


def _code_marks(text: str) -> Markup:
    """`text` with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _assets_version() -> str:
    """Changes whenever a static file does, so that browsers may keep them for long."""
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _script() -> str | None:
    """The address of the script that every page loads; None where it was not built, and pages do without."""
    try:
        manifest = json.loads((BUILT / "manifest.json").read_bytes())
    except FileNotFoundError:
        return None
    return f"/static/built/{manifest['src/app.ts']['file']}"
