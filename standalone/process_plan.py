"""Which programs run on one machine, with which environment, ports and turn to stop: a plan, nothing is started here.

Settings come from the process's environment, then from `.env`. What belongs to the embedded servers, to addresses and
to files is ours and overrides both, since a `.env` written for containers names other hosts.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values

from standalone.binaries import caddy
from standalone.ports import free_ports, is_free
from standalone.supervisor import Program

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
DATABASE = "paceline"

Policy = Literal["settings", "auto", "demo"]


class StopTurn(IntEnum):
    """Who stops when: nothing new is accepted, what is in hand is sent, the books are closed, the servers go."""

    GATEWAY = 0
    DISPATCHERS = 1
    SCHEDULER_AND_MONITOR = 2
    EDGE = 3
    SIMULATOR = 4
    SERVERS = 5


# A dispatcher may be in the middle of the longest request there is: media, 180 s, and 20 s for the books.
DISPATCHER_GRACE = 210.0
SERVICE_GRACE = 30.0


class PortTakenError(RuntimeError):
    """Somebody listens on a port of ours; the text names it and its setting."""


@dataclass(frozen=True)
class Ports:
    """Where everything listens."""

    edge: int
    gateway: int
    dispatchers: tuple[int, ...]
    scheduler: int
    monitor: int
    simulator: int


@dataclass(frozen=True)
class Simulation:
    """The simulated accounts: ids, and options of the simulator beyond those that follow from the plan."""

    devices: tuple[str, ...] = ("sales-1", "sales-2", "sales-3")
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoint:
    """How to reach a server and with what."""

    host: str
    port: int
    password: str


def read_settings(env_file: Path) -> dict[str, str]:
    """The environment over `.env`; an empty value counts as none."""
    from_file = {name: value for name, value in dotenv_values(env_file).items() if value}
    return from_file | {name: value for name, value in os.environ.items() if value}


def has_real_endpoints(settings: Mapping[str, str]) -> bool:
    """Whether the settings name senders, so that none need to be simulated."""
    return bool(settings.get("WHATSAPP_ENDPOINTS") or settings.get("WHATSAPP_BASE_URL"))


def choose_ports(settings: Mapping[str, str], dispatchers: int, policy: Policy) -> Ports:
    """The ports of the settings, all free ones (`auto`), or free ones but 8081 for the edge where it is free (`demo`).

    Further dispatchers and the simulator always get free ones. Raises PortTakenError.
    """
    free = iter(free_ports(dispatchers + 5))
    wanted = {
        "EDGE_PORT": 8081,
        "API_PORT": 8080,
        "DISPATCHER_PORT": 8082,
        "SCHEDULER_PORT": 8083,
        "MONITOR_PORT": 8084,
    }
    chosen = {}
    for setting, usual in wanted.items():
        port = int(settings.get(setting, usual))
        if policy == "settings" and not is_free(port, HOST):
            raise PortTakenError(
                f"port {port} is taken by another program: end that, set {setting} to another port (in .env or the "
                "environment), or use --ports auto"
            )
        keep = policy == "settings" or (policy == "demo" and setting == "EDGE_PORT" and is_free(port, HOST))
        chosen[setting] = port if keep else next(free)
    return Ports(
        edge=chosen["EDGE_PORT"],
        gateway=chosen["API_PORT"],
        dispatchers=(chosen["DISPATCHER_PORT"], *(next(free) for _ in range(dispatchers - 1))),
        scheduler=chosen["SCHEDULER_PORT"],
        monitor=chosen["MONITOR_PORT"],
        simulator=next(free),
    )


@dataclass(frozen=True)
class Plan:
    """All programs of one installation."""

    directory: Path
    settings: Mapping[str, str]
    credentials: Mapping[str, str]
    ports: Ports
    redis: Endpoint
    postgres: Endpoint
    postgres_user: str
    simulation: Simulation | None

    @property
    def address(self) -> str:
        """What clients and browsers use."""
        host = self.settings.get("EDGE_HOST", HOST)
        return f"http://{HOST if host in ('0.0.0.0', '::') else host}:{self.ports.edge}"

    @property
    def simulator_address(self) -> str:
        """The simulator's own address, its control API included."""
        return f"http://{HOST}:{self.ports.simulator}"

    @property
    def login(self) -> tuple[str, str]:
        """User and password of dashboard and API."""
        return (
            self.settings.get("DASHBOARD_USERNAME", "admin"),
            self.settings.get("DASHBOARD_PASSWORD", self.credentials["DASHBOARD_PASSWORD"]),
        )

    def migrations(self) -> Program:
        """The program that brings the database to the newest schema, and ends."""
        return Program("migrations", [sys.executable, "-m", "migrations"], self._environment("migrations"))

    def simulator(self) -> Program | None:
        """The stand-in for GOWA, when there is one."""
        if self.simulation is None:
            return None
        command: list[str | Path] = [
            *(sys.executable, "-m", "simulator"),
            *("--listen", f"{HOST}:{self.ports.simulator}"),
            *("--devices", ",".join(self.simulation.devices)),
            *self.simulation.options,
        ]
        # Its login by the environment: arguments can be read by everybody on the machine.
        environment = _without_settings() | {
            "SIMULATOR_BASIC_AUTH": self._simulator_login(),
            "SIMULATOR_WEBHOOK": f"http://{HOST}:{self.ports.gateway}/api/webhooks/gowa",
            "SIMULATOR_WEBHOOK_SECRET": self._webhook_secret(),
        }
        ready = f"{self.simulator_address}/simulator/summary"
        return Program("simulator", command, environment, ready, StopTurn.SIMULATOR)

    def services(self) -> list[Program]:
        """The four services, the dispatcher as often as there are ports for it."""
        ports = self.ports
        return [
            self._service("scheduler", "scheduler", "SCHEDULER_PORT", ports.scheduler, StopTurn.SCHEDULER_AND_MONITOR),
            *(
                self._service(
                    f"dispatcher-{number}",
                    "dispatcher",
                    "DISPATCHER_PORT",
                    port,
                    StopTurn.DISPATCHERS,
                    DISPATCHER_GRACE,
                    {"REDIS_CONSUMER_NAME": f"dispatcher-{number}"},
                )
                for number, port in enumerate(ports.dispatchers, start=1)
            ),
            self._service("monitor", "monitor", "MONITOR_PORT", ports.monitor, StopTurn.SCHEDULER_AND_MONITOR),
            self._service("gateway", "gateway", "API_PORT", ports.gateway, StopTurn.GATEWAY),
        ]

    def edge(self) -> Program:
        """One origin for gateway and monitor. Raises BinaryNotFoundError."""
        environment = _without_settings() | {
            "EDGE_ADDRESS": f"http://:{self.ports.edge}",
            "EDGE_BIND": self.settings.get("EDGE_HOST", HOST),
            "GATEWAY_ADDRESS": f"{HOST}:{self.ports.gateway}",
            "MONITOR_ADDRESS": f"{HOST}:{self.ports.monitor}",
            **{name: self.settings[name] for name in ("EDGE_TRUSTED_PROXIES",) if name in self.settings},
            # Caddy keeps an id under the user's home otherwise.
            "XDG_CONFIG_HOME": str(self.directory / "caddy"),
            "XDG_DATA_HOME": str(self.directory / "caddy"),
        }
        command: list[str | Path] = [
            caddy(),
            "run",
            "--config",
            ROOT / "deploy" / "Caddyfile",
            "--adapter",
            "caddyfile",
        ]
        return Program("edge", command, environment, f"{self.address}/edge/ready", StopTurn.EDGE, 15.0)

    def _service(
        self,
        name: str,
        module: str,
        port_setting: str,
        port: int,
        stop_turn: StopTurn,
        grace: float = SERVICE_GRACE,
        own: Mapping[str, str] | None = None,
    ) -> Program:
        return Program(
            name,
            [sys.executable, "-m", f"services.{module}"],
            self._environment(name) | {port_setting: str(port)} | dict(own or {}),
            f"http://{HOST}:{port}/ready",
            stop_turn,
            grace,
        )

    def _environment(self, name: str) -> dict[str, str]:
        user, password = self.login
        # Everything stops at once here, so no edge need notice anything first.
        environment = (
            {"DRAIN_TIME": "0"}
            | dict(self.settings)
            | {
                "PYTHONUNBUFFERED": "1",
                "API_HOST": HOST,
                "DATABASE_HOST": self.postgres.host,
                "DATABASE_PORT": str(self.postgres.port),
                "DATABASE_NAME": DATABASE,
                "DATABASE_USER": self.postgres_user,
                "DATABASE_PASSWORD": self.postgres.password,
                "DATABASE_SSL_MODE": "disable",
                "REDIS_HOST": self.redis.host,
                "REDIS_PORT": str(self.redis.port),
                "REDIS_PASSWORD": self.redis.password,
                "REDIS_DATABASE": "0",
                "DASHBOARD_USERNAME": user,
                "DASHBOARD_PASSWORD": password,
                "WHATSAPP_WEBHOOK_SECRET": self._webhook_secret(),
                "FILE_STORAGE_ROOT": str(self.directory / "tmp" / name),
            }
        )
        # An account of the embedded server has no user name of its own.
        environment.pop("REDIS_USERNAME", None)
        if self.simulation is not None:
            number = len(self.simulation.devices)
            # Those of a real sender, which are not used here, do not go with several.
            for name in ("WHATSAPP_BASE_URL", "WHATSAPP_AUTH"):
                environment.pop(name, None)
            environment |= {
                "WHATSAPP_ENDPOINTS": ",".join([self.simulator_address] * number),
                "WHATSAPP_AUTHS": ",".join([self._simulator_login()] * number),
                "WHATSAPP_DEVICE_IDS": ",".join(self.simulation.devices),
            }
        return environment

    def _webhook_secret(self) -> str:
        # One that is set is that of real senders.
        return self.settings.get("WHATSAPP_WEBHOOK_SECRET") or self.credentials["WHATSAPP_WEBHOOK_SECRET"]

    def _simulator_login(self) -> str:
        return f"paceline:{self.credentials['SIMULATOR_PASSWORD']}"


def _without_settings() -> dict[str, str]:
    """What a program that is not ours needs from the environment: none of our passwords among it."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH") if name in os.environ}
