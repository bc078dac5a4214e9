"""A first pair without a model: a probe's program, rewritten by rule, and proven by execution.

Only changes that a rule can follow: another name, another name of an argument, another default.
The pair is an example of the format, not of a good program.
"""

from __future__ import annotations

import ast
import json
import keyword
import re
from typing import TYPE_CHECKING, Any, Final

from recode_eval.mining.authoring.drafts import Draft, row_of, writable
from recode_eval.mining.authoring.judging import Judge
from recode_eval.sandbox.base import Limits, Program, SandboxError, Test
from recode_eval.sandbox.requirements import release_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recode_eval.mining.candidates import Candidate
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.migration import MigrationTask

MOST_TRIED: Final = 20
"""Candidates that are tried, best first."""
_LIMITS: Final = Limits(cpu_s=10, wall_s=30)
_SHOWN = re.compile(r"^recode-eval shows (?P<text>\".*\")$", re.MULTILINE)
_PARAMETER = re.compile(r"(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<default>[^,]+)")
_LONGEST: Final = 500
_USE = re.compile(r"\b[Uu]se (?::[\w:]{1,30}:)?[`~'\"]{0,4}([A-Za-z_][\w.]*\w)")
_LONGEST_TOLD: Final = 2000
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_BY_POSITION: Final = frozenset({"argument-keyword-only", "argument-reordered", "argument-added"})


def first_pair(
    candidates: Iterable[Candidate], task: MigrationTask, sandbox: Sandbox
) -> dict[str, Any] | None:
    """Return the row of the best candidate that a rule can make a pair of; None if there is none.

    A candidate that the sandbox has trouble with is passed over.
    """
    judge = Judge(task, sandbox, ())
    usable = [one for one in candidates if one.executed and writable(one)]
    for candidate in usable[:MOST_TRIED]:
        for old_code, new_code in _programs(candidate):
            try:
                shown = _shown(candidate, old_code, sandbox)
            except SandboxError:
                continue
            if shown is None:
                continue
            row = row_of(candidate, _draft(candidate, old_code, new_code, shown), 1, "test")
            # A call alone leaves few mistakes to notice; it is an example of the format.
            if judge.judge(row).stage in {"kept", "mutants"}:
                return row
    return None


def _draft(candidate: Candidate, old_code: str, new_code: str, shown: str) -> Draft:
    note = candidate.deprecation or (candidate.note.text if candidate.note is not None else "")
    what = f"{candidate.kind.replace('-', ' ')}: {candidate.api}"
    if candidate.new_api and candidate.new_api != candidate.api:
        what += f", now {candidate.new_api}"
    return Draft(
        description="result() returns what the call gives. (An example; write what yours does.)",
        note=f"{what}. {note}".strip(),
        old_code=old_code,
        new_code=new_code,
        tests=f"def test_result_is_the_same():\n    assert repr(result()) == {shown!r}\n",
        old_patterns=(),
        new_patterns=(candidate.new_api,) if candidate.new_api else (),
    )


def _programs(candidate: Candidate) -> Iterator[tuple[str, str]]:
    """Yield the old program with each rewriting of it that the kind of change allows."""
    for evidence in candidate.evidence:
        if evidence.source not in {"probe", "example"} or not evidence.old.startswith("returns"):
            continue
        try:
            found = list(_of_program(candidate, evidence.program))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # an example of the library's own can be nested as deeply as it likes
        yield from found


def _of_program(candidate: Candidate, text: str) -> Iterator[tuple[str, str]]:
    tree = ast.parse(text)
    before, last = tree.body[:-1], tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        return
    old = _program(before, last.value)
    for new_imports, expression in _rewritten(candidate, last.value):
        yield old, _program([*before, *new_imports], expression)


def _program(before: Sequence[ast.stmt], expression: ast.expr) -> str:
    imports = [one for one in before if isinstance(one, ast.Import | ast.ImportFrom)]
    rest = [one for one in before if one not in imports]
    lines = list(dict.fromkeys(ast.unparse(one) for one in imports))
    lines += ["", "", "def result():"]
    lines += [f"    {line}" for one in rest for line in ast.unparse(one).splitlines()]
    return "\n".join([*lines, f"    return {ast.unparse(expression)}", ""])


