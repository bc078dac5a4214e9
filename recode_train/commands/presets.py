"""`recode-train presets`: list the presets, or every setting with its range and default."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    import argparse


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--settings", action="store_true", help="list every setting, its range and its default"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> int:
    """Print the list."""
    if arguments.settings:
        _show_settings(as_json=arguments.json)
    else:
        _show_presets(as_json=arguments.json)
    return ExitCode.OK


def _show_settings(*, as_json: bool) -> None:
    from recode_train.config import setting_defaults

    rows = setting_defaults()
    if as_json:
        print(json.dumps({name: [kind, default] for name, kind, default in rows}, indent=2))
        return
    width = max(len(kind) for _, kind, _ in rows)
    for name, kind, default in rows:
        print(f"{name:<30} {kind:<{width}} {default}")


def _show_presets(*, as_json: bool) -> None:
    from recode_eval.terminal import one_line
    from recode_train.presets import PRESETS

    if as_json:
        content = {
            preset.name: {
                "algorithms": list(preset.algorithms),
                "description": preset.description,
                "settings": dict(preset.settings),
            }
            for preset in PRESETS.values()
        }
        print(json.dumps(content, indent=2))
        return
    for preset in PRESETS.values():
        print(f"{preset.name} ({', '.join(preset.algorithms)})")
        print(f"  {one_line(preset.description)}")
        for name, value in preset.settings.items():
            print(f"    {name}: {json.dumps(value)}")
