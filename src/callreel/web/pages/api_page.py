"""The page `/docs`: each operation of the API with its parameters, the fields of its body and a request as an example.

Everything comes from the OpenAPI document. Examples have the required fields; `curl` reads the token from its variable.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from callreel.domain.events import Json
from callreel.web.auth.access import find

_PATH: Final = {"call_id": "0123456789ab", "name": "cloud", "delivery_id": "msg_0123456789abcdef01234567"}
_VALUES: Final = {
    "number": "+12125550123", "raw": "212-555-0123", "language": "de", "url": "https://crm.example/in", "calls": "0123456789ab",
    "phrases": "refund*", "query": "reviewed=false", "person": "maria",
}  # fmt: skip
_TEXTS: Final = {"date": "2026-11-22", "date-time": "2026-11-22T12:00:00Z"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """`place` is `path`, `query`, `header` or `body`; `kind` a type with its bounds; `default` is as JSON, empty for none."""

    name: str
    place: str
    kind: str
    required: bool
    default: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `example` is a command; empty for what needs a session, since a command has a token."""

    method: str
    path: str
    description: str
    parameters: tuple[Parameter, ...]
    example: str


def operations(document: dict[str, Any], base_url: str) -> list[Operation]:
    """The operations of an OpenAPI document by path."""
    schemas = document.get("components", {}).get("schemas", {})
    return [
        _operation(method.upper(), path, described, schemas, base_url)
        for path, item in sorted(document["paths"].items())
        for method, described in item.items()
    ]


def _operation(
    method: str, path: str, described: dict[str, Any], schemas: dict[str, Any], base_url: str
) -> Operation:
    found = find(method, path)
    rule = found.rule if found else None
    listed = [one for one in described.get("parameters", ()) if one["in"] != "header"]
    content = described.get("requestBody", {}).get("content", {})
    body = _resolved(content.get("application/json", {}).get("schema", {}), schemas)
    required = body.get("required", ())
    return Operation(
        method,
        path,
        described.get("description", ""),
        (
            *(_parameter(one["name"], one["in"], one["schema"], one["required"], schemas) for one in listed),
            *(
                _parameter(name, "body", schema, name in required, schemas)
                for name, schema in body.get("properties", {}).items()
            ),
        ),
        ""
        if rule is not None and rule.session
        else _command(
            method, path, listed, body, schemas, base_url, token=rule is not None and not rule.open
        ),
    )


def _parameter(
    name: str, place: str, schema: dict[str, Any], required: bool, schemas: dict[str, Any]
) -> Parameter:
    default = schema.get("default")
    shown = "" if required or default is None else json.dumps(default)
    return Parameter(name, place, _kind(schema, schemas), required, shown)


def _command(
    method: str,
    path: str,
    listed: list[dict[str, Any]],
    body: dict[str, Any],
    schemas: dict[str, Any],
    base_url: str,
    *,
    token: bool,
) -> str:
    named = {one["name"]: one["schema"] for one in listed if one["in"] == "path"}
    address = path
    for name, schema in named.items():
        address = address.replace(f"{{{name}}}", _text(name, schema, schemas))
    query = "&".join(
        f"{one['name']}={_text(one['name'], one['schema'], schemas).replace('+', '%2B')}"
        for one in listed
        if one["in"] == "query" and one["required"]
    )
    parts = ["curl", *(["-X", method] if method != "GET" else [])]
    if token:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if body:
        example = json.dumps(_example("", body, schemas)).replace("'", "'\\''")
        parts += ["-H 'Content-Type: application/json'", f"-d '{example}'"]
    return " ".join([*parts, f"'{base_url}{address}{'?' if query else ''}{query}'"])


def _text(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    return _PATH.get(name) or str(_example(name, schema, schemas))


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema itself: behind a reference, or the first choice that is not null."""
    if "$ref" in schema:
        return _resolved(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return _resolved(choices[0], schemas) if choices else schema


def _kind(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """`integer, 1 to 100`; `cloud, live_8k or live_16k`; `list of string`."""
    found = _resolved(schema, schemas)
    if values := found.get("enum"):
        return " | ".join(map(str, values))
    kind = str(found.get("format") or found.get("type") or "any")
    if kind == "array":
        return f"list of {_kind(found.get('items', {}), schemas)}"
    bounds = [
        f"{word} {found[key]}{unit}"
        for key, word, unit in (
            ("minimum", "at least", ""), ("maximum", "at most", ""),
            ("minLength", "at least", " characters"), ("maxLength", "at most", " characters"),
        )
        if key in found
    ]  # fmt: skip
    return ", ".join([kind, *bounds])


def _example(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Json:
    found = _resolved(schema, schemas)
    if values := found.get("enum"):
        return str(values[0])
    match found.get("type"):
        case "object":
            fields = found.get("properties", {})
            wanted = found.get("required") or list(fields)[:1]
            return {field: _example(field, fields[field], schemas) for field in wanted if field in fields}
        case "array":
            return [_example(name, found.get("items", {}), schemas)]
        case "integer" | "number":
            return int(found.get("minimum", 1))
        case "boolean":
            return True
    return _VALUES.get(name) or _TEXTS.get(str(found.get("format")), "text")
