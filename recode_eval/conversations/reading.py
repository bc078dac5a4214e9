"""The tool `read`: the source of the installed library, found by a program inside the sandbox."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from recode_eval.conversations.executing import LONGEST, ended, presentable, shortened
from recode_eval.languages import get_language
from recode_eval.resources import resource_dir
from recode_eval.terminal import one_line, printable

if TYPE_CHECKING:
    from recode_eval.conversations.executing import Bench
    from recode_eval.sandbox.base import Execution
    from recode_eval.tasks.base import Problem

_DOTTED: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_PATH: Final = re.compile(r"[\w][\w.+-]*(/[\w][\w.+-]*)*")
_LONGEST_NAME: Final = 300
_MOST_NAMES: Final = 100


@dataclass(frozen=True, slots=True)
class Place:
    """What to read: a dotted name, or a path below the library's folder; lines from 1."""

    name: str
    is_path: bool
    first_line: int | None = None
    last_line: int | None = None


def place(name: str, first_line: int | None = None, last_line: int | None = None) -> Place:
    """Return what a name means.

    Raises:
        ValueError: it is neither a dotted name nor a path inside of the library, or the lines are
            no range.
    """
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"name is longer than {_LONGEST_NAME} characters")
    if first_line is not None and last_line is not None and first_line > last_line:
        raise ValueError("first_line is after last_line")
    is_path = "/" in name or name.endswith((".py", ".pyi", ".md", ".txt", ".rst"))
    if not (_PATH if is_path else _DOTTED).fullmatch(name):
        raise ValueError(
            "name must be a dotted name, such as package.module.function, or a file of the library,"
            " such as package/module.py"
        )
    return Place(name, is_path, first_line, last_line)


@cache
def _reader() -> str:
    path = resource_dir("sandbox") / "conversations" / "read_source.py"
    return path.read_text(encoding="utf-8")


def read(bench: Bench, problem: Problem, wanted: Place, seconds: float) -> tuple[str, float]:
    """Return the text for the model, and how long it took in seconds; raises `SandboxError`.

    The program runs as an answer would: with the update in force, and without any test of the
    problem.
    """
    mark = secrets.token_hex(16)
    given = {
        "name": wanted.name,
        "path": wanted.is_path,
        "first_line": wanted.first_line,
        "last_line": wanted.last_line,
        "docs": dict(bench.docstrings(problem)),
    }
    code = f"{_reader()}\n__recode_read__({given!r}, {mark!r})\n"
    language: Any = get_language("python")
    program = language.script(bench.program(problem, ""), code)
    done = bench.run(problem, program, seconds)
    return _told(wanted, done, mark), done.wall_s


def _told(wanted: Place, done: Execution, mark: str) -> str:
    name = one_line(wanted.name, 200)
    _, found, rest = done.output.rpartition(mark)
    try:
        answer = json.loads(rest.split("\n", 1)[0]) if found else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        why = ended(done.verdicts[0]) if done.verdicts and not done.passed else "it says nothing"
        return f"{name} cannot be read: {why}."
    if "error" in answer:
        listed = answer.get("names")
        names = listed if isinstance(listed, list) else []
        has = ", ".join(one_line(n, 80) for n in names[:_MOST_NAMES])
        return f"{name}: {one_line(answer['error'])}." + (f" It has: {has}" if has else "")
    text = printable(str(answer.get("text", "")))
    where = one_line(answer.get("file") or "no source: signature and documentation", 200)
    numbers = [one_line(answer.get(key), 12) for key in ("first", "last", "of")]
    lines = ", lines {} to {} of {}".format(*numbers) if answer.get("file") else ""
    head = f"{name} ({where}{lines}):"
    return f"{head}\n{_cut(text, answer)}"


def _cut(text: str, answer: dict[str, Any]) -> str:
    """Return whole lines from the first on, and from which line to read on."""
    if len(text) <= 2 * LONGEST:
        return text
    kept = text[: 2 * LONGEST].rpartition("\n")[0]
    if not kept:
        return shortened(presentable(text), 2 * LONGEST)
    first = answer.get("first")
    following = (first if isinstance(first, int) else 1) + kept.count("\n") + 1
    return f"{kept}\n[... cut; read on with first_line {following} ...]"
