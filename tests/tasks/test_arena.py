from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from arena_rows import arena_row, write_rows
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import DataError, InfrastructureError, UsageError
from recode_eval.languages.python.syntax import parse
from recode_eval.tasks.arena import (
    WITH_UPDATE,
    WITHOUT_UPDATE,
    enforce_statement,
    parse_row,
)
from recode_eval.tasks.registry import create_task
from recode_eval.tasks.rows import RowError, split_tests


def changed(**fields: object) -> dict[str, object]:
    return {**arena_row(), **fields}


def with_update(**fields: object) -> dict[str, object]:
    row = arena_row()
    return {**row, "update": {**row["update"], **fields}}


def test_tests_are_split_by_syntax_and_end_in_their_call() -> None:
    """Splitting at blank lines cuts a test in two when it has a blank line inside."""
    tests = split_tests(arena_row()["unit_tests"], "unit_tests")
    assert [t.name for t in tests] == ["test_a", "test_empty"]
    assert tests[1].code == "def test_empty():\n\n    assert f('') == ''\ntest_empty()\n"


def test_what_stands_beside_the_tests_goes_with_each_of_them() -> None:
    source = (
        "import math\n\ndef helper():\n    return 2\n\n@staticmethod\ndef test_x():\n    pass\n"
    )
    [test] = split_tests(source, "unit_tests")
    assert test.code.startswith(
        "import math\ndef helper():\n    return 2\n@staticmethod\ndef test_x"
    )


@pytest.mark.parametrize("separator", ["\f", "\x1c", "\x85", "\u2028"])
def test_only_what_ends_a_line_for_python_splits_lines(separator: str) -> None:
    """`str.splitlines` counts more line ends than the parser: all later tests were cut wrongly."""
    source = f"def test_a():\n    assert f('a{separator}b')\n\ndef test_b():\n    assert f('b')\n"
    first, second = split_tests(source, "unit_tests")
    assert first.code == f"def test_a():\n    assert f('a{separator}b')\ntest_a()\n"
    assert second.code == "def test_b():\n    assert f('b')\ntest_b()\n"


def test_statements_on_one_line_are_not_doubled() -> None:
    """`a = 1; a += 1` before the tests was put there once per statement."""
    [test] = split_tests("calls = []; calls.append(1)\ndef test_a():\n    f()", "unit_tests")
    assert test.code.count("append") == 1


def test_a_comment_above_a_test_stays_with_it() -> None:
    source = "def test_a():\n    f()\n# the empty text\ndef test_b():\n    g()\n"
    assert split_tests(source, "unit_tests")[1].code.startswith("# the empty text\ndef test_b")


def test_rows_do_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    """An invalid escape in a row's tests printed a SyntaxWarning per row."""
    split_tests("def test_a():\n    assert f('\\d')", "unit_tests")
    assert list(recwarn) == []


