"""The edge and the Ingress send the same paths to the monitor, and all else to the gateway."""

import json

from tests.contracts.deploy.manifests import Manifests, tool
from tests.servers import ROOT

# Paths of the monitor: exactly these, and for the first kind everything below them too.
WITH_ALL_BELOW = {"/api/statistics"}
EXACT = {"/health", "/api/endpoints/stats"}


def test_the_edge() -> None:
    adapted = tool("caddy", "adapt", "--adapter", "caddyfile", "--config", ROOT / "deploy" / "Caddyfile")
    (server,) = json.loads(adapted)["apps"]["http"]["servers"].values()
    targets = {}
    for route in server["routes"]:
        (proxy,) = [handler for handler in route["handle"] if handler["handler"] == "reverse_proxy"]
        (upstream,) = proxy["upstreams"]
        targets[upstream["dial"]] = (route.get("match"), proxy.get("flush_interval"))
    paths = EXACT | {path for one in WITH_ALL_BELOW for path in (one, f"{one}/*")}
    assert set(targets) == {"monitor:8084", "gateway:8080"}
    (match,), flush = targets["monitor:8084"]
    assert set(match["path"]) == paths
    assert flush == -1, "each event must leave at once"
    assert targets["gateway:8080"][0] is None


def test_the_ingress(base: Manifests) -> None:
    (rule,) = base.named("Ingress", "paceline")["spec"]["rules"]
    routed = {(path["pathType"], path["path"], path["backend"]["service"]["name"]) for path in rule["http"]["paths"]}
    assert routed == (
        {("Exact", path, "paceline-monitor") for path in EXACT}
        | {("Prefix", path, "paceline-monitor") for path in WITH_ALL_BELOW}
        | {("Prefix", "/", "paceline-gateway")}
    )


def test_events_are_not_held_back_by_the_ingress(base: Manifests) -> None:
    annotations = base.named("Ingress", "paceline")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
