"""The attack files: complete, readable, and rejected where they are not what they should be."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

from recode_eval.attacks import Attack, Expect, load_attacks
from recode_eval.attacks.catalog import attacks_folder, honest_program, read_attack
from recode_eval.errors import DataError, UsageError
from recode_eval.languages import get_language

ATTACKS = load_attacks()
IN_PYTHON = [attack for attack in ATTACKS if attack.language == "python"]
IN_JAVASCRIPT = load_attacks(languages=["javascript", "typescript"])
NO_PROGRAMS = {"text/breaks_out", "text/html_comments", "text/unfinished"}
"""Their text is the attack."""
CLASSES = {
    "files", "forge", "ipc", "network", "persistence", "privileges", "processes", "resources",
    "text",
}  # fmt: skip


def test_there_are_many_in_every_class() -> None:
    for attacks, total, least in ((IN_PYTHON, 100, 3), (IN_JAVASCRIPT, 90, 1)):
        count = Counter(attack.kind for attack in attacks)
        assert set(count) == CLASSES
        assert count.total() >= total
        assert min(count.values()) >= least
    assert len(load_attacks(languages=["rust"])) >= 8
    names = Counter(attack.name for attack in ATTACKS)
    assert max(names.values()) == 1, "a report could not tell them apart"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_each_is_small_and_says_what_it_does(attack: Attack) -> None:
    assert attack.description.endswith((".", ")")), "the docstring is not a sentence"
    assert len(attack.code.splitlines()) <= 90, "an attack should fit a screen"
    assert get_language(attack.language).parses(attack.code) != (attack.name in NO_PROGRAMS)


@pytest.mark.parametrize("attack", IN_PYTHON, ids=lambda attack: attack.name)
def test_each_in_python_needs_little(attack: Attack) -> None:
    imported = set()
    for node in ast.walk(ast.parse(attack.code)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).partition(".")[0])
    assert imported <= {*sys.stdlib_module_names, "bait", "numpy"}, "not in every environment"


@pytest.mark.parametrize(
    "attack",
    [attack for attack in ATTACKS if attack.expect is Expect.FLAGGED],
    ids=lambda attack: attack.name,
)
def test_what_cannot_be_prevented_is_flagged(attack: Attack) -> None:
    assert get_language(attack.language).tamper_flags(attack.code)


@pytest.mark.parametrize("name", ["victim", "bystander"])
def test_honest_programs_are_programs(name: str) -> None:
    compile(honest_program(name), name, "exec")
    assert get_language("javascript").parses(honest_program(name, ".mjs"))


def test_the_suffix_says_the_language(tmp_path: Path) -> None:
    comment = "/**\n * Tries `it`.\n *\n * Expect: flagged\n */\n"
    files = {"a.py": '"""Tries it.\n\nExpect: flagged\n"""\n'}
    files |= dict.fromkeys(("b.mjs", "c.cjs", "d.ts", "e.rs", "f.txt", "README.md"), comment)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = load_attacks(folder=tmp_path)
    assert [attack.language for attack in found] == [
        "python", "javascript", "javascript", "typescript", "rust",
    ]  # fmt: skip
    assert found[1].description == "Tries `it`."
    assert found[1].expect is Expect.FLAGGED
    only = load_attacks(folder=tmp_path, languages=["rust"])
    assert [attack.name for attack in only] == [f"{tmp_path.name}/e"]
    with pytest.raises(UsageError, match=r"no attack \(`\*.rs`\)"):
        load_attacks(folder=tmp_path / "none", languages=["rust"])


def test_line_ends_of_an_attack_are_kept(tmp_path: Path) -> None:
    """They may be the attack; reading as text made them all alike."""
    path = tmp_path / "attack.cjs"
    path.write_bytes(b"/* Tries it.\nExpect: contained */\r\nlet a\r = 1;\xe2\x80\xa8")
    assert read_attack(path).code.endswith("\r\nlet a\r = 1;\u2028")


def test_patterns_choose_attacks() -> None:
    assert {attack.kind for attack in load_attacks(["network", "ipc"])} == {"network", "ipc"}
    assert [attack.name for attack in load_attacks(["forge/always_equal"])] == [
        "forge/always_equal"
    ]
    memory = load_attacks(["*/memory_*"])
    assert len(memory) > 5
    assert all(attack.name.partition("/")[2].startswith("memory_") for attack in memory)


def test_a_pattern_without_a_match_is_the_users_error() -> None:
    with pytest.raises(UsageError, match=r"no attack matches 'nonsense'.*forge"):
        load_attacks(["forge", "nonsense"])


def test_attacks_of_ones_own_replace_the_bundled_ones(tmp_path: Path) -> None:
    (tmp_path / "forge").mkdir()
    for file in (tmp_path / "one.py", tmp_path / "forge" / "two.py"):
        file.write_text('"""Tries it.\n\nExpect: flagged\n"""\n')
    names = [attack.name for attack in load_attacks(folder=tmp_path)]
    assert names == ["forge/two", f"{tmp_path.name}/one"]
    assert len(load_attacks(["forge"], tmp_path)) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no attack"):
        load_attacks(folder=tmp_path / "empty")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x = (", "is not readable as Python"),
        ("x = '\0'", "is not readable as Python"),
        ("x = 1\n", "Expect"),
        ('"""Tries something."""\n', "Expect"),
        ('"""Tries something.\n\nExpect: passed\n"""\n', "Expect"),
        ('"""Expect: contained\nExpect: flagged\n"""\n', "Expect"),
        ('"""\nExpect: contained\n"""\n', "does not say what the attack tries"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "attack.py"
    path.write_text(text)
    with pytest.raises(DataError, match=complaint) as caught:
        read_attack(path)
    assert str(path) in str(caught.value)


def test_the_folder_explains_itself() -> None:
    text = (attacks_folder() / "README.md").read_text()
    for expect in Expect:
        assert f"`Expect: {expect}`" in text
    for kind in CLASSES:
        assert f"`{kind}/`" in text
