"""What two logs of another harness have in common, and where a folder's logs are found."""

from __future__ import annotations

from pathlib import Path

import pytest
from run.test_foreign_logs_hostile import made_log, stored

from recode_eval import compare, gate
from recode_eval.comparison.retest import retests
from recode_eval.errors import UsageError
from recode_eval.exports import documents
from recode_eval.exports.common import About
from recode_eval.run.results_file import load_runs


def test_messages_that_got_other_ids_are_the_same_question(tmp_path: Path) -> None:
    """inspect_ai draws an id for every message; with it no two logs of a chat task were paired."""
    logs = []
    for number in range(2):
        log = made_log()
        for index, sample in enumerate(log["samples"]):
            asked = {"id": f"m{number}-{index}", "role": "user", "content": sample["input"]}
            sample["input"] = [asked]
        logs.append(stored(tmp_path / str(number), log))
    [found] = compare(*logs, metrics=["pass@1"])
    assert (found.differences[0].estimate.n, found.differences[0].estimate.mean) == (6, 0)


def test_logs_without_a_common_question_say_so(tmp_path: Path) -> None:
    """The message named the baseline's metrics, as if the metrics were the trouble."""
    edited, other = made_log(), made_log()
    for sample in edited["samples"]:
        sample["input"] += " please"
    for sample in other["samples"]:
        sample["id"] += "x"
    first = stored(tmp_path / "a", made_log())
    with pytest.raises(UsageError, match=r"no problem in common.*6 of their samples have the same"):
        compare(first, stored(tmp_path / "b", edited))
    with pytest.raises(UsageError, match=r"no problem in common: 6 and 6 problems\.$"):
        compare(first, stored(tmp_path / "c", other))


def test_what_no_log_tells_has_no_figure(tmp_path: Path) -> None:
    """No code found, 0.0, stood beside answers of one word, and tests passed repeated pass@1."""
    log = stored(tmp_path, made_log())
    [run] = load_runs([log])
    assert not {"no_code", "test_rate"} & (run.metrics.keys() | run.results.metrics.keys())
    [found] = compare(log, log)
    assert "pass@1" in (told := {item.metric for item in found.differences})
    assert not {"no_code", "test_rate"} & told
    [table] = documents("csv", [run], About())
    assert "pass@1" in table.text
    assert "no_code" not in table.text


def test_a_folder_may_hold_logs_in_json(tmp_path: Path) -> None:
    """Only .eval files were found in a folder, although a JSON log could be named."""
    name = "2026-01-02T03-04-05-00-00_t_8ZL2Sd5K4vAbKyNSHjqPFz.json"
    stored(tmp_path / "logs", made_log(), name)
    stored(tmp_path / "logs", {"no": "log"}, f"2026{name}")
    stored(tmp_path / "logs", {"no": "log"}, name.replace("_t_", "_u_"))
    [run] = load_runs([tmp_path / "logs"])
    assert Path(run.source).name == name


def test_workers_of_our_tasks_are_no_part_of_the_prompt(tmp_path: Path) -> None:
    """The gate refused two evaluations of one task that differed in -T workers alone."""
    logs = []
    for task in ("recode_eval/t", "other/t"):
        for workers in (1, 2):
            log = made_log()
            log["eval"] |= {"task": task, "task_args": {"docs": "note", "workers": workers}}
            logs.append(stored(tmp_path / task / str(workers), log))
    ours, theirs = (gate(*pair) for pair in (logs[:2], logs[2:]))
    assert not any("prompt" in text for text in ours.invalid)
    assert any("prompt" in text for text in theirs.invalid)


def test_logs_without_a_seed_are_repeats_and_no_copies(tmp_path: Path) -> None:
    """Two evaluations of one model had the same seed, 0: retest refused them."""
    logs = []
    for day in (1, 2):
        log = made_log(12)
        log["eval"] |= {"created": f"2026-01-0{day}T00:00:00", "model_generate_config": {}}
        logs.append(stored(tmp_path / str(day), log))
    runs = load_runs(logs[:1]) + load_runs(logs[1:])
    [found] = retests(runs)
    assert found.spreads[0].deviation == 0
    with pytest.raises(UsageError, match="the same seed and prompt"):
        retests([runs[0], runs[0]])


def test_settings_that_a_log_does_not_tell_are_not_exported(tmp_path: Path) -> None:
    """A temperature of 1 and 0 tokens stood in every export."""
    log = made_log()
    log["eval"]["model_generate_config"] = {"top_p": 0.5}
    runs = load_runs([stored(tmp_path, log)])
    for name in ("csv", "lm-eval", "junit", "model-index", "every-eval-ever"):
        text = "".join(one.text for one in documents(name, runs, About(table="metrics")))
        assert "top_p" in text
        assert not any(word in text for word in ("temperature", "max_tokens", "max_gen_toks")), name
