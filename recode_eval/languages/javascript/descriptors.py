"""Which calls of a JavaScript program use a file descriptor that it has not opened itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recode_eval.languages.javascript.scopes import Names, member

if TYPE_CHECKING:
    from recode_eval.languages.treesitter import Node, Tree

_BY_NUMBER: Final = frozenset(
    {"readSync", "read", "writeSync", "write", "writevSync", "readvSync", "closeSync", "close",
     "fstatSync", "fstat", "ftruncateSync", "fsyncSync", "readFileSync", "writeFileSync",
     "appendFileSync"}
)  # fmt: skip
_ONLY_BY_NUMBER: Final = frozenset(name for name in _BY_NUMBER if "FileSync" not in name)
_OPENERS: Final = frozenset({"open", "openSync", "mkdtempSync"})
_ARITHMETIC: Final = frozenset({"+", "-", "*", "|", "&", "<<", ">>", "^", "%", "/", "~"})


class Numbers:
    """Which names of a program hold numbers that it made itself, and no file's descriptor."""

    def __init__(self, tree: Tree, names: Names) -> None:
        """Look through a program."""
        self.opens = False
        """Whether the program opens any file by itself."""
        made: set[str] = set()
        others: set[str] = set()
        for node in tree.root.walk():
            match node.kind:
                case "variable_declarator":
                    target, value = node.child("name"), node.child("value")
                case "assignment_expression" | "assignment_pattern":
                    target, value = node.child("left"), node.child("right")
                case "call_expression":
                    path = names.resolve(node.child("function")) or ("",)
                    self.opens = self.opens or path[-1] in _OPENERS
                    continue
                case _:
                    continue
            if target is not None and target.kind == "identifier" and value is not None:
                (made if _is_number(value) else others).add(target.text)
        self.names = made - others

    def are_in(self, node: Node) -> bool:
        """Whether an expression is a number that the program made."""
        return _is_number(node) or (node.kind == "identifier" and node.text in self.names)


def _is_number(node: Node) -> bool:
    while node.kind == "parenthesized_expression" and node.parts:
        node = node.parts[0]
    match node.kind:
        case "number":
            return True
        case "binary_expression":
            sign = node.child("operator")
            return sign is not None and sign.text in _ARITHMETIC
        case "unary_expression":
            sign = node.child("operator")
            return sign is not None and sign.text in {"+", "-", "~"}
        case "member_expression":
            return member(node) == "length"
        case "call_expression":
            function = node.child("function")
            return function is not None and function.text in {"Number", "parseInt"}
    return False


def names_descriptor(node: Node, names: Names, numbers: Numbers) -> bool:
    """Whether a call of the module fs names a descriptor that is not of the program's own files."""
    path = names.resolve(node.child("function")) or ("",)
    given = node.child("arguments")
    arguments = given.parts if given is not None and given.kind == "arguments" else []
    if path[0] not in {"fs", "node:fs"} or not arguments:
        return False
    first = arguments[0]
    own_output = first.kind == "number" and first.text in {"1", "2"}
    if path[-1] in _BY_NUMBER and not own_output:
        unknown = path[-1] in _ONLY_BY_NUMBER and not numbers.opens
        if unknown or numbers.are_in(first):
            return True
    parts = (part for argument in arguments for part in argument.parts if part.kind == "pair")
    return any((key := part.child("key")) is not None and key.text == "fd" for part in parts)
