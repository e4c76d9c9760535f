"""The manifests are what Kubernetes takes, and their pods keep to the restricted security standard."""

from pathlib import Path

import pytest

from tests.contracts.deploy.manifests import Manifests, Object, tool

SERVICES = {"paceline-gateway", "paceline-dispatcher", "paceline-scheduler", "paceline-monitor"}
# The monitor's /health tells of the whole; it must not be killed for what it tells.
LIVENESS = {"paceline-monitor": "/metrics"}


def test_kubernetes_takes_them(manifest_file: Path) -> None:
    tool("kubernetes-validate", "--strict", "--quiet", manifest_file)


def test_every_pod_may_do_little(manifests: Manifests) -> None:
    for name, pod in manifests.pods():
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_no_pod_gets_variables_from_services_around_it(manifests: Manifests) -> None:
    for name, pod in manifests.pods():
        assert pod["enableServiceLinks"] is False, name


def test_every_service_is_probed_on_its_port(base: Manifests) -> None:
    for name in SERVICES:
        (container,) = base.named("Deployment", name)["spec"]["template"]["spec"]["containers"]
        assert container["ports"] == [{"name": "http", "containerPort": _port(base, name)}]
        assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "http"}
        assert container["livenessProbe"]["httpGet"] == {"path": LIVENESS.get(name, "/health"), "port": "http"}


def _port(base: Manifests, name: str) -> int:
    service = name.removeprefix("paceline-")
    setting = "API_PORT" if service == "gateway" else f"{service.upper()}_PORT"
    return int(base.named("ConfigMap", "paceline-settings")["data"][setting])


def test_every_pod_says_what_it_needs_and_none_is_throttled(manifests: Manifests) -> None:
    for name, pod in manifests.pods():
        for container in pod["containers"]:
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name
            assert set(container["resources"]["limits"]) == {"memory"}, name


def test_the_label_that_holds_services_back_is_on_them_alone(local: Manifests) -> None:
    held = {
        one["metadata"]["name"]
        for one in local.objects
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "service"
    }
    assert held == SERVICES


def test_every_selector_finds_pods(manifests: Manifests) -> None:
    labels = [
        one["spec"]["template"]["metadata"]["labels"] for one in manifests.objects if "template" in one.get("spec", {})
    ]
    for kind, path in (("Service", "selector"), ("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        for one in manifests.of(kind):
            assert any(_matches(one["spec"][path], found) for found in labels), one["metadata"]["name"]


def _matches(selector: Object, labels: Object) -> bool:
    wanted = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])
    )


def test_no_secret_stands_in_a_configmap(manifests: Manifests) -> None:
    for one in manifests.of("ConfigMap"):
        assert not [name for name in one["data"] if name.endswith(("PASSWORD", "AUTH", "AUTHS", "SECRET"))]


@pytest.mark.parametrize("name", ["DASHBOARD_PASSWORD", "DATABASE_PASSWORD", "REDIS_PASSWORD"])
def test_the_overlay_brings_the_passwords(local: Manifests, name: str) -> None:
    assert local.named("Secret", "paceline-secrets")["data"][name]
