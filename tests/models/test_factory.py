"""Which back-end serves what, with which options, and what is said when none can."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from recode_eval.errors import UsageError
from recode_eval.models import BACKENDS, ModelOptions, choose_backend, create_model, factory
from recode_eval.models.backends import reject_unused

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend which packages are installed and whether there is a GPU."""

    def pretend(*packages: str, gpu: bool = False, tmp: Any = None) -> None:
        monkeypatch.setattr(factory, "_installed", lambda name: name in packages)
        monkeypatch.setattr(factory, "_GPU_DEVICES", ("/dev/null",) if gpu else ())

    return pretend


BOTH = ("vllm", "torch", "transformers")


@pytest.mark.parametrize(
    ("spec", "options", "packages", "gpu", "backend", "reason"),
    [
        ("baseline:stale", {}, (), False, "baseline", "starts with baseline:"),
        ("replay:x.jsonl", {}, (), False, "replay", "starts with replay:"),
        ("openai:gpt", {}, (), False, "openai", "starts with openai:"),
        ("gpt", {"base_url": "http://h/v1"}, BOTH, True, "openai", "base URL"),
        ("org/model", {}, BOTH, True, "vllm", "has a GPU"),
        ("org/model", {}, BOTH, False, "transformers", "no GPU"),
        ("org/model", {}, ("torch", "transformers"), True, "transformers", "vLLM is not installed"),
        ("org/model", {}, ("vllm",), False, "vllm", "only engine"),
        ("org/model", {"device": "cpu"}, BOTH, True, "transformers", "options of transformers"),
        ("org/model", {"engine_args": {"a": 1}}, BOTH, False, "vllm", "options of the vLLM engine"),
        ("org/model", {"tensor_parallel_size": 2}, BOTH, True, "vllm", "options of the vLLM"),
    ],
)
def test_choice_and_reason(
    machine: Any,
    spec: str,
    options: dict[str, Any],
    packages: tuple[str, ...],
    gpu: bool,
    backend: str,
    reason: str,
) -> None:
    machine(*packages, gpu=gpu)
    chosen, why = choose_backend(spec, ModelOptions(**options))
    assert chosen == backend
    assert reason in why


def test_dora_adapter_goes_to_transformers(machine: Any, tmp_path: Path) -> None:
    machine(*BOTH, gpu=True)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"use_dora": True, "r": 4}))
    assert choose_backend("org/model", ModelOptions(adapter=str(tmp_path)))[0] == "transformers"
    assert choose_backend(str(tmp_path))[0] == "transformers"


def test_file_of_completions_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "saved.jsonl"
    path.write_text('{"task_id": "p", "solution": "x"}\n')
    assert choose_backend(str(path))[0] == "replay"
    assert create_model(str(path)).info.backend == "replay"


def test_no_engine_names_the_ways_out(machine: Any) -> None:
    machine()
    with pytest.raises(UsageError, match=r"recode-eval\[transformers\].*--base-url"):
        choose_backend("org/model")


@pytest.mark.parametrize(
    ("spec", "backend", "message"),
    [
        ("x", "nonsense", "no back-end 'nonsense'; choose auto, "),
        ("baseline:stale", "vllm", "names the back-end 'baseline', but --backend is 'vllm'"),
        ("", "replay", "no model given"),
        ("replay:", "auto", "no model given"),
    ],
)
def test_what_does_not_fit_together(spec: str, backend: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_model(spec, backend=backend)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for package, backend in (("vllm", "vllm"), ("openai", "openai")):
        monkeypatch.setitem(sys.modules, package, None)
        options = ModelOptions(base_url="http://h/v1") if backend == "openai" else None
        with pytest.raises(UsageError, match=rf"pip install 'recode-eval\[{backend}\]'"):
            create_model("x", backend=backend, options=options)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs torch.*recode-eval\[transformers\]"):
        create_model("x", backend="transformers")


SETTINGS: dict[str, Any] = {
    "adapter": "x",
    "dtype": "float32",
    "device": "cpu",
    "batch_size": 1,
    "max_context": 9,
    "tensor_parallel_size": 2,
    "data_parallel_size": 2,
    "gpu_memory_utilization": 0.5,
    "engine_args": {"a": 1},
    "trust_remote_code": True,
    "revision": "main",
    "base_url": "http://h/v1",
    "api_key_env": "KEY",
    "concurrency": 2,
    "request_timeout": 1.0,
    "max_retries": 0,
    "server_prefill": "omit",
    "request": {"reasoning_effort": "low"},
}


def test_every_option_belongs_to_some_backend_and_is_refused_by_the_others() -> None:
    """An option that is silently ignored gives a score of something else."""
    assert set(SETTINGS) == {field.name for field in dataclasses.fields(ModelOptions)}
    for name, value in SETTINGS.items():
        options = ModelOptions(**{name: value})
        refusals = []
        for backend in BACKENDS.names():
            try:
                reject_unused(backend, options)
            except UsageError as error:
                refusals.append(str(error))
        assert 0 < len(refusals) < len(BACKENDS.names())
        assert all(name in refusal for refusal in refusals)
    with pytest.raises(UsageError, match="not support the option adapter"):
        create_model("baseline:empty", options=ModelOptions(adapter="x"))


@pytest.mark.parametrize(
    "settings",
    [
        {"dtype": "int4"},
        {"server_prefill": "maybe"},
        {"concurrency": 0},
        {"batch_size": 0},
        {"max_context": -1},
        {"max_retries": -1},
        {"request_timeout": float("nan")},
        {"gpu_memory_utilization": 0.0},
        {"gpu_memory_utilization": 1.5},
        {"base_url": "localhost:8000"},
        {"base_url": "ftp://h/v1"},
    ],
)
def test_values_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(settings))):
        ModelOptions(**settings)


def test_importing_the_package_loads_no_engine() -> None:
    code = (
        "import sys, recode_eval.models; "
        "print([m for m in ('torch', 'transformers', 'vllm', 'openai', 'huggingface_hub', 'jinja2')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
