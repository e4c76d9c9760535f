"""The OpenAPI 3.1 document, built from the models in ``shapes`` and the table in ``api_routes``.

``python -m services.gateway.openapi`` writes it to docs/openapi.yml; the gateway serves the same text.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.gateway import shapes
from services.gateway.api_routes import FOREIGN_ROUTES, REQUEST_ID, ROUTES, ApiRoute, ForeignRoute, Parameter
from services.gateway.yaml_text import yaml_text
from shared.runtime.request_identity import HEADER

_FILE = Path("docs/openapi.yml")
_ERRORS = {
    400: "Something in the request is wrong; `results.errors` names it. Nothing was accepted",
    401: "The login is missing or wrong",
    403: "Asked for by a page of another site",
    404: "There is none",
    409: "Its state does not allow it",
    413: "The body or the upload is too large",
    415: "Content-Type is none of those listed",
    422: "The Idempotency-Key belongs to a request with another content; nothing was accepted",
    503: "Postgres cannot be reached. Try again after `Retry-After` seconds with the same Idempotency-Key",
    507: "No space is left for media",
}
_REQUEST_ID = {"$ref": f"#/components/parameters/{HEADER}"}
_HEADERS = {HEADER: {"$ref": f"#/components/headers/{HEADER}"}}
_DESCRIPTION = (
    "A paced, crash-safe sending queue for WhatsApp. Fields and envelope are those of go-whatsapp-web-multidevice, so its "
    "clients need only another base URL, `…/api`. A 202 means: committed, and it will reach exactly one end."
)


@cache
def openapi_text() -> str:
    """The document as YAML."""
    return yaml_text(openapi_document())


def openapi_document() -> dict[str, Any]:
    """The document as plain data."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    for foreign in FOREIGN_ROUTES:
        paths.setdefault(foreign.path, {})[foreign.method.lower()] = _foreign_operation(foreign)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Paceline",
            "version": "1",
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # From where the document lies, docs/openapi.yml: a proxy may have all of it below a path of its own.
        "servers": [{"url": ".."}],
        "security": [{"basic": []}],
        "tags": [
            {"name": group}
            for group in (
                "Sending",
                "Messages",
                "Campaigns",
                "Steering",
                "Opt-outs",
                "Webhooks",
                "Monitor",
                "Documentation",
            )
        ],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": _schemas(),
            "parameters": {HEADER: _parameter(REQUEST_ID)},
            "headers": {
                HEADER: {
                    "description": "The id of the request, yours or one that was made. Lines of the logs about it have it",
                    "schema": {"type": "string"},
                }
            },
            "responses": {
                f"Error{status}": {
                    "description": description,
                    "headers": _HEADERS,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refused"}}},
                }
                for status, description in _ERRORS.items()
            },
        },
    }


def _models() -> list[type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {"Refused": shapes.Refused}
    for route in ROUTES:
        for model in (*route.bodies.values(), *(one for answer in route.answers.values() for one in answer)):
            found[model.__name__] = model
    return [found[name] for name in sorted(found)]


def _schemas() -> dict[str, Any]:
    _, top = models_json_schema(
        [(model, "validation") for model in _models()], ref_template="#/components/schemas/{model}"
    )
    definitions: dict[str, Any] = top["$defs"]
    return {name: _without_titles(definitions[name]) for name in sorted(definitions)}


def _without_titles(schema: Any) -> Any:
    """pydantic gives every field a title that only repeats its name."""
    if isinstance(schema, dict):
        return {
            key: {name: _without_titles(inner) for name, inner in value.items()}
            if key == "properties"
            else _without_titles(value)
            for key, value in schema.items()
            if key != "title" or not isinstance(value, str)
        }
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    return schema


def _operation(route: ApiRoute) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route.method, route.path),
        "tags": [route.group],
        "summary": route.summary,
    }
    parameters = [_path_parameter(name) for name in re.findall(r"{(\w+)}", route.path)]
    parameters += [_parameter(parameter) for parameter in route.parameters]
    operation["parameters"] = [*parameters, _REQUEST_ID]
    if not route.needs_login:
        operation["security"] = []
    if route.bodies:
        operation["requestBody"] = {
            "required": route.body_required,
            "content": {
                content_type: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
                for content_type, model in route.bodies.items()
            },
        }
    operation["responses"] = {
        **{str(status): _answer(models) for status, models in route.answers.items()},
        **{
            str(status): {"$ref": f"#/components/responses/Error{status}"}
            for status in sorted({*route.errors, 401, 503})
        },
    }
    return operation


def _answer(models: tuple[type[shapes.Answer], ...]) -> dict[str, Any]:
    schemas = [shapes.envelope(model) for model in models]
    description = " Or: ".join(re.sub(r"\s+", " ", model.__doc__ or "Done.") for model in models)
    return {
        "description": description,
        "headers": _HEADERS,
        "content": {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}},
    }


def _foreign_operation(route: ForeignRoute) -> dict[str, Any]:
    structured = route.content_type in ("application/json", "application/yaml")
    schema: dict[str, Any] = {"type": "object" if structured else "string"}
    operation: dict[str, Any] = {
        "operationId": _operation_id(route.method, route.path),
        "tags": [route.group],
        "summary": route.summary,
        "parameters": [_REQUEST_ID],
        "responses": {
            str(status): {
                "description": "As it is" if status == 200 else "Something is wrong; it says what",
                "headers": _HEADERS,
                "content": {route.content_type: {"schema": schema}},
            }
            for status in route.statuses
        },
    }
    if route.needs_login:
        operation["responses"]["401"] = {"$ref": "#/components/responses/Error401"}
    else:
        operation["security"] = []
    if route.method != "GET":
        operation["responses"]["403"] = {"$ref": "#/components/responses/Error403"}
    return operation


def _operation_id(method: str, path: str) -> str:
    words = re.findall(r"[A-Za-z]+", path.removeprefix("/api"))
    return "_".join([method.lower(), *words])


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string"} if name == "phone" else {"type": "string", "format": "uuid"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.kind}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.longest:
        schema |= {"minLength": 1, "maxLength": parameter.longest, "pattern": "^[!-~]+$"}
    return {"name": parameter.name, "in": parameter.place, "description": parameter.description, "schema": schema}


def main() -> int:
    _FILE.write_text(openapi_text(), encoding="utf-8")
    print(f"{_FILE} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