def test_splitting_agrees_with_the_published_lists(shared_data: Path) -> None:
    folder = shared_data / "codeupdatearena"
    lists = {
        row["prog_syn_id"]: row["unit_tests"]
        for row in map(json.loads, (folder / "dev.lists.jsonl").open(encoding="utf-8"))
    }
    checked = 0
    for line in (folder / "dev.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        tests = split_tests(row["unit_tests"], "unit_tests")
        expected = lists[row["prog_syn_id"]]
        assert len(tests) == len(expected)
        for test, source in zip(tests, expected, strict=True):
            # Trees: comments and line ends at the borders do not matter.
            ours = parse(test.code.removesuffix(f"\n{test.name}()\n"))
            assert ast.dump(ours) == ast.dump(parse(source))
        checked += len(tests)
    assert checked > 1000


@pytest.mark.parametrize("field", ["unit_tests", "imports"])
def test_lists_and_their_repr_are_accepted(field: str) -> None:
    plain = parse_row(arena_row())
    parts = [t.code.rsplit("\n", 2)[0] for t in plain.unit_tests]
    value = parts if field == "unit_tests" else arena_row()["imports"].split("\n")
    for variant in (value, repr(value)):
        row = parse_row(changed(**{field: variant}))
        assert row.unit_tests == plain.unit_tests
        assert row.imports == plain.imports


def test_other_names_of_fields_are_accepted() -> None:
    raw = arena_row()
    raw["prog_syn_imports"] = raw.pop("imports")
    raw["update"]["api_path"] = raw["update"].pop("function_path")
    del raw["update"]["unit_tests"]
    row = parse_row(raw)
    assert row.imports == arena_row()["imports"]
    assert row.updates[0].function_path == "textwrap.dedent"
    assert row.updates[0].unit_tests == ()


def test_an_update_as_json_text_is_accepted(tmp_path: Path) -> None:
    """Tables without nested columns (an export to parquet, say) hold the update as JSON."""
    pandas = pytest.importorskip("pandas")
    rows = [arena_row(index) for index in range(2)]
    flat = [{**row, "update": json.dumps(row["update"])} for row in rows]
    pandas.DataFrame(flat).to_parquet(tmp_path / "flat.parquet")
    task = create_task("arena")
    nested = tmp_path / "nested.jsonl"
    nested.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flat_data, nested_data = (
        task.load(str(tmp_path / name), skip_bad_rows=False)
        for name in ("flat.parquet", "nested.jsonl")
    )
    assert flat_data.content_hash == nested_data.content_hash


def test_lists_and_gaps_in_parquet(tmp_path: Path) -> None:
    """Columns of lists (NumPy arrays to pandas) and fields that some rows lack."""
    pandas = pytest.importorskip("pandas")
    rows = [arena_row(index) for index in range(2)]
    rows[0]["update"]["unit_tests"] = None
    rows[1]["stale_solution"] = None
    for row in rows:
        row["unit_tests"] = row["unit_tests"].split("\n\n\n")
        row["imports"] = row["imports"].split("\n")
    pandas.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
    data = create_task("arena").load(str(tmp_path / "rows.parquet"), skip_bad_rows=False)
    assert [len(p.payload.unit_tests) for p in data.problems] == [2, 2]
    assert [sorted(p.solutions) for p in data.problems] == [["reference", "stale"], ["reference"]]
    assert data.problems[0].payload.updates[0].unit_tests == ()


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.JSONL", 2)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(create_task("arena").load(str(path), skip_bad_rows=False).problems) == 2


def test_a_huge_row_is_a_bad_row_and_a_short_message(tmp_path: Path) -> None:
    """An error quoted the row's field whole: megabytes of it on the terminal."""
    path = tmp_path / "rows.jsonl"
    huge = [
        with_update(function_path="x " * 1_000_000),
        changed(unit_tests="(" * 1_000_000),
        changed(problem={"a": "b" * 1_000_000}),
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in huge))
    with pytest.raises(DataError, match="3 bad row") as caught:
        create_task("arena").load(str(path), skip_bad_rows=False)
    assert len(str(caught.value)) < 2_000


def test_every_way_of_the_data_gives_the_same_hash(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    task = create_task("arena")
    path = write_rows(tmp_path / "rows.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    pandas.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
    backwards = tmp_path / "backwards.jsonl"
    backwards.write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    loaded = [
        task.load(str(p), skip_bad_rows=False) for p in (path, tmp_path / "rows.parquet", backwards)
    ]
    assert len({data.content_hash for data in loaded}) == 1
    assert all(len(data.problems) == 6 for data in loaded)
    rows[3]["problem"] += "!"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert task.load(str(path), skip_bad_rows=False).content_hash != loaded[0].content_hash


@pytest.mark.parametrize(
    ("update_type", "path", "name", "statement"),
    [
        ("add-argument", "math.sin", "sin", "math.sin = sin"),
        ("modify-argument-name", "numpy.linalg.norm", "norm", "numpy.linalg.norm = norm"),
        ("modify-output-semantics", "torch.Tensor.view", "view", "torch.Tensor.view = view"),
        ("add-output-data_type", "pandas.DataFrame.head", "head", "pandas.DataFrame.head = head"),
        ("add-function-semantics", "math.sin", "sin", "math.sin = sin"),
        ("modify-function-name", "math.sin", "sine", "del math.sin\nsetattr(math, 'sine', sine)"),
        ("add-function", "numpy.linalg.norm", "norms", "setattr(numpy.linalg, 'norms', norms)"),
    ],
)
def test_the_enforce_statement(update_type: str, path: str, name: str, statement: str) -> None:
    raw = with_update(
        update_type=update_type, function_path=path, implementation=f"def {name}():\n    pass\n"
    )
    assert enforce_statement(parse_row(raw).updates[0]) == statement


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (changed(update=None), "field update is missing"),
        (changed(problem=None), "field problem is missing"),
        (changed(scenario=3), "field scenario is of type int"),
        (changed(unit_tests=""), "no function named test"),
        (changed(unit_tests="def test_x(:"), "unit_tests is not Python"),
        (changed(unit_tests="[1, 2"), "is not readable as one"),
        (changed(imports=[1]), "field imports is of type list"),
        (changed(ref_solution="  "), "field ref_solution is empty"),
        (with_update(function_path="os; import x"), "must be a dotted name"),
        (with_update(function_path="sin"), "must be a dotted name"),
        (with_update(update_type="add-class"), "unknown update type|needs a new name"),
        (with_update(implementation="x = 1"), "exactly one def, not 0"),
        (with_update(implementation="def dedent(): pass\ndef b(): pass"), "exactly one def, not 2"),
        (with_update(implementation="def indent(): pass"), "must define 'dedent'"),
        (with_update(update_type="modify-function-name"), "needs a new name"),
        (with_update(implementation="def dedent(:"), "is not Python"),
        (with_update(package=["textwrap"]), "field package is of type list"),
        (changed(update="{not json"), "field update is text, but not JSON"),
        (changed(update="[1]"), "field update is missing or not an object"),
        (changed(problem="\ud800"), "field problem holds a lone surrogate"),
        (changed(prog_syn_id="\udfff"), "field prog_syn_id holds a lone surrogate"),
        (changed(imports=["import os", "# \ud800"]), "field imports holds a lone surrogate"),
    ],
)
def test_a_bad_row_says_what_is_wrong(raw: dict[str, object], message: str) -> None:
    with pytest.raises(RowError, match=message):
        parse_row(raw)


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ),
    st.sampled_from(sorted(arena_row())),
)
def test_no_value_of_a_field_crashes_the_parser(value: object, field: str) -> None:
    try:
        parse_row(changed(**{field: value}))
    except RowError as error:
        assert str(error)


