"""`library init`: the folder is whole, its task runs, and its prompts tell AGENTS.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_mining_authoring import candidate

from recode_eval import RunConfig, evaluate
from recode_eval.cli import run as command
from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.mining.candidates import Candidate, Evidence, Note, ranked
from recode_eval.mining.kit.example import _programs, _replacements, first_pair
from recode_eval.mining.kit.folder import check_folder, rows_as_yaml, write_kit
from recode_eval.mining.pipeline import CANDIDATES, Mined
from recode_eval.run.prompts import LONGEST_FILE, PromptTemplate
from recode_eval.sandbox import open_router, requirements
from recode_eval.tasks.migration import parse_row
from recode_eval.tasks.registry import create_task

PROBE = Evidence("probe", "returns ndarray", "AttributeError", "import numpy\nnumpy.in1d([1], [1])")
USABLE = candidate(
    new_api="numpy.isin", kind="renamed", evidence=(PROBE,), deprecation="<b>use\x1b[31m</b> isin"
)
HOPELESS = candidate(2, api="numpy.ptp", evidence=(), note=None)


def mined(folder: Path, *candidates: Candidate) -> Mined:
    folder.mkdir(parents=True)
    for name in (CANDIDATES, "stages.json"):
        (folder / name).write_text("")
    return Mined(ranked(candidates), (), folder, ("numpy-1.26.4", "numpy-2.4.6"))


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("kit")
    with open_router("landlock", workers=2) as sandbox:
        made = write_kit(base / "numpy-update", mined(base / "mined", HOPELESS, USABLE), sandbox)
    assert made.example == f"{USABLE.id}-1"
    assert made.task == "numpy-update"
    return made.folder


@pytest.fixture
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_TASK_FOLDERS", {})


def test_the_folder_is_whole(kit: Path) -> None:
    files = {str(file.relative_to(kit)) for file in kit.rglob("*") if file.is_file()}
    assert files == {
        "README.md",
        "task/task.yaml",
        "task/plain.jinja2",
        "task/agents.jinja2",
        "task/AGENTS.md",
        "task/pairs/pairs.yaml",
        "task/envs/numpy-1.26.4.txt",
        "task/envs/numpy-2.4.6.txt",
        "mined/candidates.jsonl",
        "mined/stages.json",
        ".github/workflows/update.yml",
    }
    assert not list(kit.parent.glob(".*"))
    assert "\x1b" not in "".join(file.read_text() for file in kit.rglob("*.md"))


def test_its_first_pair_is_proven_and_both_prompts_run(kit: Path, tmp_path: Path) -> None:
    task = ["--include-path", str(kit / "task"), "--tasks", "numpy-update", "--quiet"]
    assert command(["validate", *task]) == 0
    hashes = set()
    for prompt in ("plain", "agents"):
        config = RunConfig(
            model="baseline:stale",
            tasks=["numpy-update"],
            include_path=[kit / "task"],
            prompt=prompt,
            docs="none",
            n=1,
            k=[1],
            out=tmp_path / prompt,
        )
        result = evaluate(config)["numpy-update"]
        assert (result.value("pass@1"), result.value("stale_api")) == (0.0, 1.0)
        hashes.add(result.content["prompt"]["hash"])
    assert len(hashes) == 2
    runs = [str(tmp_path / "plain"), str(tmp_path / "agents")]
    assert command(["compare", *runs, "--quiet"]) == 0


def test_agents_md_comes_before_the_task_as_it_is(kit: Path) -> None:
    (kit / "task" / "AGENTS.md").write_text("Never write {{ in1d }}; {% raw %} isin instead.\n")
    problem = create_task("numpy-update", [kit / "task"]).load(None).problems[0]
    template = PromptTemplate.from_file(kit / "task" / "agents.jinja2")
    prompt = template.render({**problem.context, "update_note": False})
    assert [message.role for message in prompt.messages] == ["system", "user"]
    assert prompt.messages[0].content == "Never write {{ in1d }}; {% raw %} isin instead."
    assert "in1d" in prompt.messages[1].content
    assert "What has changed" not in prompt.messages[1].content


def test_without_a_rule_there_is_a_sketch_that_says_what_to_write(tmp_path: Path) -> None:
    with open_router("landlock", workers=1) as sandbox:
        made = write_kit(tmp_path / "kit", mined(tmp_path / "mined", HOPELESS), sandbox)
    assert made.example is None
    [row] = yaml.safe_load((made.folder / "task" / "first-pair.sketch.yaml").read_text())
    assert row["apis"] == ["numpy.ptp"]
    assert "sketch" in (made.folder / "README.md").read_text()


def test_a_users_own_agents_md_is_taken(tmp_path: Path) -> None:
    own = tmp_path / "AGENTS.md"
    own.write_text("Ours.")
    with open_router("landlock", workers=1) as sandbox:
        found = mined(tmp_path / "mined", HOPELESS)
        made = write_kit(tmp_path / "kit", found, sandbox, own)
        assert (made.folder / "task" / "AGENTS.md").read_text() == "Ours."
        with pytest.raises(UsageError, match="Cannot read"):
            write_kit(tmp_path / "other", found, sandbox, tmp_path / "absent.md")
    assert not (tmp_path / "other").exists()


def test_a_folder_with_something_in_it_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        check_folder(tmp_path)
    arguments = ["library", "init", "numpy", "--old", "1.26.4", "--new", "2.4.6", "--quiet"]
    assert command([*arguments, "--out", str(tmp_path)]) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


def test_nothing_mined_makes_no_folder(tmp_path: Path) -> None:
    with (
        open_router("landlock", workers=1) as sandbox,
        pytest.raises(UsageError, match="No change was found"),
    ):
        write_kit(tmp_path / "kit", mined(tmp_path / "mined"), sandbox)
    assert not (tmp_path / "kit").exists()


@pytest.mark.usefixtures("_forgotten")
def test_a_lock_beside_a_task_is_known_and_a_false_one_refused(tmp_path: Path) -> None:
    """A task's folder must not change what a bundled lock's name means."""
    folder = tmp_path / "envs"
    folder.mkdir()
    (folder / "numpy-9.9.9.txt").write_text("numpy==2.4.6\n")
    requirements.use_locks(folder)
    assert requirements.has_environment("numpy-9.9.9")
    (folder / "numpy-2.4.6.txt").write_text("numpy==2.4.5\n")
    with pytest.raises(DataError, match="same name and other pins"):
        requirements.use_locks(folder)


@pytest.mark.parametrize(
    ("changes", "old", "new"),
    [
        (
            {"kind": "argument-keyword-only", "old_signature": "(a, b=2)"},
            "numpy.round(1.26, 1)",
            None,
        ),
        (
            {
                "kind": "default-changed",
                "old_signature": "(a, k=1)",
                "new_signature": "(a, k=None)",
            },
            "numpy.diag([1, 2])",
            "numpy.diag([1, 2], k=1)",
        ),
        (
            {
                "kind": "argument-renamed",
                "old_signature": "(a, kk=1)",
                "new_signature": "(a, k=1)",
            },
            "numpy.diag([1, 2], kk=1)",
            "numpy.diag([1, 2], k=1)",
        ),
        (
            {
                "kind": "argument-removed",
                "old_signature": "(a, gone=1)",
                "new_signature": "(a)",
            },
            "numpy.diag([1, 2], gone=1)",
            "numpy.diag([1, 2])",
        ),
    ],
)
def test_a_rule_rewrites_each_kind(changes: dict[str, Any], old: str, new: str | None) -> None:
    import ast

    from recode_eval.mining.kit.example import _rewritten

    one = candidate(api=old.partition("(")[0], note=None, **changes)
    expression = ast.parse(old, mode="eval").body
    made = [ast.unparse(found) for _, found in _rewritten(one, expression)]
    assert made == [new or "numpy.round(1.26, b=1)"]


def test_a_name_that_the_library_recommends_is_tried() -> None:
    one = candidate(api="click.get_terminal_size", deprecation="Use `shutil.get_terminal_size`.")
    assert "shutil.get_terminal_size" in _replacements(one)
    assert _replacements(candidate(deprecation="use fn.", note=None)) == ["numpy.fn"]
    assert _replacements(candidate(kind="default-changed")) == []


def test_a_program_that_hangs_or_dies_is_passed_over() -> None:
    bad = Evidence("probe", "returns x", "y", "import numpy\n(lambda: numpy.in1d(*iter(int, 1)))()")
    broken = Evidence("probe", "returns x", "y", "import numpy\nnumpy.in1d(")
    task: Any = create_task("migration")
    one = candidate(new_api="numpy.isin", kind="renamed", evidence=(broken, bad))
    with open_router("landlock", workers=1) as sandbox:
        assert first_pair([one], task, sandbox) is None


def test_programs_are_written_as_blocks() -> None:
    text = rows_as_yaml([{"id": "a: b", "old_code": "x = 1\n", "tests": "é\n\ty\n"}])
    assert yaml.safe_load(text) == [{"id": "a: b", "old_code": "x = 1\n", "tests": "é\n\ty\n"}]
    assert "old_code: |" in text


@pytest.mark.slow
def test_a_library_of_the_index_gets_its_folder(tmp_path: Path, needs_index: None) -> None:
    """The whole way as a maintainer goes it; the library is in no bundled pair."""
    arguments = ["library", "init", "humanize", "--old", "3.14.0", "--new", "4.13.0", "--quiet"]
    folder = tmp_path / "kit"
    assert command([*arguments, "--sandbox", "landlock", "--out", str(folder)]) == 0
    candidates = (folder / "mined" / CANDIDATES).read_text().splitlines()
    assert len(candidates) >= 5
    assert json.loads(candidates[0])["executed"]
    task = ["--include-path", str(folder / "task"), "--tasks", "humanize-update"]
    assert command(["validate", *task, "--sandbox", "landlock", "--quiet"]) == 0


@pytest.mark.parametrize("told", ["Use None instead.", "use in place", "Use class.", "use is_"])
def test_a_word_of_the_notes_that_is_no_name_ends_nothing(told: str) -> None:
    """`use in place` became the name numpy.in, whose SyntaxError lost the whole mining."""
    one = candidate(new_api="numpy.isin", kind="renamed", evidence=(PROBE,), deprecation=told)
    assert len(list(_programs(one))) >= 1


def test_a_role_of_sphinx_is_no_name_and_backticks_cost_nothing() -> None:
    told = candidate(deprecation="Use :py:func:`~numpy.isin` instead.", note=None)
    assert _replacements(told) == ["numpy.isin"]
    assert _replacements(candidate(deprecation="use " + "`" * 200_000, note=None)) == []


@pytest.mark.parametrize(
    "deep", ["1+" * 600 + "1", "-" * 900 + "1", "f" + "()" * 600, "-" * 100_000]
)
def test_an_example_nested_too_deeply_is_passed_over(deep: str) -> None:
    """A docstring of the library ended `library init` after minutes of mining."""
    bad = Evidence("example", "returns x", "y", f"import numpy\n{deep}")
    one = candidate(new_api="numpy.isin", kind="renamed", evidence=(bad, PROBE))
    assert len(list(_programs(one))) == 1


def test_the_first_pair_imports_a_module_once() -> None:
    one = candidate(new_api="numpy.isin", kind="renamed", evidence=(PROBE,))
    assert next(_programs(one))[1].count("import numpy") == 1


def test_what_cannot_go_well_is_said_before_minutes_of_mining(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An absent AGENTS.md, a package of npm and a file in the way were noticed after the mining."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "big.md").write_text("x" * (LONGEST_FILE + 1))
    base = ["library", "init", "numpy", "--old", "1.26.4", "--new", "2.4.6", "--quiet"]
    for words, told in (
        ([*base, "--agents", "absent.md"], "Cannot read absent.md"),
        ([*base, "--agents", "big.md"], "longer than 1 MiB"),
        ([*base, "--out", "file"], "is not a folder"),
        ([*base, "--out", "file/below"], "is not a folder"),
        ([*base[:2], "npm:zod", *base[3:]], "libraries of PyPI"),
    ):
        assert command(words) == 2
        assert told in capsys.readouterr().err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["big.md", "file"]


def test_an_empty_folder_is_filled_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--out .` ended in a traceback, and a link to an empty folder in an error, after mining."""
    found = mined(tmp_path / "mined", HOPELESS)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with open_router("landlock", workers=1) as sandbox:
        monkeypatch.chdir(tmp_path / "real")
        write_kit(Path(), found, sandbox)
        assert {file.name for file in (tmp_path / "real").iterdir()} == {
            "README.md", "task", "mined", ".github",
        }  # fmt: skip
        (tmp_path / "other").mkdir()
        (tmp_path / "elsewhere").symlink_to("other")
        write_kit(tmp_path / "elsewhere", found, sandbox)
    assert (tmp_path / "other" / "README.md").is_file()


