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
from recode_eval.languages.python.tampering import suspicions

ATTACKS = load_attacks()
CLASSES = {
    "files", "forge", "ipc", "network", "persistence", "privileges", "processes", "resources",
    "text",
}  # fmt: skip


def test_there_are_many_in_every_class() -> None:
    count = Counter(attack.kind for attack in ATTACKS)
    assert set(count) == CLASSES
    assert count.total() >= 100
    assert min(count.values()) >= 3


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_each_is_small_says_what_it_does_and_needs_little(attack: Attack) -> None:
    assert attack.description.endswith((".", ")")), "the docstring is not a sentence"
    assert len(attack.code.splitlines()) <= 90, "an attack should fit a screen"
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
    assert suspicions(attack.code)


@pytest.mark.parametrize("name", ["victim", "bystander"])
def test_honest_programs_are_python(name: str) -> None:
    compile(honest_program(name), name, "exec")


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
