"""Reading rows: from a .jsonl (or .jsonl.gz) or .parquet file, a folder of YAML files, or the hub.

Yields `(where, row)` pairs; `where` names the row for people ("row 17 of x.jsonl"). A row that is
not even an object comes as a `BadRow` instead, so that one torn line never hides the others.
"""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.archives import DAMAGE
from recode_eval.errors import DataError, InfrastructureError, UsageError
from recode_eval.hub_retries import retries_in_one_line
from recode_eval.tasks.base import BadRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BOM = b"\xef\xbb\xbf"
"""What some editors put before the first line of UTF-8."""

Row = tuple[str, "dict[str, Any] | BadRow"]


def read_file(path: Path) -> Iterator[Row]:
    """Read a data file by its suffix.

    Raises:
        DataError: the file is missing, unreadable, or not in the format its name says.
        UsageError: the suffix is unknown, or a package to read it is missing.
    """
    if not path.is_file():
        cause = (
            "it is a folder"
            if path.is_dir()
            else "no such file"
            if path.parent.is_dir()
            else f"the folder {path.parent} does not exist"
        )
        raise DataError(
            f"No data file at {path}: {cause}. Correct the path given with --data or in task.yaml."
        )
    name = path.name.lower()
    if name.endswith((".jsonl", ".json", ".jsonl.gz", ".json.gz")):
        yield from _read_jsonl(path)
    elif name.endswith(".parquet"):
        yield from _read_parquet(path)
    else:
        raise UsageError(
            f"{path.name}: unknown kind of data file; use .jsonl, .jsonl.gz or .parquet."
        )


def _read_jsonl(path: Path) -> Iterator[Row]:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                where = f"row {number} of {path.name}"
                try:
                    row = json.loads(line.removeprefix(_BOM).decode())
                except UnicodeDecodeError as error:
                    yield where, BadRow(where, f"not UTF-8 text ({error.reason})")
                except json.JSONDecodeError as error:  # its own "line 1" would be the row's line
                    place = f"{error.msg} at character {error.pos + 1}"
                    yield where, BadRow(where, f"not JSON ({place})")
                except (ValueError, RecursionError) as error:
                    yield where, BadRow(where, f"not JSON ({error})")
                else:
                    if isinstance(row, dict):
                        yield where, row
                    else:
                        yield where, BadRow(where, f"a JSON object is expected, not {_kind(row)}")
    except DAMAGE as error:
        cause = getattr(error, "strerror", None) or error
        raise DataError(f"Cannot read {path}: {cause}.") from error


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise UsageError(
            "Reading .parquet needs pyarrow: pip install 'recode-eval[hub]'."
        ) from None
    number = 0
    try:
        for batch in parquet.read_table(path).to_batches(max_chunksize=256):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number} of {path.name}", row
    except (OSError, ArrowException, UnicodeDecodeError) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"Cannot read {path}: {cause}") from error


def read_yaml_folder(folder: Path) -> Iterator[Row]:
    """Read the bundled layout: one YAML file per update, with the list `problems` inside.

    Instead of `update`, a file may have a list `updates` that are in force at once; one of them may
    be the path of another file, relative to the folder, whose `update` is taken. Each problem
    becomes a row of the published layout, with ids derived from the updates' paths, types and
    indexes and from the problem's place in the list.
    """
    for path in sorted(folder.glob("*.yaml")):
        content = _yaml(path)
        if isinstance(content, BadRow):
            yield path.name, content
            continue
        if not isinstance(content, dict) or not isinstance(content.get("problems"), list):
            yield path.name, BadRow(path.name, "expects `problems` and `update` or `updates`")
            continue
        updates = _several_updates(content, path) if "updates" in content else None
        if isinstance(updates, BadRow):
            yield path.name, updates
            continue
        update = content.get("update")
        for index, problem in enumerate(content["problems"]):
            where = f"problem {index} of {path.name}"
            if updates is not None and isinstance(problem, dict):
                yield where, _bundled_row_of_several(updates, problem, index)
            elif isinstance(update, dict) and isinstance(problem, dict):
                yield where, _bundled_row(update, problem, index)
            else:
                yield where, BadRow(where, "`update` and each problem must be mappings")


