"""Imports point one way: a package uses those below it (docs/design.md), never those above."""

from __future__ import annotations

import ast
from pathlib import Path

import recode_eval

ROOT = Path(recode_eval.__file__).parent
ORDER = (
    "__init__", "__main__", "cli", "commands", "jobs", "integrations", "serving", "conformance",
    "api", "mining", "exports", "task_exports", "leaderboard", "gating", "comparison", "run",
    "conversations", "documentation", "distributed", "doctor", "costs", "models", "tasks",
    "attacks", "schemas", "metrics", "scoring", "languages", "sandbox", "stats", "boundary",
    "hub_retries", "tables", "terminal", "files", "archives", "forking", "checks", "plugins",
    "lazy", "resources", "errors",
)  # fmt: skip
"""From the top down."""


def test_imports_point_down() -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {target}"
        for file in sorted(ROOT.rglob("*.py"))
        for target in _imported(file)
        if ORDER.index(target) < ORDER.index(_room(file.relative_to(ROOT).parts))
    ]
    assert wrong == []


def test_a_module_says_what_it_is_for() -> None:
    for file in ROOT.rglob("*.py"):
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), file


def _room(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


def _imported(file: Path) -> set[str]:
    """Return the rooms that a module imports when it runs; types alone do not count."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    rooms = set()
    for node in ast.walk(tree):
        if id(node) in for_types or not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        package, *parts = node.module.split(".")
        if package == "recode_eval" and parts:
            rooms.add(parts[0])
        elif package == "recode_eval":
            # The version is everybody's; every other name of the package is at its top.
            names = {alias.name for alias in node.names} - {"__version__"}
            rooms |= {
                n if (ROOT / n).exists() or (ROOT / f"{n}.py").exists() else "__init__"
                for n in names
            }
    return rooms


def _is_module(name: str) -> bool:
    return (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()
