"""Watching a training run: whole checkpoints only, once each, whatever is killed or vanishes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from arena_rows import write_rows
from hypothesis import given
from hypothesis import strategies as st
from stored_runs import KnownSandbox
from test_gate_model import MODELS, PROBLEMS, saved_model
from waiting import wait_for

from recode_eval import cli
from recode_eval.boundary import guarded
from recode_eval.commands import watch as command
from recode_eval.errors import DataError, ExitCode, UsageError
from recode_eval.gating import checkpoints, watcher
from recode_eval.gating.candidate import Candidate
from recode_eval.gating.checkpoints import State, examine, find_checkpoints
from recode_eval.gating.job import Job
from recode_eval.gating.watcher import Reference, Watch, Watcher, read_history
from recode_eval.jobs import run_job
from recode_eval.run.config import RunConfig, SandboxOptions, from_mapping, to_mapping

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.slow


def safetensors(values: int = 8, content: int = 0) -> bytes:
    """Return a file with one tensor of so many bytes."""
    entry = {"w": {"dtype": "U8", "shape": [values], "data_offsets": [0, values]}}
    header = json.dumps(entry).encode()
    return struct.pack("<Q", len(header)) + header + bytes([content]) * values


def checkpoint(place: Path, step: int, *, model: str = "base", end: bool = True) -> Path:
    """Write what a trainer writes; `model` names how good it is (for the fake loader)."""
    folder = place / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"how_good": model}))
    (folder / "model.safetensors").write_bytes(safetensors(content=step % 256))
    if end:
        (folder / "trainer_state.json").write_text("{}")
    return folder


def old(folder: Path, seconds: float = 1000) -> None:
    """Make a folder look as if nobody had written to it for a while."""
    then = time.time() - seconds
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))


def state(folder: Path, *, marked: bool = False) -> tuple[State, str]:
    found = examine(folder, marked=marked, settle_s=100)
    return found.state, found.reason


# --- is it whole


def test_a_checkpoint_with_the_trainers_last_file_is_whole(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 1)
    assert state(folder) == (State.WHOLE, "")
    (folder / "trainer_state.json").write_text('{"a"')
    assert state(folder) == (State.UNFINISHED, "it has just changed")
    old(folder)
    assert state(folder) == (State.WHOLE, "")


def test_the_mark_of_our_own_trainer_is_needed(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 1)
    (tmp_path / "train.jsonl").touch()
    assert checkpoints.marks_checkpoints(tmp_path)
    assert state(folder, marked=True)[0] is State.UNFINISHED
    old(folder)
    assert state(folder, marked=True) == (State.BROKEN, "its trainer has not marked it as complete")
    (folder / checkpoints.MARK).write_text("{}")
    assert state(folder, marked=True) == (State.WHOLE, "")


def test_the_mark_is_that_of_the_trainer() -> None:
    from recode_train.checkpoints import MARK

    assert MARK == checkpoints.MARK


@pytest.mark.parametrize("cut", [0, 4, 8, 20, -1])
def test_weights_that_are_cut_off_are_not_whole(tmp_path: Path, cut: int) -> None:
    """The trainer's last file of an earlier attempt may lie beside a file that is being written."""
    folder = checkpoint(tmp_path, 1)
    (folder / "model.safetensors").write_bytes(safetensors()[:cut])
    found, reason = state(folder)
    assert found is State.UNFINISHED
    assert "model.safetensors" in reason
    old(folder)
    assert state(folder)[0] is State.BROKEN


def test_every_shard_must_be_there(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 1)
    (folder / "model.safetensors").rename(folder / "part-1.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}})
    )
    assert state(folder) == (State.UNFINISHED, "part-2.safetensors is missing")
    (folder / "part-2.safetensors").write_bytes(safetensors())
    assert state(folder)[0] is State.WHOLE
    for hostile in ({"a": "../../etc/passwd"}, {}, ["a"], {"a": ".hidden"}):
        index.write_text(json.dumps({"weight_map": hostile}))
        assert state(folder)[0] is not State.WHOLE


