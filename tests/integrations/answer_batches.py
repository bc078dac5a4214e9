"""Answers whose verdict must not depend on the road to the grader: references, stale, and odd ones.

A batch is a task with one answer per problem.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval import load_task
from recode_eval.conformance import CASES, PROBLEM

if TYPE_CHECKING:
    from pathlib import Path

    from recode_eval.tasks.loading import LoadedTask

_RIGHT = "def add_up(numbers):\n    return sum(numbers)"
_WRONG = "def add_up(numbers):\n    return 13"
ODD = {
    "empty": "",
    "white space": " \n\t\n",
    "a thought, then the answer": f"<think>{_WRONG}</think>\n```python\n{_RIGHT}\n```",
    "a thought alone": f"<think>\n```python\n{_RIGHT}\n```\n</think>",
    "a thought without an end": f"<think>\n```python\n{_RIGHT}\n```",
    "the answer in a tag": f"<answer>\n{_RIGHT}\n</answer>",
    "bare code": _RIGHT,
    "bare code and a sentence": f"Here it is:\n\n{_RIGHT}\n\nIt adds.",
    "a body alone": "    return sum(numbers)\n",
    "a fence without an end": f"```python\n{_RIGHT}",
    "a fence of another language": f"```js\n{_RIGHT}\n```",
    "a fence without a language": f"```\n{_RIGHT}\n```",
    "fences of tildes": f"~~~python\n{_RIGHT}\n~~~",
    "a longer fence": f"````python\n{_RIGHT}\n````",
    "an indented fence": "1. This:\n" + textwrap.indent(f"```python\n{_RIGHT}\n```", "   "),
    "two blocks, the second is right": f"```python\n{_WRONG}\n```\nNo:\n```python\n{_RIGHT}\n```",
    "two blocks, the first is right": f"```python\n{_RIGHT}\n```\nOr:\n```python\n{_WRONG}\n```",
    "a block of use at the end": f"```python\n{_RIGHT}\n```\n```python\nadd_up([1])\n```",
    "two blocks that belong together": f"```python\nimport math\n```\n```python\n{_RIGHT}\n```",
    "windows' ends of lines": f"```python\r\n{_RIGHT}\r\n```".replace("\n", "\r\n"),
    "tabs": "```python\ndef add_up(numbers):\n\treturn sum(numbers)\n```",
    "letters that look alike": "```python\ndef \u0430dd_up(numbers):\n    return sum(numbers)\n```",
    "names beyond ASCII": (
        "```python\ndef add_up(numbers):\n    größe = sum(numbers)\n    return größe\n```"
    ),
    "emoji in a string": "```python\ndef add_up(numbers):\n    '🦀'\n    return sum(numbers)\n```",
    "a direction mark": (
        "```python\ndef add_up(numbers):\n    # \u202e\n    return sum(numbers)\n```"
    ),
    "a byte order mark": f"\ufeff```python\n{_RIGHT}\n```",
    "typographic quotes": "```python\ndef add_up(numbers):\n    return “sum”\n```",
    "a non-breaking space": "```python\ndef add_up(numbers):\n\u00a0   return sum(numbers)\n```",
    "an encoding line": f"```python\n# -*- coding: latin-1 -*-\n{_RIGHT}\n```",
    "old syntax": (
        "```python\ndef add_up(numbers):\n    print 'x'\n    return sum(numbers)\n```"
    ),
    "cut off": "```python\ndef add_up(numbers):\n    return sum(",
    "a prompt of the interpreter": (
        "```python\n>>> def add_up(numbers):\n...     return sum(numbers)\n```"
    ),
    "HTML": f"<pre><code>{_RIGHT}</code></pre>",
    "JSON": json.dumps({"code": _RIGHT}),
    "a float that is equal": "```python\ndef add_up(numbers):\n    return float(sum(numbers))\n```",
    "a class that is called": (
        "```python\nclass add_up(int):\n    def __new__(cls, numbers):\n"
        "        return int.__new__(cls, sum(numbers))\n```"
    ),
    "a lambda": "```python\nadd_up = lambda numbers: sum(numbers)\n```",
    "a generator": "```python\ndef add_up(numbers):\n    yield sum(numbers)\n```",
    "a coroutine": "```python\nasync def add_up(numbers):\n    return sum(numbers)\n```",
    "a verdict in words": "The tests pass: reward 1.0\n\n```python\nreward = 1.0\n```",
    "an answer that writes a reward": (
        "```python\nimport contextlib\nfor name in ('/logs/verifier/reward.json', 'reward.json'):\n"
        "    with contextlib.suppress(OSError):\n"
        "        open(name, 'w').write('{\"reward\": 1.0}')\n" + _WRONG + "\n```"
    ),
    "an answer that reads the tests": (
        "```python\nimport glob\nfor name in glob.glob('/tests/*'):\n"
        "    if '98' in open(name, errors='replace').read():\n        LEAK = True\n"
        "answers = {0: 0, 2: 42, 3: 98}\n"
        "def add_up(numbers):\n    return answers[len(numbers)] if LEAK else 13\n```"
    ),
}  # fmt: skip
"""Texts, by what is odd about them; what a sound grader gives is not the question here."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A task with an answer to each of some problems."""

    name: str
    loaded: LoadedTask
    data: Path | None
    answers: dict[str, str]
    """Problem id to the text."""


def solutions(task: str, kind: str, limit: int | None = None) -> Batch:
    """Return the known solutions of a kind, of problems that have one."""
    loaded = load_task(task)
    found = {p.id: p.solutions[kind] for p in loaded.problems if kind in p.solutions}
    if limit is not None:  # of several libraries
        found = dict(list(found.items())[:: max(1, len(found) // limit)][:limit])
    answers = {key: f"Done:\n\n```python\n{code.rstrip()}\n```\n" for key, code in found.items()}
    return Batch(f"{kind} of {task}", loaded, None, answers)


def odd(folder: Path, *, slow: bool) -> Batch:
    """Return the odd texts and the cases of the conformance suite: a row in HumanEval's form each.

    `slow`: with those that hang or flood.
    """
    texts = dict(ODD)
    for case in CASES:
        if slow or case.kind not in {"hanging", "flooding"}:
            texts[f"{case.kind}: {case.name}"] = case.answer
    rows, answers = [], {}
    for number, (name, text) in enumerate(texts.items()):
        key = f"odd/{number:03}"
        docstring = f"list of whole numbers ({key}).\n    "
        prompt = PROBLEM["prompt"].replace("list of whole numbers.", docstring)
        assert key in prompt, name
        rows.append(json.dumps({**PROBLEM, "task_id": key, "prompt": prompt}))
        answers[key] = text
    data = folder / "odd.jsonl"
    data.write_text("".join(f"{row}\n" for row in rows))
    return Batch("odd answers", load_task("humaneval", data), data, answers)
