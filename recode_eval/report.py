"""The table at the end of a run, for people; `--json` prints the results instead."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from recode_eval.terminal import one_line, stdout_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

_LABELS = {
    "pass_without_update": "pass without update",
    "test_rate": "tests passed",
    "no_code": "no code found",
    "es": "ES",
    "em": "EM",
    "es_star": "ES*",
    "em_star": "EM*",
}
_PLAIN_NUMBERS = {"es_star", "em_star"}
"""Not shares: shown as they are, from -2 to 2, and not in percent."""


_WIDE = 120
"""Columns of a terminal that has room for all metrics of a breakdown."""


def show(results: Sequence[dict[str, Any]], *, as_json: bool, quiet: bool) -> None:
    """Print the results of one or several runs on standard output."""
    if as_json:
        content = results[0] if len(results) == 1 else list(results)
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    console = stdout_console()
    _print_summary(console, results)
    if len(results) == 1 and not quiet:
        for tag, groups in results[0]["breakdown"].items():
            if len(groups) > 1:
                _print_breakdown(console, tag, groups)
    for result in results:
        _print_notes(console, result)


def _print_summary(console: Console, results: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table

    console.print(
        "Scores in percent (ES* and EM*: -2 to 2), with 95 % intervals clustered by update"
    )
    table = Table()
    table.add_column("metric", no_wrap=True)
    for result in results:
        heading = f"{one_line(result['model']['name'], 40)}\n{result['task']['name']}"
        table.add_column(heading, justify="right", no_wrap=True)
    names = dict.fromkeys(name for result in results for name in result["metrics"])
    for name in names:
        estimates = [result["metrics"].get(name) for result in results]
        if not any(estimates):
            continue
        cells = [format_estimate(name, estimate) for estimate in estimates]
        table.add_row(_label(name), *cells)
    table.add_section()
    for label, key in (
        ("problems", "problems"),
        ("samples scored", "scored"),
        ("unscored", "unscored"),
        ("faulty problems", "faulty_problems"),
    ):
        table.add_row(label, *(str(result["counts"][key]) for result in results))
    table.add_row("completion tokens", *(_tokens(result) for result in results))
    console.print(table)


def _print_breakdown(console: Console, tag: str, groups: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table

    shown: tuple[str, ...] = ("pass@1", "upass@1", "test_rate", "es_star")
    if console.width < _WIDE:
        shown = shown[:2]
    table = Table()
    table.add_column(tag.replace("_", " "), overflow="fold")
    table.add_column("problems", justify="right", no_wrap=True)
    first = next(iter(groups.values()))["metrics"]
    names = [name for name in shown if name in first]
    for name in names:
        table.add_column(_label(name), justify="right", no_wrap=True)
    for value, group in groups.items():
        cells = [format_estimate(name, group["metrics"].get(name)) for name in names]
        table.add_row(one_line(value or "(none)", 60), str(group["problems"]), *cells)
    console.print(table)


def _print_notes(console: Console, result: dict[str, Any]) -> None:
    counts, sandbox = result["counts"], result["sandbox"]
    name = one_line(result["model"]["name"], 60)
    n, metrics = result["sampling"]["n"], result["metrics"]
    missing = [key for key, value in metrics.items() if value is None and "pass@" in key]
    if missing and counts["scored"]:
        keys = ", ".join(map(_label, missing))
        console.print(f"{name}: no value for {keys} (n = {n} is less than k).", soft_wrap=True)
    if counts["unscored"]:
        reasons = sorted({one_line(item["reason"]) for item in result["unscored"]})
        cause = f" ({reasons[0]})" if reasons else ""
        console.print(
            f"{name}: {counts['unscored']} samples could not be judged{cause}. They do not count "
            "as failures; the same command tries them again.",
            style="yellow",
        )
    if counts["faulty_problems"]:
        console.print(
            f"{name}: {counts['faulty_problems']} problems are faulty and do not count.",
            style="yellow",
        )
    for key, text in (
        ("cut_off", "samples ended at --max-tokens"),
        ("prompt_too_long", "prompts did not fit the model's context"),
        ("suspicious", "answers look suspicious (`flags` in scores.jsonl says why)"),
    ):
        if counts[key]:
            console.print(f"{name}: {counts[key]} {text}.", style="yellow")
    where = f" in the sandbox {sandbox['tier']}" if sandbox else ""
    console.print(f"{name}: judged{where}; {result['folder']}", soft_wrap=True)


def format_estimate(name: str, estimate: dict[str, Any] | None) -> str:
    """Return `62.5 [55.1, 69.9]` in percent, or a dash where there is no value."""
    if estimate is None:
        return "-"
    scale, digits = (1, 2) if name in _PLAIN_NUMBERS else (100, 1)
    value = f"{scale * estimate['value']:.{digits}f}"
    if estimate["low"] is None:
        return value
    low, high = scale * estimate["low"], scale * estimate["high"]
    return f"{value} [{low:.{digits}f}, {high:.{digits}f}]"


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("upass", "UPass"))


def _tokens(result: dict[str, Any]) -> str:
    tokens = result["usage"]["completion_tokens"]
    return "-" if tokens is None else f"{tokens:,.0f}"
