"""`python -m recode_eval.schemas` writes the JSON Schemas from the types; `--check` compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from recode_eval.schemas.base import json_schema
from recode_eval.schemas.comparison import ComparisonOutput
from recode_eval.schemas.lift import LiftOutput
from recode_eval.schemas.plan import Plan
from recode_eval.schemas.results import Results
from recode_eval.schemas.verdict import VerdictFile

FOLDER = Path(__file__).parent


def schema_texts() -> dict[str, str]:
    """Return the content of every schema file by its name."""
    made = {
        "results.schema.json": json_schema(Results, "recode-eval results"),
        "compare.schema.json": json_schema(ComparisonOutput, "recode-eval comparison"),
        "lift.schema.json": json_schema(LiftOutput, "recode-eval lift"),
        "plan.schema.json": json_schema(Plan, "recode-eval plan"),
        "verdict.schema.json": json_schema(VerdictFile, "recode-eval gate verdict"),
    }
    return {name: json.dumps(content, indent=2) + "\n" for name, content in made.items()}


def stale() -> list[str]:
    """Return the schema files that are not what the types say."""
    texts = schema_texts()
    present = {path.name for path in FOLDER.glob("*.json")}
    return sorted(
        name
        for name in texts.keys() | present
        if name not in present or (FOLDER / name).read_text(encoding="utf-8") != texts.get(name)
    )


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` name those that are stale."""
    if arguments == ["--check"]:
        for name in stale():
            print(f"{name} is stale: python -m recode_eval.schemas regenerates it", file=sys.stderr)
        return int(bool(stale()))
    for name, text in schema_texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
