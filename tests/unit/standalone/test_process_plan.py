"""The plan gives every program what it needs, and keeps from it what is not its own."""

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from standalone import credentials
from standalone.process_plan import (
    Endpoint,
    Plan,
    Ports,
    PortTakenError,
    Simulation,
    StopTurn,
    choose_ports,
    has_real_endpoints,
    read_settings,
)

PORTS = Ports(edge=1, gateway=2, dispatchers=(3, 4), scheduler=5, monitor=6, simulator=7)


def plan(directory: Path, settings: dict[str, str], simulation: Simulation | None = None) -> Plan:
    made = credentials.load_or_make(directory / "credentials")
    redis, postgres = Endpoint("127.0.0.1", 8, "redis-secret"), Endpoint("127.0.0.1", 9, "postgres-secret")
    return Plan(directory, settings, made, PORTS, redis, postgres, "paceline", simulation)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_every_service_reaches_the_servers_and_listens_on_its_own_port(tmp_path: Path) -> None:
    services = plan(tmp_path, {"REDIS_HOST": "redis", "API_HOST": "0.0.0.0", "WORKER_MAX_RETRIES": "7"}).services()
    assert [service.name for service in services] == [
        "scheduler",
        "dispatcher-1",
        "dispatcher-2",
        "monitor",
        "gateway",
    ]
    ports = ["SCHEDULER_PORT", "DISPATCHER_PORT", "DISPATCHER_PORT", "MONITOR_PORT", "API_PORT"]
    assert [service.environment[name] for service, name in zip(services, ports, strict=True)] == list("53462")
    for service in services:
        given = service.environment
        assert (given["REDIS_HOST"], given["REDIS_PORT"], given["REDIS_PASSWORD"]) == ("127.0.0.1", "8", "redis-secret")
        assert (given["DATABASE_PORT"], given["DATABASE_SSL_MODE"]) == ("9", "disable")
        assert given["API_HOST"] == "127.0.0.1"
        assert given["WORKER_MAX_RETRIES"] == "7"
    assert len({service.environment["FILE_STORAGE_ROOT"] for service in services}) == len(services)
    consumers = [service.environment.get("REDIS_CONSUMER_NAME") for service in services]
    assert consumers == [None, "dispatcher-1", "dispatcher-2", None, None]


def test_all_simulated_accounts_are_endpoints(tmp_path: Path) -> None:
    made = plan(tmp_path, {"WHATSAPP_DEVICE_IDS": "real"}, Simulation(devices=("a", "b")))
    given = made.services()[0].environment
    assert given["WHATSAPP_ENDPOINTS"] == "http://127.0.0.1:7,http://127.0.0.1:7"
    assert given["WHATSAPP_DEVICE_IDS"] == "a,b"
    login = f"paceline:{made.credentials['SIMULATOR_PASSWORD']}"
    assert given["WHATSAPP_AUTHS"] == f"{login},{login}"
    simulator = made.simulator()
    assert simulator is not None
    assert simulator.environment["SIMULATOR_BASIC_AUTH"] == login
    secret = made.credentials["WHATSAPP_WEBHOOK_SECRET"]
    assert simulator.environment["SIMULATOR_WEBHOOK"] == "http://127.0.0.1:2/api/webhooks/gowa"
    assert simulator.environment["SIMULATOR_WEBHOOK_SECRET"] == given["WHATSAPP_WEBHOOK_SECRET"] == secret
    assert not any(login in str(part) or secret in str(part) for part in simulator.command)


def test_real_endpoints_stay_as_they_are_set(tmp_path: Path) -> None:
    settings = {
        "WHATSAPP_ENDPOINTS": "https://gowa.example",
        "WHATSAPP_AUTHS": "u:p",
        "WHATSAPP_WEBHOOK_SECRET": "theirs",
    }
    assert has_real_endpoints(settings)
    assert not has_real_endpoints({"WHATSAPP_ENDPOINTS": ""})
    made = plan(tmp_path, settings)
    assert made.simulator() is None
    assert made.services()[0].environment["WHATSAPP_ENDPOINTS"] == "https://gowa.example"
    assert made.services()[0].environment["WHATSAPP_WEBHOOK_SECRET"] == "theirs"


