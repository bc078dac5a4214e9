"""JUnit XML: a suite per run, a case per problem; solved is what passes in most samples.

A case has one outcome, so how often a problem passes is a text; the metrics and their intervals are
properties of the suite.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from recode_eval.errors import UsageError
from recode_eval.exports.common import Document, all_facts
from recode_eval.metrics import label
from recode_eval.run.report import format_estimate
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.exports.common import About, RunFacts
    from recode_eval.run.results_file import ResultsFile
    from recode_eval.schemas.results import ProblemResult


def documents(runs: Sequence[ResultsFile], about: About) -> list[Document]:
    """Return one file with all runs; see `exports.documents`.

    Raises `UsageError` also for a task without tests: none of its problems passes or fails.
    """
    found = all_facts(runs, about)
    suites = [_suite(run, item) for run, item in zip(runs, found, strict=True)]
    root = ET.Element("testsuites", {"name": "recode-eval", **_counts(suites)})
    root.extend(suites)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return [Document("junit.xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')]


def _suite(run: ResultsFile, item: RunFacts) -> ET.Element:
    if all(score.passed is None for score in run.scores.values()):
        raise UsageError(
            f"{item.task} has no tests, so its problems neither pass nor fail. Choose another "
            "--format."
        )
    cases = [_case(item, score) for score in run.scores.values()]
    suite = ET.Element("testsuite", name=f"{item.model} on {item.task}")
    properties = ET.SubElement(suite, "properties")
    facts = {"run": item.run, "recode-eval": item.harness, **item.settings}
    for metric in item.metrics:
        estimate = asdict(metric)
        facts[label(metric.name)] = format_estimate(metric.name, estimate)
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=str(value))
    suite.extend(cases)
    for name, count in _counts([suite]).items():
        suite.set(name, count)
    return suite


def _counts(suites: Sequence[ET.Element]) -> dict[str, str]:
    kinds = {"tests": "", "failures": "/failure", "errors": "/error", "skipped": "/skipped"}
    return {
        name: str(sum(len(suite.findall(f"testcase{kind}")) for suite in suites))
        for name, kind in kinds.items()
    } | {"time": "0"}


def _case(item: RunFacts, score: ProblemResult) -> ET.Element:
    case = ET.Element("testcase", classname=item.task, name=one_line(score.id), time="0")
    if score.faulty is not None:
        text = one_line(f"the problem itself is faulty: {score.faulty}")
        ET.SubElement(case, "error", type="faulty", message=text).text = text
    elif not score.n or score.passed is None:
        ET.SubElement(case, "skipped", message="no sample could be graded")
    else:
        text = f"{score.passed} of {score.n} samples pass"
        if 2 * score.passed <= score.n:
            ET.SubElement(case, "failure", type="unsolved", message=text).text = text
        ET.SubElement(case, "system-out").text = text
    return case
