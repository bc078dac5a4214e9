"""The declarations of npm packages: what is exported, through files, with members of classes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.mining.declarations import declared_surface
from recode_eval.mining.differences import differences

pytest.importorskip("tree_sitter_typescript")

OLD = {
    "package.json": b'{"exports": {".": {"types": "./lib/index.d.ts"}}}',
    "lib/index.d.ts": b"""
export * from './more.js';
export { inner as outer } from './more.js';
export * from 'another-package';
/** @deprecated use other */
export declare function old(a: string, b?: number): void;
export declare class Box<T> extends Base<T> {
    constructor(size: number);
    open(force?: boolean): T;
    private secret: string;
    _hidden(): void;
}
export interface Options { width?: number; height: number }
declare class Base<T> { closed: boolean }
declare const local: string;
""",
    "lib/more.d.ts": b"""
export declare const plain: string, other: number;
declare function inner(x: number): string;
export { inner };
export type Alias = string | number;
export enum Color { Red, Blue = 2 }
""",
}


def test_exports_are_followed_through_files() -> None:
    surface = declared_surface("@scope/pack-age", OLD)
    assert set(surface.names) == {
        f"scope_pack_age.{name}"
        for name in ("old", "Box", "Options", "plain", "other", "inner", "outer", "Alias", "Color")
    }
    old = surface.item("scope_pack_age.old")
    assert old is not None
    assert old.signature == "(a, b=undefined, /) -> void"
    assert old.deprecated == "use other"
    assert set(surface.members["scope_pack_age.Box"]) >= {"open"}
    assert "_hidden" not in surface.members["scope_pack_age.Box"]
    assert set(surface.members["scope_pack_age.Color"]) == {"Red", "Blue"}
    assert surface.lost == {"an export of another package": 1}


def test_changes_of_declarations_are_found() -> None:
    text = OLD["lib/index.d.ts"]
    text = text.replace(b"open(force?: boolean)", b"open(hard: string)")
    text = text.replace(b"width?: number;", b"").replace(b"export * from './more.js';", b"")
    old, new = (declared_surface("p", files) for files in (OLD, {**OLD, "lib/index.d.ts": text}))
    found = {(change.kind, change.api) for change in differences(old, new)}
    assert {
        ("removed", "p.plain"),
        ("removed", "p.Options.width"),
        ("argument-added", "p.Box.open"),
    } <= found


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    files = {"index.d.ts": text.encode("utf-8", "surrogatepass")}
    assert all(name.startswith("p") for name in declared_surface("p", files).names)


def test_a_path_out_of_the_package_is_not_followed() -> None:
    files = {
        "package.json": json.dumps({"types": "../../etc/x.d.ts"}).encode(),
        "index.d.ts": b"export * from '../../outside';",
    }
    assert declared_surface("p", files).lost == {"an export of another package": 1}
