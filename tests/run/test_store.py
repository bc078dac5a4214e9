from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.run.records import CompletionRecord, ScoreRecord
from recode_eval.run.store import (
    COMPLETIONS,
    MANIFEST,
    SCORES,
    AppendOnlyFile,
    RunStore,
    read_records,
    run_folder,
    write_json,
)


def record(sample: int = 0, text: str = "x") -> CompletionRecord:
    return CompletionRecord("p", sample, 1, "h", text, "stop")


@given(st.text(st.characters() | st.characters(categories=["Cs"])))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    """NUL bytes and lone surrogates in completions must not break the store."""
    line = json.dumps(record(text=text).to_json())
    assert line.isascii()
    assert CompletionRecord.from_json(json.loads(line)).text == text


def test_a_torn_last_line_is_cut_off_and_the_rest_stays(tmp_path: Path) -> None:
    """A process killed in the middle of a write leaves half a line behind."""
    with RunStore(tmp_path) as store:
        store.add_completion(record(0))
        store.add_completion(record(1, "y" * 200_000))
    path = tmp_path / COMPLETIONS
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:100_000].replace(b"\n", b""))
    assert len(list(read_records(path, CompletionRecord))) == 2
    with RunStore(tmp_path) as store:
        assert path.read_bytes() == whole
        store.add_completion(record(2))
    assert [r.sample for r in read_records(path, CompletionRecord)] == [0, 1, 2]


def test_a_file_that_is_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / COMPLETIONS
    path.write_bytes(b'{"problem_id": ' + b"x" * 300_000)
    AppendOnlyFile(path).close()
    assert path.read_bytes() == b""


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / COMPLETIONS
    good = json.dumps(record().to_json())
    path.write_text(f"{good}\n{{broken\n{good}\n")
    with pytest.raises(DataError, match="line 2 is damaged"):
        list(read_records(path, CompletionRecord))
    path.write_text(f'{good}\n{{"problem_id": "p"}}\n')
    with pytest.raises(DataError, match="line 2 is damaged"):
        list(read_records(path, CompletionRecord))