def _rewritten(
    candidate: Candidate, expression: ast.expr
) -> Iterator[tuple[list[ast.stmt], ast.expr]]:
    """Yield the expression for the new release, with what must be imported besides."""
    for new in _replacements(candidate):
        for imported in _modules(new):
            renamed = _Renaming(candidate.api, new).visit(_copy(expression))
            statement: ast.stmt = ast.Import([ast.alias(imported)])
            yield [statement], renamed
    if isinstance(expression, ast.Call) and candidate.kind in _BY_POSITION:
        call = _by_name(_copy(expression), list(_defaults(candidate.old_signature)))
        if call is not None:
            yield [], call
    if isinstance(expression, ast.Call) and candidate.kind == "argument-removed":
        for name in _defaults(candidate.old_signature).keys() - _defaults(candidate.new_signature):
            call = _copy(expression)
            call.keywords = [item for item in call.keywords if item.arg != name]
            yield [], call
    if isinstance(expression, ast.Call) and candidate.kind == "argument-renamed":
        old_names, new_names = (
            set(_defaults(text)) for text in (candidate.old_signature, candidate.new_signature)
        )
        for gone in old_names - new_names:
            for come in new_names - old_names:
                call = _copy(expression)
                for item in call.keywords:
                    item.arg = come if item.arg == gone else item.arg
                yield [], call
    if isinstance(expression, ast.Call) and candidate.kind == "default-changed":
        old_defaults, new_defaults = (
            _defaults(text) for text in (candidate.old_signature, candidate.new_signature)
        )
        given = {item.arg for item in expression.keywords}
        for name, default in old_defaults.items():
            if name in new_defaults and new_defaults[name] != default and name not in given:
                call = _copy(expression)
                try:
                    value = ast.parse(default, mode="eval").body
                except SyntaxError:
                    continue
                call.keywords.append(ast.keyword(name, value))
                yield [], call


def _replacements(candidate: Candidate) -> list[str]:
    """Return the names that may stand in the old one's place: the miner's, then the library's."""
    if candidate.kind not in {"renamed", "moved", "removed"}:
        return []
    told = [candidate.deprecation, "" if candidate.note is None else candidate.note.text]
    used = (found for text in told for found in _USE.findall(text[:_LONGEST_TOLD]))
    names = [candidate.new_api, *used]
    room = candidate.api.rpartition(".")[0]
    whole = (name if "." in name else f"{room}.{name}" for name in names if name)
    found = [
        name
        for name in dict.fromkeys(whole)
        if _NAME.fullmatch(name) and not any(map(keyword.iskeyword, name.split(".")))
    ]
    return [name for name in found if name != candidate.api]


def _by_name(call: Any, names: list[str]) -> Any:
    """Return the call with arguments by name, as far as it may; None if it is the same."""
    positional = [one for one in call.args if not isinstance(one, ast.Starred)]
    if len(positional) != len(call.args) or len(positional) < 2:
        return None
    names = names[1:] if names[:1] in (["self"], ["cls"]) else names
    if len(names) < len(positional):
        return None
    call.args = positional[:1]
    given = [
        ast.keyword(name, value) for name, value in zip(names[1:], positional[1:], strict=False)
    ]
    call.keywords = [*given, *call.keywords]
    return call


def _copy(expression: Any) -> Any:
    return ast.parse(ast.unparse(expression), mode="eval").body


def _modules(name: str) -> Iterator[str]:
    """Yield what may be imported for a dotted name: its package alone, or a module of it."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        yield ".".join(parts[:end])


def _defaults(signature: str) -> dict[str, str]:
    """Return name -> default of a signature's parameters, as far as it can be read."""
    try:
        tree = ast.parse(f"def f{signature or '()'}: pass")
    except (SyntaxError, ValueError, RecursionError):
        read = _PARAMETER.finditer(signature[:_LONGEST_TOLD])
        return {match["name"]: match["default"].strip(" )") for match in read}
    [function] = tree.body
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    found = dict.fromkeys((one.arg for one in [*positional, *given.kwonlyargs]), "")
    pairs = [
        *zip(reversed(positional), reversed(given.defaults), strict=False),
        *zip(given.kwonlyargs, given.kw_defaults, strict=True),
    ]
    for one, default in pairs:
        if default is not None:
            found[one.arg] = ast.unparse(default)
    return found


class _Renaming(ast.NodeTransformer):
    """Replaces a dotted name, or the last part of it where it is an attribute of an object."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if ast.unparse(node) == self._old:
            return ast.copy_location(ast.parse(self._new, mode="eval").body, node)
        self.generic_visit(node)
        if node.attr == self._old.rpartition(".")[2]:
            node.attr = self._new.rpartition(".")[2]
        return node


def _shown(candidate: Candidate, code: str, sandbox: Sandbox) -> str | None:
    """Return the repr of what the old program gives with the old release; None if it has none."""
    show = "import json; print('recode-eval shows', json.dumps(repr(result())))"
    program = Program(
        "",
        code,
        (Test("show", show),),
        environment=release_name(candidate.library, candidate.old_version),
    )
    execution = sandbox.submit(program, _LIMITS).result()
    match = _SHOWN.search(execution.output)
    if not execution.passed or match is None:
        return None
    try:
        shown = json.loads(match["text"])
    except ValueError:
        return None
    usable = isinstance(shown, str) and " at 0x" not in shown and len(shown) < _LONGEST
    return shown if usable else None
