"""A container gets as long to stop as its service may need, counted from the settings as they are shipped."""

import re
from datetime import timedelta

import durationpy

from shared.settings import DrainSettings, EndpointSettings, ListenSettings
from tests.contracts.deploy.manifests import Manifests, compose
from tests.servers import ROOT

LONGEST_REQUEST: timedelta = EndpointSettings.model_fields["whatsapp_media_timeout"].default
SHUTDOWN_GRACE: timedelta = ListenSettings.model_fields["shutdown_grace"].default
DRAIN_TIME: timedelta = DrainSettings.model_fields["drain_time"].default
BOOKS = timedelta(seconds=20)  # to write down what the last sends came to
OTHERS = ("gateway", "scheduler", "monitor")


def _compose_grace(name: str) -> timedelta:
    grace: timedelta = durationpy.from_str(compose()["services"][name]["stop_grace_period"])
    return grace


def _pod_grace(base: Manifests, name: str) -> timedelta:
    pod = base.named("Deployment", f"paceline-{name}")["spec"]["template"]["spec"]
    # A sleep before SIGTERM would be taken off; a service that drains needs none.
    assert not any(container.get("lifecycle") for container in pod["containers"])
    return timedelta(seconds=pod["terminationGracePeriodSeconds"])


def test_a_dispatcher_may_finish_its_longest_request(base: Manifests) -> None:
    assert _compose_grace("dispatcher") >= LONGEST_REQUEST + BOOKS
    assert _pod_grace(base, "dispatcher") >= LONGEST_REQUEST + BOOKS


def test_the_others_may_finish_what_they_have_in_hand(base: Manifests) -> None:
    for name in OTHERS:
        assert _compose_grace(name) > DRAIN_TIME + SHUTDOWN_GRACE
        assert _pod_grace(base, name) > DRAIN_TIME + SHUTDOWN_GRACE


def test_no_manifest_changes_the_times_it_is_measured_by(base: Manifests) -> None:
    set_here = base.named("ConfigMap", "paceline-settings")["data"].keys() | {
        name for service in compose()["services"].values() for name in service.get("environment", {})
    }
    assert not {"WHATSAPP_MEDIA_TIMEOUT", "SHUTDOWN_GRACE", "DRAIN_TIME"} & set_here


def test_the_edge_gives_up_idle_connections_before_a_service_may_close_them() -> None:
    [idle] = re.findall(r"^\s*keepalive (\S+)$", (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8"), re.M)
    assert durationpy.from_str(idle) < DRAIN_TIME
