"""The table at the end of a run, for people; `--json` prints the results instead."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.null import TIER as NO_EXECUTION
from recode_eval.terminal import one_line, printable, stdout_console

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
    "new_api": "new API used",
    "stale_api": "stale API used",
}
_PLAIN_NUMBERS = {"es_star", "em_star"}
"""Not shares: shown as they are, from -2 to 2, and not in percent."""
_WIDE = 120
"""Columns of a terminal that has room for all metrics of a breakdown."""
_LABEL_WIDTH, _VALUE_WIDTH = 25, 17
"""Columns that the metrics' names need, and the narrowest column of values: `[-2.00, -1.70]`."""


def show(results: Sequence[dict[str, Any]], *, as_json: bool, quiet: bool) -> None:
    """Print the results of one or several runs on standard output."""
    if as_json:
        content = results[0] if len(results) == 1 else list(results)
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    console = stdout_console()
    console.print(
        "Scores in percent (ES* and EM*: -2 to 2), with 95 % intervals clustered by update",
        soft_wrap=True,
    )
    side_by_side = max(1, (console.width - _LABEL_WIDTH) // _VALUE_WIDTH)
    for first in range(0, len(results), side_by_side):
        _print_summary(console, results[first : first + side_by_side])
    if len(results) == 1 and not quiet:
        for tag, groups in results[0]["breakdown"].items():
            if len(groups) > 1:
                _print_breakdown(console, tag, groups)
    for result in results:
        _print_notes(console, result)


def _print_summary(console: Console, results: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table()
    table.add_column("metric", no_wrap=True)
    for result in results:
        heading = f"{one_line(result['model']['name'], 40)}\n{result['task']['name']}"
        table.add_column(heading, justify="right", min_width=_VALUE_WIDTH - 3, overflow="fold")
    rows = {}
    for name in dict.fromkeys(name for result in results for name in result["metrics"]):
        estimates = [result["metrics"].get(name) for result in results]
        if any(estimates):
            rows[label(name)] = [format_estimate(name, estimate) for estimate in estimates]
    columns = zip(*rows.values(), strict=True)
    width = _LABEL_WIDTH + sum(3 + max(map(len, column)) for column in columns)
    for text, cells in rows.items():
        # Where a line has no room for an interval, it goes below its value: nothing is cut.
        stacked = [cell.replace(" [", "\n[") for cell in cells]
        table.add_row(text, *(stacked if width > console.width else cells))
    table.add_section()
    for text, key in (
        ("problems", "problems"),
        ("samples scored", "scored"),
        ("unscored", "unscored"),
        ("faulty problems", "faulty_problems"),
    ):
        table.add_row(text, *(str(result["counts"][key]) for result in results))
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
        table.add_column(label(name), justify="right", no_wrap=True)
    for value, group in groups.items():
        cells = [format_estimate(name, group["metrics"].get(name)) for name in names]
        table.add_row(one_line(value or "(none)", 60), str(group["problems"]), *cells)
    console.print(table)


def _print_notes(console: Console, result: dict[str, Any]) -> None:
    counts, sandbox = result["counts"], result["sandbox"]
    name = one_line(result["model"]["name"], 60)

    def warn(text: str) -> None:
        console.print(f"{name}: {text}", style="yellow", soft_wrap=True)

    missing = [key for key, value in result["metrics"].items() if value is None and "pass@" in key]
    if missing and counts["scored"]:
        n = result["sampling"]["n"]
        lacking = any(n >= int(key.partition("@")[2]) for key in missing)
        cause = "fewer than k samples were judged" if lacking else f"n = {n} is less than k"
        console.print(
            f"{name}: no value for {', '.join(map(label, missing))} ({cause}).", soft_wrap=True
        )
    if counts["unscored"]:
        reasons = Counter(one_line(item["reason"]) for item in result["unscored"])
        cause = "".join(f" ({reason})" for reason, _ in reasons.most_common(1))
        warn(
            f"{counts['unscored']} samples could not be judged{cause}. They do not count as "
            "failures; the run's own command tries them again."
        )
    if counts["faulty_problems"]:
        reason = next(one_line(p["faulty"]) for p in result["problems"] if p["faulty"])
        warn(f"{counts['faulty_problems']} problems are faulty and do not count ({reason}).")
    if bad_rows := len(result["task"]["bad_rows"]):
        warn(f"{bad_rows} malformed rows were left out.")
    if skipped := len(result["task"].get("skipped", ())):
        warn(f"{skipped} rows cannot run on this machine and were left out.")
    for key, text in (
        ("cut_off", "samples ended at --max-tokens"),
        ("prompt_too_long", "prompts did not fit the model's context"),
        ("suspicious", "answers look suspicious (`flags` in scores.jsonl says why)"),
    ):
        if counts[key]:
            warn(f"{counts[key]} {text}.")
    where = f" in the sandbox {sandbox['tier']}" if sandbox else ""
    if sandbox and sandbox["tier"] == NO_EXECUTION:
        where = " by similarity alone, nothing was executed"
    console.print(f"{name}: judged{where}; {printable(result['folder'])}", soft_wrap=True)


def format_estimate(name: str, estimate: dict[str, Any] | None) -> str:
    """Return `62.5 [55.1, 69.9]` in percent, or a dash where there is no value."""
    if estimate is None:
        return "-"
    scale, digits = scaling(name)
    value = f"{scale * estimate['value']:.{digits}f}"
    if estimate["low"] is None:
        return value
    low, high = scale * estimate["low"], scale * estimate["high"]
    return f"{value} [{low:.{digits}f}, {high:.{digits}f}]"


def scaling(name: str) -> tuple[int, int]:
    """Return what a metric's values are multiplied by to be shown, and how many digits are."""
    return (1, 2) if name in _PLAIN_NUMBERS else (100, 1)


def label(name: str) -> str:
    """Return a metric's name for people."""
    group, separator, k = name.partition("_pass@")
    if separator:
        return f"pass@{k} ({group})"
    return _LABELS.get(name, name.replace("upass", "UPass"))


def _tokens(result: dict[str, Any]) -> str:
    tokens = result["usage"]["completion_tokens"]
    return "-" if tokens is None else f"{tokens:,.0f}"
