"""Where a model's files are: a folder, a GGUF file or the hub, an adapter or none; its identity.

Nothing is loaded here. What comes out are folders on this machine, and what makes the model the
same one when a later run asks again.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, UsageError
from recode_eval.models.fingerprint import fingerprint
from recode_eval.models.gguf import find_gguf, is_gguf_name
from recode_eval.models.hub import fetch_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.models.options import ModelOptions

_HUB_ID: Final = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")
_ADAPTER_CONFIG: Final = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """What an adapter says of itself."""

    base: str | None
    kind: str
    """PEFT's name of the method, for instance LORA."""
    rank: int
    """The largest rank of any layer; 0 where the method has none."""
    use_dora: bool
    revision: str | None = None
    """Branch, tag or commit of the base, where that is on the hub."""


@dataclass(frozen=True, slots=True)
class Source:
    """One folder of files, from the disk or the hub."""

    path: Path
    name: str
    identity: Mapping[str, str]
    gguf: str | None = None
    """Name of the GGUF file in the folder that holds everything; None for other formats."""

    @property
    def location(self) -> Path:
        """What a user would name: the folder, or the GGUF file in it."""
        return self.path if self.gguf is None else self.path / self.gguf

    @property
    def loading(self) -> dict[str, str]:
        """What `from_pretrained` must be told besides the folder."""
        return {} if self.gguf is None else {"gguf_file": self.gguf}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model and, where there is one, the adapter to apply to it."""

    model: Source
    adapter: Source | None = None
    adapter_config: AdapterConfig | None = None

    @property
    def name(self) -> str:
        """For tables: the model's name and, after a plus sign, the adapter's."""
        return f"{self.model.name}+{self.adapter.name}" if self.adapter else self.model.name

    @property
    def identity(self) -> dict[str, Any]:
        """The part of a model's identity that the files decide."""
        adapter = {"adapter": dict(self.adapter.identity)} if self.adapter else {}
        return {"model": dict(self.model.identity), **adapter}

    @property
    def tokenizer_path(self) -> Path:
        """The folder of the tokenizer."""
        return self.tokenizer.path

    @property
    def tokenizer(self) -> Source:
        """Where the tokenizer is: the adapter's own, with which it was trained, or the model's."""
        if self.adapter is not None and (self.adapter.path / "tokenizer_config.json").is_file():
            return self.adapter
        return self.model


def resolve_checkpoint(spec: str, options: ModelOptions) -> Checkpoint:
    """Find the files of `spec`: a folder or hub id of a model or of an adapter, or a GGUF file.

    An adapter given as the model takes its base from its `adapter_config.json`. Raises
    `UsageError` when there is no such model, adapter or base, `DataError` for a malformed adapter
    config or GGUF file and `InfrastructureError` when the hub cannot be reached.
    """
    model = _find(spec, "model", options.revision)
    config = read_adapter_config(model.path) if model.gguf is None else None
    if config is None:
        _require_model(model)
        if options.adapter is None:
            return Checkpoint(model)
        adapter = _find(options.adapter, "adapter", None)
        config = read_adapter_config(adapter.path)
        if config is None:
            raise UsageError(
                f"{options.adapter} is not an adapter: it has no {_ADAPTER_CONFIG}; give the "
                "folder that PEFT's save_pretrained wrote"
            )
        return Checkpoint(model, adapter, config)
    if options.adapter is not None:
        raise UsageError(
            f"{spec} is an adapter itself; give its base as the model and one adapter, not two"
        )
    return Checkpoint(_find_base(model, config), model, config)


def read_adapter_config(folder: Path) -> AdapterConfig | None:
    """Read `adapter_config.json`; None where the folder has none.

    Raises `DataError` when it is malformed.
    """
    path = folder / _ADAPTER_CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read the adapter config {path}: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"the adapter config {path} is not a JSON object")
    base = content.get("base_model_name_or_path")
    revision = content.get("revision")
    patterns = content.get("rank_pattern")
    ranks = [content.get("r"), *(patterns.values() if isinstance(patterns, dict) else ())]
    return AdapterConfig(
        base=base if isinstance(base, str) and base else None,
        kind=str(content.get("peft_type", "")),
        rank=max((rank for rank in ranks if isinstance(rank, int)), default=0),
        use_dora=content.get("use_dora") is True,
        revision=revision if isinstance(revision, str) and revision else None,
    )


def _find_base(adapter: Source, config: AdapterConfig) -> Source:
    """The base that an adapter names: an absolute path, or one from here or from the adapter."""
    advice = "give the base with --model and the adapter with --adapter"
    if config.base is None:
        raise UsageError(f"the adapter {adapter.name} does not name its base; {advice}")
    beside = adapter.path / config.base
    try:
        place = str(beside) if beside.exists() else config.base
        is_local = Path(place).expanduser().exists()
        base = _find(place, "model", None if is_local else config.revision)
        _require_model(base)
    except UsageError as error:
        raise UsageError(
            f"the base of the adapter {adapter.name} cannot be found ({error}); {advice}"
        ) from error
    return base


def check_name(spec: str, role: str = "model") -> None:
    """Raise `UsageError` for what can be no folder, GGUF file or hub id; quick, loads nothing."""
    path = Path(spec).expanduser()
    if path.is_dir():
        return
    if path.exists():
        if role == "model" and is_gguf_name(path.name):
            return
        wanted = "config.json, or a GGUF file (.gguf)" if role == "model" else _ADAPTER_CONFIG
        raise UsageError(f"the {role} {spec} is a file; give the folder that holds {wanted}")
    if is_gguf_name(spec):
        raise UsageError(f"there is no {role} at {spec}: no such file")
    if not _HUB_ID.fullmatch(spec):
        raise UsageError(f"there is no {role} at {spec}: no such folder, and it is not a hub id")


def _find(spec: str, role: str, revision: str | None) -> Source:
    check_name(spec, role)
    place = Path(spec).expanduser()
    if not place.exists():
        path, commit = fetch_snapshot(spec, revision, role)
        return Source(path, spec, {"hub": spec, "revision": commit})
    if revision is not None:
        kind = "folder" if place.is_dir() else "file"
        raise UsageError(f"{spec} is a {kind}; only a {role} from the hub has revisions")
    path = place.resolve()
    file = find_gguf(path) if role == "model" else None
    found = path if file is None else file
    identity = {"path": str(found), "sha256": fingerprint(found)}
    if file is not None:  # such files are named after their model, whatever their folder is called
        return Source(file.parent, file.stem, identity, file.name)
    return Source(path, _name(path), identity)


def _name(folder: Path) -> str:
    """Return the name of a model from a folder: the last two parts, but of a home the last one.

    A name is published, and nobody wants to publish who they are on their machine.
    """
    parent = folder.parent
    people = {Path("/home"), Path("/Users")}
    nameless = parent in {Path("/"), Path.home(), *people} or parent.parent in people
    return folder.name if nameless else f"{parent.name}/{folder.name}"


def _require_model(model: Source) -> None:
    if model.gguf is None and not (model.path / "config.json").is_file():
        raise UsageError(
            f"{model.path} holds no model: it has no config.json, no {_ADAPTER_CONFIG} and no GGUF "
            "file"
        )
