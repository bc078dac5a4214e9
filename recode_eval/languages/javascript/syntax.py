"""Whether a text is JavaScript or TypeScript, which names it defines, and which it mentions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recode_eval.languages import treesitter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.languages.treesitter import Node, Tree


@dataclass(frozen=True, slots=True)
class Grammar:
    """A parser, by the module and the function that give it."""

    module: str
    function: str = "language"

    def parse(self, code: str) -> Tree:
        """Parse hostile text; see `treesitter.parse`."""
        return treesitter.parse(code, self.module, self.function)


JAVASCRIPT: Final = Grammar("tree_sitter_javascript")
TYPESCRIPT: Final = Grammar("tree_sitter_typescript", "language_typescript")

FUNCTIONS: Final = frozenset({"function_declaration", "generator_function_declaration"})
DECLARATIONS: Final = FUNCTIONS | {
    "class_declaration", "abstract_class_declaration", "enum_declaration", "internal_module",
}  # fmt: skip
"""What binds its `name` to a value. Interfaces and types are none."""
VARIABLES: Final = frozenset({"lexical_declaration", "variable_declaration"})
_NEVER_FIRST = "`<"
"""No program begins with these; fences and tags do. (JSX is no program for Node.)"""


def read(code: str, *grammars: Grammar) -> Tree:
    """Return the tree of the first grammar that takes the code, else that of the first grammar."""
    trees = (grammar.parse(code) for grammar in grammars)
    first = next(trees)
    if first.sound:
        return first
    return next((tree for tree in trees if tree.sound), first)


def parses(code: str, *grammars: Grammar) -> bool:
    """Whether one of the grammars takes the code without an error (an empty one, too).

    A parser only: what a compiler finds afterwards (a name declared twice) is not seen.
    """
    return code.lstrip()[:1] not in tuple(_NEVER_FIRST) and read(code, *grammars).sound


def statements(tree: Tree) -> Iterator[Node]:
    """Yield the statements of the top level; of exports, what they declare."""
    for node in tree.root.parts:
        if node.kind == "export_statement":
            declaration = node.child("declaration") or node.child("value")
            if declaration is not None:
                yield declaration
        elif node.kind == "expression_statement" and node.parts[:1]:
            # TypeScript's grammar has `namespace X {}` as an expression.
            inner = node.parts[0]
            yield inner if inner.kind == "internal_module" else node
        else:
            yield node


def defined_names(tree: Tree) -> frozenset[str]:
    """Return what the statements of the top level bind, apart from imports.

    Blocks, loops and the like at the top level do not count, but for their `var`: such a name is
    bound in the whole program.
    """
    if not tree.sound:
        return frozenset()
    names: set[str] = set()
    for node in statements(tree):
        names.update(declared(node))
        names.update(name for inner in hoisted(node) for name in declared(inner))
    return frozenset(names)


def entry_point(tree: Tree) -> str | None:
    """Return the function or class that the program defines last; None without one.

    A variable that holds a function or a class counts.
    """
    found = None
    for node in statements(tree) if tree.sound else ():
        if node.kind in DECLARATIONS:
            found = name_of(node) or found
        elif node.kind in VARIABLES:
            for one in node.parts:
                value, name = one.child("value"), one.child("name")
                if name is not None and value is not None and value.kind in _CALLABLE:
                    found = name.text
    return found


_CALLABLE = frozenset({"arrow_function", "function_expression", "generator_function", "class"})


def declared(node: Node) -> tuple[str, ...]:
    """Return the names that one declaration binds; () for anything else."""
    if node.kind in DECLARATIONS:
        name = name_of(node)
        return (name,) if name else ()
    if node.kind in VARIABLES:
        targets = (one.child("name") for one in node.parts)
        return tuple(name for target in targets if target is not None for name in bound(target))
    return ()


def name_of(node: Node) -> str:
    """Return the text of a declaration's name; empty without one."""
    name = node.child("name")
    return "" if name is None else name.text


def bound(target: Node) -> Iterator[str]:
    """Yield the names that a pattern binds, such as `{a, b: [c], ...d}`."""
    pending = [target]
    while pending:
        node = pending.pop()
        if node.kind in {"identifier", "shorthand_property_identifier_pattern"}:
            yield node.text
        elif node.kind in {"assignment_pattern", "object_assignment_pattern"}:
            left = node.child("left")
            pending += [] if left is None else [left]
        elif node.kind == "pair_pattern":
            value = node.child("value")
            pending += [] if value is None else [value]
        elif node.kind in {"required_parameter", "optional_parameter"}:
            pattern = node.child("pattern")
            pending += [] if pattern is None else [pattern]
        elif node.kind in {"object_pattern", "array_pattern", "rest_pattern"}:
            pending += reversed(node.parts)


SCOPES: Final = frozenset(
    {"function_declaration", "generator_function_declaration", "function_expression",
     "generator_function", "arrow_function", "method_definition", "class_static_block"}
)  # fmt: skip
"""Where a `var` ends."""


def hoisted(node: Node) -> Iterator[Node]:
    """Yield the `var` declarations below a statement that count for the scope around it."""
    pending = [] if node.kind in SCOPES else list(node.children)
    while pending:
        inner = pending.pop()
        if inner.kind == "variable_declaration":
            yield inner
        if inner.kind not in SCOPES:
            pending.extend(inner.children)


def mentioned(tree: Tree) -> frozenset[str]:
    """Return every identifier that the text uses or binds, without properties of objects."""
    kinds = {"identifier", "shorthand_property_identifier"}
    return frozenset(node.text for node in tree.root.walk() if node.kind in kinds)


def imported(tree: Tree) -> frozenset[str]:
    """Return the names that `import` statements bind."""
    names: set[str] = set()
    for clause in tree.root.walk():
        if clause.kind == "import_specifier":
            name = clause.child("alias") or clause.child("name")
            names.update([] if name is None else [name.text])
        elif clause.kind in {"import_clause", "namespace_import"}:
            names.update(part.text for part in clause.parts if part.kind == "identifier")
    return frozenset(names)
