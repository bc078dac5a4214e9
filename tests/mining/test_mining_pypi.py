"""Mining real libraries from the package index, measured against the lists written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from test_mining_local import tier

from recode_eval.mining import MineConfig, mine
from recode_eval.run.config import SandboxOptions
from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.sdists import NotPureError, index_files

if TYPE_CHECKING:
    from types import ModuleType

pytest.importorskip("griffe")

HERE = Path(__file__).parent


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(HERE.parents[1] / "benchmarks"))
    import mining

    return mining


@pytest.mark.slow
@pytest.mark.parametrize("library", ["cachetools", "tenacity", "jsonschema"])
def test_nine_in_ten_listed_changes_are_found(
    library: str, tmp_path: Path, benchmark: ModuleType
) -> None:
    try:
        index_files(library)
    except (NotPureError, SandboxBuildError) as error:
        pytest.skip(f"no package index can be reached: {error}")
    listed: dict[str, Any] = yaml.safe_load((HERE / "truth" / f"{library}.yaml").read_text())
    options = SandboxOptions(tier=tier())
    mined = mine(
        MineConfig(
            library=library, old=listed["old"], new=listed["new"], out=tmp_path, sandbox=options
        )
    )
    measured = benchmark.recall(listed["changes"], mined.candidates)
    assert measured.found / measured.changes >= 0.9, measured.missed
    executed = sum(candidate.executed for candidate in mined.candidates)
    assert executed / len(mined.candidates) >= 0.6
