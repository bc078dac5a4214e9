"""Whether a text is Rust, what it defines at its top level, and what it mentions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recode_eval.languages import treesitter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.languages.treesitter import Node, Tree

MODULE: Final = "tree_sitter_rust"
NAMED: Final = frozenset(
    {"function_item", "struct_item", "enum_item", "union_item", "trait_item", "type_item",
     "const_item", "static_item", "mod_item", "macro_definition"}
)  # fmt: skip
"""Items that have a name of their own."""
_IDENTIFIERS: Final = frozenset(
    {"identifier", "field_identifier", "type_identifier", "shorthand_field_identifier"}
)
_UNARY: Final = {"-": "neg", "!": "not", "*": "deref"}
_BINARY: Final = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "rem", "&": "bitand", "|": "bitor",
    "^": "bitxor", "<<": "shl", ">>": "shr",
}  # fmt: skip
_OPERATORS: Final = {
    **_BINARY,
    **{f"{sign}=": f"{name}_assign" for sign, name in _BINARY.items()},
    "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
}  # fmt: skip
_COMMENTS: Final = frozenset({"line_comment", "block_comment"})
_KEPT: Final = frozenset({"string_literal", "raw_string_literal", "char_literal"})


def read(code: str) -> Tree:
    """Parse hostile text; see `treesitter.parse`."""
    return treesitter.parse(code, MODULE)


def parses(code: str) -> bool:
    """Whether the parser finds no error, and nothing but items at the top level.

    A parser only: what the compiler finds afterwards (types, names) is not seen.
    """
    if code.lstrip()[:1] in {"`", "<"}:
        return False
    tree = read(code)
    statements = ("expression_statement", "let_declaration", "macro_invocation")
    return (
        tree.sound
        and not any(
            node.kind in statements and not node.text.rstrip(";").endswith(("}", ")"))
            for node in tree.root.parts
        )
        and not any(node.kind in {"let_declaration", "identifier"} for node in tree.root.parts)
    )


def defined_names(tree: Tree) -> frozenset[str]:
    """Return the names of the items at the top level; of `impl` blocks, those of the methods."""
    if not tree.sound:
        return frozenset()
    names = {name_of(node) for node in tree.root.parts if node.kind in NAMED}
    for node in tree.root.parts:
        body = node.child("body") if node.kind == "impl_item" else None
        names.update(
            name_of(one) for one in body.parts if one.kind == "function_item"
        ) if body else ()
    return frozenset(names - {""})


def entry_point(tree: Tree) -> str | None:
    """Return the function that a program defines last, else the last type; `main` is neither."""
    if not tree.sound:
        return None
    items = [node for node in tree.root.parts if node.kind in NAMED and name_of(node) != "main"]
    functions = [node for node in items if node.kind == "function_item"]
    return name_of((functions or items)[-1]) if items else None


def name_of(node: Node) -> str:
    """Return the name of an item; empty without one."""
    name = node.child("name")
    return "" if name is None else name.text


def mentions(tree: Tree) -> Iterator[str]:
    """Yield every name that is used: of functions, methods, fields, types, variants and macros.

    Names that an item or a pattern only defines do not count. What stands in the call of a macro
    counts word by word, since the parser does not know what the macro makes of it. An operator is a
    use of its trait's method: `a + b` of `add`.
    """
    for node in tree.root.walk():
        if node.kind in _IDENTIFIERS and not _defines(node):
            yield node.text
        elif node.kind in {"binary_expression", "compound_assignment_expr", "unary_expression"}:
            signs = (part.kind for part in node.children if not part.named)
            kind = _UNARY if node.kind == "unary_expression" else _OPERATORS
            yield from (kind[sign] for sign in signs if sign in kind)


def _defines(node: Node) -> bool:
    parent = node.parent
    return (
        parent is not None
        and node.role == "name"
        and parent.kind in NAMED | {"function_signature_item"}
    )


def paths(tree: Tree) -> frozenset[tuple[str, ...]]:
    """Return the paths that are written out or imported: `std::mem::take` as its three parts.

    An alias stands for what it was imported as, and an imported name for its whole path.
    """
    imported: dict[str, tuple[str, ...]] = {}
    for node in tree.root.walk():
        if node.kind == "use_declaration" and (argument := node.child("argument")) is not None:
            imported.update(_imports(argument))
    found = set(imported.values())
    for node in tree.root.walk():
        if node.kind in {"scoped_identifier", "scoped_type_identifier"}:
            first, *rest = _parts(node)
            found.add((*imported.get(first, (first,)), *rest))
        elif node.kind in {"identifier", "type_identifier"} and node.text in imported:
            found.add(imported[node.text])
    return frozenset(found)


def _parts(node: Node) -> tuple[str, ...]:
    parts: list[str] = []
    current: Node | None = node
    while current is not None and current.kind in {"scoped_identifier", "scoped_type_identifier"}:
        parts.append(name_of(current))
        current = current.child("path")
        if current is not None and current.kind == "generic_type":
            current = current.child("type")
    if current is not None:
        parts.append(current.text)
    return tuple(reversed(parts))


def _imports(argument: Node) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each name that a `use` binds, and its path."""
    pending: list[tuple[Node, tuple[str, ...]]] = [(argument, ())]
    while pending:
        node, before = pending.pop()
        match node.kind:
            case "scoped_use_list":
                path, inner = node.child("path"), node.child("list")
                prefix = (*before, *(_parts(path) if path is not None else ()))
                pending += [(part, prefix) for part in (inner.parts if inner is not None else [])]
            case "use_list":
                pending += [(part, before) for part in node.parts]
            case "use_as_clause":
                path, alias = node.child("path"), node.child("alias")
                if path is not None and alias is not None:
                    yield alias.text, (*before, *_parts(path))
            case "scoped_identifier" | "identifier":
                whole = (*before, *_parts(node))
                yield whole[-1], whole
            case "self":
                if before:
                    yield before[-1], before


def normalize(code: str) -> str:
    """Return `code` without comments (documentation too) and blank lines; strings stay."""
    return treesitter.without(code, read(code), _COMMENTS, _KEPT)
