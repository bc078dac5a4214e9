"""Names and calls by which an answer reaches out of itself, also where it hides them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from recode_eval.languages.python.tampering import reach
from recode_eval.languages.python.tampering.meanings import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.languages.python.tampering.meanings import Meanings, Program

_EXECUTE = frozenset({"builtins.exec", "builtins.compile"})
_TIMERS = frozenset(
    {"timeit.timeit", "timeit.repeat", "timeit.Timer", "cProfile.run", "profile.run"}
)
_UNPICKLE = frozenset({"pickle.loads", "_pickle.loads", "dill.loads", "cloudpickle.loads"})
_EVALUATE = "builtins.eval"
_IMPORT = frozenset({"builtins.__import__", "importlib.import_module", "importlib.__import__"})
_OPEN = frozenset({"builtins.open", "io.open", "io.FileIO", "os.fdopen", "codecs.open", "_io.open"})
_POWERS = frozenset(
    f"builtins.{name}"
    for name in ("exec", "eval", "compile", "__import__", "setattr", "delattr", "globals", "vars")
)
"""What an honest program calls, if at all, and does not hand on."""
_PARTS = frozenset({"str", "repr", "map", "zip", "join", "range", "len", "strip", "replace", "int"})
_MAX_STEPS = 200
_MAX_LITERALS = 16
"""Characters of constants in a text to be evaluated: operators and brackets, no program."""


def of_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield why an import stands out."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif node.module is None or node.level:
        return
    else:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        if node.module in reach.DANGEROUS and any(alias.name == "*" for alias in node.names):
            yield "hidden name"
    for name in names:
        yield from reach.of_name(name)


def of_expression(node: ast.expr, program: Program, meanings: Meanings) -> Iterator[str]:
    """Yield why a name, an attribute or an item stands out."""
    if isinstance(node, ast.Attribute) and (reason := reach.of_attribute(node.attr)):
        yield reason
    if isinstance(node, ast.Name) and node.id == "__builtins__":
        yield "patched builtins"
    found = meanings.of(node)
    for name in found:
        yield from reach.of_name(name)
        if name.endswith(".__dict__") and not name.startswith("builtins."):
            yield "a module's dictionary"
        elif name.endswith(".*") and name.partition(".")[0] in reach.DANGEROUS:
            yield "hidden name"
    if found & _POWERS and id(node) not in program.callees and isinstance(node, ast.Name):
        yield "hidden name"


def of_call(node: ast.Call, meanings: Meanings) -> Iterator[str]:
    """Yield why a call stands out."""
    functions = meanings.of(node.func)
    if functions & _EXECUTE:
        yield "executes text"
    if _EVALUATE in functions and not (node.args and _computes(node.args[0], meanings)):
        yield "executes text"
    if functions & _TIMERS and any(text_of(argument) for argument in node.args):
        yield "executes text"
    if functions & _UNPICKLE and node.args and isinstance(node.args[0], ast.Constant):
        yield "hidden code"
    if functions & _IMPORT:
        name = text_of(node.args[0]) if node.args else None
        if name is None or name.partition(".")[0] in {"gc", "inspect", "builtins", "posix"}:
            yield "hidden import"
        if name is not None:
            yield from reach.of_name(name)
    if functions & _OPEN and node.args and _is_descriptor(node.args[0], meanings):
        yield "file descriptors"
    if "socket.socket" in functions and (
        len(node.args) > 3 or any(k.arg in {"fileno", None} for k in node.keywords)
    ):
        yield "file descriptors"
    yield from _of_words(node, functions)


def of_constant(node: ast.Constant) -> Iterator[str]:
    """Yield why a text stands out."""
    if isinstance(node.value, str) and reach.is_system_file(node.value):
        yield "system files"


def _of_words(node: ast.Call, functions: frozenset[str]) -> Iterator[str]:
    """Look at the attributes that a call takes by their names."""
    getters = {"builtins.getattr", "builtins.hasattr", "operator.attrgetter",
               "operator.methodcaller", "inspect.getattr_static"}  # fmt: skip
    by_path = bool(functions & {"operator.attrgetter", "operator.methodcaller"})
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if not functions & getters and method != "__getattribute__":
        return
    for argument in node.args:
        word = text_of(argument)
        if word is None:
            if by_path:
                yield "hidden name"
            continue
        for part in word.split("."):
            if (reason := reach.of_attribute(part)) is not None:
                yield reason
            elif by_path and part.startswith("__") and part.endswith("__"):
                yield "reaches through an object"


def _is_descriptor(node: ast.expr, meanings: Meanings) -> bool:
    """Whether a file is opened by number; 0, the standard input, is common."""
    if isinstance(node, ast.Name):
        return node.id in meanings.numbers
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value > 0


def _computes(node: ast.expr, meanings: Meanings) -> bool:
    """Whether a text to be evaluated is put together of a problem's own values.

    Such a text is a calculator's input. One that holds a program has constants, or decodes it.
    """
    literals = 0
    values = 0
    pending: list[ast.AST] = [node]
    seen: set[str] = set()
    steps = 0
    while pending:
        part = pending.pop()
        steps += 1
        if steps > _MAX_STEPS:  # else the work for many calls would grow with their square
            return False
        if isinstance(part, ast.Constant):
            literals += len(part.value) if isinstance(part.value, str | bytes) else 0
        elif isinstance(part, ast.Call):
            name = getattr(part.func, "attr", None) or getattr(part.func, "id", None)
            if name not in _PARTS:
                return False
            pending.extend(part.args)
            if isinstance(part.func, ast.Attribute):
                pending.append(part.func.value)
        elif isinstance(part, ast.Name):
            if part.id not in seen:
                seen.add(part.id)
                assigned = meanings.values.get(part.id, [])
                values += not assigned
                pending.extend(assigned)
        else:
            pending.extend(ast.iter_child_nodes(part))
    return values > 0 and literals <= _MAX_LITERALS
