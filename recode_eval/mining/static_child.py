"""The child process of `static`: griffe reads sources and writes rows; executes nothing of them.

Started as a program: SOURCES OUT MEMORY SECONDS TOP..., see `surface.read_surface` for the rows.
"""

from __future__ import annotations

import ast
import json
import logging
import resource
import sys
from pathlib import Path
from typing import Any, TextIO

_DEEPEST = 150
_KINDS = {
    "positional-only": 0,
    "positional or keyword": 1,
    "variadic positional": 2,
    "keyword-only": 3,
    "variadic keyword": 4,
}


def main() -> None:
    """Read every top module; a file that no parser takes is removed and counted first."""
    sources, out, memory, seconds, *tops = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import griffe

    logging.disable(logging.CRITICAL)
    with Path(out).open("w", encoding="utf-8") as file:
        writer = _Writer(file)
        for path in sorted(Path(sources).rglob("*.py*")):
            if (reason := _unreadable(path)) is not None:
                path.unlink()
                writer.row("lost", reason)
        for top in tops:
            try:
                loader = griffe.GriffeLoader(search_paths=[sources], allow_inspection=False)
                module = loader.load(top, submodules=True)
                loader.resolve_aliases(implicit=False, external=False, max_iterations=8)
                writer.module(module)
            except Exception as error:  # noqa: BLE001 - a loss, whatever griffe met
                writer.row("lost", f"griffe does not read {top} ({type(error).__name__})")


def _unreadable(path: Path) -> str | None:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return "a source file that is no Python"
    except (RecursionError, MemoryError):
        return "a source file that is nested too deeply"
    level = [tree]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]  # type: ignore[misc]
        if not level:
            return None
    return "a source file that is nested too deeply"


class _Writer:
    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._told: set[str] = set()
        self._warnings: dict[Path, list[tuple[int, str]]] = {}

    def row(self, *cells: Any) -> None:
        """Write one row."""
        self._file.write(json.dumps(cells) + "\n")

    def module(self, module: Any) -> None:
        """Write a module and those below it."""
        self.row("module", module.path, bool(module.is_init_module), "")
        exported = {str(name) for name in module.exports or ()}
        for name, member in list(module.members.items()):
            if member.is_alias:
                if not name.startswith("_") or name in exported:
                    self._alias(module.path, name, member, name in exported)
                continue
            if member.is_module:
                if not name.startswith("_") and name not in {"tests", "test", "conftest"}:
                    self.module(member)
                continue
            if name.startswith("_") and name not in exported:
                continue
            self.row("name", member.path, member.path, name in exported, "")
            self._item(member)

    def _alias(self, module: str, name: str, alias: Any, exported: bool) -> None:
        try:
            target = alias.final_target
        except Exception:  # noqa: BLE001 - outside of the library, or a circle
            return
        self.row("name", f"{module}.{name}", target.path, exported, "")
        if not target.is_module:
            self._item(target)

    def _warns(self, item: Any) -> str:
        path, first, last = item.filepath, item.lineno, item.endlineno
        if not isinstance(path, Path) or first is None or last is None:
            return ""
        if path not in self._warnings:
            self._warnings[path] = _warnings_in(path)
        return next((text for line, text in self._warnings[path] if first <= line <= last), "")

    def _item(self, item: Any, kind: str = "") -> None:
        if item.path in self._told:
            return
        self._told.add(item.path)
        kind = kind or item.kind.value
        parameters, returns = None, ""
        if kind == "function" or kind == "method":
            parameters = [_parameter(p) for p in item.parameters]
            returns = str(item.returns or "")
            if kind == "method" and parameters and "staticmethod" not in item.labels:
                parameters = parameters[1:]
            if "property" in item.labels:
                kind, parameters = "property", None
        elif kind == "class":
            initial = item.members.get("__init__")
            if initial is not None and not initial.is_alias and initial.is_function:
                parameters = [_parameter(p) for p in initial.parameters][1:]
        doc = item.docstring.value if item.docstring else ""
        first = next((line.strip() for line in doc.splitlines() if line.strip()), "")
        value = str(getattr(item, "value", "") or "") if kind == "attribute" else ""
        if kind == "attribute" and "property" in item.labels:
            kind, value = "property", ""
        value = ", ".join(map(str, item.bases)) if kind == "class" else value
        marked = _deprecation(item) or (self._warns(item) if kind != "class" else "")
        self.row("item", item.path, kind, parameters, returns, first, marked, value, "")
        if kind == "class":
            for name, member in list(item.members.items()):
                if name.startswith("_") or member.is_alias:
                    continue
                self.row("member", item.path, name, member.path)
                self._item(member, "method" if member.is_function else "")
            self._inherited(item)

    def _inherited(self, item: Any) -> None:
        """Write the members that a class has from other classes of the library."""
        try:
            bases = item.mro()
        except Exception:  # noqa: BLE001 - a base that is not in the wheel, or a circle
            return
        for base in bases:
            for name, member in list(base.members.items()):
                if not name.startswith("_") and not member.is_alias and name not in item.members:
                    self.row("member", item.path, name, member.path)
                    self._item(member, "method" if member.is_function else "")


def _parameter(parameter: Any) -> list[Any]:
    kind = _KINDS[parameter.kind.value]
    default = None if parameter.default is None or kind in (2, 4) else str(parameter.default)
    return [parameter.name, kind, default, str(parameter.annotation or "")]


def _deprecation(item: Any) -> str:
    if item.deprecated:
        return str(item.deprecated)
    for decorator in getattr(item, "decorators", ()):
        if "deprecat" in str(decorator.value).lower():
            return str(decorator.value)
    return ""


def _warnings_in(path: Path) -> list[tuple[int, str]]:
    """Return the calls that warn of an end, by line: what they say as far as it is constant."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, OSError):
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else (node.func.id if isinstance(node.func, ast.Name) else "")
            )
            text = "".join(
                part.value
                for part in ast.walk(node)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )
            source = ast.dump(node)
            about = "DeprecationWarning" in source or "FutureWarning" in source
            if (
                "warn" in name.lower() and (about or "eprecated" in text)
            ) or "deprecat" in name.lower():
                found.append((node.lineno, " ".join(text.split())[:280] or "deprecated"))
    return found


if __name__ == "__main__":
    main()
