"""The gate's verdict where CI shows it: step summary, JUnit XML, a badge, the terminal.

Names of models, tasks and problems are hostile: they are spelt out, and never markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec

from recode_eval.comparison.report import (
    change_text,
    changes_text,
    code,
    markdown_problems,
    markdown_table,
    value_text,
)
from recode_eval.comparison.sentences import p_text
from recode_eval.gating.rule import SPARSE_CHANGES, TOO_FEW_CLUSTERS, Verdict
from recode_eval.gating.sentences import check_sentence
from recode_eval.gating.shipping import of_decision, plain_name, policy_words, shipping_sentence
from recode_eval.metrics import label, metric
from recode_eval.schemas.verdict import PolicyContent
from recode_eval.stats.sparse import clusters_for, smallest_decidable
from recode_eval.tables import print_table
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from recode_eval.gating.decision import Decision, Drawn, GateCheck

SUMMARY_LIMIT = 1 << 20
"""Bytes that GitHub takes for the summary of one step."""
_CUT = "\n\n(cut: verdict.json has everything)\n"
_COLOURS = {
    Verdict.PASS: "brightgreen",
    Verdict.REGRESS: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.INVALID: "lightgrey",
}
_STYLES = {
    Verdict.PASS: "green",
    Verdict.REGRESS: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.INVALID: "yellow",
}


def _policy(decision: Decision, safe: Callable[[str], str]) -> tuple[str, ...]:
    tasks = [item.baseline.task for item in decision.compared]
    content = msgspec.convert(decision.policy.to_json(), PolicyContent)
    return policy_words(content, tasks, sampled=bool(decision.drawn), safe=safe)


def verdict_text(check: GateCheck) -> str:
    """Return `pass (improved)`."""
    return f"{check.verdict} ({check.note})" if check.note else str(check.verdict)


def margin_text(check: GateCheck) -> str:
    """Return the tolerated drop as the values are shown."""
    return metric(check.difference.metric).show(check.margin)


def _headings(decision: Decision) -> list[str]:
    levels = {round(100 * check.difference.confidence, 1) for check in decision.checks}
    level = f"{levels.pop():g} %" if len(levels) == 1 else "its look's level"
    return [
        "task",
        "metric",
        "baseline",
        "candidate",
        f"difference [{level}]",
        "tolerated",
        "detectable",
        "p (drop, Holm)",
        "verdict",
    ]


def _row(check: GateCheck) -> list[str]:
    found = check.difference
    return [
        one_line(check.task, 60),
        one_line(label(found.metric), 60),
        value_text(found.metric, found.baseline),
        value_text(found.metric, found.candidate),
        change_text(found),
        margin_text(check),
        "-" if found.detectable is None else value_text(found.metric, found.detectable),
        p_text(check.p_drop_holm),
        verdict_text(check),
    ]


def meaning(decision: Decision, safe: Callable[[str], str] = plain_name) -> str:
    """Say in a sentence whether the candidate may ship, and what to do next.

    `safe` makes names fit to be shown.
    """
    text = shipping_sentence(of_decision(decision), safe)
    if decision.verdict is Verdict.INCONCLUSIVE:
        text = " ".join([text, *_reasons(decision)])
    if spending := decision.policy.spending:
        facts = spending.to_json(decision.policy.alpha)
        text += (
            f" Verdict {spending.number} of this training: a regression needs p <= "
            f"{facts['level']:.2g}, so that at most {100 * facts['alpha']:g} % of the trainings "
            "whose checkpoints are all equally good meet one."
        )
    if decision.rerun_left:
        text += " The policy allows one rerun of both sides with new seeds."
    return f"{text} (Second look, with the rerun.)" if decision.look > 1 else text


def _reasons(decision: Decision) -> list[str]:
    """Say why checks are open for another reason than the samples, and what would decide them."""
    texts = []
    for check in decision.checks:
        if check.verdict is not Verdict.INCONCLUSIVE:
            continue
        about, found = metric(check.difference.metric), check.difference.estimate
        place = f"{one_line(check.task, 60)}, {one_line(about.label, 60)}: "
        if check.note == TOO_FEW_CLUSTERS:
            level = decision.policy.level
            smallest = about.show(smallest_decidable(found.clusters, level, about.width))
            needed = clusters_for(check.margin, level, about.width)
            texts.append(
                f"{place}{found.clusters} clusters are too few to exclude a drop of "
                f"{margin_text(check)}, even if nothing changes in them; the smallest margin that "
                f"they can decide is {smallest}. More samples per problem do not help; more "
                f"problems or a wider margin do. {needed} clusters without a change would pass."
            )
        elif check.note == SPARSE_CHANGES:
            texts.append(
                f"{place}few of the {found.clusters} clusters carry the change, and others that "
                "were not seen may break as these did. More problems or a wider margin decide; "
                "more samples hardly do."
            )
    return texts


def _sentences(decision: Decision, safe: Callable[[str], str]) -> list[str]:
    """Return a sentence per check; `safe` makes names fit to be shown."""
    found = []
    for check in decision.checks:
        baseline, candidate = (safe(name) for name in decision.names(check.task))
        found.append(
            check_sentence(
                check, baseline, candidate, safe(check.task), decision.policy.regress_level
            )
        )
    return found


def drawn_text(drawn: Drawn) -> str:
    """Report how many samples of a task were needed, as in `2 of 10 samples per problem`."""
    saved = 1 - drawn.samples / drawn.planned
    return (
        f"{drawn.n} of {drawn.looks[-1]} samples per problem ({100 * saved:.0f} % not needed; "
        f"looks at {', '.join(map(str, drawn.looks))})"
    )


def summary_markdown(decision: Decision, limit: int = SUMMARY_LIMIT) -> str:
    """Return the step summary, of at most `limit` bytes in UTF-8."""
    parts = [f"## recode-eval gate: {decision.verdict}\n\n{meaning(decision, code)}\n\n"]
    parts += [f"- {code(reason)}\n" for reason in decision.invalid]
    parts.append("\n" if decision.invalid else "")
    if decision.checks:
        rows = [
            [code(task), code(metric), *rest]
            for task, metric, *rest in (_row(check) for check in decision.checks)
        ]
        parts.append(markdown_table(_headings(decision), rows) + "\n")
        parts += [f"- {text}\n" for text in _sentences(decision, code)]
        parts.append("\n")
    parts.append(f"Policy: {' '.join(_policy(decision, code))}\n\n")
    parts += [f"- {code(item.task)}: {drawn_text(item)}\n" for item in decision.drawn]
    parts.append("\n" if decision.drawn else "")
    for item in decision.compared:
        names = code(item.candidate.model), code(item.baseline.model), code(item.baseline.task)
        parts.append("{} against {} on {}: ".format(*names))
        parts.append(f"{changes_text(item.changes)}\n\n")
        parts += [f"- {code(text)}\n" for text in item.remarks]
        parts.append("\n" if item.remarks else "")
        parts.append(markdown_problems("Broken", item.changes.broken))
        parts.append(markdown_problems("Fixed", item.changes.fixed))
    return _cut("".join(parts), limit)


def _cut(text: str, limit: int) -> str:
    """Cut at the end of a line, so that no markup is torn."""
    whole = text.encode()
    if len(whole) <= limit:
        return text
    room = max(0, limit - len(_CUT))
    kept = whole[:room].rpartition(b"\n")[0].decode()
    return f"{kept}{_CUT}" if len(kept.encode()) + len(_CUT) <= limit else ""


def junit_xml(decision: Decision) -> str:
    """Return JUnit XML with a case per gate metric, and one per reason that forbids comparing.

    regress is a failure, invalid an error, inconclusive skipped.
    """
    cases = [_case(check) for check in decision.checks]
    for index, reason in enumerate(decision.invalid, 1):
        case = ET.Element("testcase", classname="comparable", name=f"reason {index}", time="0")
        text = one_line(reason)
        ET.SubElement(case, "error", type="invalid", message=text).text = text
        cases.append(case)
    counts = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    numbers = {key: str(value) for key, value in counts.items()}
    root = ET.Element("testsuites", {"name": "recode-eval gate", **numbers, "time": "0"})
    suite = ET.SubElement(root, "testsuite", {"name": "recode-eval gate", **numbers, "time": "0"})
    suite.extend(cases)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(check: GateCheck) -> ET.Element:
    name = one_line(check.difference.metric, 100)
    case = ET.Element("testcase", classname=one_line(check.task, 100), name=name, time="0")
    text = f"{change_text(check.difference)}, tolerated drop {margin_text(check)}"
    if check.verdict is Verdict.REGRESS:
        ET.SubElement(case, "failure", type="regress", message=text).text = text
    elif check.verdict is Verdict.INCONCLUSIVE:
        ET.SubElement(case, "skipped", message=f"inconclusive: {text}")
    ET.SubElement(case, "system-out").text = f"{verdict_text(check)}: {text}"
    return case


def badge(decision: Decision) -> dict[str, Any]:
    """Return what a shields.io endpoint badge is made of (its schema, version 1)."""
    message = str(decision.verdict)
    shown = next((c.difference for c in decision.checks if c.verdict is decision.verdict), None)
    if shown is not None:
        message += f", {one_line(label(shown.metric), 30)} {change_text(shown)}"
    return {
        "schemaVersion": 1,
        "label": "recode-eval gate",
        "message": message,
        "color": _COLOURS[decision.verdict],
    }


def print_decision(console: Console, decision: Decision) -> None:
    """Print the verdict for people."""
    if decision.checks:
        print_table(console, _headings(decision), map(_row, decision.checks), left=(0, 1))
        for text in _sentences(decision, lambda name: one_line(name, 60)):
            console.print(text, soft_wrap=True)
    for reason in decision.invalid:
        console.print(f"invalid: {one_line(reason)}", style="yellow", soft_wrap=True)
    for item in decision.compared:
        runs = item.candidate.model, item.baseline.model, item.baseline.task
        names = "{} against {} on {}".format(*(one_line(text, 60) for text in runs))
        console.print(f"{names}: {changes_text(item.changes)}", soft_wrap=True)
        for text in item.remarks:
            console.print(f"  note: {one_line(text, 1000)}", soft_wrap=True)
    for drawn in decision.drawn:
        console.print(f"{one_line(drawn.task, 60)}: {drawn_text(drawn)}", soft_wrap=True)
    console.print(f"Policy: {' '.join(_policy(decision, plain_name))}", soft_wrap=True)
    style = f"bold {_STYLES[decision.verdict]}"
    console.print(f"{decision.verdict}: {meaning(decision)}", style=style, soft_wrap=True)
