"""`recode-eval docs`: the documentation that prompts can show (`--docs`), without a model."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from recode_eval.commands import configs, options, run_options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse

    from recode_eval.run.config import RunConfig
    from recode_eval.run.docs import Documentation
    from recode_eval.run.sandboxes import Sandboxes
    from recode_eval.tasks.loading import LoadedTask

_ALL = ["signature", "changelog", "wrong-version", "mixed"]


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("coverage", "count the problems that have something to show, by task and arm"),
        ("show", "print the prompts of the selected problems as a model would get them"),
        ("make", "ask the releases for signatures and keep them beside the rows"),
    ):
        action = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        options.add_task_options(action, default="arena-mini")
        run_options.add_docs_options(action)
        action.add_argument(
            "--prompt",
            metavar="NAME|FILE.jinja2",
            help="a prompt variant of the task, or your own template",
        )
        options.add_where_options(action)
        options.add_output_options(action)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Do what the action says."""
    from recode_eval.run.config import RunConfig
    from recode_eval.run.docs import Documentation
    from recode_eval.run.progress import create_monitor
    from recode_eval.run.sandboxes import Sandboxes
    from recode_eval.run.session import load_configured
    from recode_eval.terminal import stdout_for_results

    docs = run_options.docs_options(arguments)
    if arguments.docs is None and not arguments.no_update_note and arguments.action == "coverage":
        docs = replace(docs, arms=_ALL)
    config = RunConfig(
        model="",
        tasks=arguments.tasks,
        data=configs.data_sources(arguments.data, arguments.tasks),
        include_path=arguments.include_path,
        skip_bad_rows=arguments.skip_bad_rows,
        limit=arguments.limit,
        problems=arguments.problems,
        since=arguments.since,
        until=arguments.until,
        prompt=arguments.prompt,
        docs=docs,
        sandbox=configs.sandbox_options(arguments),
    )
    log = create_monitor(quiet=arguments.quiet).log
    if arguments.action == "show" and not _selects(config):
        config = replace(config, limit=1)
        log("The first problem is shown. --limit N shows more, --problems PATTERN others.")
    with stdout_for_results(), Sandboxes(config.sandbox, log) as sandboxes:
        loaded = load_configured(config, log)
        if arguments.action == "make":
            content: Any = [_make(one, config, sandboxes) for one in loaded]
        else:
            documentation = Documentation(config, sandboxes, log)
            act = _coverage if arguments.action == "coverage" else _prompts
            content = [row for one in loaded for row in act(one, config, documentation)]
    if arguments.json:
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        {"make": _print_made, "coverage": _print_coverage, "show": _print_prompts}[
            arguments.action
        ](content)
    lost = arguments.action == "make" and any(row["lost"] for row in content)
    return ExitCode.INCOMPLETE if lost else ExitCode.OK


def _selects(config: RunConfig) -> bool:
    return config.limit is not None or bool(config.problems or config.since or config.until)


def _make(loaded: LoadedTask, config: RunConfig, sandboxes: Sandboxes) -> dict[str, Any]:
    from recode_eval.documentation.docstrings import read_docs
    from recode_eval.documentation.signatures import ask, write
    from recode_eval.run.session import selection

    task, data = loaded
    opener = sandboxes.opener(task, "program")
    read = partial(read_docs, own=task.spec.environment, open_sandbox=opener)
    found, lost = ask(task, selection(config, 1).problems(data), read)
    return {
        "task": loaded.name,
        "file": str(write(task, found)),
        "releases": len(found),
        "signatures": sum(len(one) for one in found.values()),
        "absent": sum(text is None for one in found.values() for text in one.values()),
        "lost": lost,
    }


def _print_made(content: list[dict[str, Any]]) -> None:
    from recode_eval.terminal import one_line, stdout_console

    console = stdout_console()
    for row in content:
        console.print(
            f"{row['task']}: {row['signatures']} names in {row['releases']} environments, "
            f"{row['absent']} of them not there; {row['file']}",
            soft_wrap=True,
        )
        for text in row["lost"]:
            console.print(f"  cannot be asked: {one_line(text, 200)}", soft_wrap=True)


def _coverage(
    loaded: LoadedTask, config: RunConfig, documentation: Documentation
) -> list[dict[str, Any]]:
    from collections import Counter

    from recode_eval.run.session import selection

    rows = []
    for arm in documentation.arms:
        docs = documentation.of(loaded, arm)
        row: dict[str, Any] = {"task": loaded.name, "arm": arm.name}
        if docs is None:  # the template's own affair
            row["problems"] = len(selection(config, 1).problems(loaded.data))
        else:
            reasons = Counter(docs.missing.values()).most_common()
            row |= {**docs.summary, "reasons": dict(reasons)}
        rows.append(row)
    return rows


def _print_coverage(content: list[dict[str, Any]]) -> None:
    from recode_eval.tables import print_table
    from recode_eval.terminal import one_line, stdout_console

    rows = []
    for row in content:
        mean = row.get("mean_tokens")
        cells = (row["problems"], row.get("missing", "-"), row.get("withheld", "-"),
                 "-" if mean is None else f"{mean:.0f}", row.get("max_tokens", "-"))  # fmt: skip
        rows.append([row["task"], one_line(row["arm"], 60), *map(str, cells)])
    headings = ("task", "arm", "problems", "without", "withheld", "tokens", "most")
    caption = "tokens of the block, by the rule that is the same for all models"
    print_table(stdout_console(), headings, rows, left=(0, 1), caption=caption)


def _prompts(
    loaded: LoadedTask, config: RunConfig, documentation: Documentation
) -> list[dict[str, Any]]:
    from recode_eval.documentation.arms import Kind
    from recode_eval.run.session import prompt_settings, selection

    settings, _ = prompt_settings(config, loaded.task)
    rows: list[dict[str, Any]] = []
    for arm in documentation.arms:
        docs = documentation.of(loaded, arm)
        asked = replace(settings, docs=docs, update_note=arm.kind is Kind.NOTE)
        for problem in filter(asked.covers, selection(config, 1).problems(loaded.data)):
            prompt = asked.render(problem)
            messages = [{"role": one.role, "content": one.content} for one in prompt.messages]
            rows.append({"task": loaded.name, "arm": arm.name, "problem": problem.id,
                         "messages": messages, "prefill": prompt.prefill})  # fmt: skip
    if not rows:
        raise UsageError(f"{loaded.name} has nothing to show for these arms and problems.")
    return rows


def _print_prompts(content: list[dict[str, Any]]) -> None:
    from recode_eval.terminal import one_line, printable, stdout_console

    console = stdout_console()
    for row in content:
        title = f"=== {row['task']}, {row['arm']}, {row['problem']}"
        console.print(one_line(title), soft_wrap=True)
        for message in row["messages"]:
            console.print(f"--- {message['role']}", soft_wrap=True)
            console.print(printable(message["content"]), soft_wrap=True)
        if row["prefill"]:
            console.print(f"--- the answer begins\n{printable(row['prefill'])}", soft_wrap=True)
