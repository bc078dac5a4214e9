"""Whether a text is a Python program: parsing of hostile source that never crashes.

Everything here is a question to `ast.parse` of the interpreter that runs the evaluation; nothing is
executed. Source that makes the parser fail in any way (nesting too deep, NUL bytes, lone
surrogates, too long) is not a program.
"""

from __future__ import annotations

import ast
import warnings
from functools import lru_cache

from recode_eval.forking import RenewedLock
from recode_eval.languages.base import MAX_CODE_CHARS

# `warnings.catch_warnings` swaps a global list; two threads inside it at once can lose the filters.
_WARNINGS_LOCK = RenewedLock()
_NEVER_FIRST = frozenset("<`")
"""No program begins with these; answers in tags and fences do, and are asked about first."""


def parse(code: str) -> ast.Module | None:
    """Return the tree of `code`, or None if it is not a Python program. Never raises or warns.

    The tree is shared with other callers: nobody may change it.
    """
    if len(code) > MAX_CODE_CHARS or code.lstrip()[:1] in _NEVER_FIRST:
        return None
    return _parsed(code)


@lru_cache(maxsize=8)  # Extraction, similarity, flags and measures look at one answer in turn.
def _parsed(code: str) -> ast.Module | None:
    with _WARNINGS_LOCK.now, warnings.catch_warnings():
        # An invalid escape ("\d") warns; under `-W error` it would even turn into a SyntaxError.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError, SystemError):
            # ValueError: NUL bytes, lone surrogates. The last four: nesting beyond the parser.
            return None


def parses(code: str) -> bool:
    """Return whether `code` is a Python program (an empty one is)."""
    return parse(code) is not None


def names_defined_by(code: str) -> frozenset[str]:
    """Return `defined_names` of the code's tree; none if it does not parse."""
    tree = parse(code)
    return frozenset() if tree is None else defined_names(tree)


def defined_names(tree: ast.Module) -> frozenset[str]:
    """Return the names that defs, classes and assignments bind at the module's level.

    Statements inside `if`, `try`, `with`, loops and `match` at module level count; those inside
    functions and classes do not, and neither do imports.
    """
    names: set[str] = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names |= _target_names(target)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                names |= _target_names(node.target)
        else:
            pending.extend(
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)
            )
    return frozenset(names)


def _target_names(target: ast.expr) -> set[str]:
    names: set[str] = set()
    pending = [target]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Tuple | ast.List):
            pending.extend(node.elts)
        elif isinstance(node, ast.Starred):
            pending.append(node.value)
    return names


def entry_point(code: str) -> str | None:
    """Return the name of the function or class that a program defines last at its top level."""
    tree = parse(code)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = [node.name for node in tree.body if isinstance(node, kinds)] if tree else []
    return names[-1] if names else None


def bound_names(code: str) -> frozenset[str]:
    """Return the names that a program may define, at any depth, and those that it imports."""
    tree = parse(code)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = list(ast.walk(tree)) if tree else []
    names = {node.name for node in nodes if isinstance(node, kinds)}
    names |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    aliases = (node for node in nodes if isinstance(node, ast.alias))
    return frozenset(names | {alias.asname or alias.name.partition(".")[0] for alias in aliases})


def read_names(code: str) -> frozenset[str]:
    """Return the names that a program reads, at any depth."""
    tree = parse(code)
    nodes = ast.walk(tree) if tree else ()
    return frozenset(n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
