"""A program under test: a supervisor over stand-ins, given as JSON: `[[name, port, stop_turn, [option, ...]], ...]`."""

import asyncio
import json
import sys
from pathlib import Path

from standalone.supervisor import Program, Supervisor, supervise
from standalone.up import say
from tests.servers import ROOT, base_environment


def main() -> int:
    directory = Path(sys.argv[1])
    programs = [
        Program(
            name,
            [
                *(sys.executable, "-m", "tests.integration.standalone.stand_in"),
                *(name, str(port), str(directory / "notes"), *options),
            ],
            base_environment(),
            f"http://127.0.0.1:{port}/ready",
            turn,
            grace=float(sys.argv[3]),
        )
        for name, port, turn, options in json.loads(sys.argv[2])
    ]
    supervisor = Supervisor(directory / "logs", ROOT, say)

    async def body() -> int:
        for program in programs:
            supervisor.start(program)
        await supervisor.ready(programs, deadline=float(sys.argv[4]))
        say("all ready")
        await asyncio.Event().wait()
        return 0

    return asyncio.run(supervise(supervisor, body(), say))


if __name__ == "__main__":
    sys.exit(main())
