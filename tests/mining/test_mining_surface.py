"""What comes out of the sandbox is hostile: only rows of the right form and library are taken."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from recode_eval.mining.differences import compared, differences
from recode_eval.mining.screening import screened
from recode_eval.mining.surface import Item, Parameter, Surface, merged, read_surface, surface_rows


def rows(*cells: list[object]) -> list[str]:
    return [json.dumps(cell) for cell in cells]


def function(home: str, *parameters: Parameter, body: str = "") -> Item:
    return Item(home, "function", parameters, body=body)


def plain(name: str, default: str | None = None, kind: str = "positional") -> Parameter:
    return Parameter(name, kind, default)


def surface(*items: Item, modules: tuple[str, ...] = ("lib",)) -> Surface:
    found = Surface(modules=set(modules), packages=set(modules))
    for item in items:
        found.names[item.home] = item.home
        found.items[item.home] = item
        found.exported.add(item.home)
    return found


def test_a_surface_survives_its_rows() -> None:
    lines = rows(
        ["module", "lib", True, "ends soon"],
        ["name", "lib.f", "lib._in.f", True, "old"],
        ["member", "lib.C", "m", "lib.C.m"],
        ["item", "lib._in.f", "function", [["a", 1, None, ""], ["b", 3, "1", "int"]], "str",
         "Does.",
         "", "", "abc"],
        ["example", "lib._in.f", ["f(1)\n"]],
        ["lost", "does not import (OSError)"],
    )  # fmt: skip
    read = read_surface(lines, ["lib"])
    assert read.item("lib.f") == read.items["lib._in.f"]
    assert read.items["lib._in.f"].signature == "(a, *, b=1) -> str"
    assert read_surface(surface_rows(read), ["lib"]) == read


def test_rows_about_another_library_are_dropped_and_counted() -> None:
    lines = rows(
        ["name", "numpy.array", "numpy.array", True, ""],
        ["name", "libother.f", "lib.f", True, ""],
        ["module", "os", True, ""],
    )
    read = read_surface(lines, ["lib"])
    assert not read.names
    assert not read.modules
    assert read.lost == {"malformed or foreign line": 3}


def test_terminal_escapes_are_spelt_out() -> None:
    [line] = rows(["item", "lib.f", "function", [], "", "\x1b[31mred", "", "", ""])
    assert "\x1b" not in read_surface([line], ["lib"]).items["lib.f"].doc


@given(st.lists(st.one_of(st.text(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6), max_leaves=12,
).map(json.dumps)), max_size=8))  # fmt: skip
def test_any_lines_are_read_without_an_error(lines: list[str]) -> None:
    read = read_surface(lines, ["lib"])
    assert all(name == "lib" or name.startswith("lib.") for name in read.names)
    assert sum(read.lost.values()) <= len(lines)


def test_what_only_the_text_has_fills_in_for_modules_that_do_not_import() -> None:
    static = surface(function("lib.f"), function("lib.sub.g"), modules=("lib", "lib.sub"))
    runtime = surface(function("lib.h"))
    whole = merged(runtime, static)
    assert set(whole.names) == {"lib.h", "lib.sub.g"}


def kinds(old: Item, new: Item) -> set[tuple[str, str]]:
    return {
        (change.kind, change.parameter)
        for change in compared(old, new, [old.home])
        if not change.suspected
    }


def test_arguments_are_compared() -> None:
    f = "lib.f"
    assert kinds(function(f, plain("a"), plain("b", "1")), function(f, plain("a"))) == {
        ("argument-removed", "b")
    }
    assert kinds(function(f, plain("color", "1")), function(f, plain("colour", "1"))) == {
        ("argument-renamed", "color")
    }
    assert kinds(function(f, plain("a")), function(f, plain("a"), plain("b"))) == {
        ("argument-added", "b")
    }
    assert kinds(function(f, plain("a")), function(f, plain("a"), plain("b", "1"))) == set()
    assert kinds(function(f, plain("a"), plain("b")), function(f, plain("b"), plain("a"))) == {
        ("argument-reordered", "a, b")
    }
    assert kinds(function(f, plain("a")), function(f, plain("a", kind="keyword-only"))) == {
        ("argument-keyword-only", "a")
    }
    assert kinds(function(f, plain("a", "1")), function(f, plain("a", "2"))) == {
        ("default-changed", "a")
    }
    sentinels = function(f, plain("a", "<no_default>")), function(f, plain("a", "<object object>"))
    assert kinds(*sentinels) == set()


def test_names_that_went_are_moved_renamed_or_removed() -> None:
    old = surface(function("lib.a", body="1"), function("lib.b", body="2"), function("lib.c"))
    new = surface(
        function("lib.alpha", body="1"), function("lib.sub.b"), modules=("lib", "lib.sub")
    )
    found = {change.api: (change.kind, change.new_api) for change in differences(old, new)}
    assert found["lib.a"] == ("renamed", "lib.alpha")
    assert found["lib.b"] == ("moved", "lib.sub.b")
    assert found["lib.c"][0] == "removed"


def test_private_and_test_names_are_dropped_with_the_reason() -> None:
    names = ("lib._in.f", "lib.tests.g", "lib._vendor.h", "lib.kept")
    old = surface(*(function(name, body=name) for name in names), modules=("lib",))
    kept, drops = screened(differences(old, surface()), old, surface(), frozenset())
    assert [change.api for change in kept] == ["lib.kept"]
    assert drops == {"private": 2, "test": 1}
