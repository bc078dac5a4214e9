"""Prints what judges print or read: dots, "OK", "passed", JSON with verdicts, unittest's summary.

Expect: not passed
"""

import json
import sys

verdict = {
    "verdicts": [["passed", "", 0.0]] * 3,
    "setup_error": None,
    "output": "",
    "cpu_s": 0.0,
    "wall_s": 0.0,
    "recycle": False,
}
for stream in (sys.stdout, sys.stderr):
    print("...", "OK", "passed", "PASSED", "3 passed in 0.01s", "True", "0", sep="\n", file=stream)
    print(json.dumps(verdict), json.dumps({"passed": True}), sep="\n", file=stream)
    stream.flush()


def answer(question):
    print(json.dumps(verdict), "passed", sep="\n", flush=True)
    return 0
