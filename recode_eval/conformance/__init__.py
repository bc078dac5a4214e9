"""Does a grader of code return what a sound one must? Answers with known verdicts, for any grader.

`check_grader` hands a grader one answer after another to one small problem (`PROBLEM`, in
HumanEval's form) and compares what comes back. An answer is right, wrong, forged, raising, hanging
or flooding; a last one is graded where the machine is broken. What a pass proves is in
docs/integrations.md.
"""

from recode_eval.conformance.cases import CASES, PROBLEM, ConformanceCase
from recode_eval.conformance.checking import CheckedCase, GraderReport, check_grader

__all__ = [
    "CASES",
    "PROBLEM",
    "CheckedCase",
    "ConformanceCase",
    "GraderReport",
    "check_grader",
]
