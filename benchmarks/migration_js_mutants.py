"""How many small mistakes the tests of the JavaScript migration pairs notice (mutation testing).

Makes every single-edit mutant of each pair's new code (another operator or literal, a negated
condition, a dropped statement, argument or entry, swapped arguments, another member), runs the
pair's tests on it with the new release, and prints a row per package: mutants and how many of them
some test fails. A mutant that means the same as the program survives any test.

    python benchmarks/migration_js_mutants.py [PACKAGE ...] [--sandbox landlock] [--survivors]

Exit status 1: fewer than 80 % are noticed over all, or fewer than 60 % of a pair's.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Final

from mutant_tally import Tally

from recode_eval.languages.javascript.syntax import JAVASCRIPT
from recode_eval.sandbox import open_sandbox
from recode_eval.sandbox.base import Limits
from recode_eval.tasks.migration import NEW_RELEASE
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.languages.treesitter import Node
    from recode_eval.sandbox.base import Program

    Edit = tuple[int, int, str]
    """Start and end in bytes of UTF-8, and the text in their place."""

_TASKS = ("migration-js", "migration-js-train")
_LIMITS = Limits(cpu_s=5, wall_s=10)
"""A mutant that loops or waits for ever is noticed."""

_OPERATORS: Final = {
    "===": "!==", "!==": "===", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "+": "-", "-": "+",
    "*": "/", "/": "*", "%": "*", "&&": "||", "||": "&&", "??": "&&", "+=": "-=", "-=": "+=",
}  # fmt: skip
_MEMBERS: Final = {
    "filter": "map", "some": "every", "every": "some", "push": "unshift", "unshift": "push",
    "shift": "pop", "pop": "shift", "startsWith": "endsWith", "endsWith": "startsWith",
    "toUpperCase": "toLowerCase", "toLowerCase": "toUpperCase", "keys": "values", "values": "keys",
    "entries": "keys", "find": "findLast", "min": "max", "max": "min", "flatMap": "map",
    "reduce": "reduceRight", "slice": "concat", "trim": "trimStart", "reject": "resolve",
    "get": "has", "required": "optional", "optional": "required",
}  # fmt: skip
_BINARY = ("binary_expression", "augmented_assignment_expression")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="none: all")
    parser.add_argument("--sandbox", default="landlock")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--survivors", action="store_true", help="print what no test noticed")
    arguments = parser.parse_args()
    tally = Tally("package", tell_survivors=arguments.survivors)
    for pair, package, programs in _pairs(arguments.packages):
        tally.add(pair, package, len(programs), _survivors(programs, arguments))
    return tally.show()


def mutants(code: str) -> dict[str, str]:
    """Return the single-edit mutants of a program that parse, by a line that tells the edit.

    >>> list(mutants("const twice = (n) => n * 2;"))
    ["1: 'n * 2' -> 'undefined'", "1: '*' -> '/'", "1: '2' -> '3'"]
    """
    source = code.encode()
    made: dict[str, str] = {}
    for start, end, text in sorted(set(_edits(JAVASCRIPT.parse(code).root))):
        mutant = (source[:start] + text.encode() + source[end:]).decode()
        if mutant != code and JAVASCRIPT.parse(mutant).sound:
            line = source.count(b"\n", 0, start) + 1
            made.setdefault(f"{line}: {source[start:end].decode()!r} -> {text!r}", mutant)
    return made


def _edits(root: Node) -> Iterator[Edit]:
    for node in root.walk():
        if not _imports(node):
            yield from _values(node)
            yield from _expressions(node)
            yield from _lists(node)


def _imports(node: Node) -> bool:
    """Whether the node belongs to an import, whose mutants fail to load at best."""
    return any(
        one.kind == "import_statement"
        or (one.kind == "call_expression" and _text(one.child("function")) == "require")
        for one in (node, *node.ancestors())
    )


def _values(node: Node) -> Iterator[Edit]:
    match node.kind:
        case "number" if node.text.isdigit():
            yield node.start, node.end, str(int(node.text) + 1)
        case "true" | "false":
            yield node.start, node.end, "false" if node.kind == "true" else "true"
        case "string":
            yield node.start, node.end, '""' if node.parts else '"x"'
        case "string_fragment" if node.parent is not None and node.parent.kind == "template_string":
            yield node.start, node.end, ""
        case "property_identifier" if (other := _MEMBERS.get(node.text)) is not None:
            yield node.start, node.end, other


def _expressions(node: Node) -> Iterator[Edit]:
    match node.kind:
        case kind if kind in _BINARY:
            operator = node.child("operator")
            if operator is not None and operator.text in _OPERATORS:
                yield operator.start, operator.end, _OPERATORS[operator.text]
        case "unary_expression" if (inner := node.child("argument")) is not None:
            if _text(node.child("operator")) in {"!", "-"}:
                yield node.start, inner.start, ""
        case "ternary_expression" | "if_statement":
            condition = node.child("condition")
            if condition is not None:
                yield condition.start, condition.end, f"(!({condition.text}))"
        case "return_statement" if node.parts:
            yield node.parts[0].start, node.parts[0].end, "undefined"
        case "arrow_function":
            body = node.child("body")
            if body is not None and body.kind != "statement_block":
                yield body.start, body.end, "undefined"
        case "expression_statement" if not node.text.startswith("module.exports"):
            yield node.start, node.end, ";"


def _lists(node: Node) -> Iterator[Edit]:
    if node.kind not in {"arguments", "object", "array"}:
        return
    parts = node.parts
    if node.kind == "arguments" and len(parts) > 1:
        first, second = parts[:2]
        gap = node.source[first.end : second.start].decode()
        yield first.start, second.end, f"{second.text}{gap}{first.text}"
    for index, part in enumerate(parts):
        if node.kind == "arguments" and part is not parts[-1]:
            continue
        if index:
            yield parts[index - 1].end, part.end, ""
        else:
            yield part.start, parts[1].start if len(parts) > 1 else part.end, ""


def _text(node: Node | None) -> str:
    return "" if node is None else node.text


def _pairs(packages: list[str]) -> Iterator[tuple[str, str, dict[str, Program]]]:
    """Yield a pair's id, its package, and its mutants as programs, by their edits."""
    for name in _TASKS:
        task = create_task(name)
        for problem in task.load(None, skip_bad_rows=False).problems:
            row = problem.payload
            if not packages or row.dependency in packages:
                made = mutants(row.new_code).items()
                runs = {edit: task.programs(problem, mutant) for edit, mutant in made}
                yield row.id, row.dependency, {edit: run[NEW_RELEASE] for edit, run in runs.items()}


def _survivors(programs: dict[str, Program], arguments: argparse.Namespace) -> list[str]:
    """Return the edits of the mutants that pass all tests; they share an environment."""
    environment = next(iter(programs.values())).environment or ""
    with open_sandbox(
        arguments.sandbox, environment=environment, workers=arguments.workers
    ) as sandbox:
        running = {edit: sandbox.submit(program, _LIMITS) for edit, program in programs.items()}
        return [edit for edit, future in running.items() if future.result().passed]


if __name__ == "__main__":
    raise SystemExit(main())
