"""Complete checkpoints, the log that goes with them, and disk space for the next one.

A run may be killed while it writes a checkpoint, so a mark is written last. A checkpoint without
one is never used, and is removed before the run continues.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.run.store import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARK: Final = "recode_train.json"
LOG: Final = "train.jsonl"
REPORT: Final = "train.json"
COMPLETIONS: Final = "completions.jsonl"
FINAL: Final = "final"
GATE: Final = "gate"
EVALUATIONS: Final = "evaluations"
SAMPLES: Final = "samples"
"""Answers that the model gave before it was trained."""
DONE_SAMPLES: Final = "done.json"
"""In the samples' folder, written last: which run they are."""
_NAME: Final = re.compile(r"checkpoint-(\d+)")
_RESERVE: Final = 64 << 20
"""Bytes left free for logs and results."""

FREE_SETTINGS: Final = frozenset({
    "output", "preset", "logging_steps", "save_steps", "save_total_limit", "eval_steps",
    "eval_tasks", "eval_limit", "eval_n", "eval_temperature", "sandbox", "sandbox_workers",
    "max_barren_batches", "report_to", "completion_samples", "completion_steps", "gate",
    "gate_options", "gate_wait", "push_to_hub", "hub_model_id", "hub_private_repo",
})  # fmt: skip
"""Settings that do not change the weights: an interrupted run may continue with other values."""
_ADDED: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "pairs": None,
        "stop_after_tokens": None,
        "stop_after_seconds": None,
        "tools": [],
        "tool_calls": 16,
        "tool_seconds": 120.0,
        "turns": 1,
        "importance_sampling_level": "token",
        "delta": None,
        "completions": None,
        "completions_per_problem": 4,
        "keep_reward": "auto",
        "keep_at_least": None,
        "attn_implementation": None,
        "disable_dropout": False,
        "packing": False,
        "dpo_loss": "sigmoid",
    }
)
"""Settings that runs of older versions do not name, with the values that they had."""


def checkpoints(output: Path) -> list[tuple[int, Path]]:
    """Return step and folder of every checkpoint, complete or not, in the order of the steps."""
    found = [
        (int(match.group(1)), folder)
        for folder in output.glob("checkpoint-*")
        if (match := _NAME.fullmatch(folder.name)) and folder.is_dir()
    ]
    return sorted(found)


def latest(output: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest complete checkpoint and the content of its mark; None without one."""
    for _, folder in reversed(checkpoints(output)):
        with contextlib.suppress(DataError):
            if (folder / MARK).is_file():
                return folder, read_json(folder / MARK)
    return None


def mark(folder: Path, content: Mapping[str, Any]) -> None:
    """Declare a checkpoint complete; raises `StorageError`."""
    write_json(folder / MARK, content)


def remove_after(output: Path, step: int) -> None:
    """Remove what a killed run wrote after `step`: later checkpoints and lines of the log."""
    for at, folder in checkpoints(output):
        if at > step or not (folder / MARK).is_file():
            shutil.rmtree(folder, ignore_errors=True)
    for name in (LOG, COMPLETIONS):
        _cut_log(output / name, step)


def remove_all(output: Path, *, samples: bool = True) -> None:
    """Remove every trace of an earlier run, on demand without its `samples`; other files stay.

    Raises `UsageError` if the folder holds checkpoints that recode-train did not write.
    """
    found = [folder for _, folder in checkpoints(output)]
    names = (FINAL, EVALUATIONS, GATE, *((SAMPLES,) if samples else ()))
    found += [output / name for name in names if (output / name).exists()]
    ours = any((output / name).is_file() for name in (LOG, REPORT))
    if found and not ours:
        raise UsageError(
            f"{output} holds {found[0].name} but no run of recode-train; choose another output "
            "folder."
        )
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    for name in (LOG, REPORT, COMPLETIONS):
        (output / name).unlink(missing_ok=True)


def write_report(output: Path, content: Mapping[str, Any]) -> None:
    """Replace the report of a run; raises `StorageError`."""
    write_json(output / REPORT, content)


def read_report(output: Path) -> dict[str, Any]:
    """Return the report of a run; empty where there is none that can be read."""
    with contextlib.suppress(DataError):
        if (output / REPORT).is_file():
            return read_json(output / REPORT)
    return {}


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log without one that a kill cut off."""
    if not path.is_file():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            content = json.loads(line)
            if isinstance(content, dict) and isinstance(content.get("step"), int):
                lines.append(content)
    return lines


def append_log(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line; raises `StorageError`."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror}. Free some space.") from error


def _cut_log(path: Path, step: int) -> None:
    if not path.is_file():
        return
    kept = [line for line in read_log(path) if line["step"] <= step]
    temporary = path.with_suffix(".tmp")
    try:
        text = "".join(json.dumps(line) + "\n" for line in kept)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror}. Free some space.") from error


def check_same_run(output: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise `UsageError` if the run in `output` is another one than that of now.

    Both hold `config` and `data_hash`, and where known `model` and `data` as the report has them:
    settings may be the same and what they name may not.
    """
    # What is stored went through JSON, which turns tuples into lists.
    now = json.loads(json.dumps(dict(now)))
    there, here = {**_ADDED, **before.get("config", {})}, now["config"]
    names = (set(here) | set(there)) - FREE_SETTINGS
    changed = sorted(name for name in names if here.get(name) != there.get(name))
    if before.get("data_hash") != now["data_hash"]:
        changed.append("content of the training data")
    known, wanted = _contents(before), _contents(now)
    changed += [name for name in known if name in wanted and known[name] != wanted[name]]
    if changed:
        first = changed[0]
        how = f" ({there.get(first)!r} there, {here.get(first)!r} now)" if first in names else ""
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UsageError(
            f"{output} holds a run with another {first}{how}{more}. Continue it with the same "
            "settings and files, choose another output folder, or start over (--restart)."
        )


def _contents(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run read besides its data, as far as it is recorded."""
    data = run.get("data", {})
    # The path is among the settings; the same files may lie elsewhere.
    model = {key: value for key, value in run.get("model", {}).items() if key != "path"}
    found = {
        "content of the prompt": data.get("prompt_hash"),
        "content of the recorded answers": data.get("answers_hash"),
        "text of the tools or visible test": data.get("conversations"),
        "source of the reward functions": data.get("reward_sources"),
        "content of the model's files": model,
    }
    return {name: value for name, value in found.items() if value}


def check_space(output: Path, needed: int, kept: int) -> None:
    """Raise `StorageError` if `kept` checkpoints, one more and the result do not fit.

    `needed` is their size in bytes; files of an earlier part of the run will be replaced.
    """
    wanted = needed + _RESERVE
    there = sum(_size(folder) for _, folder in checkpoints(output)) + _size(output / FINAL)
    existing = next(p for p in (output.absolute(), *output.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free + there < wanted:
        raise StorageError(
            f"{output} has {(free + there) / 1e9:.1f} GB free, but {kept + 1} checkpoints and the "
            f"result take up to {wanted / 1e9:.1f} GB. Free some space, choose another output "
            "folder, lower save_total_limit, or train an adapter."
        )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
