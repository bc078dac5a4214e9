"""What other people write into a task.yaml, and the modules they put beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from arena_rows import arena_row

from recode_eval.errors import DataError, UsageError
from recode_eval.tasks.registry import create_task, find_tasks, read_spec

GOOD = {
    "name": "own",
    "version": 1,
    "description": "mine",
    "kind": "arena",
    "environment": "mini",
    "data": {"file": "rows.jsonl"},
    "prompts": {"plain": {"template": "own.jinja2"}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.jinja2").write_text("{{ problem }}")
    (tmp_path / "rows.jsonl").write_text(json.dumps(arena_row()) + "\n")
    return tmp_path


def write(folder: Path, **changes: object) -> Path:
    path = folder / "task.yaml"
    content = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_minimal_file_is_enough(folder: Path) -> None:
    spec = read_spec(write(folder))
    assert spec.default_prompt == "plain"
    assert spec.prompts["plain"].defaults.n == 10
    assert (spec.tags, spec.preload) == ((), frozenset())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "the key 'name' is missing"),
        ({"name": "../up"}, "must consist of"),
        ({"name": 7}, "name must be text"),
        ({"version": "one"}, "version must be a whole number"),
        ({"version": True}, "version must be a whole number"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"tags": "package"}, "tags must be a list of texts"),
        ({"preload": "torch"}, "preload must be a list of texts"),
        ({"preload": [1]}, "preload must be a list of texts"),
        ({"data": "rows.jsonl"}, "data must be a mapping"),
        ({"prompts": ["plain"]}, "prompts must be a mapping"),
        ({"prompts": {}}, "default_prompt None is not one of"),
        ({"prompts": {"plain": "own.jinja2"}}, "prompt 'plain': a mapping is expected"),
        ({"prompts": {True: {"template": "own.jinja2"}}}, "True must be text: put it in quotes"),
        ({"prompts": {"plain": {"template": "gone.jinja2"}}}, "there is no template"),
        ({"prompts": {"plain": {"template": "own.jinja2", "sampling": {"n": "5"}}}},
         "n must be a whole number"),
        ({"prompts": {"plain": {"template": "own.jinja2", "sampling": {"stop": "</answer>"}}}},
         "stop must be a list of texts"),
        ({"prompts": {"plain": {"template": "own.jinja2", "sampling": {"heat": 1}}}},
         "unknown key 'heat'"),
        ({"prompts": {"plain": {"template": "own.jinja2", "sampling": {"top_p": 2}}}},
         "top_p above 0 and at most 1"),
        ({"prompts": {"plain": {"template": "own.jinja2", "sampling": {"temperature": ".nan"}}}},
         "temperature must be a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(folder: Path, changes: dict[str, object], message: str) -> None:
    """Wrong types must not reach the run.

    A list of prompts, or none, ended in a traceback; `stop: "</answer>"` and `tags: package` were
    taken apart into letters.
    """
    with pytest.raises(DataError, match=message) as caught:
        read_spec(write(folder, **changes))
    assert "task.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "name: [", "\x00", "[" * 5_000])
def test_what_is_no_mapping_is_bad_data(folder: Path, text: str) -> None:
    (folder / "task.yaml").write_text(text)
    with pytest.raises(DataError, match=r"task\.yaml"):
        read_spec(folder / "task.yaml")


@pytest.mark.parametrize(
    "data", [{}, {"files": "x"}, {"hub": "me/data"}, {"hub": {"path": "x"}}, {"file": 3}]
)
def test_a_data_source_that_the_kind_does_not_know(folder: Path, data: dict[str, object]) -> None:
    """`data: {hub: me/data}` ended in a traceback, also of `recode-eval tasks`."""
    write(folder, data=data)
    with pytest.raises(DataError, match="data must be"):
        create_task("own", [folder]).load(None, skip_bad_rows=False)


def test_a_missing_data_folder_is_named_with_its_cause(folder: Path) -> None:
    """The message was "the bundled data holds no usable problem"."""
    write(folder, data={"folder": "problems"})
    task = create_task("own", [folder])
    place = folder / "problems"
    with pytest.raises(DataError, match=f"folder {place} does not exist.*--data own=FILE"):
        task.load(None, skip_bad_rows=False)
    place.mkdir()
    with pytest.raises(DataError, match=f"folder {place} holds no .yaml file"):
        task.load(None, skip_bad_rows=False)


def test_a_name_that_is_taken(folder: Path) -> None:
    write(folder, name="arena")
    with pytest.raises(UsageError, match="another task has the name arena"):
        find_tasks([folder])


def test_a_kind_of_ones_own_with_a_dataclass(folder: Path) -> None:
    """The module was not in `sys.modules` while it ran, so that `@dataclass` failed in it."""
    (folder / "kind.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from recode_eval.tasks.arena import ArenaTask\n\n"
        "@dataclass\nclass Extra:\n    x: int = 3\n\n"
        "class MyTask(ArenaTask):\n    extra = Extra()\n"
    )
    write(folder, kind="kind.py:MyTask")
    task = create_task("own", [folder])
    assert task.extra.x == 3
    assert len(task.load(None, skip_bad_rows=False).problems) == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "defines no MyTask"),
    ],
)
def test_a_broken_kind_is_blamed_on_its_author(folder: Path, source: str, message: str) -> None:
    """It ended in exit code 70: "a bug of this program, please report the traceback"."""
    (folder / "kind.py").write_text(source)
    write(folder, kind="kind.py:MyTask")
    with pytest.raises(DataError, match=message) as caught:
        create_task("own", [folder])
    assert "kind.py" in str(caught.value)
