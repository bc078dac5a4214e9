"""The surface of an npm package: its TypeScript declarations, read by syntax; nothing is executed.

The package's own `.d.ts` files count, or those of `@types`. What `export` names is public; members
of classes and interfaces are compared like a class's. The sources are hostile: sizes are bounded,
and what no rule here knows is left out and counted.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from recode_eval.mining.surface import Surface, read_surface

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DECLARATIONS = (".d.ts", ".d.mts", ".d.cts")
_MOST_BYTES = 8 << 20
_MOST_FILES = 400
_AROUND = {"export_statement", "ambient_declaration", "lexical_declaration"}
"""What a declaration lies in, so that the comment about it comes before those."""
_DEPRECATED = re.compile(r"@deprecated\b([^@*]*)")


def top_name(package: str) -> str:
    """The package's name as the first part of a dotted one.

    >>> top_name("@tanstack/query-core"), top_name("zod")
    ('tanstack_query_core', 'zod')
    """
    return re.sub(r"\W+", "_", package).strip("_")


def declared_surface(package: str, files: Mapping[str, bytes]) -> Surface:
    """Read the declarations of an unpacked package: path in the package -> content.

    Raises:
        UsageError: tree-sitter's TypeScript is not installed.
    """
    from recode_eval.languages.treesitter import require

    require("tree_sitter_typescript", language="typescript")
    reader = _Reader(top_name(package), files)
    for entry in _entries(files):
        reader.module(entry)
    reader.inherit()
    surface = read_surface(map(json.dumps, reader.rows), [reader.top])
    surface.packages |= surface.modules
    return surface


def _entries(files: Mapping[str, bytes]) -> list[str]:
    """The declarations that `package.json` names, else `index.d.ts`."""
    found: list[str] = []
    try:
        manifest = json.loads(files.get("package.json", b"{}"))
    except ValueError:
        manifest = {}
    if isinstance(manifest, dict):
        found += [str(manifest[key]) for key in ("types", "typings") if key in manifest]
        exports = manifest.get("exports")
        main = exports.get(".", exports) if isinstance(exports, dict) else exports
        found += _types_in(main, 0)
        found += [str(manifest["main"])] if isinstance(manifest.get("main"), str) else []
    paths = [path for name in [*found, "index.d.ts"] if (path := _resolved("", name, files))]
    return list(dict.fromkeys(paths))[:1]


def _types_in(exports: Any, depth: int) -> list[str]:
    if isinstance(exports, str):
        return [exports] if exports.endswith(_DECLARATIONS) else []
    if not isinstance(exports, dict) or depth > 5:
        return []
    return [path for value in exports.values() for path in _types_in(value, depth + 1)]


def _resolved(base: str, name: str, files: Mapping[str, bytes]) -> str | None:
    """Return the declaration file that a relative name in a folder means."""
    parts: list[str] = []
    for part in PurePosixPath(base, name).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part != ".":
            parts.append(part)
    path = "/".join(parts)
    plain = re.sub(r"\.(?:[mc]?js|d\.[mc]?ts|[mc]?ts)$", "", path)
    tries = [
        path,
        *(plain + s for s in _DECLARATIONS),
        *(f"{path}/index{s}" for s in _DECLARATIONS),
    ]
    return next((p for p in tries if p in files and p.endswith(_DECLARATIONS)), None)


@dataclass(slots=True)
class _Reader:
    top: str
    files: Mapping[str, bytes]
    rows: list[list[Any]] = field(default_factory=list)
    seen: dict[str, dict[str, tuple[Any, bytes]]] = field(default_factory=dict)
    """Path -> what the file exports."""
    bases: dict[str, list[str]] = field(default_factory=dict)
    """Home of a class or an interface -> the homes of what it extends."""

    def module(self, path: str) -> None:
        """Write the rows of an entry file."""
        self.rows.append(["module", self.top, True, ""])
        for name, (node, text) in self.exports(path).items():
            if name.isidentifier():
                self.item(name, node, text)

    def exports(self, path: str) -> dict[str, tuple[Any, bytes]]:
        """Return what a file exports: name -> its declaration's node and the file's text."""
        if path in self.seen or len(self.seen) >= _MOST_FILES:
            return self.seen.get(path, {})
        found: dict[str, tuple[Any, bytes]] = {}
        self.seen[path] = found  # before it is filled: files may name each other in a circle
        text = self.files[path]
        if len(text) > _MOST_BYTES:
            self.rows.append(["lost", "a declaration file of strange size"])
            return {}
        root = _parser().parse(text).root_node
        local: dict[str, tuple[Any, bytes]] = {}
        names: list[tuple[str, str, str]] = []
        for node in root.named_children:
            for declared, exported in _declarations(node):
                name = _name(declared, text)
                if name:
                    local.setdefault(name, (declared, text))
                    if exported:
                        found.setdefault(name, (declared, text))
            names += _listed(node, text)
        folder = path.rpartition("/")[0]
        for source, inner, outer in names:
            if not source:
                if inner in local:
                    found.setdefault(outer, local[inner])
                continue
            target = _resolved(folder, source, self.files) if source.startswith(".") else None
            if target is None:
                self.rows.append(["lost", "an export of another package"])
                continue
            theirs = self.exports(target)
            if inner == "*":
                found.update({k: v for k, v in list(theirs.items()) if k not in found})
            elif inner in theirs:
                found.setdefault(outer, theirs[inner])
        return found

    def item(self, name: str, node: Any, text: bytes) -> None:
        """Write the rows of one export."""
        home = f"{self.top}.{name}"
        if any(row[:2] == ["name", home] for row in self.rows[-1:]):
            return
        self.rows.append(["name", home, home, True, ""])
        kind = node.type
        members = node.child_by_field_name("body")
        if kind in {"class_declaration", "abstract_class_declaration", "interface_declaration"}:
            found = [c for c in (members.named_children if members else ()) if _name(c, text)]
            made = next((c for c in found if _name(c, text) == "constructor"), None)
            parameters = _parameters(made, text) if made is not None else None
            self.told(home, "class", parameters, "", node, "", text)
            self.bases[home] = [f"{self.top}.{base}" for base in _extended(node, text)]
            for member in found:
                self.member(home, member, text)
        elif kind in {"function_signature", "function_declaration"}:
            self.told(home, "function", _parameters(node, text), _type(node, text), node, "", text)
        elif kind == "enum_declaration":
            self.told(home, "class", None, "", node, "", text)
            for member in members.named_children if members else ():
                self.member(home, member, text)
        else:
            value = " ".join(_text(node, text).split())[:120]
            self.told(home, "attribute", None, "", node, value, text)

    def inherit(self) -> None:
        """Write the members that classes and interfaces have from those they extend."""
        own: dict[str, dict[str, str]] = {}
        for row in self.rows:
            if row[0] == "member":
                own.setdefault(row[1], {})[row[2]] = row[3]
        for home in self.bases:
            known = set(own.get(home, ()))
            waiting, met = list(self.bases[home]), {home}
            while waiting:
                base = waiting.pop(0)
                if base in met:
                    continue
                met.add(base)
                waiting += self.bases.get(base, ())
                for name, member in own.get(base, {}).items():
                    if name not in known:
                        known.add(name)
                        self.rows.append(["member", home, name, member])

    def member(self, owner: str, node: Any, text: bytes) -> None:
        """Write the rows of a member of a class, an interface or an enumeration."""
        name = _name(node, text)
        if not name.isidentifier() or name.startswith("_") or name == "constructor":
            return
        home = f"{owner}.{name}"
        self.rows.append(["member", owner, name, home])
        if node.type in {"method_signature", "method_definition", "abstract_method_signature"}:
            parameters = _parameters(node, text)
            self.told(home, "method", parameters, _type(node, text), node, "", text)
        else:
            optional = any(child.type == "?" for child in node.children)
            value = ("optional " if optional else "") + _type(node, text)
            self.told(home, "attribute", None, "", node, value[:120], text)

    def told(
        self,
        home: str,
        kind: str,
        parameters: list[list[Any]] | None,
        returns: str,
        node: Any,
        value: str,
        text: bytes,
    ) -> None:
        """Write what a thing is."""
        before = node
        while before.parent is not None and before.parent.type in _AROUND:
            before = before.parent
        comment = before.prev_named_sibling
        said = _text(comment, text) if comment is not None and comment.type == "comment" else ""
        match = _DEPRECATED.search(said)
        deprecated = " ".join(match[1].split())[:200] or "deprecated" if match else ""
        self.rows.append(["item", home, kind, parameters, returns, "", deprecated, value, ""])


def _parser() -> Any:
    import tree_sitter
    import tree_sitter_typescript

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_typescript.language_typescript()))


def _text(node: Any, text: bytes) -> str:
    return text[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _name(node: Any, text: bytes) -> str:
    found = node.child_by_field_name("name")
    if found is None and node.type in {"property_identifier", "enum_assignment"}:
        found = node if node.type == "property_identifier" else node.named_children[0]
    return _text(found, text) if found is not None else ""


def _declarations(node: Any) -> Iterator[tuple[Any, bool]]:
    """Yield the declarations of a statement, and whether each is exported."""
    exported = node.type == "export_statement"
    inner = node.child_by_field_name("declaration") if exported else node
    if inner is not None and inner.type == "ambient_declaration":
        inner = next(iter(inner.named_children), None)
    if inner is None:
        return
    if inner.type in {"lexical_declaration", "variable_declaration"}:
        for child in inner.named_children:
            if child.type == "variable_declarator":
                yield child, exported
    else:
        yield inner, exported


def _listed(node: Any, text: bytes) -> list[tuple[str, str, str]]:
    """Return the source, the name in it and the exported name of `export {...} from`."""
    if node.type != "export_statement":
        return []
    source = node.child_by_field_name("source")
    where = _text(source, text).strip("'\"") if source is not None else ""
    clause = next((c for c in node.named_children if c.type == "export_clause"), None)
    if clause is None:
        stars = any(child.type == "*" for child in node.children)
        return [(where, "*", "*")] if where and stars else []
    found = []
    for one in clause.named_children:
        inner, outer = one.child_by_field_name("name"), one.child_by_field_name("alias")
        if inner is not None:
            found.append((where, _text(inner, text), _text(outer or inner, text)))
    return found


def _extended(node: Any, text: bytes) -> list[str]:
    """Return the names of what a class or an interface extends, their type arguments left out."""
    clauses = {"extends_type_clause", "class_heritage", "extends_clause"}
    said = " ".join(_text(child, text) for child in node.children if child.type in clauses)
    previous = ""
    while said != previous:
        previous, said = said, re.sub(r"<[^<>]*>", "", said)
    return [word for word in re.findall(r"[A-Za-z_$][\w$]*", said)
            if word not in {"extends", "implements"}]  # fmt: skip


def _type(node: Any, text: bytes) -> str:
    found = node.child_by_field_name("return_type") or node.child_by_field_name("type")
    return " ".join(_text(found, text).lstrip(": ").split())[:120] if found is not None else ""


def _parameters(node: Any, text: bytes) -> list[list[Any]] | None:
    """Return the parameters as rows; an optional one has `undefined` for its default."""
    found = node.child_by_field_name("parameters")
    if found is None:
        return None
    rows: list[list[Any]] = []
    for number, one in enumerate(found.named_children):
        if one.type not in {"required_parameter", "optional_parameter"}:
            continue
        pattern = one.child_by_field_name("pattern")
        name = _text(pattern, text) if pattern is not None else ""
        rest = name.startswith("...")
        plain = name.lstrip(".") if name.lstrip(".").isidentifier() else f"argument{number}"
        optional = one.type == "optional_parameter"
        default = "undefined" if optional else None
        rows.append([plain, 2 if rest else 0, None if rest else default, _type(one, text)])
    return rows
