"""Children in order: started, awaited, watched, stopped turn by turn.

A child that ends by itself ends everything, with the tail of its log. The first SIGINT or SIGTERM stops in order, the
second kills. When the supervisor itself is killed its children die with it (see `child_process`).
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import aiohttp

from standalone.child_process import ChildFailedError, ChildProcess

POLL = 0.1  # seconds between two looks at children and at what is to become ready


@dataclass(frozen=True)
class Program:
    """What to run, how to know that it is ready, and when and how patiently to stop it."""

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    ready_url: str = ""
    stop_turn: int = 0
    grace: float = 10.0


class Server(Protocol):
    """An embedded server, as the supervisor sees it."""

    @property
    def process(self) -> ChildProcess: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...


@dataclass(frozen=True)
class _Member:
    process: ChildProcess
    stop_turn: int
    grace: float | None
    stop: Callable[[float], object]
    kill: Callable[[], object]


class Supervisor:
    """The children of one run."""

    def __init__(self, logs: Path, directory: Path, say: Callable[[str], None]) -> None:
        """Logs go to `logs/<name>.log`; programs run in `directory`; `say` gets a line about each step."""
        self._logs = logs
        self._directory = directory
        self._say = say
        self._members: list[_Member] = []
        self._stopping = False

    def start_server(self, server: Server, stop_turn: int) -> None:
        """Start an embedded server, which returns when it is ready. Raises ChildFailedError."""
        server.start()
        self._members.append(_Member(server.process, stop_turn, None, lambda _: server.stop(), server.kill))

    def start(self, program: Program) -> None:
        """Start a program without waiting for it. Raises ChildFailedError when it cannot be run."""
        process = self._child(program)
        process.start()
        self._members.append(_Member(process, program.stop_turn, program.grace, process.stop, process.kill))

    async def run(self, program: Program, deadline: float) -> None:
        """Run a program to its end. Raises ChildFailedError when that is not a success within `deadline` seconds."""
        process = self._child(program)
        end = time.monotonic() + deadline
        process.start()
        try:
            while process.running:
                if time.monotonic() > end:
                    raise process.failure(f"did not end within {deadline:.0f} s")
                await asyncio.sleep(POLL / 2)
        finally:
            process.kill()
        if process.exit_code != 0:
            raise process.failure(f"ended with {process.exit_code}")

    async def ready(self, programs: Iterable[Program], deadline: float) -> None:
        """Wait until each of them answers 200. Raises ChildFailedError for the first that ends, or is late."""
        end = time.monotonic() + deadline
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            for program in programs:
                process = next(member.process for member in self._members if member.process.name == program.name)
                answer = "no answer"
                while (answer := await _ask(session, program.ready_url)) != "200":
                    self._all_running()
                    if time.monotonic() > end:
                        raise process.failure(f"was not ready within {deadline:.0f} s ({program.ready_url}: {answer})")
                    await asyncio.sleep(POLL)
                self._say(f"{program.name} is ready")

    async def watch(self) -> NoReturn:
        """Raises ChildFailedError when a child ends that nobody stopped."""
        while True:
            self._all_running()
            await asyncio.sleep(POLL)

    async def stop(self, most: float | None = None) -> None:
        """Stop all, turn by turn, each within its grace time, or within `most` seconds where that is less."""
        self._stopping = True
        for turn in sorted({member.stop_turn for member in self._members}):
            members = [member for member in self._members if member.stop_turn == turn and member.process.running]
            if not members:
                continue
            self._say(f"stopping {', '.join(member.process.name for member in members)}")
            graces = [
                member.grace if most is None or member.grace is None else min(most, member.grace) for member in members
            ]
            await asyncio.gather(
                *(asyncio.to_thread(member.stop, grace or 0.0) for member, grace in zip(members, graces, strict=True))
            )
        for member in self._members:
            member.kill()  # nothing is left of it; this collects those that had ended by themselves

    def kill(self) -> None:
        """SIGKILL for all at once."""
        self._stopping = True
        for member in self._members:
            member.process.send(signal.SIGKILL)
        for member in self._members:
            member.kill()

    def _child(self, program: Program) -> ChildProcess:
        return ChildProcess(
            program.name,
            program.command,
            log=self._logs / f"{program.name}.log",
            environment=program.environment,
            directory=self._directory,
        )

    def _all_running(self) -> None:
        if self._stopping:
            return
        for member in self._members:
            if not member.process.running:
                raise member.process.failure(f"ended with {member.process.exit_code}")


async def _ask(session: aiohttp.ClientSession, url: str) -> str:
    try:
        async with session.get(url, allow_redirects=False) as response:
            # What is not ready says why.
            return "200" if response.status == 200 else f"{response.status} {(await response.text())[:300]}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return str(error) or type(error).__name__


INTERRUPTED = 130  # what shells say of a program that SIGINT has ended
FAILURE_GRACE = 15.0  # seconds; when a server is gone, waiting for its clients to finish has no point


async def supervise(
    supervisor: Supervisor, body: Coroutine[Any, Any, int], say: Callable[[str], None], *, told_code: int = 0
) -> int:
    """Run `body`, which starts the children, until it ends, a child fails or a signal comes; then stop all.

    Returns the exit code: the body's, `told_code` when it was told to stop, 1 after a failure (which is said), 130
    after a second signal. The body's own exceptions other than ChildFailedError pass.
    """
    signals: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.put_nowait, None)
    running = asyncio.create_task(body)
    watching = asyncio.create_task(supervisor.watch())
    told = asyncio.create_task(signals.get())
    try:
        await asyncio.wait({running, watching, told}, return_when=asyncio.FIRST_COMPLETED)
        failed = False
        if told.done() and not running.done():
            say("stopping in order; a second Ctrl-C kills")
        elif watching.done() and not running.done():
            failed = True
            say(str(watching.exception()))
        await _cancelled(running, watching, told)
        code = 1 if failed else told_code
        passing: BaseException | None = None
        if not running.cancelled() and (error := running.exception()) is not None:
            code = 1
            if isinstance(error, ChildFailedError):
                # The same end may have been seen by both; it is said once.
                if not failed:
                    say(str(error))
                failed = True
            else:
                passing = error
        elif not running.cancelled() and not failed:
            code = running.result()
        if not await _stopped(supervisor, signals, FAILURE_GRACE if failed or passing else None, say):
            code = INTERRUPTED
        if passing is not None:
            raise passing
        return code
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _stopped(
    supervisor: Supervisor, signals: asyncio.Queue[None], most: float | None, say: Callable[[str], None]
) -> bool:
    """Stop all in order; False when a signal came meanwhile and all was killed."""
    stopping = asyncio.create_task(supervisor.stop(most))
    told = asyncio.create_task(signals.get())
    await asyncio.wait({stopping, told}, return_when=asyncio.FIRST_COMPLETED)
    killed = not stopping.done()
    if killed:
        say("killing")
        supervisor.kill()
    await stopping
    await _cancelled(told)
    return not killed


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
