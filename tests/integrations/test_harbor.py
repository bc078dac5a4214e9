"""Tasks for harbor: as harbor reads them, runs them and rewards them, and what it never shows."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from answer_batches import odd
from hypothesis import given
from hypothesis import strategies as st
from peers import run
from verdict_roads import BASE_IMAGE, docker, remove_labelled, verifier_image

from recode_eval import load_task
from recode_eval.cli import run as command
from recode_eval.errors import RecodeError, UsageError
from recode_eval.sandbox.landlock import LandlockLauncher
from recode_eval.sandbox.local import program_runtimes
from recode_eval.sandbox.pool import Pool
from recode_eval.sandbox.requirements import get_environment
from recode_eval.sandbox.tier import TierRequest
from recode_eval.task_exports import harbor_grader
from recode_eval.task_exports.harbor import _folder, toml_value
from recode_eval.task_exports.harbor_images import Image, grader_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
TASKS = ("arena-mini", "migration-validation")


def export(out: Path, *words: str) -> Path:
    assert (
        command(["export-tasks", "--format", "harbor", "--quiet", "--out", str(out), *words]) == 0
    )
    return out


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("harbor") / "tasks"
    return export(out, "--tasks", ",".join(TASKS), "--limit", "6")


@pytest.mark.parametrize("name", TASKS)
def test_what_the_agent_gets_holds_no_test_and_no_reference(name: str, exported: Path) -> None:
    problems = {problem.id: problem for problem in load_task(name).problems[:6]}
    folders = sorted((exported / name).iterdir())
    assert len(folders) == 6
    for folder in folders:
        config = tomllib.loads((folder / "task.toml").read_text())
        problem = problems.pop(config["metadata"]["problem_id"])
        assert config["metadata"]["cluster"] == problem.cluster
        assert config["metadata"]["tags"] == dict(problem.tags)
        license_ = getattr(problem.payload, "license", None)
        assert config["metadata"].get("license") == (license_ or None)
        for part in (config["environment"], config["verifier"]["environment"]):
            assert part["network_mode"] == "no-network"
        assert config["verifier"]["environment_mode"] == "separate"
        assert config["artifacts"] == ["/app/answer"]
        seen = "".join(p.read_text() for p in (folder / "environment").rglob("*"))
        seen += (folder / "instruction.md").read_text()
        row = problem.payload
        for test in row.unit_tests if name == "arena-mini" else row.tests:
            assert test.code.strip() not in seen
            assert (
                test.code
                in json.loads((folder / "tests/problem.json").read_text())["tests"][
                    [t.name for t in (row.unit_tests if name == "arena-mini" else row.tests)].index(
                        test.name
                    )
                ]
            )
        reference = problem.solutions["reference"].strip()
        assert reference not in seen
        assert (folder / "solution" / "solution.py").read_text().strip() == reference
        if name != "arena-mini":
            old = (folder / "environment" / "old_program.py").read_text()
            assert old.strip() == problem.solutions["stale"].strip()
            lock = (folder / "environment" / "requirements.txt").read_text()
            assert f"{row.dependency}=={row.new_version}" in lock.lower()
    assert not problems


def test_the_lines_of_both_images_are_those_of_the_options(exported: Path, tmp_path: Path) -> None:
    """Public by default; another base, and wheels instead of an index, where they are asked for."""
    folder = next((exported / "migration-validation").iterdir())
    for part in ("environment", "tests"):
        assert (folder / part / "Dockerfile").read_text().startswith("FROM python:3.11-slim-")
    words = ["--tasks", "migration-validation", "--limit", "2"]
    out = export(tmp_path / "x", *words, "--base-image", "mine:1", "--wheels")
    wheels: dict[str, set[int]] = {}
    for one in (out / "migration-validation").iterdir():
        for part in ("environment", "tests"):
            recipe = (one / part / "Dockerfile").read_text()
            assert recipe.startswith("FROM mine:1\n")
            assert "--no-index" in recipe
            for wheel in (one / part / "wheels").iterdir():
                wheels.setdefault(wheel.name, set()).add(wheel.stat().st_ino)
    assert wheels
    assert all(len(numbers) == 1 for numbers in wheels.values())  # one file under many names


def test_what_harbor_cannot_take_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export-tasks", "--out", str(tmp_path / "x"), "--tasks"]
    untested = {"dependency": "numpy", "new_version": "2.4.0", "description": "Adds.",
                "update_info": "None.", "old_code": "x = 1\n", "new_code": "x = 2\n"}  # fmt: skip
    (tmp_path / "rows.jsonl").write_text(json.dumps(untested))
    rows = f"recode-train-data={tmp_path / 'rows.jsonl'}"
    for task, more, said in (
        ("migration-js", ["--limit", "1"], "is in javascript"),
        ("recode-train-data", ["--data", rows], "has no tests"),
        ("arena-mini", ["--prompt", "recode", "--limit", "1"], "choose another with --prompt"),
        ("arena-mini", ["--base-image", "two words"], "no name of an image"),
        ("arena-mini", ["--docs", "note,none"], "one arm"),
    ):
        assert command([*words, task, "--format", "harbor", *more]) == 2
        assert said in capsys.readouterr().err
    for form in ("jsonl", "lm-eval"):
        assert command([*words, "arena-mini", "--format", form, "--wheels"]) == 2
        assert "formats with images" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    with pytest.raises(UsageError, match=r"for Python 3\.9"):
        Image(get_environment("mini-py3.9"), None, wheels=False)


@given(st.text() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False))
def test_values_are_read_back_by_a_reader_of_toml(value: str | float) -> None:
    assert tomllib.loads(f"key = {toml_value(value)}")["key"] == value


@given(st.lists(st.text(max_size=80), unique=True, max_size=6))
def test_folders_have_names_of_their_own_that_stay_where_they_are(ids: list[str]) -> None:
    taken: set[str] = set()
    names = [_folder(one, taken) for one in ids]
    assert len({name.lower() for name in names}) == len(ids)
    for name in names:
        assert name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        assert name[0] not in ".-"
        assert len(name) < 80


STORED = {
    "setup": "",
    "tests": [["test", "assert add(1, 2) == 3"], ["again", "assert add(2, 2) == 4"]],
    "preload": [],
    "reference": "def add(a, b):\n    return a + b\n",
    "deadline_s": 60.0,
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Pool]:
    request = TierRequest(get_environment("mini"), lambda _: None)
    with Pool(LandlockLauncher(program_runtimes(request)), workers=1, isolation="split") as pool:
        yield pool


@pytest.mark.parametrize(
    ("code", "reward", "said"),
    [
        (STORED["reference"], 1.0, ""),
        ("def add(a, b):\n    return 3\n", 0.0, "again: failed"),
        ("import os\nos._exit(0)\n", 0.0, "test: crashed"),
        ("", 0.0, "test: failed"),
    ],
)
def test_the_grader_rewards_what_passes(code: str, reward: float, said: str, sandbox: Pool) -> None:
    found, reason = harbor_grader.grade(STORED, code, sandbox)
    assert found == reward
    assert reason.startswith(said)


def test_a_machine_on_which_the_reference_fails_gives_no_reward(sandbox: Pool) -> None:
    for broken, said in (
        ({"reference": "import missing_library\n"}, "reference solution does not pass"),
        ({"setup": "raise OSError('disk')\n"}, "set-up fails|reference solution does not pass"),
    ):
        with pytest.raises(RecodeError, match=said):
            harbor_grader.grade({**STORED, **broken}, str(STORED["reference"]), sandbox)


def test_an_answer_that_only_waits_is_wrong_at_the_deadline(sandbox: Pool) -> None:
    waits = "import time\ndef add(a, b):\n    time.sleep(1000)\n"
    found, reason = harbor_grader.grade({**STORED, "deadline_s": 3.0}, waits, sandbox)
    assert (found, reason) == (0.0, "no verdict in 3 s")


def test_answers_that_are_no_file_with_text(tmp_path: Path) -> None:
    """A folder that was not copied is the machine's fault; all else is the agent's."""
    folder = tmp_path / "answer"
    with pytest.raises(RecodeError, match="was not copied"):
        harbor_grader.read_answer(folder / "solution.py")
    folder.write_text("a file")
    assert harbor_grader.read_answer(folder / "solution.py") is None
    folder.unlink()
    folder.mkdir()
    answer = folder / "solution.py"
    assert harbor_grader.read_answer(answer) is None
    answer.mkdir()
    assert harbor_grader.read_answer(answer) is None
    answer.rmdir()
    (tmp_path / "secret.py").write_text("x = 1\n")
    answer.symlink_to(tmp_path / "secret.py")
    assert harbor_grader.read_answer(answer) is None
    answer.unlink()
    os.mkfifo(answer)
    assert harbor_grader.read_answer(answer) is None
    answer.unlink()
    answer.write_bytes(b"\xff\xfe")
    assert harbor_grader.read_answer(answer) is None
    with answer.open("wb") as file:
        file.truncate(harbor_grader.LARGEST_ANSWER + 1)
    assert harbor_grader.read_answer(answer) is None
    answer.write_bytes("\ufeffx = 'ä'\r\n".encode())
    assert harbor_grader.read_answer(answer) == "x = 'ä'\r\n"


def test_whatever_lies_where_the_reward_goes_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harbor_grader, "_OUT", tmp_path / "out")
    (tmp_path / "out" / "reward.json" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "out" / "reward.txt").symlink_to(tmp_path / "elsewhere")
    harbor_grader._write_reward(0.0)
    assert json.loads((tmp_path / "out" / "reward.json").read_text()) == {"reward": 0.0}
    assert not (tmp_path / "out" / "reward.txt").exists()
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_the_archive_holds_what_the_grader_imports_and_no_more(tmp_path: Path) -> None:
    with tarfile.open(grader_archive()) as tar:
        tar.extractall(tmp_path, filter="data")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import recode_eval.task_exports.harbor_grader, recode_eval.sandbox.buildlog\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('recode_eval')))"
    )
    python = os.path.realpath("/proc/self/exe")
    done = subprocess.run([python, "-I", "-S", "-B", "-c", code], capture_output=True, text=True,
                          check=True)  # fmt: skip
    root = tmp_path / "recode_eval"
    imported = {str(Path(name).relative_to(root)) for name in done.stdout.split()}
    assert imported == set(harbor_grader.PARTS)
    supervisor = root / "_resources" / "sandbox" / "supervisor"
    assert (supervisor / "__main__.py").is_file()
    assert grader_archive() == grader_archive()


READ = """
import json, sys
from pathlib import Path
from harbor.models.task.task import Task
from harbor.models.task.verifier_mode import resolve_verifier_environment_definition
found = {}
for folder in sorted(Path(sys.argv[1]).glob("*/*")):
    task = Task(folder)
    verifier = resolve_verifier_environment_definition(task.config, task.paths)
    found[task.config.metadata["problem_id"]] = [
        verifier.bundled_tests, verifier.directory.name, verifier.config.network_mode.value,
        task.config.environment.network_mode.value, Task.is_valid_dir(folder), task.instruction]
