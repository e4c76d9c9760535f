"""`python -m standalone up`: the whole of Paceline until Ctrl-C, its data kept for the next time."""

import argparse
import asyncio
from pathlib import Path

from standalone.process_plan import Simulation, has_real_endpoints, read_settings
from standalone.stack import Stack, sole_user
from standalone.supervisor import supervise


def say(line: str) -> None:
    """One plain line, at once, so that a log or a pipe shows it too."""
    print(line, flush=True)


def run(options: argparse.Namespace) -> int:
    """Returns the exit code; 0 when it was told to stop. Raises what `Stack` does."""
    settings = read_settings(options.env_file)
    directory: Path = options.data_dir.absolute()
    with sole_user(directory):
        stack = Stack(
            directory,
            settings,
            dispatchers=options.dispatchers,
            ports=options.ports,
            simulation=None if has_real_endpoints(settings) else Simulation(),
            say=say,
        )
        return asyncio.run(supervise(stack.supervisor, _until_told(stack), say))


async def _until_told(stack: Stack) -> int:
    plan = await stack.start()
    user, _ = plan.login
    say("")
    say(f"dashboard  {plan.address}/")
    say(f"API        {plan.address}/api   (documentation: {plan.address}/docs)")
    if "DASHBOARD_PASSWORD" in stack.plan.settings:
        say(f"login      {user}, with the DASHBOARD_PASSWORD that you have set")
    else:
        say(f"login      {user} / {plan.login[1]}")
    if plan.simulation is not None:
        say(f"accounts   simulated ({', '.join(plan.simulation.devices)}): nothing reaches WhatsApp")
        say("           set WHATSAPP_ENDPOINTS in .env to use real ones")
    say("")
    say("Ctrl-C stops it")
    await asyncio.Event().wait()
    return 0
