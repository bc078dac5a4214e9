"""Training pairs: both schemas, bad rows, and that the test split is never among them."""

from __future__ import annotations

from pathlib import Path

import pytest
from migration_rows import migration_row, write_pairs
from training_pairs import pair_set, training_row

from recode_eval.errors import DataError, UsageError
from recode_eval.tasks.registry import create_task
from recode_train.data import load_pairs

TEXT = {
    "dependency": "numpy",
    "new_version": "==2.4.0",
    "update_info": "in1d is gone.",
    "old_code": "a = 1\n",
    "new_code": "a = 2\n",
}


@pytest.mark.slow
def test_the_bundled_pairs_are_those_of_the_training_split() -> None:
    pairs = load_pairs("migration")
    task = create_task("migration-train").load(None, skip_bad_rows=False)
    assert [pair.id for pair in pairs.pairs] == [problem.id for problem in task.problems]
    assert pairs.content_hash == task.content_hash
    assert {pair.task for pair in pairs.pairs} == {"migration-train"}
    assert {pair.problem.payload.split for pair in pairs.pairs} == {"train"}
    tested = create_task("migration").load(None, skip_bad_rows=False).problems
    assert not {pair.id for pair in pairs.pairs} & {problem.id for problem in tested}
    assert load_pairs("migration-train").content_hash == pairs.content_hash


@pytest.mark.slow
def test_a_limit_has_a_hash_of_its_own() -> None:
    whole, few, same = (load_pairs("migration", limit=n) for n in (None, 3, 3))
    assert few.pairs == whole.pairs[:3]
    assert few.content_hash == same.content_hash != whole.content_hash
    assert load_pairs("migration", limit=10**6).content_hash == whole.content_hash


def test_a_file_of_pairs_with_tests(tmp_path: Path) -> None:
    pairs = pair_set(tmp_path, training_row(), training_row(id="b", apis=["numpy.b"]))
    assert [pair.id for pair in pairs.pairs] == ["string-shout", "b"]
    assert pairs.task_object.conditions
    assert pairs.pairs[0].task == "pairs.jsonl"
    assert (
        pairs.pairs[0].problem.solutions["stale"] != pairs.pairs[0].problem.solutions["reference"]
    )


@pytest.mark.parametrize("prefix", ["", "recode-train-data="])
def test_a_file_of_pairs_of_text(tmp_path: Path, prefix: str) -> None:
    pairs = load_pairs(prefix + str(write_pairs(tmp_path / "text.jsonl", TEXT)))
    assert pairs.task_object.spec.name == "recode-train-data"
    assert pairs.pairs[0].problem.solutions == {"reference": "a = 2\n", "stale": "a = 1\n"}


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([TEXT, TEXT]), tmp_path / "text.parquet")
    assert len(load_pairs(str(tmp_path / "text.parquet")).pairs) == 2


def test_rows_of_the_test_split_are_refused(tmp_path: Path) -> None:
    file = write_pairs(
        tmp_path / "mixed.jsonl", training_row(), migration_row(id="tested", split="test")
    )
    for source in (str(file), f"migration={file}"):
        with pytest.raises(DataError, match=r"1 row.*tested: its split is test"):
            load_pairs(source)
    pairs = load_pairs(str(file), skip_bad_rows=True)
    assert [pair.id for pair in pairs.pairs] == ["string-shout"]
    assert pairs.left_out == ("tested: its split is test",)


@pytest.mark.parametrize("answer", ["reference", "stale"])
def test_code_of_the_test_split_is_refused_under_any_name(tmp_path: Path, answer: str) -> None:
    """Test pairs copied into another file, with comments added, would go unnoticed otherwise."""
    problem = create_task("migration").load(None, skip_bad_rows=False).problems[0]
    copied = f"# mine\n{problem.solutions[answer]}\n"
    rows = [TEXT, {**TEXT, "new_code": copied}]
    file = write_pairs(tmp_path / "copied.jsonl", *rows)
    with pytest.raises(DataError, match=f"test problem {problem.id}"):
        load_pairs(str(file))
    assert len(load_pairs(str(file), skip_bad_rows=True).pairs) == 1
    only = write_pairs(tmp_path / "only.jsonl", rows[1])
    with pytest.raises(DataError, match="no usable training pair"):
        load_pairs(str(only), skip_bad_rows=True)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("arena", ["this task is for testing"]),
        ("humaneval", ["this task is for testing"]),
        ("arena=rows.jsonl", ["this task is for testing"]),
        ("migratoin", ["Did you mean migration?"]),
        ("recode-train-data=", ["recode-train-data=FILE"]),
        ("some/folder", ["no such file"]),
    ],
)
def test_unknown_sources(source: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        load_pairs(source)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["no usable"]),
        ("\n\n", ["no usable"]),
        ("not json\n", ["row 1", "not JSON"]),
        ('{"dependency": "numpy"}\n', ["row 1", "update_info", "missing"]),
        ('{"split": "train", "id": "x"}\n', ["row 1", "missing"]),
        ("[1]\n", ["row 1", "object"]),
    ],
)
def test_bad_files(tmp_path: Path, content: str, parts: list[str]) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    with pytest.raises(DataError) as caught:
        load_pairs(str(file))
    for part in parts:
        assert part in str(caught.value)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No data file"):
        load_pairs(str(tmp_path / "none.jsonl"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing else")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    with pytest.raises(DataError, match=r"bad\.parquet"):
        load_pairs(str(tmp_path / "bad.parquet"))


def own_task(folder: Path) -> Path:
    """A task of one's own with tests, in the schema of `migration`."""
    folder.mkdir()
    (folder / "task.yaml").write_text(
        "name: house-rules\nversion: 1\ndescription: Ours.\nkind: migration\nenvironment: mini\n"
        "data: {folder: pairs}\n"
        "prompts: {plain: {template: plain.jinja2, sampling: {n: 2, temperature: 0.8, "
        "top_p: 1.0, max_tokens: 64}}}\ndefault_prompt: plain\n"
    )
    (folder / "plain.jinja2").write_text("{{ update_info }} {{ old_code }}")
    return folder


def test_a_task_of_one_s_own(tmp_path: Path) -> None:
    """Its tests can be rewards and verdicts; only bundled names and files were accepted."""
    from recode_train.prompts import prompt_template, template_context

    folder = own_task(tmp_path / "mine")
    file = write_pairs(tmp_path / "rows.jsonl", training_row())
    pairs = load_pairs(f"{folder}={file}")
    assert pairs.task_object.spec.name == "house-rules"
    assert pairs.task_object.conditions
    assert [pair.id for pair in pairs.pairs] == ["string-shout"]
    template = prompt_template(pairs)
    assert "string.upper" in template.render(template_context(pairs.pairs[0])).messages[0].content
    with pytest.raises(UsageError, match=r"write .*mine=FILE"):
        load_pairs(f"{folder}=")
    tested = write_pairs(tmp_path / "tested.jsonl", migration_row())
    with pytest.raises(DataError, match=r"rows?\(s\)? of the test data|its split is test"):
        load_pairs(f"{folder}={tested}")
    from recode_eval.resources import resource_dir

    with pytest.raises(UsageError, match="another task has the name migration"):
        load_pairs(str(resource_dir("tasks") / "migration"))
