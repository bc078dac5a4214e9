"""Where a checkpoint is found, and what makes it the same one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from recode_eval.errors import DataError, UsageError
from recode_eval.models import ModelOptions
from recode_eval.models import fingerprint as fingerprint_module
from recode_eval.models.checkpoint import read_adapter_config, resolve_checkpoint
from recode_eval.models.fingerprint import fingerprint

if TYPE_CHECKING:
    from pathlib import Path


def make_model(folder: Path, weights: bytes = b"weights", **config: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def make_adapter(folder: Path, base: str | None, **config: Any) -> Path:
    folder.mkdir(parents=True)
    content = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": base, **config}
    (folder / "adapter_config.json").write_text(json.dumps(content))
    (folder / "adapter_model.safetensors").write_bytes(b"adapter")
    return folder


def identity(spec: Path, **options: Any) -> dict[str, Any]:
    return resolve_checkpoint(str(spec), ModelOptions(**options)).identity


def test_identity_follows_the_content(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    first = identity(model)
    assert first == identity(model)
    (model / "model.safetensors").write_bytes(b"weightz")
    second = identity(model)
    (model / "config.json").write_text("{}")
    third = identity(model)
    assert len({json.dumps(each) for each in (first, second, third)}) == 3


def test_a_name_does_not_tell_whose_home_the_model_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--model ~/final` was named USER/final, on every page and in every submission."""
    model = make_model(tmp_path / "ada" / "final")
    assert resolve_checkpoint(str(model), ModelOptions()).name == "ada/final"
    monkeypatch.setenv("HOME", str(tmp_path / "ada"))
    assert resolve_checkpoint(str(model), ModelOptions()).name == "final"


def test_identity_ignores_what_a_trainer_leaves_behind(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    before = identity(model)
    for name in ("optimizer.pt", "trainer_state.json", "training_args.bin", "README.md"):
        (model / name).write_text("x")
    assert identity(model) == before


def test_large_weights_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two fine-tunes of one model have the same sizes and headers; only the numbers differ."""
    monkeypatch.setattr(fingerprint_module, "_WHOLE", 1000)
    monkeypatch.setattr(fingerprint_module, "_BLOCK", 64)
    monkeypatch.setattr(fingerprint_module, "_BLOCKS", 16)
    size = 50_000
    path = make_model(tmp_path / "m", bytes(size)) / "model.safetensors"
    seen = {fingerprint(path.parent)}
    trained = bytes(1000) + bytes(range(1, 201)) * ((size - 1000) // 200)
    for content in (trained, bytes(size - 1) + b"\x01", b"\x01" + bytes(size - 1), bytes(size + 1)):
        path.write_bytes(content)
        seen.add(fingerprint(path.parent))
    assert len(seen) == 5


@pytest.mark.parametrize("form", ["absolute", "beside"])
def test_adapter_finds_its_base(tmp_path: Path, form: str) -> None:
    base = make_model(tmp_path / "runs" / "base")
    adapter = make_adapter(
        tmp_path / "runs" / "adapter", str(base) if form == "absolute" else "../base"
    )
    found = resolve_checkpoint(str(adapter), ModelOptions())
    assert found.model.path == base
    assert found.adapter is not None
    assert found.adapter.path == adapter
    assert found.name == "runs/base+runs/adapter"
    given = resolve_checkpoint(str(base), ModelOptions(adapter=str(adapter)))
    assert given.identity == found.identity
    assert given.identity != identity(base)


def test_adapters_own_tokenizer_is_used(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", str(base))
    assert resolve_checkpoint(str(adapter), ModelOptions()).tokenizer_path == base
    (adapter / "tokenizer_config.json").write_text("{}")
    assert resolve_checkpoint(str(adapter), ModelOptions()).tokenizer_path == adapter


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (None, "does not name its base; give the base with --model"),
        ("/nowhere/base", "base of the adapter .* cannot be found .*/nowhere/base"),
        ("../empty", "cannot be found .* holds no model"),
    ],
)
def test_adapter_whose_base_is_missing(tmp_path: Path, base: str | None, message: str) -> None:
    (tmp_path / "empty").mkdir()
    adapter = make_adapter(tmp_path / "adapter", base)
    with pytest.raises(UsageError, match=message) as caught:
        resolve_checkpoint(str(adapter), ModelOptions())
    assert "--adapter" in str(caught.value)


def test_what_is_no_model(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    adapter = make_adapter(tmp_path / "adapter", str(model))
    (tmp_path / "file").write_text("x")
    for spec, options, message in (
        (tmp_path / "absent", {}, "there is no model at .*absent"),
        ("~/absent/deep", {}, "there is no model at"),
        (tmp_path / "file", {}, "is a file; give the folder"),
        (tmp_path, {}, "holds no model: it has no config.json"),
        (model, {"revision": "main"}, "only a model from the hub has revisions"),
        (model, {"adapter": str(tmp_path / "absent")}, "there is no adapter at"),
        (model, {"adapter": str(model)}, "is not an adapter: it has no adapter_config.json"),
        (adapter, {"adapter": str(adapter)}, "is an adapter itself"),
    ):
        with pytest.raises(UsageError, match=message):
            resolve_checkpoint(str(spec), ModelOptions(**options))


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_malformed_adapter_config(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "adapter_config.json").write_bytes(content)
    with pytest.raises(DataError, match="adapter config"):
        read_adapter_config(tmp_path)


def test_adapter_config_takes_the_largest_rank(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a", "b", rank_pattern={"x": 64, "y": 4}, use_dora=True)
    config = read_adapter_config(adapter)
    assert config is not None
    assert (config.rank, config.use_dora, config.kind, config.base) == (64, True, "LORA", "b")
    assert read_adapter_config(tmp_path / "nowhere") is None


RESOLVE = """
import json, sys
from recode_eval.errors import RecodeError
from recode_eval.models import ModelOptions
from recode_eval.models.checkpoint import resolve_checkpoint
try:
    found = resolve_checkpoint(sys.argv[1], ModelOptions())
    print(json.dumps({"identity": found.identity, "path": str(found.model.path)}))
except RecodeError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
"""


def resolve_elsewhere(name: str, cache: Path, **environment: str) -> dict[str, Any]:
    """In a process of its own: the hub's client reads its settings at import."""
    pytest.importorskip("huggingface_hub", reason="needs pip install 'recode-eval[hub]'")
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE, name],
        env={**os.environ, "HF_HUB_CACHE": str(cache), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_model_in_the_hubs_cache(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--org--tiny"
    folder = make_model(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    found = resolve_elsewhere("org/tiny", tmp_path, HF_HUB_OFFLINE="1")
    assert found == {
        "identity": {"model": {"hub": "org/tiny", "revision": commit}},
        "path": str(folder),
    }


@pytest.mark.parametrize("offline", [True, False])
def test_hub_out_of_reach(tmp_path: Path, offline: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "NO_PROXY": "127.0.0.1"}
    if offline:
        environment["HF_HUB_OFFLINE"] = "1"
    found = resolve_elsewhere("org/absent", tmp_path, **environment)
    assert found["error"] == "InfrastructureError"
    assert "hub cannot be reached" in found["message"]
    assert "give the folder" in found["message"]