def test_an_adapter_needs_its_own_weights_only(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 1)
    (folder / "config.json").rename(folder / "adapter_config.json")
    assert state(folder) == (State.UNFINISHED, "adapter_model.safetensors is missing")
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    assert examine(folder, marked=False, settle_s=100) == checkpoints.Examination(
        State.WHOLE, adapter=True
    )


def test_checkpoints_are_found_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for step in (100, 20, 3):
        checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-7").write_text("no folder")
    (tmp_path / "checkpoint-5").symlink_to(tmp_path / "checkpoint-3")
    names = [path.name for path in find_checkpoints(tmp_path)]
    assert names == ["checkpoint-3", "checkpoint-20", "checkpoint-100"]
    assert find_checkpoints(tmp_path / "gone") == []


@given(st.binary(max_size=60))
def test_any_weights_file_is_whole_or_not(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("c") / "checkpoint-1"
    checkpoint(folder.parent, 1)
    (folder / "model.safetensors").write_bytes(content)
    assert state(folder)[0] in set(State)


# --- the watcher


class Training:
    """A training folder, and a watcher whose evaluations are real commands on saved models."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sandbox = KnownSandbox("landlock")
        monkeypatch.setattr("recode_eval.sandbox.open_router", lambda *_, **__: sandbox)
        self.place, self.out = folder / "training", folder / "watch"
        self.place.mkdir()
        self.folder = folder
        self.models = {name: saved_model(folder, name) for name in MODELS}
        rows = write_rows(folder / "rows.jsonl", PROBLEMS)
        self.words = ("--tasks=arena", f"--data=arena={rows}", "--sandbox=landlock", "--quiet")
        shared = {
            "tasks": ["arena"],
            "data": {"arena": rows},
            "sandbox": SandboxOptions(tier="landlock"),
        }
        self.settings = {
            "candidate": Candidate(model="", **shared),
            "run": RunConfig(model="", **shared),
        }
        self.calls: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.codes: list[int] = []
        """Exit codes of the next evaluations, which then do nothing."""

    def call(self, job: Job, out: Path, lock: int) -> int:
        del lock
        self.calls.append(job)
        if self.codes:
            return self.codes.pop(0)
        job = json.loads(json.dumps(job))
        asked = job.get("evaluate") or job.get("gate", {}).get("candidate")
        if asked:
            folder = Path(asked["model"])
            how_good = json.loads((folder / "config.json").read_text())["how_good"]
            own = self.folder / f"{folder.name}-{how_good}.jsonl"
            shutil.copy(self.folder / f"{how_good}.jsonl", own)
            asked["model"] = f"replay:{own}"
        with out.open("w") as file, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", file)
            return guarded("job", [], lambda _: run_job(job), resumable=True)

    def watch(self, reference: Any = Reference.FIRST, **more: Any) -> Watcher:
        settings = {**self.settings, "settle_s": 100.0, **more}
        watch = Watch(self.place, self.out, reference, **settings)
        return Watcher(watch, self.notes.append, self.call)

    def go(self, reference: Any = Reference.FIRST, *, last: bool = False, **more: Any) -> Any:
        watcher = self.watch(reference, **more)
        with watcher.opened():
            return watcher.go_through(last=last)

    def history(self) -> list[tuple[str, str]]:
        lines = read_history(self.out / watcher.HISTORY)
        return [(line["checkpoint"].removeprefix("checkpoint-"), line["status"]) for line in lines]


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    return Training(tmp_path, monkeypatch)


def test_each_checkpoint_is_gated_once(training: Training) -> None:
    checkpoint(training.place, 5)
    checkpoint(training.place, 10, model="better")
    training.go()
    assert training.history() == [("5", "reference"), ("10", "pass")]
    checkpoint(training.place, 15, model="worse")
    checkpoint(training.place, 20, end=False)
    training.go()
    training.go()
    assert training.history() == [("5", "reference"), ("10", "pass"), ("15", "regress")]
    assert len(training.calls) == 3
    verdict = json.loads((training.out / "gate" / "checkpoint-15" / "verdict.json").read_text())
    assert verdict["exit_code"] == 1
    assert verdict["sampling"]["saved"] > 0
    line = read_history(training.out / watcher.HISTORY)[-1]
    assert line["exit_code"] == 1
    assert Path(line["runs"][0]).is_dir()


@pytest.mark.parametrize(
    ("rule", "references"),
    [(Reference.FIRST, [1, 1, 1]), (Reference.PREVIOUS, [1, 2, 3]), (Reference.BEST, [1, 2, 2])],
)
def test_what_a_checkpoint_is_compared_with(
    training: Training, rule: Reference, references: list[int]
) -> None:
    for step, model in enumerate(("base", "better", "worse", "noisy"), 1):
        checkpoint(training.place, step, model=model)
    training.go(rule)
    gates = [call for call in training.calls if "gate" in call]
    used = [call["gate"]["baseline"][0] for call in gates]
    assert [int(path.split("checkpoint-")[1].split("-")[0]) for path in used] == references
    # What others will be compared with has all samples.
    full = [call["gate"]["candidate"]["full"] for call in gates]
    assert full == [rule is not Reference.FIRST] * len(gates)


def test_a_stored_run_as_the_baseline(training: Training) -> None:
    first = checkpoint(training.place, 1)
    training.go()
    (line,) = read_history(training.out / watcher.HISTORY)
    shutil.rmtree(first)
    training.out = training.folder / "second"
    checkpoint(training.place, 2, model="better")
    training.go((Path(line["runs"][0]),))
    assert training.history() == [("2", "pass")]


def test_the_watch_ends_where_it_should(training: Training) -> None:
    for step, model in enumerate(("base", "worse", "better"), 1):
        checkpoint(training.place, step, model=model)
    ended = training.go(stop_on=frozenset({watcher.Verdict.REGRESS}))
    assert (ended["checkpoint"], ended["exit_code"]) == ("checkpoint-2", 1)
    assert len(training.history()) == 2


def test_a_checkpoint_that_is_written_anew_is_gated_again(training: Training) -> None:
    """A training that begins anew in the same folder uses the same names."""
    checkpoint(training.place, 1)
    second = checkpoint(training.place, 2, model="worse")
    training.go()
    (second / "config.json").write_text('{"how_good": "better"}')
    training.go()
    assert training.history() == [("1", "reference"), ("2", "regress"), ("2", "pass")]


def test_a_checkpoint_that_vanishes_is_named(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """save_total_limit removes old checkpoints while they wait, or while they are evaluated."""
    checkpoint(training.place, 1)
    training.go()
    waiting, loading = checkpoint(training.place, 2), checkpoint(training.place, 3)
    print_of = watcher.fingerprint
    monkeypatch.setattr(
        watcher,
        "fingerprint",
        lambda path: (shutil.rmtree(waiting, ignore_errors=True), print_of(path))[1],
    )
    call = training.call

    def removed(words: Job, out: Path, lock: int) -> int:
        shutil.rmtree(loading)
        return call(words, out, lock)

    monkeypatch.setattr(training, "call", removed)
    training.codes = [2]
    training.go()
    assert training.history() == [("1", "reference"), ("2", "vanished"), ("3", "vanished")]


def test_a_checkpoint_that_cannot_be_read_is_no_vanished_one(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(training.place, 1)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError("denied")

    with monkeypatch.context() as patch:
        patch.setattr(watcher, "examine", denied)
        training.go()
    assert training.notes == ["checkpoint-1: left out, it cannot be read (denied)."]
    training.go()
    assert training.history() == [("1", "reference")]


def test_a_broken_checkpoint_is_named_once_and_skipped(training: Training) -> None:
    checkpoint(training.place, 1)
    broken = checkpoint(training.place, 2, model="better")
    (broken / "model.safetensors").write_bytes(safetensors()[:-1])
    old(broken)
    checkpoint(training.place, 3, model="better")
    training.go()
    training.go()
    assert training.history() == [("1", "reference"), ("2", "broken"), ("3", "pass")]
    assert "checkpoint-2: broken (model.safetensors is cut off)." in training.notes
    (broken / "model.safetensors").write_bytes(safetensors())
    training.go()
    assert training.history()[-1] == ("2", "pass")


def test_an_unfinished_checkpoint_is_waited_for(training: Training) -> None:
    folder = checkpoint(training.place, 1, end=False)
    training.go()
    assert training.notes == []
    training.go(last=True)
    assert "not whole yet, left out" in training.notes[-1]
    (folder / "trainer_state.json").write_text("{}")
    training.go()
    assert training.history() == [("1", "reference")]


@pytest.mark.parametrize(("code", "tries"), [(69, 3), (74, 3), (-9, 3), (2, 1), (65, 1)])
def test_the_machines_trouble_is_tried_again(training: Training, code: int, tries: int) -> None:
    """A dead server says nothing of the checkpoint; what cannot be loaded stays so."""
    checkpoint(training.place, 1)
    training.go()
    folder = checkpoint(training.place, 2, model="better")
    watcher = training.watch()
    training.codes = [code] * 10
    with watcher.opened():
        watcher.go_through()
        assert watcher.untried == (None if tries == 1 else code if code > 0 else 69)
        for _ in range(5):
            watcher.go_through()
    assert len(training.calls) == 1 + tries
    assert training.history() == [("1", "reference"), ("2", "failed")]
    training.codes = []
    training.go()
    assert training.history()[2:] == ([] if tries == 1 else [(folder.name[11:], "pass")])


def test_a_verdict_that_was_not_noted_is_not_made_twice(training: Training) -> None:
    """A kill between the verdict and the history must not cost a second evaluation."""
    checkpoint(training.place, 1)
    checkpoint(training.place, 2, model="better")
    training.go()
    file = training.out / watcher.HISTORY
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + second[:-20])  # torn
    training.go()
    assert training.history() == [("1", "reference"), ("2", "pass")]
    assert len(training.calls) == 2


def test_a_killed_evaluation_goes_on(training: Training) -> None:
    """What was drawn before the kill is not drawn again."""
    checkpoint(training.place, 1)
    training.go()
    checkpoint(training.place, 2, model="noisy")
    training.codes = [-9]
    training.go()
    assert not (training.out / "gate" / "checkpoint-2" / "verdict.json").exists()
    training.go()
    assert training.history()[-1] == ("2", "inconclusive")


def test_a_damaged_history_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    for line in (b"{", b"[]", b'{"checkpoint": 1, "status": "pass"}', b'{"checkpoint": "a"}'):
        file.write_bytes(line + b"\n")
        with pytest.raises(DataError, match="line 1 is damaged"):
            read_history(file)


def test_the_leaderboard_is_rebuilt(training: Training) -> None:
    pytest.importorskip("jsonschema")
    site = training.folder / "site"
    checkpoint(training.place, 1)
    checkpoint(training.place, 2, model="better")
    training.go(site={"out": str(site)})
    assert (site / "index.html").is_file()
    assert "checkpoint-2" in (site / "index.html").read_text()
    assert "checkpoint-2/verdict.json" in (site / "gate.html").read_text()


# --- processes

ORPHAN = textwrap.dedent(
    """
    import pathlib, subprocess, sys
    from recode_eval.gating.candidate import Candidate
    from recode_eval.gating.watcher import Watch, Watcher

    place, out, go = map(pathlib.Path, sys.argv[1:])
    CHILD = '''
    import json, pathlib, sys, time
    report, go = map(pathlib.Path, sys.argv[1:])
    (report / "started").touch()
    while not go.exists():
        time.sleep(0.02)
    verdict = {"verdict": "pass", "exit_code": 0, "tasks": [], "checks": []}
    (report / "verdict.json").write_text(json.dumps(verdict))
    '''

    def call(words, file, lock):
        command = [sys.executable, "-c", CHILD, str(file.parent), str(go)]
        return subprocess.call(command, pass_fds=[lock])

    watcher = Watcher(Watch(place, out, (place,), Candidate(model="")), print, call)
    with watcher.opened(wait_s=0.02):
        watcher.go_through()
    """
)


def started(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", ORPHAN, *map(str, words)])


def test_kill_9_of_the_watcher_does_not_evaluate_twice(tmp_path: Path) -> None:
    """The evaluation lives on and holds the lock; the next watcher takes its verdict."""
    place, out, go = tmp_path / "training", tmp_path / "watch", tmp_path / "go"
    checkpoint(place, 1)
    first = started(place, out, go)
    mark = out / "gate" / "checkpoint-1" / "started"
    wait_for(mark.exists)
    other = Watcher(Watch(place, out, (place,), Candidate(model="")), print, lambda *_: 0)
    with pytest.raises(UsageError, match="already writes to"), other.opened():
        pass
    first.send_signal(signal.SIGKILL)
    first.wait()
    mark.unlink()
    second = started(place, out, go)
    go.touch()
    assert second.wait(timeout=120) == 0
    assert [line["status"] for line in read_history(out / watcher.HISTORY)] == ["pass"]
    assert not mark.exists()


def test_an_evaluation_is_a_process_with_a_log(tmp_path: Path) -> None:
    """A checkpoint that cannot be loaded: the reason is in the history, the exit code told."""
    place, out = tmp_path / "training", tmp_path / "watch"
    checkpoint(place, 1)
    words = ["watch", place, "--baseline", "first", "--tasks", "arena-mini", "--once", "--out", out,
             "--sandbox", "none", "--i-know-this-is-unsafe", "--backend", "replay"]  # fmt: skip
    code = cli.run([str(word) for word in words])
    (line,) = read_history(out / watcher.HISTORY)
    assert (code, line["status"], line["exit_code"]) == (ExitCode.USAGE, "failed", ExitCode.USAGE)
    assert "replay needs a .jsonl file" in line["reason"]
    job = json.loads((out / "gate" / "checkpoint-1" / "job.json").read_text())["evaluate"]
    assert job["tasks"] == ["arena-mini"]
    assert job["sandbox"]["tier"] == "none"
    assert job["sandbox"]["allow_unsafe"]


# --- the command line


def parsed(*words: str) -> Any:
    return cli.create_parser("watch").parse_args(["watch", *words])


def test_options_reach_the_evaluations(training: Training) -> None:
    arguments = parsed(
        "somewhere", "--baseline", "first", "--tasks", "arena,arena-mini", "--n", "4",
        "--temperature", "0.5", "--stop=-x", "--stop", "y", "--k", "1,2", "--problems", "a,b",
        "--engine-arg", "a=1", "--data", "arena=x.jsonl", "--no-update-note", "--timeout", "3",
        "--workers", "2",
    )  # fmt: skip
    watch = command._watch(arguments)
    run, candidate = watch.run, watch.candidate
    assert run == from_mapping(RunConfig, json.loads(json.dumps(to_mapping(run))))
    assert (run.tasks, run.n, run.temperature) == (("arena", "arena-mini"), 4, 0.5)
    assert (run.stop, run.k, run.problems) == (("-x", "y"), (1, 2), ("a", "b"))
    assert (run.model_options.engine_args, run.docs.arms) == ({"a": 1}, ("none",))
    assert (run.timeout_s, run.sandbox.workers, run.sandbox.tier) == (3, 2, "auto")
    assert run.data == {"arena": str(Path("x.jsonl").absolute())}
    assert (candidate.tasks, candidate.sandbox.workers) == (("arena", "arena-mini"), 2)
    assert candidate == from_mapping(Candidate, json.loads(json.dumps(to_mapping(candidate))))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--baseline", "first"], "needs --tasks"),
        (["--baseline", "first", "--tasks", "gone"], "gone"),
        (["--baseline", "first", "--tasks", "arena-mini", "--adapter", "a"], "the adapters"),
        (["--baseline", "first", "--tasks", "arena-mini", "--policy", "gone.yaml"], "Cannot read"),
        (["--baseline", "first", "--tasks", "arena-mini", "--stop-on", "pass"], "is not one of"),
        (["--tasks", "arena-mini"], "--baseline"),
    ],
)
def test_wrong_usage(
    words: list[str], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out"), "--once"]
    assert cli.run(["watch", str(tmp_path), *words, *out]) == ExitCode.USAGE
    assert part in capsys.readouterr().err


def test_a_place_to_watch_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt folder was watched once without a finding, and the exit code said all was well."""
    (tmp_path / "file").write_text("")
    for name, part in (("gone", "does not exist"), ("file", "is not a folder")):
        words = ["watch", str(tmp_path / name), "--baseline", "first", "--tasks", "arena-mini"]
        assert cli.run([*words, "--once", "--out", str(tmp_path / "out")]) == ExitCode.USAGE
        assert part in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_look_without_a_new_checkpoint_says_so(
    training: Training, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(training.place, 1)
    monkeypatch.setattr(watcher, "call_process", training.call)
    given = [word for word in training.words if word != "--quiet"]
    words = ["watch", training.place, "--baseline", "first", *given, "--once",
             "--out", training.out]  # fmt: skip
    assert cli.run(list(map(str, words))) == 0
    assert "No new checkpoint" not in capsys.readouterr().err
    assert cli.run(list(map(str, words))) == 0
    assert "checkpoint-1 is the newest: reference" in capsys.readouterr().err


def test_a_baselines_settings_are_not_to_be_given(
    training: Training, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(training.place, 1)
    training.go()
    (line,) = read_history(training.out / watcher.HISTORY)
    words = ["watch", str(training.place), "--baseline", line["runs"][0], "--once", "--out",
             str(training.folder / "second")]  # fmt: skip
    assert cli.run([*words, "--temperature", "1"]) == ExitCode.USAGE
    assert "--temperature: with --baseline RUN" in capsys.readouterr().err
    assert cli.run([*words, "--tasks", "humaneval"]) == ExitCode.USAGE
    assert "the baseline has no run of this task" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("models", "stop", "code"),
    [
        (["base", "better"], [], 0),
        (["base", "worse"], [], 1),
        (["base", "noisy"], [], 3),
        (["base", "worse", "better"], [], 0),
        (["base", "worse", "better"], ["--stop-on", "regress"], 1),
        (["base"], [], 0),
        ([], [], 0),
    ],
)
def test_the_exit_code(
    models: list[str],
    stop: list[str],
    code: int,
    training: Training,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for step, model in enumerate(models, 1):
        checkpoint(training.place, step, model=model)
    monkeypatch.setattr(watcher, "call_process", training.call)
    words = [
        "watch",
        training.place,
        "--baseline",
        "first",
        *training.words,
        "--once",
        "--out",
        training.out,
    ]
    assert cli.run([*map(str, words), *stop]) == code


def test_it_goes_on_watching(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --once a later look finds what was written meanwhile."""
    checkpoint(training.place, 1)
    monkeypatch.setattr(watcher, "call_process", training.call)
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) > 5:
            raise KeyboardInterrupt
        if len(naps) == 2:
            checkpoint(training.place, 2, model="worse")

    monkeypatch.setattr(command, "time", SimpleNamespace(sleep=nap))
    words = ["watch", training.place, "--baseline", "first", *training.words, "--out", training.out,
             "--interval", "7", "--stop-on", "regress"]  # fmt: skip
    assert cli.run([str(word) for word in words]) == 1
    assert naps == [7, 7]
    assert cli.run([str(word) for word in words]) == ExitCode.INTERRUPTED
    assert len(training.calls) == 2
