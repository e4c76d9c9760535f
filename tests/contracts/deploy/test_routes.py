"""The edge and the Ingress send the same paths to the monitor, and all else to the gateway."""

import json
import re

from services.gateway.app import build_app
from tests.contracts.deploy.manifests import Manifests, tool
from tests.servers import ROOT
from tests.unit.services.gateway.settings import settings

# Paths of the monitor: exactly these, and for the first kind everything below them too.
WITH_ALL_BELOW = {"/api/statistics", "/api/alerts"}
EXACT = {"/health", "/api/endpoints/stats"}
INSIDE = {"/metrics", "/ready"}
"""Answered by each service on its own port, and nowhere else."""


def test_the_edge() -> None:
    adapted = tool("caddy", "adapt", "--adapter", "caddyfile", "--config", ROOT / "deploy" / "Caddyfile")
    (server,) = json.loads(adapted)["apps"]["http"]["servers"].values()
    targets = {}
    answered = {}
    for route in server["routes"]:
        for handler in route["handle"]:
            if handler["handler"] == "reverse_proxy":
                (upstream,) = handler["upstreams"]
                targets[upstream["dial"]] = (route.get("match"), handler.get("flush_interval"))
            elif handler["handler"] == "static_response":
                answered |= {path: handler.get("status_code") for path in route["match"][0]["path"]}
    paths = EXACT | {path for one in WITH_ALL_BELOW for path in (one, f"{one}/*")}
    assert set(targets) == {"monitor:8084", "gateway:8080"}
    (match,), flush = targets["monitor:8084"]
    assert set(match["path"]) == paths
    assert flush == -1, "each event must leave at once"
    assert targets["gateway:8080"][0] is None
    assert {path for path, status in answered.items() if status == 404} == INSIDE | {f"{path}/*" for path in INSIDE}
    assert set(answered) - {"/edge/ready"} == INSIDE | {f"{path}/*" for path in INSIDE}


def _routed(base: Manifests) -> set[tuple[str, str, str]]:
    (rule,) = base.named("Ingress", "paceline")["spec"]["rules"]
    return {(path["pathType"], path["path"], path["backend"]["service"]["name"]) for path in rule["http"]["paths"]}


def test_the_ingress(base: Manifests) -> None:
    of_monitor = {(kind, path) for kind, path, service in _routed(base) if service == "paceline-monitor"}
    assert of_monitor == {("Exact", path) for path in EXACT} | {("Prefix", path) for path in WITH_ALL_BELOW}
    assert "defaultBackend" not in base.named("Ingress", "paceline")["spec"]


def _target(routed: set[tuple[str, str, str]], path: str) -> str | None:
    """Where Kubernetes sends a path: an exact one goes first, then the longest prefix by whole elements."""
    exact = [service for kind, rule, service in routed if kind == "Exact" and rule == path]
    elements = path.strip("/").split("/")
    prefixes = {
        len(wanted): service
        for kind, rule, service in routed
        if kind == "Prefix" and (wanted := [part for part in rule.split("/") if part]) == elements[: len(wanted)]
    }
    return exact[0] if exact else prefixes.get(max(prefixes, default=0))


def test_every_route_of_the_gateway_is_reached_through_the_ingress_but_those_for_the_inside(base: Manifests) -> None:
    app = build_app(settings())
    routed = _routed(base)
    for route in app.router.routes():
        assert route.resource is not None
        path = re.sub(r"{\w+}", "x", route.resource.canonical)
        expected = None if path in INSIDE else "paceline-monitor" if path in EXACT else "paceline-gateway"
        assert _target(routed, path) == expected, path
    for path in ("/metrics/x", "/ready/", "/edge/ready"):
        assert _target(routed, path) is None
    for path in ("/api/statistics/stream", "/api/alerts/test"):
        assert _target(routed, path) == "paceline-monitor"


def test_events_are_not_held_back_by_the_ingress(base: Manifests) -> None:
    annotations = base.named("Ingress", "paceline")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
