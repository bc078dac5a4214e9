"""`recode-eval mine`: find what changed between two releases of a library, and prove it."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from typing import TYPE_CHECKING

from recode_eval.commands import configs, options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse

    from recode_eval.mining.authoring.writing import Authored
    from recode_eval.mining.pipeline import Mined


_AUTHORS = {"limit": None, "base_url": None, "attempts": 1, "split": "test", "adapter": None}
"""Options that say nothing without an author, and their defaults."""

FIRST = ("--out", "--no-notes", "--sandbox", "--author", "--limit", "--json")
"""Options that `--help` shows; `--help-all` shows the rest."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "library", metavar="LIBRARY", help="its name on PyPI, or npm:NAME for a package of npm"
    )
    parser.add_argument("old", metavar="OLD", help="the older release, e.g. 7.1.2")
    parser.add_argument("new", metavar="NEW", help="the newer release, e.g. 8.1.8")
    options.add_companions(parser)
    parser.add_argument(
        "-o",
        "--out",
        type=options.path,
        metavar="DIR",
        help="folder for the results (default: mined/LIBRARY-OLD-NEW)",
    )
    parser.add_argument(
        "--stage-seconds",
        type=options.number(1, 3600),
        default=180.0,
        metavar="SECONDS",
        help="CPU time that one program gets in the sandbox (default: 180)",
    )
    parser.add_argument(
        "--no-notes", action="store_true", help="do not read the library's changelog"
    )
    _add_author_options(parser)
    options.add_where_options(parser)
    options.add_output_options(parser)


def _add_author_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes a model write pairs from the candidates."""
    group = parser.add_argument_group("writing pairs with a model")
    group.add_argument(
        "--author",
        metavar="MODEL",
        help="let this model (as `run --model`) draft a migration pair from every candidate; kept "
        "is what both releases prove and whose tests notice small mistakes",
    )
    group.add_argument(
        "--attempts", type=options.positive, default=1, metavar="N", help="drafts of a candidate"
    )
    group.add_argument(
        "--limit", type=options.positive, metavar="N", help="only the N best candidates"
    )
    group.add_argument(
        "--split",
        choices=("test", "validation", "train"),
        default="test",
        help="the split that the pairs are to be in (default: test)",
    )
    group.add_argument(
        "--temperature", type=options.number(0, 100), default=0.8, metavar="T", help="0: greedy"
    )
    group.add_argument(
        "--max-tokens", type=options.positive, default=4096, metavar="N", help="of a draft"
    )
    group.add_argument("--seed", type=int, default=0, help="base of every draft's seed")
    options.add_model_options(parser, required=False, hidden=True)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Mine, and print the stages; exit code 1 if there is no candidate."""
    from recode_eval.mining.authoring import report as author_report
    from recode_eval.mining.pipeline import CANDIDATES, MineConfig, mine
    from recode_eval.mining.report import as_json, stage_table, summary
    from recode_eval.run.progress import create_monitor
    from recode_eval.terminal import one_line, stdout_console, stdout_for_results

    config = MineConfig(
        library=arguments.library,
        old=arguments.old,
        new=arguments.new,
        companions=tuple(arguments.companions),
        out=arguments.out,
        sandbox=configs.sandbox_options(arguments),
        notes=not arguments.no_notes,
        stage_seconds=arguments.stage_seconds,
    )
    _check_author(arguments)
    with stdout_for_results():
        mined = mine(config, create_monitor(quiet=arguments.quiet))
        authored = _author(arguments, mined) if arguments.author and mined.candidates else None
    if arguments.json:
        content = as_json(mined)
        if authored is not None:
            content["authored"] = author_report.as_json(authored)
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        console = stdout_console()
        console.print(stage_table(mined))
        console.print(summary(mined), soft_wrap=True)
        console.print(one_line(mined.folder / CANDIDATES), soft_wrap=True)
        if authored is not None:
            console.print(author_report.yield_table(authored))
            console.print(author_report.summary(authored), soft_wrap=True)
    if authored is not None and authored.undecided:
        return ExitCode.INCOMPLETE
    return ExitCode.OK if mined.candidates else ExitCode.CHECK_FAILED


def _check_author(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for what cannot be right, before minutes of mining."""
    from recode_eval.models import choose_backend

    if arguments.author is None:
        for option, default in _AUTHORS.items():
            if getattr(arguments, option) != default:
                raise UsageError(f"--{option.replace('_', '-')} needs --author MODEL.")
        return
    if not arguments.author.strip():
        raise UsageError("--author needs the name of a model.")
    if arguments.library.startswith("npm:"):
        raise UsageError("--author writes Python pairs; it cannot write about packages of npm yet.")
    if arguments.author.startswith("baseline:") or arguments.backend == "baseline":
        raise UsageError("--author: a baseline writes no drafts; name a model.")
    if arguments.backend == "auto":
        choose_backend(arguments.author, configs.model_options(arguments))


def _slug(name: str) -> str:
    """Return a model's name as part of a file's name."""
    return "-".join(re.findall(r"[A-Za-z0-9.]+", name))[-80:].strip(".-") or "model"


def _author(arguments: argparse.Namespace, mined: Mined) -> Authored:
    from recode_eval.mining.adoption import adopt_locks
    from recode_eval.mining.authoring.writing import AuthorSettings, write_pairs
    from recode_eval.models import create_model
    from recode_eval.models.base import SamplingParameters
    from recode_eval.run.progress import counting, create_monitor
    from recode_eval.sandbox.factory import open_router

    adopt_locks(mined)
    where = configs.sandbox_options(arguments)
    settings = AuthorSettings(
        attempts=arguments.attempts,
        limit=arguments.limit,
        split=arguments.split,
        sampling=SamplingParameters(
            temperature=arguments.temperature,
            max_tokens=arguments.max_tokens,
            seed=arguments.seed,
        ),
    )
    drafts = arguments.attempts * min(len(mined.candidates), arguments.limit or 10**9)
    with contextlib.ExitStack() as stack:
        sandbox = stack.enter_context(
            open_router(**where.arguments, log=create_monitor(quiet=arguments.quiet).log)
        )
        model = create_model(
            arguments.author,
            backend=arguments.backend,
            options=configs.model_options(arguments),
        )
        stack.callback(model.close)
        advance = stack.enter_context(
            counting("writing and judging", 2 * drafts, quiet=arguments.quiet)
        )
        return write_pairs(
            mined.candidates,
            model,
            sandbox,
            mined.folder / f"authored-{_slug(model.info.name)}",
            settings,
            on_answer=advance,
            on_verdict=advance,
        )