def test_a_full_disk_is_said_and_leaves_whole_lines(tmp_path: Path) -> None:
    """The file-size limit stands in for the full disk: a write of the kernel that fails midway."""
    program = f"""
import resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_store import record
from recode_eval.run.store import RunStore
from recode_eval.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
with RunStore(Path({str(tmp_path)!r})) as store:
    stored = 0
    try:
        for i in range(1000):
            store.add_completion(record(i, "z" * 300))
            stored += 1
    except StorageError as error:
        print(stored, error)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    stored, message = result.stdout.split(" ", 1)
    assert 0 < int(stored) < 20
    assert "free some space" in message
    content = (tmp_path / COMPLETIONS).read_bytes()
    assert content.endswith(b"\n")
    assert content.count(b"\n") == int(stored)


def test_a_disk_that_is_full_only_when_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Network file systems report a full disk at the sync: it ended as a bug of this program."""
    with RunStore(tmp_path) as store:
        store.add_completion(record())

        def full(fd: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("recode_eval.run.store.os.fsync", full)
        with pytest.raises(StorageError, match="free some space"):
            store.close()
    monkeypatch.undo()
    with RunStore(tmp_path) as again:
        assert len(again.completions(lambda _: True)) == 1


def test_a_run_that_cannot_be_opened_is_not_locked(tmp_path: Path) -> None:
    """The lock was kept after the failure: "Another process is writing", said the next try."""
    (tmp_path / SCORES).mkdir()
    with pytest.raises(StorageError, match=SCORES):
        RunStore(tmp_path)
    (tmp_path / SCORES).rmdir()
    RunStore(tmp_path).close()


def test_two_processes_never_write_to_one_run(tmp_path: Path) -> None:
    with RunStore(tmp_path), pytest.raises(UsageError, match="Another process"):
        RunStore(tmp_path)
    RunStore(tmp_path).close()


def test_the_first_completion_of_a_sample_counts(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.add_completion(record(0, "first"))
        store.add_completion(record(0, "second"))
        assert store.completions(lambda _: True)["p", 0].text == "first"
        assert dict(store.completions(lambda record: record.prompt_hash == "other")) == {}


@pytest.mark.parametrize(
    "name", ["../../etc/x", "/abs", "..", "", "a/b:c\n", "\x1b[31m", "x" * 500]
)
def test_no_model_name_leaves_the_folder(tmp_path: Path, name: str) -> None:
    """A model's name is user and server text; as a path it must stay below --out."""
    folder = run_folder(tmp_path, name, "arena", {"a": 1})
    assert folder.resolve().parent.parent == tmp_path.resolve()
    assert folder.parent.name.isprintable()


def test_a_json_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    with pytest.raises(StorageError):
        write_json(tmp_path / "missing" / "results.json", {})
    with pytest.raises(StorageError):
        write_json(path / "below a file" / "results.json", {})


@pytest.mark.parametrize(
    "change",
    [
        {"text": 5},
        {"prefill": None},
        {"seconds": "x"},
        {"completion_tokens": "a"},
        {"finish_reason": []},
        {"sample": True},
        {"sample": 1.5},
        {"problem_id": 5},
    ],
)
def test_a_record_of_the_wrong_type_is_a_damaged_line(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """It came out later, as a traceback, and the run could never go on."""
    path = tmp_path / COMPLETIONS
    path.write_text(json.dumps(record().to_json() | change) + "\n")
    with pytest.raises(DataError, match="line 1 is damaged"):
        list(read_records(path, CompletionRecord))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"similarity": {"es": "x"}}, "es is 'x', no number of 0 to 1"),
        ({"similarity": {"es": None}}, "es is None"),
        ({"similarity": {"es": float("nan")}}, "es is nan"),
        ({"similarity": {"es_star": 2.5}}, "no number of -2 to 2"),
        ({"similarity": {"es": 10**400}}, "es is 1000"),
        ({"measures": {"own": True}}, "own is True"),
        ({"sample": -1}, "sample is -1"),
        ({"cpu_limit_s": float("inf")}, "cpu_limit_s is inf"),
        ({"conditions": {"c": {"passed": 1, "tests": []}}}, "passed of c is neither true nor"),
        ({"conditions": {"c": {"passed": True, "tests": [], "cpu_s": "1"}}}, "cpu_s is '1'"),
        ({"conditions": {"c": {"passed": True, "tests": [], "output": 1}}}, "output of c is no"),
        ({"conditions": {"c": {"passed": True, "tests": [[1, "passed", ""]]}}}, "name, status"),
    ],
)
def test_a_score_that_cannot_be_right_is_a_damaged_line(
    tmp_path: Path, change: dict[str, object], part: str
) -> None:
    """Its figures were averaged all the same: a traceback that named neither file nor line."""
    score = {
        "problem_id": "p", "sample": 0, "prompt_hash": "h", "completion": "c", "scoring": "s",
        "tier": "landlock", "extraction": "none", "extraction_detail": "", "code": None,
        "similarity": {"es": 1, "es_star": -2.0},
    }  # fmt: skip
    file = tmp_path / SCORES
    file.write_text(json.dumps(score) + "\n")
    assert len(list(read_records(file, ScoreRecord))) == 1
    file.write_text(json.dumps({**score, **change}) + "\n")
    with pytest.raises(DataError, match=rf"{SCORES}, line 1 is damaged .*{re.escape(part)}"):
        list(read_records(file, ScoreRecord))


@pytest.mark.parametrize(
    "change",
    [{"seconds": float("nan")}, {"seconds": -1}, {"prompt_tokens": 10**400}, {"sample": -1}],
)
def test_a_completion_with_an_impossible_amount_is_a_damaged_line(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """NaN seconds went into the results, which no command could read again."""
    file = tmp_path / COMPLETIONS
    file.write_text(json.dumps({**record(0).to_json(), **change}) + "\n")
    with pytest.raises(DataError, match=f"line 1 is damaged .{next(iter(change))} is"):
        list(read_records(file, CompletionRecord))


def test_a_line_of_brackets_is_a_damaged_line(tmp_path: Path) -> None:
    """The JSON parser gives up on deep nesting with an error of another kind."""
    path = tmp_path / COMPLETIONS
    path.write_text("[" * 100_000 + "\n")
    with pytest.raises(DataError, match="line 1 is damaged"):
        list(read_records(path, CompletionRecord))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema_version": 999}', "schema version 999"),
        ("{}", "schema version None"),
        ('{"schema_version": 1, "invocations": 5}', "damaged"),
        ("[" * 100_000, "Cannot read"),
    ],
)
def test_a_foreign_manifest_is_never_overwritten(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with RunStore(tmp_path) as store, pytest.raises(DataError, match=message):
        store.manifest()
    assert (tmp_path / MANIFEST).read_text() == content
