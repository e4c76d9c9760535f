"""The document is valid, is the one in docs/, and describes the routes that there are."""

from pathlib import Path

from openapi_spec_validator import validate

from services.gateway.app import build_app
from services.gateway.openapi import openapi_document, openapi_text
from tests.unit.services.gateway.settings import settings

DOCUMENT = Path(__file__).parents[4] / "docs" / "openapi.yml"


def test_it_is_valid() -> None:
    validate(openapi_document())


def test_the_committed_document_is_the_generated_one() -> None:
    assert DOCUMENT.read_text() == openapi_text(), "run python -m services.gateway.openapi"


def test_every_route_is_described_and_every_description_has_its_route() -> None:
    app = build_app(settings())
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method not in ("HEAD", "*")
    }
    served = {
        (method, path) for method, path in routes if path.startswith("/api") or path in ("/docs", "/docs/openapi.yml")
    }
    described = {(method, path) for path, methods in openapi_document()["paths"].items() for method in methods}
    monitors = {
        ("get", path)
        for path in (
            "/health",
            "/api/statistics",
            "/api/statistics/stream",
            "/api/statistics/alerts",
            "/api/endpoints/stats",
        )
    }
    assert served | monitors | {("post", "/api/alerts/test")} == described


def test_every_answer_carries_the_id_of_its_request() -> None:
    document = openapi_document()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                described = response
                if "$ref" in response:
                    described = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
                assert "X-Request-Id" in described["headers"], (method, path, status)


def test_every_reference_leads_somewhere() -> None:
    document = openapi_document()
    text = openapi_text()
    for kind in ("schemas", "responses", "headers", "parameters"):
        for name in document["components"][kind]:
            assert f"#/components/{kind}/{name}" in text, f"{name} is described and not used"
