"""The last boundary of a program: errors become one line on standard error and an exit code."""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from recode_eval.errors import ExitCode, RecodeError, is_disk_trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType


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


def _has_colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def _complain(program: str, message: str, code: ExitCode) -> int:
    from recode_eval.terminal import printable

    text = " ".join(printable(message).split())
    start, end = ("\033[1;31m", "\033[0m") if _has_colour() else ("", "")
    print(f"{program}: {start}error:{end} {text}", file=sys.stderr)
    return int(code)