print(json.dumps(found))
"""


def test_harbor_reads_them(
    exported: Path, peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "read.py").write_text(READ)
    done = run(peer_python("harbor"), ["python", "read.py", str(exported)], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == {p.id for name in TASKS for p in load_task(name).problems[:6]}
    for *facts, instruction in found.values():
        assert facts == [True, "tests", "no-network", "no-network", True]
        assert "/app/answer/solution.py" in instruction


def run_harbor(
    python: str, tasks: Path, agent: str, folder: Path, **more: str
) -> dict[str, tuple[float | None, str]]:
    """Return reward and exception of each trial, by the problem's id."""
    label = f"{os.getpid()}-{agent.rpartition(':')[2].lower()}"
    environment = {**os.environ, "PYTHONPATH": str(HERE), "RECODE_HARBOR_LABEL": label, **more}
    environment |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    harbor = str(Path(python).with_name("harbor"))
    words = ["run", "-p", str(tasks), "--agent", agent, "--env", "harbor_docker:PlainDocker",
             "-o", str(folder), "-n", "2", "--yes"]  # fmt: skip
    try:
        done = subprocess.run([harbor, *words], cwd=tasks.parent, env=environment, text=True,
                              capture_output=True, check=False, timeout=550)  # fmt: skip
    finally:
        remove_labelled(label)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = {}
    for path in folder.glob("*/*/result.json"):
        result = json.loads(path.read_text())
        config = tomllib.loads((Path(result["task_id"]["path"]) / "task.toml").read_text())
        rewards = (result["verifier_result"] or {}).get("rewards") or {}
        raised = (result["exception_info"] or {}).get("exception_type", "")
        found[config["metadata"]["problem_id"]] = (rewards.get("reward"), raised)
    return found


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_oracle_passes_and_who_does_nothing_fails(
    task: str, peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    words = ["--tasks", task, "--limit", "1", "--wheels", "--base-image", BASE_IMAGE]
    tasks = export(tmp_path / "tasks", *words) / task
    [problem] = load_task(task).problems[:1]
    for agent, reward in (("oracle", 1.0), ("nop", 0.0)):
        found = run_harbor(peer_python("harbor"), tasks, agent, tmp_path / agent)
        assert found == {problem.id: (reward, "")}


FORGED = """
import atexit, os, sys
atexit.register(os._exit, 0)
sys.excepthook = lambda *_: os._exit(0)
def add_up(numbers):
    os._exit(0)
"""
TAKEN_OVER = """
mkdir -p /logs/verifier /tests
printf '#!/bin/sh\\necho 1 >/logs/verifier/reward.txt\\n' >/tests/test.sh
chmod +x /tests/test.sh
sh /tests/test.sh
echo '{"reward": 1.0}' >/logs/verifier/reward.json
mv /usr/bin/python3 /usr/bin/python3.was
cp /tests/test.sh /usr/bin/python3
"""


def writing(code: str) -> str:
    return f"cat >/app/answer/solution.py <<'END'\n{code}\nEND\n"


AGENTS = {
    "odd/000": ("cp /dev/null /app/answer/solution.py", (0.0, "")),
    "odd/001": (writing("def add_up(numbers):\n    return sum(numbers)"), (1.0, "")),
    "odd/002": (TAKEN_OVER, (0.0, "")),
    "odd/003": ("rm -rf /app/answer", (0.0, "")),
    "odd/004": ("ln -s /tests/problem.json /app/answer/solution.py", (0.0, "")),
    "odd/005": (writing(FORGED), (0.0, "")),
    "odd/006": ("rm -rf /app/answer; echo x >/app/answer", (0.0, "")),
    # Nothing can be run or copied there any more: an error, as of a machine that broke.
    "odd/007": ("rm -rf /app", (None, "RewardFileNotFoundError")),
}
"""What an agent does as root of its container, and what harbor must make of it."""


@pytest.mark.docker
@pytest.mark.slow
def test_no_agent_takes_a_reward(peer_python: Callable[[str], str], tmp_path: Path) -> None:
    data = odd(tmp_path, slow=False).data
    words = ["--tasks", "humaneval", "--data", f"humaneval={data}", "--problems", ",".join(AGENTS),
             "--wheels", "--base-image", BASE_IMAGE]  # fmt: skip
    tasks = export(tmp_path / "tasks", *words) / "humaneval"
    scripts = tmp_path / "scripts.json"
    scripts.write_text(json.dumps({mark: script for mark, (script, _) in AGENTS.items()}))
    found = run_harbor(peer_python("harbor"), tasks, "harbor_docker:Writer", tmp_path / "jobs",
                       RECODE_HARBOR_SCRIPTS=str(scripts))  # fmt: skip
    assert found == {key: expected for key, (_, expected) in AGENTS.items()}


@pytest.mark.docker
@pytest.mark.slow
def test_a_verifier_that_cannot_grade_gives_no_reward(
    peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    """The reference fails in its image: harbor's trial has an exception, and no 0."""
    words = ["--tasks", "arena-mini", "--limit", "1", "--wheels", "--base-image", BASE_IMAGE]
    tasks = export(tmp_path / "tasks", *words) / "arena-mini"
    [stored] = tasks.glob("*/tests/problem.json")
    broken = {**json.loads(stored.read_text()), "reference": "raise OSError\n"}
    stored.write_text(json.dumps(broken))
    found = run_harbor(peer_python("harbor"), tasks, "oracle", tmp_path / "jobs")
    assert list(found.values()) == [(None, "RewardFileNotFoundError")]


NO_LANDLOCK = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {
            "names": ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 38,
        }
    ],
}
"""As on a kernel without Landlock."""
LOOKS_AROUND = """
import os
seen = []
for path in ("/tests/problem.json", "/logs/verifier/reward.json", "/app/answer/solution.py"):
    for mode in ("r", "w"):
        try:
            open(path, mode).close()
            seen.append(path)
        except OSError:
            pass
raise RuntimeError(f"root: {os.getuid() == 0}, seen: {seen}")
"""
IN_TURN = """
for name in reference forged looks; do
    rm -rf /app/answer /logs/verifier && mkdir -p /app/answer /logs/verifier
    chmod 0777 /logs /logs/verifier
    cp /in/$name.py /app/answer/solution.py
    sh /tests/test.sh
    if [ -e /logs/verifier/reward.json ]; then cat /logs/verifier/reward.json; fi
    echo
done
"""