def _several_updates(content: Mapping[str, Any], path: Path) -> list[dict[str, Any]] | BadRow:
    """Return the updates of a file, those of other files read."""
    if "update" in content or not isinstance(content["updates"], list):
        return BadRow(path.name, "expects `update` or a list `updates`, not both")
    updates = []
    for given in content["updates"]:
        update = given
        if isinstance(given, str):
            other = _yaml(path.parent / given)
            if isinstance(other, BadRow):
                return BadRow(path.name, f"the update {given} is {other.reason}")
            update = other.get("update") if isinstance(other, dict) else None
        if not isinstance(update, dict):
            return BadRow(
                path.name, "each of `updates` must be a mapping or a file with an `update`"
            )
        updates.append(_identified(update))
    return updates


def read_yaml_lists(folder: Path) -> Iterator[Row]:
    """Read a folder of YAML files, each a list of rows."""
    for path in sorted(folder.glob("*.yaml")):
        content = _yaml(path)
        if isinstance(content, BadRow):
            yield path.name, content
        elif not isinstance(content, list):
            yield path.name, BadRow(path.name, f"expects a list of rows, not {_kind(content)}")
        else:
            for number, row in enumerate(content, 1):
                where = f"row {number} of {path.name}"
                if isinstance(row, dict):
                    yield where, row
                else:
                    yield where, BadRow(where, f"a mapping is expected, not {_kind(row)}")


def _yaml(path: Path) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506
    except (yaml.YAMLError, OSError, UnicodeDecodeError, RecursionError) as error:
        return BadRow(path.name, f"not readable as YAML ({error})")


def _identified(update: Mapping[str, Any]) -> dict[str, Any]:
    update = dict(update)
    number = update.pop("index", 0)
    update_id = f"[{update.get('function_path')}]:[{update.get('update_type')}]:[update-{number}]"
    return {**update, "update_id": update_id}


def _bundled_row(update: Mapping[str, Any], problem: dict[str, Any], index: int) -> dict[str, Any]:
    update = _identified(update)
    return {
        "imports": update.get("imports"),
        **problem,
        "update": update,
        "update_id": update["update_id"],
        "prog_syn_id": f"{update['update_id']}:[prog_syn-{index}]",
    }


def _bundled_row_of_several(
    updates: list[dict[str, Any]], problem: dict[str, Any], index: int
) -> dict[str, Any]:
    return {
        "imports": [update.get("imports") or "" for update in updates],
        **problem,
        "updates": updates,
        "prog_syn_id": f"{'+'.join(u['update_id'] for u in updates)}:[prog_syn-{index}]",
    }


def read_hub(source: Mapping[str, Any], task: str) -> Iterator[Row]:
    """Read a dataset of the hub (or of its local cache, which is used without a connection).

    Raises:
        UsageError: the `datasets` package is missing.
        InfrastructureError: the hub cannot be reached and nothing is cached; the message names the
            two ways out.
    """
    name = str(source["path"])
    ways_out = (
        f"Give the rows as a file (--data {task}=FILE.jsonl), "
        "or use a bundled task (--tasks arena-mini, arena-multi, migration)."
    )
    try:
        import datasets
    except ImportError:
        raise UsageError(
            f"Loading {name} from the hub needs the package datasets: "
            f"pip install 'recode-eval[hub]'. {ways_out}"
        ) from None
    datasets.disable_progress_bars()
    try:
        with retries_in_one_line():
            table = datasets.load_dataset(name, source.get("name"), split=str(source["split"]))
    except Exception as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InfrastructureError(
            f"Cannot load {name} from the hub ({cause}). {ways_out}"
        ) from error
    for number, row in enumerate(table, 1):
        yield f"row {number} of {name}", dict(row)


def data_path(source: str) -> Path:
    """Return the path that the user gave with `--data`."""
    return Path(source).expanduser()


def _kind(value: object) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return {dict: "an object", list: "a list", str: "text", type(None): "null"}.get(
        type(value), type(value).__name__
    )
