"""`recode-eval serve-rewards`: rewards over HTTP, from one sandbox for all processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from recode_eval.commands import configs, options
from recode_eval.errors import ExitCode, UsageError
from recode_eval.serving.client import PORT, TOKEN_VARIABLE, URL_VARIABLE
from recode_eval.serving.limits import ServerLimits

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

_LIMITS = ServerLimits()
_EPILOG = f"""examples:
  recode-eval serve-rewards --tasks migration-train --workers 16
  {URL_VARIABLE}=http://127.0.0.1:{PORT} python train.py

It runs until SIGTERM or Ctrl-C. /openapi.json describes its interface; clients in Python, NeMo Gym
and OpenEnv: docs/integrations.md. For other clients `recode-eval export-tasks --format jsonl`
writes prompts and problem ids."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("tasks and data")
    group.add_argument(
        "--tasks",
        type=options.names,
        required=True,
        metavar="NAME[,NAME]",
        help="tasks to grade; each must have tests",
    )
    group.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="read a task's rows from a .jsonl, .jsonl.gz or .parquet file",
    )
    options.add_include_path(group)
    options.add_where_options(parser)
    group = parser.add_argument_group("address")
    group.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: 127.0.0.1, which only this machine reaches); any "
        "other needs a token",
    )
    group.add_argument(
        "--port", type=options.natural, default=PORT, metavar="N",
        help=f"0: a free one, which is printed (default: {PORT})",
    )  # fmt: skip
    group.add_argument(
        "--token-file",
        type=options.path,
        metavar="FILE",
        help="file with the token that clients must send (default: the variable "
        f"{TOKEN_VARIABLE}); not an option, since every user of a machine can read those",
    )
    _add_limits(parser)
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")
    parser.epilog = _EPILOG


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits (beyond them nothing is graded)")
    group.add_argument(
        "--max-body", type=options.number(0.001, 4096), default=_LIMITS.body_mib, metavar="MIB",
        help=f"size of a request (default: {_LIMITS.body_mib:g})",
    )  # fmt: skip
    group.add_argument(
        "--max-batch", type=options.positive, default=_LIMITS.batch, metavar="N",
        help=f"answers in one request (default: {_LIMITS.batch})",
    )  # fmt: skip
    group.add_argument(
        "--queue", type=options.positive, default=_LIMITS.queue, metavar="N",
        help="answers that wait or run; beyond it clients are told to wait (429, default: "
        f"{_LIMITS.queue})",
    )  # fmt: skip
    group.add_argument(
        "--answer-timeout", type=options.number(0, 86400, above=True),
        default=_LIMITS.answer_s, metavar="SECONDS",
        help=f"an answer without a verdict by then is unscored (default: {_LIMITS.answer_s:g})",
    )  # fmt: skip
    group.add_argument(
        "--grace", type=options.number(0, 86400), default=_LIMITS.grace_s, metavar="SECONDS",
        help="at the end (SIGTERM, SIGINT) answers have as long for their verdicts (default: "
        f"{_LIMITS.grace_s:g})",
    )  # fmt: skip


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Serve until a signal; exit code 0."""
    from recode_eval.run.progress import create_monitor
    from recode_eval.serving.server import check_token, serve
    from recode_eval.tasks.loading import load_tasks

    limits = ServerLimits(
        body_mib=arguments.max_body,
        batch=arguments.max_batch,
        queue=arguments.queue,
        answer_s=arguments.answer_timeout,
        grace_s=arguments.grace,
    )
    if arguments.port > 65535:
        raise UsageError(f"--port must be at most 65535, not {arguments.port}.")
    token = _token(arguments.token_file)
    check_token(arguments.host, token)
    monitor = create_monitor(quiet=False)
    tasks = load_tasks(
        arguments.tasks,
        configs.data_sources(arguments.data, arguments.tasks),
        include_path=arguments.include_path,
        log=monitor.log,
    )
    serve(
        tasks,
        configs.sandbox_options(arguments),
        limits,
        host=arguments.host,
        port=arguments.port,
        token=token,
        log=monitor.log,
    )
    return ExitCode.OK


def _token(file: Path | None) -> str:
    """Return the token; empty where none was given."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip()
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the token in {file}: {error}.") from None
    if not token:
        raise UsageError(f"{file} is empty. Make a token: openssl rand -hex 32 > {file}.")
    return token
