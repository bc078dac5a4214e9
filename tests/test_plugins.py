"""Another package adds a member to a registry by an entry point, and nothing here is edited."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from recode_eval.errors import DataError, ExitCode, UsageError
from recode_eval.models import BACKENDS, ModelOptions, choose_backend, create_model
from recode_eval.models.backends import backend_facts, get_backend, reject_unused
from recode_eval.plugins import Registry, unknown
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from pathlib import Path

from command_line import bare, failed, own_task, recode_eval

TOY_BACKEND = '''
from recode_eval.models import Backend, Completion, FinishReason, ModelInfo
from recode_eval.models.baselines import wrap_answer


class Toy:
    """Knows the answer to even problems, and counts on nothing but the public protocol."""

    def __init__(self, name, solutions):
        self.solutions = solutions
        self.info = ModelInfo(name=f"toy:{name}", backend="toy", identity={"toy": name})

    def generate(self, requests, parameters):
        for request in requests:
            code = self.solutions[request.problem_id]["reference"]
            for sample in request.samples:
                text = wrap_answer(code, request.prompt.prefill)
                yield Completion(request.problem_id, sample, text, FinishReason.STOP)

    def close(self):
        pass


BACKEND = Backend(
    lambda name, options, solutions: Toy(name, solutions),
    frozenset({"revision"}),
    deterministic=True,
    generates=False,
)
NOT_ONE = object()
'''
TOY_KIND = """
from recode_eval.tasks.arena import ArenaTask