def test_the_edge_gets_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_AUTH", "user:sesame")
    made = plan(tmp_path, {"EDGE_HOST": "192.0.2.1"})
    edge = made.edge()
    assert not any("sesame" in value for value in edge.environment.values())
    assert (edge.environment["EDGE_BIND"], made.address) == ("192.0.2.1", "http://192.0.2.1:1")
    assert plan(tmp_path, {"EDGE_HOST": "0.0.0.0"}).address == "http://127.0.0.1:1"


def test_who_accepts_stops_first_and_the_servers_last(tmp_path: Path) -> None:
    made = plan(tmp_path, {}, Simulation())
    simulator = made.simulator()
    assert simulator is not None
    programs = sorted([simulator, made.edge(), *made.services()], key=lambda program: program.stop_turn)
    assert [program.name for program in programs] == [
        "gateway",
        "dispatcher-1",
        "dispatcher-2",
        "scheduler",
        "monitor",
        "edge",
        "simulator",
    ]
    assert max(program.stop_turn for program in programs) < StopTurn.SERVERS


def test_a_taken_port_is_named_with_its_setting(taken: int) -> None:
    with pytest.raises(PortTakenError, match=rf"port {taken} .* MONITOR_PORT .* --ports auto"):
        choose_ports(_free() | {"MONITOR_PORT": str(taken)}, 1, "settings")


def test_automatic_ports_are_free_and_differ(taken: int) -> None:
    ports = choose_ports({"EDGE_PORT": str(taken)}, 3, "auto")
    numbers = [ports.edge, ports.gateway, *ports.dispatchers, ports.scheduler, ports.monitor, ports.simulator]
    assert len(set(numbers)) == 8
    assert taken not in numbers


def test_a_demo_takes_the_usual_edge_port_where_it_is_free(taken: int) -> None:
    free = _free()
    assert choose_ports(free, 1, "demo").edge == int(free["EDGE_PORT"])
    assert choose_ports({"EDGE_PORT": str(taken)}, 1, "demo").edge != taken


def _free() -> dict[str, str]:
    ports = choose_ports({}, 1, "auto")
    names = ("EDGE_PORT", "API_PORT", "DISPATCHER_PORT", "SCHEDULER_PORT", "MONITOR_PORT")
    numbers = (ports.edge, ports.gateway, *ports.dispatchers, ports.scheduler, ports.monitor)
    return dict(zip(names, map(str, numbers), strict=True))


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("RATE_PROFILE=bulk\nLOG_LEVEL=debug\nDASHBOARD_PASSWORD=\n")
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setenv("RATE_PROFILE", "")
    settings = read_settings(file)
    assert settings["RATE_PROFILE"] == "bulk"
    assert settings["LOG_LEVEL"] == "error"
    assert "DASHBOARD_PASSWORD" not in settings
    assert read_settings(tmp_path / "none")["LOG_LEVEL"] == "error"


def test_the_login_is_the_set_one_or_a_made_up_one(tmp_path: Path) -> None:
    assert plan(tmp_path, {"DASHBOARD_USERNAME": "u", "DASHBOARD_PASSWORD": "p"}).login == ("u", "p")
    user, password = plan(tmp_path, {}).login
    assert user == "admin"
    assert len(password) >= 20


def test_credentials_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    made = credentials.load_or_make(file)
    assert len(set(made.values())) == len(credentials.NAMES)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert credentials.load_or_make(file) == made
    # A name that a newer version adds does not change the others.
    file.write_text(f"DATABASE_PASSWORD={made['DATABASE_PASSWORD']}\n")
    again = credentials.load_or_make(file)
    assert again["DATABASE_PASSWORD"] == made["DATABASE_PASSWORD"]
    assert set(again) == set(credentials.NAMES)
