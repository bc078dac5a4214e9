"""The model card of a training's result: what was trained, on what, how, and what it cost."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "README.md"
_SECRET: Final = ("token", "key", "secret", "password")


def write_card(folder: Path, report: Mapping[str, Any], last: Mapping[str, Any]) -> None:
    """Write the card of a report (`train.json`) into the folder of the result.

    `last` are the figures of the last evaluation by task, empty where there was none. Raises
    `StorageError`.
    """
    from recode_eval.run.store import write_text

    write_text(folder / NAME, make_card(report, last))


def make_card(report: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    """Return the card as Markdown behind a header in YAML."""
    import yaml

    from recode_train.algorithms import ALGORITHMS

    config = report["config"]
    adapter = config["tuning"] != "full"
    header: dict[str, Any] = {
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["recode-train", "trl", config["algorithm"]],
    }
    base = report["model"]
    if "hub" in base:
        header["base_model"] = base["hub"]
    label = report.get("method") or ALGORITHMS.get(config["algorithm"]).label
    rows = [
        ("Base model", _model(base)),
        ("Method", f"{label}, {_tuning(config)}"),
        ("Training pairs", _data(report)),
        ("Prompt", str(report["data"].get("prompt", ""))),
    ]
    if config["preset"]:
        rows.append(("Preset", config["preset"]))
    if ALGORITHMS.get(config["algorithm"]).samples:
        rows.append(("Rewards", ", ".join(f"{k} x {v:g}" for k, v in config["rewards"].items())))
    rows.append(("Seed", str(config["seed"])))
    if report.get("stopped"):
        rows.append(("Stopped early", str(report["stopped"])))
    rows += [(f"{task}, pass@1 at the last evaluation", f"{100 * value:.1f} %")
             for task, found in last.items()
             if isinstance(value := found.get("pass@1"), int | float)]  # fmt: skip
    what = "An adapter for" if adapter else "A model made from"
    parts = [
        "---\n" + yaml.safe_dump(header, sort_keys=False).strip() + "\n---",
        f"# {_cell(Path(config['output']).name)}",
        f"{what} {_cell(_model(base))}, trained by recode-train to write code for changed APIs.",
        _table(rows),
        "## Cost",
        _table([("Updates", str(report["steps"])),
                *((name, f"{value:,}") for name, value in report["budgets"].items() if value)]),
        "## Repeat",
        _code(_command(config)),
        "## Versions",
        _code("\n".join(f"{k} {v}" for k, v in report["invocation"]["trainer"].items())),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _model(identity: Mapping[str, Any]) -> str:
    if "hub" in identity:
        return f"{identity['hub']} (revision {identity.get('revision')})"
    name = Path(str(identity.get("path", "a local model"))).name
    return f"{name} (sha256 {str(identity.get('sha256', 'unknown'))[:16]})"


def _tuning(config: Mapping[str, Any]) -> str:
    if config["tuning"] == "full":
        return "all weights"
    return f"{config['tuning']} with r {config['lora_r']} and alpha {config['lora_alpha']}"


def _data(report: Mapping[str, Any]) -> str:
    data = report["data"]
    count = data.get("prompts", data.get("pairs", "unknown"))
    source = Path(str(data.get("source", "unknown"))).name
    return f"{source}: {count} pairs (sha256 {report['data_hash'][:16]})"


def _command(config: Mapping[str, Any]) -> str:
    """Return the command with every setting that differs from what algorithm and preset say."""
    from recode_eval.leaderboard.publishing import public
    from recode_train.config import TrainConfig

    plain = TrainConfig(
        algorithm=config["algorithm"], model=config["model"], preset=config["preset"]
    ).as_dict()
    shown = dict(config)
    # A card is public, and these may hold a login.
    shown["trainer_args"] = {
        name: value
        for name, value in config["trainer_args"].items()
        if not any(word in name.lower() for word in _SECRET)
    }
    words = ["recode-train", config["algorithm"], "--model", config["model"]]
    if config["preset"]:
        words += ["--preset", config["preset"]]
    for name, value in shown.items():
        if name not in {"algorithm", "model", "preset", "output"} and value != plain.get(name):
            words += ["--set", f"{name}={_yaml_value(value)}"]
    return public(shlex.join(words))


def _yaml_value(value: Any) -> str:
    """Return a value on one line, as `--set` reads it."""
    import json

    return value if isinstance(value, str) else json.dumps(value)


def _cell(text: str) -> str:
    """Return text that stays in its cell and makes no Markdown or HTML of its own."""
    flat = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    for mark in "\\`*_[]<>|#":
        flat = flat.replace(mark, f"\\{mark}")
    return flat


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _code(text: str) -> str:
    """Return a block that its own text cannot close."""
    printable = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return "\n".join(f"    {line}" for line in printable.splitlines())
