"""The command line: parses arguments and calls a command.

Only light modules are imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, NoReturn

from recode_eval import __version__
from recode_eval.boundary import guarded
from recode_eval.commands.parsers import CommandParser, complete, is_completing, words_to_complete
from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": "evaluate a model (the default: `recode-eval --model ... --tasks ...`)",
    "sweep": "evaluate many models on many tasks as one job",
    "score": "grade the stored completions of a run again, without a model",
    "compare": "compare stored runs, problem by problem",
    "lift": "show what documentation in the prompt changes",
    "retest": "show how far one model's figures move from run to run",
    "items": "name the problems that are worth a look, over many models",
    "gate": "decide whether a new checkpoint may replace the old one (for CI)",
    "plan": "plan how many problems and samples a verdict needs",
    "pack": "pack a run into one file, to send or submit it",
    "export-tasks": "write tasks in another program's format",
    "export": "write stored runs in another program's format",
    "serve-rewards": "grade answers for trainers, over HTTP, in one sandbox",
    "watch": "gate every checkpoint that a training run writes",
    "validate": "prove a task's problems by execution",
    "library": "make a folder that tests whether models know a library's update",
    "mine": "find what changed between two releases of a library, and prove it",
    "tasks": "list the tasks",
    "docs": "count, show and make the documentation that prompts can show",
    "completion": "print what a shell needs to complete commands and options",
    "doctor": "check what this machine can do, and how to get the rest",
    "demo": "evaluate the built-in baselines on the bundled task",
    "sandbox": "build, test and prune the sandbox",
    "leaderboard": "build a static site from runs",
}
_EPILOG = """exit codes: 0 done; 1 a check found a fault; 2 usage error; 3 `gate`: inconclusive;
4 `gate`: the runs cannot be compared; 65 bad data; 69 a resource is unavailable (sandbox,
hub, server); 70 a bug in this program; 74 disk error; 75 done, but some samples are
unscored (the same command tries them again); 130 interrupted

examples:
  recode-eval -m baseline:reference -t arena-mini
  recode-eval -m Qwen/Qwen2.5-Coder-7B-Instruct -t arena -n 10
  recode-eval -m my-model -t arena-mini --base-url http://127.0.0.1:8000/v1
  recode-eval score runs/my-model/arena-0123456789ab"""


def create_parser(only: str | None = None) -> CommandParser:
    """Return the parser; the options of commands other than `only` are left out (None: all)."""
    parser = CommandParser(
        prog="recode-eval",
        description="Measure how well a language model writes code against changed APIs.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"recode-eval {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if only in {None, name}:
            _add_options(sub, name)
    return parser


def _add_options(parser: CommandParser, command: str) -> None:
    module = _module(command)
    module.add_parser(parser)
    parser.show_first(getattr(module, "FIRST", ()))


def _module(name: str):  # type: ignore[no-untyped-def]
    return importlib.import_module(f"recode_eval.commands.{name.replace('-', '_')}")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    if is_completing():
        _complete(words_to_complete())
    words = _with_command(list(argv))
    again = {"run", "sweep", "score", "demo", "gate", "watch", "mine"}
    resumable = bool(again.intersection(words[:1]))
    return guarded("recode-eval", words, _execute, resumable=resumable)


def _with_command(words: list[str]) -> list[str]:
    """Put the command in front of options that belong to `run`."""
    if words and words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}:
        return ["run", *words]
    return words


def _complete(words: list[str]) -> None:
    """Answer the shell's question for completions, and end."""
    if _with_command(words) != words:
        parser = CommandParser(prog="recode-eval")
        _add_options(parser, "run")
    else:
        parser = create_parser(words[0] if words else "")
    complete(parser)


def _execute(words: Sequence[str]) -> int:
    from recode_eval.terminal import prepare_streams

    prepare_streams()
    parser = create_parser(words[0] if words else "")
    if not words:
        parser.print_help()
        return ExitCode.USAGE
    try:
        arguments = parser.parse_args(words)
    except SystemExit as end:  # `--help`, or wrong usage
        return int(end.code or 0)
    return int(_module(arguments.command).execute(arguments))
