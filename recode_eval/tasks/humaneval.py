"""Task kind `humaneval`: write a function from its signature and docstring; graded by asserts.

Rows in HumanEval's own schema (Chen et al. 2021, arXiv 2107.03374): `task_id`, `prompt`,
`entry_point`, `canonical_solution`, `test`. What the prompt holds before the function (imports,
helper functions) is in force before the answer, which is the whole function or a body that
continues the prompt. The checks run in a namespace of their own.
"""

from __future__ import annotations

import ast
import keyword
import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.languages.python.syntax import defined_names, parse
from recode_eval.sandbox.base import Program, Test
from recode_eval.tasks.base import Problem, TaskData, TaskSpec, task_data
from recode_eval.tasks.rows import RowError, open_rows, parse_rows, statements, text

if TYPE_CHECKING:
    from collections.abc import Mapping

TESTS = "tests"


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """The requested function, given by the text before its body."""

    id: str
    prompt: str
    """Ends with a line feed."""
    entry_point: str
    canonical_solution: str
    preamble: str
    """What stands before the function in the prompt."""

    @property
    def reference(self) -> str:
        """The whole program of the reference solution."""
        return self.prompt + self.canonical_solution


@dataclass(frozen=True, slots=True)
class HumanEvalRow:
    """One row, checked."""

    function: FunctionRow
    test: str


class HumanEvalTask:
    """HumanEval, from the hub or from any file in its schema."""

    conditions = (TESTS,)

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def load(self, source: str | None, *, skip_bad_rows: bool = False) -> TaskData:
        """Read and check the rows; see `Task.load`."""
        name, rows = open_rows(self.spec, source)
        good, bad = parse_rows(rows, parse_row, lambda row: row.function.id)
        problems = tuple(function_problem(row.function, row) for row in good.values())
        contents = ((key, asdict(row)) for key, row in good.items())
        return task_data(name, problems, contents, bad, skip_bad_rows=skip_bad_rows)

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return the program that runs the row's checks."""
        row: HumanEvalRow = problem.payload
        tests = (check_test(row.function, row.test),)
        candidate = completed(row.function, code)
        return {TESTS: Program(row.function.preamble, candidate, tests, self.spec.preload)}

    def continuation(self, problem: Problem, text: str) -> str | None:
        """Return the program of an answer that is a bare body; see `tasks.base.Continuing`."""
        return continuation(problem.payload.function, text)


def parse_row(raw: Mapping[str, Any]) -> HumanEvalRow:
    """Check a raw row.

    Raises:
        RowError: a field is missing or wrong, or the code in it does not fit together.
    """
    function = parse_function(raw)
    return HumanEvalRow(function, parse_test(raw))


def parse_function(raw: Mapping[str, Any]) -> FunctionRow:
    """Check the fields that describe the function; raises `RowError`."""
    prompt = text(raw, "prompt")
    prompt += "" if prompt.endswith("\n") else "\n"
    name = text(raw, "entry_point")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise RowError(f"entry_point must be the name of a function, not {name!r}")
    solution = text(raw, "canonical_solution")
    last = statements(prompt + "    pass\n", "prompt")[-1]
    if not isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef) or last.name != name:
        raise RowError(f"prompt must end in the function {name}, without its body")
    if not continues(prompt, solution, name):
        raise RowError(f"canonical_solution must continue the prompt with the body of {name}")
    start = min([last.lineno, *(decorator.lineno for decorator in last.decorator_list)])
    # Not `splitlines`: for the parser a form feed ends no line.
    preamble = "".join(f"{line}\n" for line in prompt.split("\n")[: start - 1])
    return FunctionRow(text(raw, "task_id"), prompt, name, solution, preamble)


def parse_test(raw: Mapping[str, Any]) -> str:
    """Return the checks of a row: code that defines `check(candidate)`; raises `RowError`."""
    test = text(raw, "test")
    defined = (node for node in statements(test, "test") if isinstance(node, ast.FunctionDef))
    if not any(node.name == "check" and len(node.args.args) == 1 for node in defined):
        raise RowError("test must define check(candidate)")
    return test


def continues(prompt: str, body: str, name: str) -> bool:
    """Return whether `body` after the prompt is part of its last function, and this one is `name`.

    Code at the module's level behind a prompt whose function has only a docstring is no body.
    """
    tree = parse(prompt + body)
    # Statements, and not lines: a body may end in blank lines and comments.
    functions = [n for n in (tree.body if tree else []) if getattr(n, "name", None) == name]
    if not functions or not isinstance(functions[-1], ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return functions[-1].body[-1].lineno > prompt.count("\n")


def completed(function: FunctionRow, code: str) -> str:
    """Return the program of an answer: `code` if it defines the function, else prompt and `code`.

    A body may have lost its indent, in all lines or in the first one, on its way out of the answer.
    What is neither is returned as it is, and fails.
    """
    tree = parse(code)
    if tree is not None and function.entry_point in defined_names(tree):
        return code
    if tree is None:
        variants = [code, f"    {code}"]
    else:
        variants = [textwrap.indent(code, "    ")] if _returns(tree) else []
    for body in variants:
        if continues(function.prompt, body, function.entry_point):
            return function.prompt + body
    return code


def continuation(function: FunctionRow, text: str) -> str | None:
    """Return prompt and `text` as one program, if `text` starts with the function's body.

    A model that was not told to stop writes on behind the body, and may end in the middle of a
    line: if the whole is no program, the lines up to the first one without indent are taken.
    """
    for body in (text, _indented_lines(text)):
        if (program := completed(function, body)) != body:
            return program
    return None


def _indented_lines(text: str) -> str:
    lines = text.split("\n")
    end = next((i for i, line in enumerate(lines) if line[:1].strip()), len(lines))
    return "\n".join(lines[:end])


def _returns(tree: ast.Module) -> bool:
    """Whether there is a `return` or `yield` outside of all functions: a body without its def."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))
    return False


def check_test(function: FunctionRow, test: str) -> Test:
    """Return the test that calls `check` with the answer's function.

    The checks use the prompt's imports and helpers (some encode an input with them). They get them
    in a namespace of their own: whatever the answer defines under those names is not used.
    """
    source = f"{function.preamble}\n{test}\n"
    name = function.entry_point
    # Some checks speak of the function by its name.
    call = f'_checks["{name}"] = {name}\n_checks["check"]({name})\n'
    return Test("check", in_own_namespace("_checks", source) + call)


def in_own_namespace(variable: str, source: str) -> str:
    """Return a statement that runs `source` in a new namespace and keeps it in `variable`.

    The name `exec` may be the answer's; if it does nothing, the namespace lacks what is called
    next, and the test fails.
    """
    return (
        "import builtins as _builtins\n"
        f'{variable} = {{"__name__": "checks"}}\n'
        f"_builtins.exec({source!a}, {variable})\n"
    )


def function_problem(function: FunctionRow, payload: object) -> Problem:
    """Return the problem of a row; every problem is a cluster of its own."""
    return Problem(
        id=function.id,
        cluster=function.id,
        tags={},
        context={"prompt": function.prompt.rstrip(), "entry_point": function.entry_point},
        solutions={"reference": function.reference},
        payload=payload,
        entry_point=function.entry_point,
    )
