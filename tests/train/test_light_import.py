"""The trainer's modules load without the heavy libraries, so that `--help` answers at once."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "recode_train.trainers",
        "recode_train.callbacks",
        "recode_train.evaluation",
        "recode_train.trainers.sft",
        "recode_train.trainers.grpo",
        "recode_train.trainers.dapo",
        "recode_train.trainers.loading",
        "recode_train.trainers.training_data",
    ],
)
def test_no_heavy_library_at_import(module: str) -> None:
    code = (
        f"import sys, {module}; "
        "print([m for m in ('torch', 'transformers', 'trl', 'peft', 'datasets', 'accelerate') "
        "if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
