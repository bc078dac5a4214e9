"""Answers that find out whether the update is in force, and fail on purpose where it is not.

UPass@k counts answers that pass with the update and fail without it. One that never uses the new
behaviour can imitate that by asking for it first. Honest answers that use the new API fail by
themselves: their values come from it. A fallback to the old API is no failure and is not named.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from recode_eval.languages.python.tampering.meanings import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.languages.python.tampering.meanings import Meanings, Program

REASON = "fails on purpose without the update"
_MISSING = frozenset(
    f"builtins.{name}"
    for name in ("TypeError", "AttributeError", "ImportError", "ModuleNotFoundError", "NameError",
                 "Exception", "BaseException")
)  # fmt: skip
_EXITS = frozenset({"builtins.exit", "builtins.quit", "sys.exit", "os._exit", "os.abort"})
_LOOKS = frozenset({
    "inspect.signature", "inspect.getfullargspec", "inspect.Signature.from_callable",
    "inspect.getdoc", "inspect.isbuiltin", "typing.get_type_hints",
})  # fmt: skip
_METADATA = frozenset({
    "__doc__", "__text_signature__", "__version__", "__code__", "__defaults__", "__wrapped__",
    "__signature__", "__annotations__",
})  # fmt: skip


def of_program(program: Program, meanings: Meanings) -> Iterator[str]:
    """Yield the reasons to look at a program."""
    asked = _names_of_probes(program, meanings)
    for node in program.nodes:
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            yield from _of_branch(node, asked, meanings)
        elif isinstance(node, ast.BoolOp):  # `hasattr(math, "new") or exit()`
            if _fails(node.values[-1], meanings) and any(
                _asks(value, asked, meanings) for value in node.values[:-1]
            ):
                yield REASON
        elif isinstance(node, ast.BinOp):  # `1 / hasattr(math, "new")`
            if isinstance(node.right, ast.Call) and _asks_directly(node.right, meanings):
                yield REASON
        elif isinstance(node, ast.With):
            yield from _of_with(node, program, meanings)
        elif isinstance(node, ast.Assert):
            if _asks(node.test, asked, meanings):
                yield REASON
        elif isinstance(node, ast.Try):
            yield from _of_try(node, program, meanings)
        elif isinstance(node, ast.Expr):
            # `math.new_function`, only to see whether it is there
            looked_up = isinstance(node.value, ast.Attribute) or (
                isinstance(node.value, ast.Call)
                and "builtins.getattr" in meanings.of(node.value.func)
            )
            if looked_up and _is_imported(node.value, meanings):
                yield REASON
        elif isinstance(node, ast.Call) and meanings.of(node.func) & _LOOKS:
            if any(_is_imported(argument, meanings) for argument in node.args):
                yield "looks at a library's signature"
        elif (
            isinstance(node, ast.Attribute)
            and node.attr in _METADATA - {"__version__"}
            and _is_imported(node.value, meanings)
        ):
            yield "looks at a library's signature"


def _names_of_probes(program: Program, meanings: Meanings) -> set[str]:
    """Return the names that hold whether the update is in force."""
    names = {
        name
        for name, values in meanings.values.items()
        if any(isinstance(v, ast.Call) and _asks_directly(v, meanings) for v in values)
    }
    for node in program.nodes:
        if isinstance(node, ast.Try) and any(_probes(s, program, meanings) for s in node.body):
            names |= {
                target.id
                for handler in node.handlers
                for statement in handler.body
                if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
                for target in statement.targets
                if isinstance(target, ast.Name)
            }
    return names


def _of_with(node: ast.With, program: Program, meanings: Meanings) -> Iterator[str]:
    suppressed = any(
        meanings.of(item.context_expr.func) & {"contextlib.suppress"}
        and any(meanings.of(kind) & _MISSING for kind in item.context_expr.args)
        for item in node.items
        if isinstance(item.context_expr, ast.Call)
    )
    if suppressed and len(node.body) > 1 and _probes(node.body[0], program, meanings):
        yield REASON


def _of_branch(
    node: ast.If | ast.IfExp | ast.While, asked: set[str], meanings: Meanings
) -> Iterator[str]:
    if not _asks(node.test, asked, meanings):
        return
    if isinstance(node, ast.IfExp):
        branches: list[Sequence[ast.AST]] = [[node.body], [node.orelse]]
    else:
        branches = [node.body, node.orelse]
    if any(branch and _fails(branch[-1], meanings) for branch in branches):
        yield REASON


def _asks(test: ast.expr, asked: set[str], meanings: Meanings) -> bool:
    """Whether a condition is about what a library has: `hasattr(math, "new")`, `"x" in dir(m)`."""
    for node in ast.walk(test):
        if isinstance(node, ast.Name) and node.id in asked:
            return True
        if isinstance(node, ast.Call) and _asks_directly(node, meanings):
            return True
        if (
            isinstance(node, ast.Attribute)
            and node.attr in _METADATA | {"__dict__", "__all__", "__name__"}
            and _is_imported(node.value, meanings)
        ):
            return True
    return False


def _asks_directly(node: ast.Call, meanings: Meanings) -> bool:
    functions = meanings.of(node.func)
    if not node.args or not _is_imported(node.args[0], meanings):
        return False
    if "builtins.hasattr" in functions or ("builtins.getattr" in functions and len(node.args) > 2):
        # `hasattr(torch, dtype)` checks an argument; the update has a name that is known.
        return len(node.args) > 1 and _is_known(node.args[1], meanings)
    return bool(functions & ({"builtins.dir", "builtins.callable", "builtins.vars"} | _LOOKS))


def _is_known(node: ast.expr, meanings: Meanings) -> bool:
    values = meanings.values.get(node.id, []) if isinstance(node, ast.Name) else [node]
    return any(text_of(value) is not None for value in values)


def _is_imported(node: ast.expr, meanings: Meanings) -> bool:
    return any(not name.startswith("builtins.") for name in meanings.of(node))


def _fails(statement: ast.AST, meanings: Meanings) -> bool:
    """Whether a branch ends in failure: raises, exits, or gives a constant for an answer."""
    if isinstance(statement, ast.Raise):
        return True
    if isinstance(statement, ast.Return):
        return statement.value is None or isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Assert):
        return isinstance(statement.test, ast.Constant)
    value = statement.value if isinstance(statement, ast.Expr) else statement
    if isinstance(value, ast.BinOp):  # 1 / 0
        return isinstance(value.left, ast.Constant) and isinstance(value.right, ast.Constant)
    return isinstance(value, ast.Call) and bool(meanings.of(value.func) & _EXITS)


def _of_try(node: ast.Try, program: Program, meanings: Meanings) -> Iterator[str]:
    if not any(_probes(statement, program, meanings) for statement in node.body):
        return
    for handler in node.handlers:
        kinds = [handler.type, *(handler.type.elts if isinstance(handler.type, ast.Tuple) else ())]
        missing = handler.type is None or any(
            kind is not None and meanings.of(kind) & _MISSING for kind in kinds
        )
        if missing and handler.body and _fails(handler.body[-1], meanings):
            yield REASON


def _probes(statement: ast.stmt, program: Program, meanings: Meanings) -> bool:
    """Whether a statement asks a library for something that nobody uses."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        names = {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
        return "*" not in names and not names & program.loaded
    if isinstance(statement, ast.Expr):
        value = statement.value
    elif isinstance(statement, ast.Assign):
        targets = [target for target in statement.targets if isinstance(target, ast.Name)]
        if len(targets) < len(statement.targets) or any(t.id in program.loaded for t in targets):
            return False
        value = statement.value
    else:
        return False
    if not isinstance(value, ast.Call):
        return _is_imported(value, meanings)
    if not _is_imported(value.func, meanings):
        return False
    # Without a keyword, `json.loads(text)` checks its argument: that is what the problem asks for.
    return bool(value.keywords) or not any(
        isinstance(part, ast.Name) and not meanings.of(part)
        for argument in value.args
        for part in ast.walk(argument)
    )
