"""`recode-train presets`: list the presets, or every setting with its range and default."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from recode_eval.commands.parsers import completed_by
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from recode_train.presets import Preset


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    chosen = parser.add_argument(
        "names", metavar="NAME", nargs="*", help="presets to list (default: all)"
    )
    completed_by(chosen, _names)
    parser.add_argument(
        "--settings", action="store_true", help="list every setting, its default and its range"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> int:
    """Print the list."""
    if arguments.settings and arguments.names:
        raise UsageError("Give names of presets or --settings, not both.")
    if arguments.settings:
        _show_settings(as_json=arguments.json)
    else:
        _show_presets(_chosen(arguments.names), as_json=arguments.json)
    return ExitCode.OK


def _names() -> Iterable[str]:
    from recode_train.presets import PRESETS

    return PRESETS


def _chosen(names: Sequence[str]) -> list[Preset]:
    """Return the presets of these names, or all; raises `UsageError`."""
    from recode_eval.plugins import unknown
    from recode_train.presets import PRESETS

    for name in names:
        if name not in PRESETS:
            raise UsageError(unknown("preset", name, PRESETS))
    return [PRESETS[name] for name in names or PRESETS]


def _show_settings(*, as_json: bool) -> None:
    from recode_eval.tables import print_table
    from recode_eval.terminal import one_line, stdout_console
    from recode_train.algorithms import ALGORITHMS
    from recode_train.config import setting_defaults
    from recode_train.setting_sources import as_yaml

    rows = setting_defaults()
    if as_json:
        print(json.dumps({name: [kind, default] for name, kind, default in rows}, indent=2))
        return
    console = stdout_console()
    table = [(name, default, kind) for name, kind, default in rows]
    print_table(console, ["setting", "default", "value"], table, left=(0, 1, 2))
    console.print("\nOther defaults of an algorithm:", soft_wrap=True)
    for name in ALGORITHMS.builtin:
        own = ALGORITHMS.get(name).defaults
        texts = (f"{key}={as_yaml(value)}" for key, value in own.items())
        line = one_line(f"{name}: {', '.join(texts) or 'none'}")
        console.print(f"  {line}", soft_wrap=True)


def _show_presets(presets: Iterable[Preset], *, as_json: bool) -> None:
    from recode_eval.terminal import one_line

    if as_json:
        content = {
            preset.name: {
                "algorithms": list(preset.algorithms),
                "description": preset.description,
                "settings": dict(preset.settings),
            }
            for preset in presets
        }
        print(json.dumps(content, indent=2))
        return
    for preset in presets:
        print(f"{preset.name} ({', '.join(preset.algorithms)})")
        print(f"  {one_line(preset.description)}")
        for name, value in preset.settings.items():
            print(f"    {name}: {json.dumps(value)}")
