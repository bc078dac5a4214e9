from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_runs import make_run

from recode_eval.leaderboard.site import build
from recode_eval.run.store import identity_hash

pytestmark = pytest.mark.slow

VALUES = [None, True, -1, 1.5, "<b>", [], {}, ["x"], {"a": 1}, 10**15, "", -1e300]
MUTATIONS = 40


def _places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from _places(value[key], (*path, key))
    elif isinstance(value, list) and value:
        yield from _places(value[0], (*path, 0))


def test_no_change_of_the_results_stops_the_build(tmp_path: Path) -> None:
    """One stranger's file with a text where a table belongs must not cost everybody the site."""
    make_run(tmp_path / "runs", "good", 0.5, n=1, task_name="arena-multi")
    folder = make_run(tmp_path / "runs", "bad", 0.5, n=1, task_name="arena-multi")
    results = json.loads((folder / "results.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    luck = random.Random(7)
    places = [("identity", "model"), *luck.sample(list(_places(results)), MUTATIONS)]
    left_out = 0
    for place in places:
        changed = copy.deepcopy(results)
        parent = changed
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = luck.choice(VALUES)
        if place[0] == "identity" and isinstance(changed["identity"], dict):
            # A stranger would make the hashes fit.
            changed["run"] = identity_hash(changed["identity"])
            manifest["identity"] = changed["identity"]
        (folder / "results.json").write_text(json.dumps(changed))
        (folder / "manifest.json").write_text(json.dumps(manifest))
        built = build([tmp_path / "runs"], tmp_path / "site")
        assert built.runs + len(built.broken) == 2
        left_out += len(built.broken)
        manifest["identity"] = results["identity"]
    assert left_out > MUTATIONS / 4
