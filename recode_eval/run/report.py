"""The table at the end of a run, for people; `--json` prints the results instead."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recode_eval.documentation.arms import Kind, arm_of
from recode_eval.metrics import BREAKDOWN, label, metric, primary_of, unit_note
from recode_eval.models.request_options import labelled
from recode_eval.sandbox.null import TIER as NO_EXECUTION
from recode_eval.stats.variance import NEW_SAMPLES, PROBLEMS_LIKE_THESE, Shares
from recode_eval.tables import borderless, print_table, stacked
from recode_eval.terminal import one_line, printable, stdout_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

_WIDE = 120
"""Columns of a terminal that has room for all metrics of a breakdown."""
_LABEL_WIDTH, _VALUE_WIDTH, _COUNT_WIDTH = 25, 16, 6
"""Columns that the metrics' names need, the narrowest column of values (`[-2.00, -1.70]`), and that
of numbers of problems."""

_MOST_REASONS = 5
_LARGE = 100
"""An amount of money from which two decimals are enough."""
_ONE_PROCESS = frozenset({"program", "test"})
"""Isolations (`sandbox.base.ISOLATIONS`) under which tests and answer share a process."""


def show(
    results: Sequence[dict[str, Any]], *, as_json: bool, quiet: bool, breakdown: bool = False
) -> None:
    """Print the results of one or several runs on standard output.

    `breakdown` adds a table per tag; `quiet` leaves it out all the same.
    """
    if as_json:
        content = results[0] if len(results) == 1 else list(results)
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    _print(stdout_console(), results, breakdown=breakdown and not quiet)


def as_text(results: Sequence[dict[str, Any]], width: int = 120, *, breakdown: bool = False) -> str:
    """Return the table as text of at most `width` columns, without colour."""
    from io import StringIO

    from rich.console import Console

    text = StringIO()
    console = Console(file=text, width=width, highlight=False, emoji=False, markup=False)
    _print(console, results, breakdown=breakdown)
    return text.getvalue()


def _print(console: Console, results: Sequence[dict[str, Any]], *, breakdown: bool) -> None:
    console.print(
        f"Scores in percent ({unit_note()}), with 95 % intervals clustered by update, "
        "for problems like these; N: problems",
        soft_wrap=True,
    )
    side_by_side = max(1, (console.width - _LABEL_WIDTH - _COUNT_WIDTH) // _VALUE_WIDTH)
    for first in range(0, len(results), side_by_side):
        _print_summary(console, results[first : first + side_by_side])
    for result in results if breakdown else ():
        for tag, groups in result["breakdown"].items():
            if len(groups) > 1:
                if len(results) > 1:
                    heading = f"{one_line(_model(result), 60)} on {result['task']['name']}"
                    console.print(heading, style="bold", soft_wrap=True)
                _print_breakdown(console, tag, groups)
    for result in results:
        _print_notes(console, result)


def _print_summary(console: Console, results: Sequence[dict[str, Any]]) -> None:
    table = borderless()
    table.add_column("metric", no_wrap=True)
    arms = [one_line(arm_of(result), 40) for result in results]
    shown = len(set(arms)) > 1 or not {Kind.NOTE.value, Kind.NONE.value}.issuperset(arms)
    for result, arm in zip(results, arms, strict=True):
        heading = f"{one_line(_model(result), 60)}\n{result['task']['name']}"
        heading += f"\n{arm}" if shown else ""
        table.add_column(heading, justify="right", min_width=_VALUE_WIDTH - 3, overflow="fold")
    table.add_column("N", justify="right", overflow="fold")
    rows, counted = {}, {}
    for name in dict.fromkeys(name for result in results for name in result["metrics"]):
        estimates = [result["metrics"].get(name) for result in results]
        if any(estimates):
            counted[label(name)] = _problems(estimates)
            rows[label(name)] = [format_estimate(name, estimate) for estimate in estimates]
    columns = zip(*rows.values(), strict=True)
    width = _LABEL_WIDTH + _COUNT_WIDTH + sum(2 + max(map(len, column)) for column in columns)
    for text, cells in rows.items():
        # Where a line has no room for an interval, it goes below its value: nothing is cut.
        lower = [stacked(cell) for cell in cells]
        table.add_row(text, *(lower if width > console.width else cells), counted[text])
    table.add_section()
    for text, key in (
        ("problems", "problems"),
        ("samples scored", "scored"),
        ("unscored", "unscored"),
        ("faulty problems", "faulty_problems"),
    ):
        table.add_row(text, *(str(result["counts"][key]) for result in results))
    for text, cells in _usage_rows(results):
        table.add_row(text, *cells)
    console.print(table)


def _model(result: dict[str, Any]) -> str:
    return labelled(result["model"]["name"], result["identity"]["model"])


def _print_breakdown(console: Console, tag: str, groups: dict[str, dict[str, Any]]) -> None:
    shown = BREAKDOWN if console.width >= _WIDE else BREAKDOWN[:2]
    first = next(iter(groups.values()))["metrics"]
    names = [name for name in shown if name in first]
    rows = []
    for value, group in groups.items():
        cells = [format_estimate(name, group["metrics"].get(name)) for name in names]
        rows.append([one_line(value or "(none)", 60), str(group["problems"]), *cells])
    print_table(console, [tag.replace("_", " "), "problems", *map(label, names)], rows)


def _print_notes(console: Console, result: dict[str, Any]) -> None:
    counts, sandbox = result["counts"], result["sandbox"]
    name = one_line(_model(result), 60)

    def warn(text: str) -> None:
        console.print(f"{name}: {text}", style="yellow", soft_wrap=True)

    if text := two_questions(result["metrics"]):
        console.print(f"{name}: {text}.", soft_wrap=True)
    missing = {
        key: k
        for key, value in result["metrics"].items()
        if value is None and (k := metric(key).k) is not None
    }
    if missing and counts["scored"]:
        n = result["sampling"]["n"]
        lacking = any(n >= k for k in missing.values())
        cause = "fewer than k samples were graded" if lacking else f"n = {n} is less than k"
        console.print(
            f"{name}: no value for {', '.join(map(label, missing))} ({cause}).", soft_wrap=True
        )
    if cost := result["usage"].get("cost"):
        source = one_line(cost["source"], 100)
        console.print(
            f"{name}: cost by the price of {one_line(cost['as_of'], 10)} ({source}).",
            soft_wrap=True,
        )
    if unknown := result["usage"].get("cost_unknown"):
        warn(f"its cost is unknown: {one_line(unknown, 200)}.")
    if partly := _partly_covered(result):
        console.print(f"{name}: averaged over fewer problems: {partly}.", soft_wrap=True)
    if counts["unscored"]:
        reasons = Counter(one_line(item["reason"]) for item in result["unscored"])
        cause = "".join(f" ({reason})" for reason, _ in reasons.most_common(1))
        warn(
            f"{counts['unscored']} samples could not be graded{cause}. They are not failures; the "
            "run's own command tries them again."
        )
    if counts["faulty_problems"]:
        reason = next(one_line(p["faulty"]) for p in result["problems"] if p["faulty"])
        warn(f"{counts['faulty_problems']} problems are faulty and excluded ({reason}).")
    if bad_rows := len(result["task"]["bad_rows"]):
        warn(f"{bad_rows} malformed rows are left out.")
    if skipped := len(result["task"].get("skipped", ())):
        warn(f"{skipped} rows cannot run here and are left out; results.json says why.")
    if quarantined := len(result["task"].get("quarantined", ())):
        warn(f"{quarantined} problems are in quarantine and left out; results.json says why.")
    if (split := result.get("split")) and split["unsplit"]:
        warn(f"{split['unsplit']} answers ran in one process with their tests ({_unsplit(split)}).")
    if text := _within_reach(result):
        warn(text)
    if tools := result.get("tools"):
        console.print(f"{name}: {_tool_note(tools)}", soft_wrap=True)
    for key, text in (
        ("cut_off", "samples ended at --max-tokens"),
        ("prompt_too_long", "prompts did not fit the model's context"),
        ("suspicious", "answers look suspicious (`flags` in scores.jsonl says why)"),
    ):
        if counts[key]:
            warn(f"{counts[key]} {text}.")
    where = f" in the sandbox {sandbox['tier']}" if sandbox else ""
    if sandbox and sandbox["tier"] == NO_EXECUTION:
        where = " by similarity only, without execution"
    console.print(f"{name}: graded{where}; {printable(result['folder'])}", soft_wrap=True)


def _unsplit(split: dict[str, Any]) -> str:
    """Return how many answers shared a process with their tests for each reason, and the rest."""
    shown = split["reasons"][:_MOST_REASONS]
    texts = [f"{item['samples']}: {one_line(item['reason'])}" for item in shown]
    if rest := split["unsplit"] - sum(item["samples"] for item in shown):
        texts.append(f"{rest}: other reasons")
    return "; ".join(texts)


def _within_reach(result: dict[str, Any]) -> str:
    """Return what to know of an isolation that leaves tests and answer in one process."""
    isolation = result["scoring"].get("isolation")
    tested = any(problem["passed"] is not None for problem in result["problems"])
    if not tested or isolation not in _ONE_PROCESS:
        return ""
    return (
        f"the isolation is {isolation}, so answers could reach their tests; "
        "`recode-eval score RUN --isolation split` grades them out of reach."
    )


def two_questions(metrics: dict[str, Any]) -> str:
    """Return the primary metric's interval for either question, and where its variance comes from.

    Empty where the samples cannot tell.
    """
    name = primary_of(metrics)
    estimate = metrics.get(name)
    again = None if estimate is None else estimate.get("new_samples")
    if estimate is None or again is None:
        return ""
    found, parts = metric(name), estimate.get("variance_shares")
    text = (
        f"{found.label} {found.show(estimate['value'])}: {PROBLEMS_LIKE_THESE} "
        f"{found.show_uncertainty(estimate) or 'no interval'}; {NEW_SAMPLES} "
        f"{found.show_interval(again['low'], again['high'])}"
    )
    return f"{text}; {Shares(**parts)}" if parts else text


def _problems(estimates: Sequence[dict[str, Any] | None]) -> str:
    """Return over how many problems a row is averaged: one number, or one for each run."""
    counts = ["-" if found is None else str(found["problems"]) for found in estimates]
    return counts[0] if len(set(counts)) == 1 else ", ".join(counts)


def _partly_covered(result: dict[str, Any]) -> str:
    """Name the metrics that only some of the graded problems have, and how many have them."""
    graded = sum(bool(problem["n"]) for problem in result["problems"])
    partly: dict[int, list[str]] = defaultdict(list)
    for name, estimate in result["metrics"].items():
        if estimate is not None and estimate["problems"] < graded:
            partly[estimate["problems"]].append(one_line(label(name), 60))
    return "; ".join(
        f"{', '.join(names)} over {count} of {graded}" for count, names in partly.items()
    )


def format_estimate(name: str, estimate: dict[str, Any] | None) -> str:
    """Return `62.5 [55.1, 69.9]` in percent, or a dash without a value.

    Similarities that are all equal have words: `2.00 (96 of 96 exact)`.
    """
    if estimate is None:
        return "-"
    found = metric(name)
    return f"{found.show(estimate['value'])} {found.show_uncertainty(estimate)}".rstrip()


def _usage_rows(results: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return the rows on tokens and money; those that no run knows are left out."""
    rows = [("completion tokens", [_tokens(result, "completion_tokens") for result in results])]
    for turn in range(1, max(len(result.get("turns") or ()) for result in results) + 1):
        rows.append((f"  of turn {turn}", [_turn_tokens(result, turn) for result in results]))
    for text, key in (
        ("  of them thoughts", "reasoning_tokens"),
        ("prompt tokens cached", "cached_tokens"),
    ):
        if any(result["usage"].get(key) is not None for result in results):
            rows.append((text, [_tokens(result, key) for result in results]))
    if any(result["usage"].get("cost") for result in results):
        for text, key in (("cost", "total"), ("cost per solved", "per_solved")):
            rows.append((text, [cost_text(result["usage"].get("cost"), key) for result in results]))
    return rows


