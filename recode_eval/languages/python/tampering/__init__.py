"""Reasons to distrust an answer: what a program would use to reach its own grader.

No test in the candidate's own process can rule out forgery (docs/sandbox.md). These heuristics on
the syntax tree name what honest solutions hardly ever contain, so that a person looks at them; they
never change a verdict. Aliases are followed (`meanings`); names built at run time are not found,
though the ways to build them are named. The rules: `names` for what an answer reaches, `rebinding`
for what it changes, `classes` for objects that lie, `update_probes` for failing on purpose.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from recode_eval.languages.python.syntax import parse
from recode_eval.languages.python.tampering import classes, names, rebinding, update_probes
from recode_eval.languages.python.tampering.meanings import Meanings, Program, read

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["suspicions"]


def suspicions(code: str | None) -> tuple[str, ...]:
    """Return the reasons to look at `code`, sorted, without repetition. Never raises.

    An empty tuple for honest programs, for None and for code that does not parse.
    """
    tree = parse(code) if code else None
    if tree is None:
        return ()
    try:
        program = read(tree)
        return tuple(sorted(set(_reasons(program, Meanings(program)))))
    except RecursionError:  # pragma: no cover - the parser gives up first
        return ("nested too deeply to analyse",)


def _reasons(program: Program, meanings: Meanings) -> Iterator[str]:
    yield from rebinding.of_module(program, meanings)
    yield from update_probes.of_program(program, meanings)
    for node in program.nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from names.of_import(node)
        elif isinstance(node, ast.ClassDef):
            yield from classes.of_class(node, meanings)
        elif isinstance(node, ast.Constant):
            yield from names.of_constant(node)
        elif isinstance(node, ast.Dict):
            yield from rebinding.of_dictionary(node)
        elif isinstance(node, ast.Global) and "__builtins__" in node.names:
            yield "patched builtins"
        elif isinstance(node, ast.expr):
            yield from names.of_expression(node, program, meanings)
            if isinstance(node, ast.Call):
                yield from names.of_call(node, meanings)
                yield from rebinding.of_call(node, meanings)
            elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(
                node.ctx, ast.Load
            ):
                yield from rebinding.of_target(node, meanings)
