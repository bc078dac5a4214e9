"""What tests of mining share."""

from __future__ import annotations

import pytest

from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.sdists import NotPureError, index_files


@pytest.fixture(scope="session")
def needs_index() -> None:
    """Skip where no package index answers."""
    try:
        index_files("humanize")
    except (NotPureError, SandboxBuildError) as error:
        pytest.skip(f"no package index can be reached: {error}")