def _tokens(result: dict[str, Any], key: str) -> str:
    tokens = result["usage"].get(key)
    return "-" if tokens is None else f"{tokens:,.0f}"


def column_of(result: dict[str, Any]) -> str:
    """Return what tells the runs of one model apart: the task, and the arm where it is not usual.

    >>> column_of({"task": {"name": "migration"}, "prompt": {"update_note": False}})
    'migration (none)'
    """
    arm = one_line(arm_of(result), 60)
    name: str = result["task"]["name"]
    return name if arm == Kind.NOTE else f"{name} ({arm})"


def cost_text(cost: dict[str, Any] | None, key: str) -> str:
    """Return `0.0123 EUR` for a part of `usage.cost`, or a dash where it is unknown."""
    return "-" if cost is None else money(cost[key], cost["currency"])


def money(amount: float | None, currency: str) -> str:
    """Return an amount for people, or a dash where it is unknown.

    >>> money(0.00123456, "EUR"), money(1234.5, "EUR"), money(None, "EUR")
    ('0.001235 EUR', '1,234.50 EUR', '-')
    """
    if amount is None:
        return "-"
    shown = f"{amount:,.2f}" if amount >= _LARGE else f"{Decimal(f'{amount:.4g}'):f}"
    return f"{shown} {one_line(currency, 3)}"


def _turn_tokens(result: dict[str, Any], turn: int) -> str:
    """Return the completion tokens of one turn; a dash where there is none, or nobody counted."""
    found = next((t for t in result.get("turns") or () if t["turn"] == turn), None)
    tokens = None if found is None else found["completion_tokens"]
    return "-" if tokens is None else f"{tokens:,.0f}"


def _tool_note(tools: dict[str, Any]) -> str:
    return (
        f"{tools['calls']} tool calls ({tools['malformed']} malformed); a budget was used up in "
        f"{tools['budget_ended']} samples."
    )


def main_figure(result: dict[str, Any]) -> str:
    """Return the value that a table of many models shows of a run."""
    name = primary_of(result["metrics"])
    unscored = result["counts"]["unscored"]
    text = f"{label(name)} {format_estimate(name, result['metrics'].get(name))}"
    return f"{text}, {unscored} unscored" if unscored else text