def test_bad_rows_stop_the_load_and_are_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 3)
    lines = path.read_text().splitlines()
    bad = [lines[0], "{not json", json.dumps(changed(problem=None)), "[1]", lines[0], lines[1]]
    path.write_text("\n".join(bad) + "\n")
    task = create_task("arena")
    with pytest.raises(DataError) as caught:
        task.load(str(path), skip_bad_rows=False)
    for part in (
        "4 bad rows",
        "row 2 of rows.jsonl: not JSON",
        "at character 2)",
        "row 3 of rows.jsonl: the field",
        "row 4 of rows.jsonl: a JSON object",
        "row 5 of rows.jsonl: the id",
        "--skip-bad-rows",
    ):
        assert part in str(caught.value)
    data = task.load(str(path), skip_bad_rows=True)
    assert len(data.problems) == 2
    assert len(data.bad_rows) == 4


def test_bytes_that_are_not_text_are_a_bad_row(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 1)
    path.write_bytes(path.read_bytes() + b'{"x": "\xff"}\n')
    with pytest.raises(DataError, match=r"row 2 of rows\.jsonl: not UTF-8"):
        create_task("arena").load(str(path), skip_bad_rows=False)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("gone.jsonl", None, DataError, "No data file"),
        ("rows.csv", b"a,b", UsageError, "use .jsonl, .jsonl.gz or .parquet"),
        ("rows.parquet", b"PAR1 nonsense", DataError, "Cannot read"),
        ("rows.jsonl", b"", DataError, "no usable problem"),
    ],
)
def test_unreadable_files(
    tmp_path: Path, name: str, content: bytes | None, error: type[Exception], message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        create_task("arena").load(str(path), skip_bad_rows=False)


def test_the_programs_differ_only_in_the_enforce_statement() -> None:
    task = create_task("arena-mini")
    problem = task.load(None, skip_bad_rows=False).problems[0]
    programs = task.programs(problem, "x = 1")
    with_it, without = programs[WITH_UPDATE], programs[WITHOUT_UPDATE]
    enforced = with_it.setup.removeprefix(without.setup)
    assert enforced.strip() == enforce_statement(problem.payload.updates[0])
    assert (with_it.candidate, with_it.tests) == (without.candidate, without.tests)


@pytest.mark.slow
def test_an_unreachable_hub_names_the_two_ways_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("datasets")
    import subprocess
    import sys

    # In its own process: the hub client reads its settings once, when it is imported.
    program = (
        "from recode_eval.tasks.registry import create_task\n"
        "try:\n    create_task('arena').load(None, skip_bad_rows=False)\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout.startswith(InfrastructureError.__name__)
    assert "--data arena=FILE.jsonl" in result.stdout
    assert "--tasks arena-mini" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.slow
def test_a_hub_without_a_way_to_it_is_named_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Bug: the hub's client printed two lines for each of its six tries before our error."""
    pytest.importorskip("datasets")
    import subprocess
    import sys

    program = (
        "import time\ntime.sleep = lambda _: None\n"
        "from recode_eval.tasks.registry import create_task\n"
        "try:\n    create_task('arena').load(None, skip_bad_rows=False)\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the port of "discard": nobody listens
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout.startswith(InfrastructureError.__name__)
    told = [line for line in result.stderr.splitlines() if "hub does not answer" in line]
    assert len(told) == 1
    assert "Retry" not in result.stderr
