"""Rows with several updates in force at once, and the bundled task made of such rows."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from arena_rows import arena_row
from fake_sandbox import FakeSandbox
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import DataError, UsageError
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.validate import validate
from recode_eval.sandbox import Limits, landlock, open_sandbox
from recode_eval.tasks.arena import WITH_UPDATE, WITHOUT_UPDATE, parse_row
from recode_eval.tasks.clusters import connected
from recode_eval.tasks.data import read_yaml_folder
from recode_eval.tasks.registry import create_task
from recode_eval.tasks.rows import RowError

if TYPE_CHECKING:
    from recode_eval.tasks.base import Problem

REFERENCE = "import textwrap\n\ndef f(x):\n    return textwrap.shout(textwrap.dedent(x, times=2))\n"


def update(path: str = "textwrap.dedent", **fields: object) -> dict[str, Any]:
    """Return an update that changes nothing but its docstring."""
    package, _, name = path.rpartition(".")
    return {
        **arena_row()["update"],
        "function_path": path,
        "package": package.split(".")[0],
        "imports": f"import {package.split('.')[0]}\nold_{name} = {path}",
        "implementation": f"def {name}(*a, **k):\n    return old_{name}(*a, **k)\n",
        "unit_tests": None,
        "update_type": "add-argument",
        "docstring": f"What {path} does now.",
        "update_id": f"[{path}]:[add-argument]:[update-0]",
        **fields,
    }


def shout(**fields: object) -> dict[str, Any]:
    """Return an update that adds `textwrap.shout` beside `textwrap.indent`."""
    new = {
        "update_type": "add-function",
        "imports": "import textwrap",
        "implementation": "def shout(text):\n    return text.upper()\n",
        "unit_tests": "def test_loud():\n    assert textwrap.shout('a') == 'A'\n",
        "docstring": "`shout` returns the text in capitals.",
        "update_id": "[textwrap.indent]:[add-function]:[update-0]",
    }
    return update("textwrap.indent", **{**new, **fields})


def multi_row(index: int = 0, **fields: object) -> dict[str, Any]:
    """Return a sound row with two updates of one library."""
    row = arena_row(index)
    updates = [row.pop("update"), shout()]
    return {
        **row,
        "updates": updates,
        "unit_tests": "def test_a():\n    assert f('a') == 'AA'\n",
        "ref_solution": REFERENCE,
        "stale_solution": "def f(x):\n    return x * 2\n",
        "partial_solutions": [
            "import textwrap\ndef f(x):\n    return textwrap.shout(textwrap.dedent(x))\n",
            "import textwrap\ndef f(x):\n    return textwrap.dedent(x, times=2)\n",
        ],
        "prog_syn_id": f"two:[prog_syn-{index}]",
        **fields,
    }


def written(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def loaded(path: Path, *rows: dict[str, Any]) -> tuple[Problem, ...]:
    return create_task("arena-multi").load(written(path, *rows), skip_bad_rows=False).problems


def test_all_updates_are_put_in_force_in_their_order(tmp_path: Path) -> None:
    [problem] = loaded(tmp_path / "rows.jsonl", multi_row())
    programs = create_task("arena-multi").programs(problem, "x = 1")
    without = programs[WITHOUT_UPDATE].setup
    assert "def dedent" in without
    assert "def shout" in without
    assert programs[WITH_UPDATE].setup == (
        f"{without}textwrap.dedent = dedent\nsetattr(textwrap, 'shout', shout)\n"
    )
    assert programs[WITH_UPDATE].preload == {"textwrap"}


def test_what_a_problem_is_called(tmp_path: Path) -> None:
    other = multi_row(1, updates=[shout(), update("math.gcd", update_type="add-output-semantics")])
    first, second = loaded(tmp_path / "rows.jsonl", multi_row(), other)
    assert first.tags == {
        "package": "textwrap",
        "update_type": "add-argument+add-function",
        "function": "textwrap.dedent+textwrap.indent",
        "updates": "2",
    }
    assert second.tags["package"] == "math+textwrap"
    assert first.cluster == second.cluster == "[math.gcd]:[add-argument]:[update-0]"


def test_the_updates_as_json_or_in_a_table_are_the_same_rows(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rows = [multi_row(), {**arena_row(), "partial_solutions": None}]
    pandas.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
    flat = [
        {k: json.dumps(v) if k in {"update", "updates"} else v for k, v in row.items()}
        for row in rows
    ]
    task = create_task("arena-multi")
    sources = [
        written(tmp_path / "rows.jsonl", *rows),
        written(tmp_path / "flat.jsonl", *flat),
        str(tmp_path / "rows.parquet"),
    ]
    hashes = {task.load(source, skip_bad_rows=False).content_hash for source in sources}
    assert len(hashes) == 1


def test_the_hash_of_rows_with_one_update_is_what_it_was(tmp_path: Path) -> None:
    """Results name the data by this hash; a new field must not make old results look different."""
    data = create_task("arena").load(
        written(tmp_path / "rows.jsonl", arena_row()), skip_bad_rows=False
    )
    assert data.content_hash == ("9bd5d8a71f6a14815265f8479f96946fe6a5394d088e9d26b1204d9335dcee62")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"updates": [update()]}, "two or more; for one, use update"),
        ({"updates": {"a": 1}}, "must be a list of two or more"),
        ({"updates": "[1"}, "the field updates is text, but not JSON"),
        ({"update": update()}, "both update and updates"),
        ({"updates": [update(), 3]}, r"updates\[1\]: the field update is missing or not an object"),
        ({"updates": [update(update_id=None), shout()]}, r"updates\[0\]: the field update_id"),
        ({"updates": [update(), shout(implementation="x")]}, r"updates\[1\]: .*exactly one def"),
        ({"updates": [update(), update("math.gcd", update_type="add-class")]}, "needs a new name"),
        ({"partial_solutions": ["x = 1"]}, "one entry .* for each"),
        ({"partial_solutions": "x = 1"}, "one entry .* for each"),
        ({"partial_solutions": [1, None]}, "field partial_solutions is of type int"),
    ],
)
def test_a_bad_row_says_what_is_wrong(fields: dict[str, object], message: str) -> None:
    with pytest.raises(RowError, match=message):
        parse_row(multi_row(**fields))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (update(), update(), "have the same update_id"),
        (update(), update(update_id="x"), r"both change textwrap\.dedent$"),
        (update(), shout(function_path="textwrap.fill", update_id="x",
                         implementation="def dedent(): pass"),
         r"both change textwrap\.dedent$"),
        (shout(), shout(function_path="textwrap.fill", update_id="x"),
         r"both change textwrap\.shout$"),
        (update("collections.Counter", update_type="modify-argument-semantics"),
         update("collections.Counter.update"), r"both change collections\.Counter\.update$"),
        (update("pandas.DataFrame.head"), update("pandas.Series.head"),
         "both define the name head"),
        (update(), shout(imports="import textwrap\nold_dedent = 1"), "define the name old_dedent"),
        (update(imports="def helper(): pass"), shout(imports="class helper: pass"),
         "define the name helper"),
        (update(imports="import ("), shout(), "update.imports is not Python"),
    ],
)  # fmt: skip
def test_updates_that_cannot_be_in_force_at_once(
    first: dict[str, Any], second: dict[str, Any], message: str
) -> None:
    """The later statement or definition would win in silence, and serve both."""
    for updates in ([first, second], [second, first]):
        with pytest.raises(RowError, match=message):
            parse_row(multi_row(updates=updates, partial_solutions=None))


def test_updates_that_stand_beside_each_other() -> None:
    """Two of one library, and a new function beside a changed one of the same path."""
    beside = shout(function_path="textwrap.dedent")
    for second in (update("textwrap.indent"), beside):
        row = parse_row(multi_row(updates=[update(), second]))
        assert len(row.updates) == 2
    names = [u.implementation for u in row.updates]
    assert "def shout" in names[1]


JSON = st.recursive(
    st.none() | st.integers() | st.text() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["updates", "partial_solutions", "imports"]))
def test_no_value_of_a_field_crashes_the_parser(value: object, field: str) -> None:
    try:
        parse_row(multi_row(**{field: value}))
    except RowError as error:
        assert str(error)


@given(JSON, st.sampled_from(sorted(update())))
def test_no_value_in_an_update_crashes_the_parser(value: object, field: str) -> None:
    try:
        parse_row(multi_row(updates=[update(), shout(**{field: value})]))
    except RowError as error:
        assert str(error)


@given(
    st.dictionaries(
        st.text(max_size=3), st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3)
    )
)
def test_rows_are_in_one_cluster_exactly_if_a_chain_connects_them(
    parts: dict[str, list[str]],
) -> None:
    clusters = connected(parts)
    assert clusters == connected(dict(reversed(parts.items())))
    reached = {row: set(mine) for row, mine in parts.items()}
    for _ in parts:  # the plain way: grow what each row reaches until nothing changes
        for row in reached:
            reached[row] |= {p for other in reached.values() if other & reached[row] for p in other}
    assert clusters == {row: min(mine) for row, mine in reached.items()}


def render(variant: str, problem: Problem, *, note: bool) -> str:
    template = PromptTemplate.from_file(create_task("arena-multi").spec.prompts[variant].path)
    prompt = template.render({**problem.context, "update_note": note})
    return prompt.messages[-1].content


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["recode", "upstream"])
def test_a_prompt_shows_all_updates_or_none(variant: str) -> None:
    for problem in bundled():
        told, untold = (render(variant, problem, note=note) for note in (True, False))
        assert len(problem.context["updates"]) == int(problem.tags["updates"])
        for one in problem.context["updates"]:
            for field in ("function_path", "description", "signature", "docstring"):
                assert one[field].strip() in told
            assert one["docstring"].strip() not in untold
            assert one["description"].strip() not in untold
        assert problem.context["problem"].strip() in told
        assert problem.context["problem"].strip() in untold


def test_the_text_of_a_prompt(tmp_path: Path) -> None:
    other = multi_row(1, updates=[update(), shout(), update("math.gcd")], partial_solutions=None)
    one, two, three = loaded(tmp_path / "rows.jsonl", arena_row(), multi_row(), other)
    assert render("recode", one, note=True).startswith(
        "The function `textwrap.dedent` has changed in the version of `textwrap` that is installed "
        "here. The note below describes the change. Where it differs from what you remember, the "
        "note is right.\n\n<doc>\nFunction: textwrap.dedent\nWhat changed: A new argument `times`."
        "\nNew signature: textwrap.dedent(text, times=1)\nDocumentation:\n`times` (default 1) "
        "repeats the text.\n</doc>\n\nSolve the following problem. Use the changed function "
        "wherever it helps.\n\nScenario: Somebody shouts.\n\nProblem: Say it twice (variant 0)."
    )
    assert render("recode", two, note=True).startswith(
        "The functions `textwrap.dedent` and `textwrap.indent` have changed in the version of "
        "`textwrap` that is installed here. The notes below describe the changes."
    )
    text = render("recode", three, note=True)
    assert text.startswith(
        "The functions `textwrap.dedent`, `textwrap.indent` and `math.gcd` have changed in the "
        "versions of `textwrap` and `math` that are installed here."
    )
    assert text.count("<doc>\nFunction: ") == text.count("\n</doc>\n\n") == 3
    assert "Use the changed functions wherever they help.\n\nScenario" in text
    for problem, words in (
        (one, "`textwrap` wherever it helps."),
        (two, "`textwrap` wherever it helps."),
        (three, "`textwrap` and `math` wherever they help."),
    ):
        text = render("recode", problem, note=False)
        assert text.startswith(f"Solve the following problem in Python. Use {words}\n\nScenario")
    assert render("upstream", one, note=True).startswith(
        "A library function was updated recently.\nFunction: `textwrap.dedent`\nUpdate: A new "
    )
    text = render("upstream", three, note=True)
    assert text.startswith("Several library functions were updated recently.\nFunction: `textw")
    assert text.count("[DOC]\n") == text.count("\n[/DOC]\n\n") == 3


def test_a_template_for_one_update_is_not_sent_with_the_first_of_several(tmp_path: Path) -> None:
    [problem] = loaded(tmp_path / "rows.jsonl", multi_row())
    template = PromptTemplate("{{ problem }} {{ docstring }}", "mine.jinja2")
    with pytest.raises(UsageError, match=r"'docstring' is undefined.*updates"):
        template.render({**problem.context, "update_note": True})


def findings(path: Path, row: dict[str, Any]) -> tuple[int, tuple[str, ...]]:
    with FakeSandbox() as sandbox:
        [found] = validate(create_task("arena-multi"), loaded(path, row), sandbox, Limits())
    return found.checks, found.faults


def test_a_sound_row(tmp_path: Path) -> None:
    # 2 of the reference, the stale one, own tests of both updates, 2 parts, 2 partial solutions
    assert findings(tmp_path / "rows.jsonl", multi_row()) == (9, ())


def test_an_update_that_is_not_needed_is_found(tmp_path: Path) -> None:
    """A reference that does by hand what one of the updates offers."""
    row = multi_row(ref_solution=REFERENCE.replace("textwrap.shout(", "str.upper("))
    _, [fault] = findings(tmp_path / "rows.jsonl", row)
    assert fault == (
        "reference with the update of textwrap.dedent only: passes all tests but must fail"
    )


@pytest.mark.slow
def test_an_update_among_three_that_is_not_needed_is_found(tmp_path: Path) -> None:
    """Each alone does not do, but two of the three do."""
    row = multi_row(
        updates=[arena_row()["update"], shout(), update("math.gcd")],
        imports=[arena_row()["imports"], "import math\nold_gcd = math.gcd"],
        partial_solutions=None,
    )
    checks, [fault] = findings(tmp_path / "rows.jsonl", row)
    assert checks == 3 + 2 + 3 + 3
    assert fault == (
        "reference with the update of textwrap.dedent and textwrap.indent only: passes all tests "
        "but must fail"
    )


def test_a_partial_solution_that_passes_is_found(tmp_path: Path) -> None:
    row = multi_row(partial_solutions=[None, REFERENCE])
    checks, [fault] = findings(tmp_path / "rows.jsonl", row)
    assert checks == 8
    assert fault == (
        "solution that misses the update of textwrap.indent: passes all tests but must fail"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("updates: []\nupdate: {}\nproblems: []\n", "not both"),
        ("updates: 3\nproblems: []\n", "a list `updates`"),
        ("updates: [3]\nproblems: []\n", "a mapping or a file with an `update`"),
        ("updates: [gone.yaml]\nproblems: []\n", "the update gone.yaml is not readable"),
        ("updates: [two.yaml]\nproblems: []\n", "a mapping or a file with an `update`"),
        ("updates: [one.yaml]\nproblems: [3]\n", "each problem must be mappings"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "z.yaml").write_text(content)
    (tmp_path / "one.yaml").write_text("update: {function_path: a.b}\nproblems: []\n")
    (tmp_path / "two.yaml").write_text("[1]")
    rows = {where: row for where, row in read_yaml_folder(tmp_path) if "z.yaml" in where}
    assert message in str(list(rows.values()))


def test_updates_of_other_files_are_taken(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "update: {function_path: a.b, update_type: add-argument, imports: x, index: 2}\n"
        "problems: []\n"
    )
    (tmp_path / "two.yaml").write_text(
        "updates: [one.yaml, {function_path: c.d, update_type: add-function}]\n"
        "problems: [{problem: p}, {problem: q, imports: mine}]\n"
    )
    (_, first), (_, second) = read_yaml_folder(tmp_path)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    ids = ["[a.b]:[add-argument]:[update-2]", "[c.d]:[add-function]:[update-0]"]
    assert [one["update_id"] for one in first["updates"]] == ids
    assert first["prog_syn_id"] == f"{ids[0]}+{ids[1]}:[prog_syn-0]"
    assert first["imports"] == ["x", ""]
    assert second["imports"] == "mine"


@cache
def bundled() -> tuple[Problem, ...]:
    return create_task("arena-multi").load(None, skip_bad_rows=False).problems


def test_the_bundled_task_is_composed_as_its_readme_says() -> None:
    rows = [problem.payload for problem in bundled()]
    updates = {update.update_id: update for row in rows for update in row.updates}
    assert len(rows) >= 24
    assert len(updates) >= 12
    assert len({update.package for update in updates.values()}) >= 8
    assert len({update.update_type for update in updates.values()}) >= 5
    assert {len(row.updates) for row in rows} == {2, 3}
    assert len({problem.cluster for problem in bundled()}) >= 10
    for row in rows:
        assert len(row.unit_tests) >= 4, row.id
        assert row.stale_solution is not None, row.id
        assert None not in row.partial_solutions, row.id


@pytest.mark.slow
def test_every_bundled_problem_is_proven_by_execution() -> None:
    reason = landlock.reason_against()
    if reason:
        pytest.skip(f"landlock: {reason}")
    with open_sandbox("landlock") as sandbox:
        found = validate(create_task("arena-multi"), bundled(), sandbox, Limits())
    wrong = {one.problem_id: one.faults + one.ungraded for one in found}
    assert not {key: value for key, value in wrong.items() if value}
    # The reference twice, the stale solution, and per update one part and one partial solution;
    # of three updates also the parts of two.
    expected = {2: 3 + 2 + 2, 3: 3 + 3 + 3 + 3}
    assert [one.checks for one in found] == [
        expected[len(problem.payload.updates)] for problem in bundled()
    ]


def test_rows_of_the_bundled_task_with_a_fault_stop_the_load(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"both change textwrap\.dedent"):
        loaded(tmp_path / "rows.jsonl", multi_row(updates=[update(), update(update_id="x")]))