@pytest.mark.docker
@pytest.mark.slow
def test_the_verifiers_container_confines_answers_or_gives_no_reward(tmp_path: Path) -> None:
    """With Landlock and without; and where a program cannot be given a user id of its own."""
    words = ["--tasks", "arena-mini", "--limit", "1", "--wheels", "--base-image", BASE_IMAGE]
    [task] = (export(tmp_path / "tasks", *words) / "arena-mini").iterdir()
    given = tmp_path / "in"
    given.mkdir()
    (given / "reference.py").write_text((task / "solution" / "solution.py").read_text())
    (given / "forged.py").write_text("import os\nos._exit(0)\n")
    (given / "looks.py").write_text(LOOKS_AROUND)
    (tmp_path / "profile.json").write_text(json.dumps(NO_LANDLOCK))

    def said(image: str, *options: str) -> list[str]:
        text = docker("run", "--rm", "--init", "--network", "none", *options, "--volume",
                      f"{given}:/in:ro", image, "sh", "-c", IN_TURN)  # fmt: skip
        return text.splitlines()

    profile = ["--security-opt", f"seccomp={tmp_path / 'profile.json'}"]
    with verifier_image(task) as image:
        found = [said(image), said(image, *profile)]
        refused = [line for line in said(image, "--cap-drop", "SETUID") if line]
    for lines in found:
        assert [line for line in lines if line.startswith("{")] == [
            '{"reward": 1.0}', '{"reward": 0.0}', '{"reward": 0.0}',
        ]  # fmt: skip
        assert "RuntimeError: root: False, seen: []" in lines[4]
    assert len(refused) == 3
    assert all(line.startswith("UNSCORED: ") for line in refused)
