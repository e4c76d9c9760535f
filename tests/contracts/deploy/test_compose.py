"""The compose file is one, its containers may do little, and it has no password of its own."""

import re

from tests.contracts.deploy.manifests import COMPOSE, Object, compose, tool

OURS = {"gateway", "dispatcher", "scheduler", "monitor"}


def test_it_is_a_compose_file() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_every_container_may_do_little() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["driver"] == "local", name


def test_it_refuses_to_start_without_passwords() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    for name in ("DASHBOARD_PASSWORD", "DATABASE_PASSWORD", "REDIS_PASSWORD"):
        uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", text)
        assert uses, name
        assert all(use.startswith(":?") and "deploy/generate-env" in use for use in uses), name


def test_services_start_after_stores_and_migrations() -> None:
    services: Object = compose()["services"]
    for name in OURS:
        waits = {other: how["condition"] for other, how in services[name]["depends_on"].items()}
        assert waits == {
            "migrations": "service_completed_successfully",
            "valkey": "service_healthy",
            "postgres": "service_healthy",
        }


def test_stores_can_be_reached_by_services_alone() -> None:
    read = compose()
    assert read["networks"]["stores"]["internal"] is True
    for store in ("valkey", "postgres"):
        assert read["services"][store]["networks"] == ["stores"]
        assert "ports" not in read["services"][store]
    assert [name for name, service in read["services"].items() if "ports" in service] == ["edge"]


def test_each_image_is_built_from_its_own_dockerfile() -> None:
    services: Object = compose()["services"]
    built = {name: service["build"] for name, service in services.items() if "build" in service}
    assert built == {name: {"context": ".", "dockerfile": f"services/{name}/Dockerfile"} for name in OURS} | {
        "migrations": {"context": ".", "dockerfile": "migrations/Dockerfile"}
    }