class Toy(ArenaTask):
    pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package that adds a back-end and a task kind; returns its folder."""
    folder = tmp_path / "site"
    info = folder / "toy_plugins-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "toy_plugins.py").write_text(TOY_BACKEND)
    (folder / "toy_kind.py").write_text(TOY_KIND)
    (folder / "toy_broken.py").write_text("import no_such_library\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-plugins\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[recode_eval.models]\n"
        "toy = toy_plugins:BACKEND\n"
        "odd = toy_plugins:NOT_ONE\n"
        "broken = toy_broken:BACKEND\n"
        "baseline = toy_plugins:BACKEND\n"
        "[recode_eval.task_kinds]\n"
        "toy-kind = toy_kind:Toy\n"
        "broken-kind = toy_broken:Toy\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    for module in ("toy_plugins", "toy_kind", "toy_broken"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return folder


@pytest.mark.slow
def test_a_backend_of_another_package_is_evaluated_by_the_command_line(
    package: Path, rows: Path
) -> None:
    paths = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])
    out = rows.parent / "runs"
    done = bare(
        *("--model", "toy:one", "--tasks", "arena", "--data", f"arena={rows}", "--k", "1"),
        *("--n", "3", "--out", str(out), "--json"),
        env={"PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["model"]["backend"] == "toy"
    assert result["metrics"]["pass@1"]["value"] == 1.0
    # It declares itself deterministic: one sample, whatever was asked for.
    assert result["counts"]["samples"] == result["counts"]["problems"] == 6
    assert "toy, prompt" in done.stderr
    # `compare` reads the stored run on a machine that does not have the package.
    again = recode_eval("compare", result["folder"], result["folder"])
    assert "toy_plugins" not in again.stderr
    assert again.returncode == 0, again.stderr


def test_a_backend_of_another_package_in_the_library(package: Path) -> None:
    assert choose_backend("toy:x")[0] == "toy"
    assert choose_backend("toys:x", ModelOptions(base_url="http://h/v1"))[0] == "openai"
    assert create_model("x", backend="toy").info.name == "toy:x"
    assert "toy" in BACKENDS
    assert get_backend("toy").deterministic
    reject_unused("toy", ModelOptions(revision="main"))
    with pytest.raises(
        UsageError, match=r"'toy' does not support the option adapter .*transformers"
    ):
        create_model("toy:x", options=ModelOptions(adapter="x"))


def test_a_backend_that_is_not_installed_here_still_has_facts() -> None:
    """Results from a machine with more packages are read everywhere."""
    assert "toy" not in BACKENDS
    assert backend_facts("toy").generates
    assert not backend_facts("replay").generates


def test_what_is_built_in_cannot_be_replaced(package: Path) -> None:
    assert create_model("baseline:empty").info.backend == "baseline"
    assert BACKENDS.names().count("baseline") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("odd", "back-end odd of another package has the type object, not .*Backend"),
        ("broken", r"broken of another package \(toy_broken:BACKEND\) cannot be imported"),
    ],
)
def test_a_faulty_package_is_blamed(package: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        create_model("x", backend=name)


FAULTY = {
    "empty": "nothing_in_it:NOTHING",
    "bare": "nothing_in_it:Bare",
    "failing": "nothing_in_it:fail",
    "leaving": "leaves:ANY",
}


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package whose members are all faulty, in every group; returns its folder."""
    from recode_eval.exports import FORMATS
    from recode_eval.languages import LANGUAGES
    from recode_eval.sandbox.tier import TIERS_BY_NAME
    from recode_eval.tasks.registry import KINDS
    from recode_train.algorithms import ALGORITHMS

    folder = tmp_path / "faulty"
    info = folder / "faulty-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "nothing_in_it.py").write_text(
        "NOTHING = None\n\n\nclass Bare:\n    def __init__(self, *given):\n        pass\n\n\n"
        "def fail(*given):\n    raise RuntimeError('inside')\n"
    )
    (folder / "leaves.py").write_text("raise SystemExit(3)\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    members = "".join(f"{name} = {value}\n" for name, value in FAULTY.items())
    registries = (BACKENDS, FORMATS, LANGUAGES, TIERS_BY_NAME, KINDS, ALGORITHMS)
    groups = (f"[{registry.group}]\n{members}" for registry in registries)  # type: ignore[attr-defined]
    (info / "entry_points.txt").write_text("".join(groups))
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.parametrize("name", FAULTY)
def test_whatever_is_wrong_with_a_package_it_is_blamed_by_name(
    faulty: Path, name: str, tmp_path: Path
) -> None:
    """A member without its functions was an AttributeError in the middle of a run.

    One that failed was called a bug of this program, and one that exits ended the process.
    """
    from arena_rows import arena_row

    from recode_eval.exports import documents
    from recode_eval.languages import get_language
    from recode_eval.sandbox import open_sandbox
    from recode_train.algorithms import ALGORITHMS

    own_task(tmp_path / "mine", "my-task", [arena_row()], kind=name)
    for call in (
        lambda: get_backend(name),
        lambda: documents(name, [], None),  # type: ignore[arg-type]
        lambda: get_language(name),
        lambda: open_sandbox(name),
        lambda: create_task("my-task", [tmp_path / "mine"]),
        lambda: ALGORITHMS.get(name),
    ):
        with pytest.raises(
            DataError, match=rf"\b{name}\b.*(lacks|fails|cannot be imp|has the type)"
        ):
            call()


def test_a_faulty_sandbox_does_not_hide_the_others(faulty: Path) -> None:
    """`doctor` ended at the first tier that could not be imported."""
    from recode_eval.sandbox import probe

    found = {report.tier: report for report in probe()}
    assert {"docker", "bubblewrap", "landlock", *FAULTY} <= set(found)
    assert not found["empty"].available
    assert "lacks GUARANTEES" in found["empty"].reason


def test_a_backend_that_no_package_has() -> None:
    wrong = recode_eval("--model", "x", "--backend", "vlm", "--tasks", "arena-mini")
    failed(wrong, ExitCode.USAGE, "Unknown back-end 'vlm'. Did you mean vllm?")


def test_a_task_kind_of_another_package(package: Path, tmp_path: Path) -> None:
    from arena_rows import arena_row

    own_task(tmp_path / "mine", "my-task", [arena_row()], kind="toy-kind")
    own_task(tmp_path / "mine", "bad-task", [arena_row()], kind="broken-kind")
    own_task(tmp_path / "mine", "no-task", [arena_row()], kind="toy-kin")
    assert type(create_task("my-task", [tmp_path / "mine"])).__module__ == "toy_kind"
    with pytest.raises(DataError, match=r"Task bad-task: .*broken-kind.*no_such_library"):
        create_task("bad-task", [tmp_path / "mine"])
    with pytest.raises(DataError, match=r"unknown kind 'toy-kin'.*toy-kind, broken-kind, or FILE"):
        create_task("no-task", [tmp_path / "mine"])


def test_every_built_in_member_can_be_imported() -> None:
    from recode_eval.languages import LANGUAGES
    from recode_eval.tasks.registry import KINDS

    registries: list[Registry[object]] = [BACKENDS, KINDS, LANGUAGES]
    for registry in registries:
        for name in registry.builtin:
            assert registry.get(name) is not None, (registry.group, name)


def test_a_message_lists_the_first_of_many_names() -> None:
    """A misspelt problem of a task printed all of its hundreds."""
    text = unknown("problem", "p-x", [f"p-{i}" for i in range(500)])
    assert text.endswith("p-29, and 470 more.")
    long = unknown("problem", "x", ["a" * 150, "b" * 200, "c" * 60, "d" * 90])
    assert long.endswith("b, and 2 more.")
