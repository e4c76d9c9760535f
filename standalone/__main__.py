"""`python -m standalone up | demo | schema`."""

import argparse
import sys
from pathlib import Path

from standalone import demo, schema, up
from standalone.binaries import BinaryNotFoundError
from standalone.process_plan import ROOT, PortTakenError
from standalone.stack import DirectoryInUseError
from standalone.unprivileged import CannotDropRootError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m standalone", description="All of Paceline on one machine.")
    commands = parser.add_subparsers(required=True, metavar="up | demo | schema")

    up_command = commands.add_parser("up", help="run everything until Ctrl-C; data stay in .paceline/")
    up_command.add_argument("--data-dir", type=Path, default=ROOT / ".paceline", help="where everything is kept")
    up_command.add_argument(
        "--ports",
        choices=["settings", "auto"],
        default="settings",
        help="settings: EDGE_PORT, API_PORT, ... (8081, 8080, ...); auto: whichever are free",
    )
    up_command.set_defaults(run=up.run)

    demo_command = commands.add_parser("demo", help="send a campaign through simulated accounts and judge the result")
    demo_command.add_argument("--data-dir", type=Path, default=ROOT / ".paceline" / "demo", help="made anew")
    demo_command.add_argument(
        "--recipients", type=Path, default=ROOT / "examples" / "recipients.csv", help="CSV with a column `phone`"
    )
    demo_command.add_argument(
        "--image", type=Path, default=ROOT / "examples" / "offer.png", help="the image of the campaign"
    )
    demo_command.add_argument("--deadline", type=float, default=150.0, help="seconds for the campaign to finish")
    demo_command.set_defaults(run=demo.run)

    schema_command = commands.add_parser(
        "schema", help="print what Postgres holds, as the migrations make it from nothing"
    )
    schema_command.set_defaults(run=schema.run)

    for command in (up_command, demo_command):
        command.add_argument("--dispatchers", type=_one_or_more, default=2, help="how many (2)")
        command.add_argument("--env-file", type=Path, default=ROOT / ".env", help="settings below the environment's")
    return parser


def _one_or_more(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 or more is wanted")
    return number


def main() -> int:
    """Returns the exit code; what stands in the way of a start is said in one sentence."""
    options = _parser().parse_args()
    try:
        code: int = options.run(options)
    except (BinaryNotFoundError, CannotDropRootError, DirectoryInUseError, PortTakenError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
