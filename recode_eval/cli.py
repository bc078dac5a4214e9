"""The command line: parses arguments, calls a command, turns errors into exit codes.

Only light modules are imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import select
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from recode_eval import __version__
from recode_eval.errors import ExitCode, RecodeError, is_disk_trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

COMMANDS = {
    "run": "evaluate a model (the default: `recode-eval --model ... --tasks ...`)",
    "sweep": "evaluate many models on many tasks as one job",
    "score": "judge the stored completions of a run again, without a model",
    "compare": "compare stored runs, problem by problem",
    "gate": "say whether a new checkpoint may replace the old one (for CI)",
    "pack": "make one file of a run, to send or submit it",
    "export": "write stored runs in the format of another program",
    "watch": "gate every checkpoint that a training run writes",
    "validate": "prove a task's problems by execution",
    "tasks": "list the tasks",
    "doctor": "say what this machine can do, and how to get what is missing",
    "demo": "evaluate the built-in baselines on the bundled task",
    "sandbox": "build, test and prune the sandbox",
    "leaderboard": "make a static site of runs",
}
_EPILOG = """exit codes: 0 done; 1 a check found a fault; 2 wrong usage; 3 `gate` cannot tell, 4 its
runs may not be compared; 65 bad data; 69 something needed is not available; 70 a bug of
this program; 74 disk trouble; 75 done, but some samples are unscored (the same command
tries them again); 130 interrupted

examples:
  recode-eval --model baseline:reference --tasks arena-mini
  recode-eval --model Qwen/Qwen2.5-Coder-7B-Instruct --tasks arena --n 10
  recode-eval --model my-model --base-url http://127.0.0.1:8000/v1 --tasks arena-mini
  recode-eval score runs/my-model/arena-0123456789ab"""


def create_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser; the options of commands other than `only` are left out (None: all)."""
    parser = argparse.ArgumentParser(
        prog="recode-eval",
        description="Measure how well a language model writes code against changed APIs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"recode-eval {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if only in {None, name}:
            _module(name).add_parser(sub)
    return parser


def _module(name: str):  # type: ignore[no-untyped-def]
    return importlib.import_module(f"recode_eval.commands.{name}")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    words = list(argv)
    if words and words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}:
        words.insert(0, "run")
    resumable = words[:1] in (["run"], ["sweep"], ["score"], ["demo"], ["gate"], ["watch"])
    return guarded("recode-eval", words, _execute, resumable=resumable)


def guarded(
    program: str,
    words: Sequence[str],
    execute: Callable[[Sequence[str]], int],
    *,
    resumable: bool,
) -> int:
    """Call `execute` and return its exit code, or the one of the error it raises.

    An error becomes one line on standard error that begins with the `program`. `resumable` says
    whether the same command continues after an interruption.
    """
    previous = signal.signal(signal.SIGTERM, _terminated)
    try:
        code = execute(words)
        sys.stdout.flush()
        return code
    except RecodeError as error:
        if "--debug" in words:
            _print_traceback()
        return _complain(program, str(error), error.exit_code)
    except KeyboardInterrupt:
        again = "; the same command continues" if resumable else ""
        return _complain(program, f"interrupted{again}", ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last boundary
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return ExitCode.OK
        if isinstance(error, OSError) and is_disk_trouble(error):
            where = error.filename or "the output"
            message = f"Cannot write {where}: {error.strerror}. Free some space."
            return _complain(program, message, ExitCode.IO)
        _print_traceback()
        message = f"internal error ({type(error).__name__}): please report the traceback above"
        return _complain(program, message, ExitCode.INTERNAL)
    finally:
        signal.signal(signal.SIGTERM, previous)


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


def _terminated(signum: int, frame: FrameType | None) -> NoReturn:
    del signum, frame
    raise KeyboardInterrupt


def _nobody_reads() -> bool:
    """Whether the reader of our output went away (`recode-eval ... | head`): not worth a word.

    A pipe to anything else that broke (a worker, a server) is an error like others.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _print_traceback() -> None:
    from recode_eval.terminal import printable

    # It may quote what a model wrote.
    print(printable(traceback.format_exc()), end="", file=sys.stderr)


def _complain(program: str, message: str, code: ExitCode) -> int:
    from recode_eval.terminal import printable

    text = " ".join(printable(message).split())
    start, end = ("\033[1;31m", "\033[0m") if sys.stderr.isatty() else ("", "")
    print(f"{program}: {start}error:{end} {text}", file=sys.stderr)
    return int(code)