def test_a_broken_off_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk left a hidden draft beside the folder."""
    found = mined(tmp_path / "mined", HOPELESS)
    (found.folder / "stages.json").unlink()
    with (
        open_router("landlock", workers=1) as sandbox,
        pytest.raises(StorageError, match="Cannot write"),
    ):
        write_kit(tmp_path / "kit", found, sandbox)
    assert [file.name for file in tmp_path.iterdir()] == ["mined"]


def test_a_sketch_has_the_fields_and_the_words_of_a_row(tmp_path: Path) -> None:
    """It had a kind that no row may have, and was about what is only deprecated."""
    deprecated = candidate(1, kind="newly-deprecated", executed=True, evidence=())
    reordered = candidate(2, api="numpy.ptp", kind="argument-reordered", evidence=())
    with open_router("landlock", workers=1) as sandbox:
        found = mined(tmp_path / "mined", deprecated, reordered)
        made = write_kit(tmp_path / "kit", found, sandbox)
    [row] = yaml.safe_load((made.folder / "task" / "first-pair.sketch.yaml").read_text())
    assert parse_row(row).update_type == "argument-removed"
    assert row["changed_on"] == "2026-05-18"
    task = ["--include-path", str(made.folder / "task"), "--tasks", made.task]
    assert command(["validate", *task]) == 65


def test_a_hostile_librarys_words_stay_words(tmp_path: Path) -> None:
    odd = candidate(
        new_api="numpy.isin",
        kind="renamed",
        evidence=(PROBE,),
        deprecation="use isin\n- id: evil\n\x1b[31m {{ 7 * 7 }} '\"|> \ud800 " + "x" * 5000,
        note=Note("2\n\n# Evil", "{% raw %}\n```", "a: [b\ud800", "../../x"),
    )
    worse = candidate(2, api="numpy.a`b\n# Evil\ud800", evidence=(), executed=True, note=None)
    with open_router("landlock", workers=1) as sandbox:
        made = write_kit(tmp_path / "kit", mined(tmp_path / "mined", odd, worse), sandbox)
    told = (made.folder / "task" / "AGENTS.md").read_text()
    assert "\n# Evil" not in told
    assert "\x1b" not in told
    sketch = made.folder / "task" / "first-pair.sketch.yaml"
    rows = yaml.safe_load((made.folder / "task" / "pairs" / "pairs.yaml").read_text())
    assert "evil" not in [row["id"] for row in rows or yaml.safe_load(sketch.read_text())]
    workflow = yaml.safe_load((made.folder / ".github" / "workflows" / "update.yml").read_text())
    assert workflow["jobs"]["evaluate"]["steps"][4]["env"]["MODEL"] == "${{ vars.MODEL }}"


@pytest.mark.usefixtures("_forgotten")
def test_two_tasks_locks_of_one_name_are_the_same(tmp_path: Path) -> None:
    """The second task ran with the first one's libraries, and nothing said so."""
    for number, pins in enumerate(("numpy==2.4.6", "numpy==2.4.6", "numpy==2.4.5")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "numpy-9.9.9.txt").write_text(f"{pins}\n")
    requirements.use_locks(tmp_path / "0")
    requirements.use_locks(tmp_path / "1")
    requirements.use_locks(tmp_path / "0")
    with pytest.raises(DataError, match="same name and other pins"):
        requirements.use_locks(tmp_path / "2")


def test_a_users_own_data_are_not_called_bundled(
    kit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`the bundled data has no usable problem` was said of the user's own folder."""
    assert command(["tasks", "--include-path", str(kit / "task"), "--json"]) == 0
    data = {row["name"]: row["data"] for row in json.loads(capsys.readouterr().out)}
    assert (data["numpy-update"], data["migration"]) == ("pairs", "bundled")
    task = create_task("numpy-update", [kit / "task"])
    assert task.load(None, skip_bad_rows=False).source == "the folder pairs of numpy-update"


def test_a_baseline_is_no_author(capsys: pytest.CaptureFixture[str]) -> None:
    """The message came after the mining: `0 of 0 lack it`."""
    assert command(["mine", "numpy", "1.26.4", "2.4.6", "--author", "baseline:stale"]) == 2
    assert "writes no drafts" in capsys.readouterr().err
