"""Files of a model on the hub, from its local cache or over the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from recode_eval.errors import InfrastructureError, UsageError, is_disk_trouble
from recode_eval.hub_retries import retries_in_one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_FILES: Final = ("*.json", "*.jinja", "*.txt", "*.model", "*.py", "*.tiktoken")
_SAFE_WEIGHTS: Final = ("*.safetensors",)
_OLD_WEIGHTS: Final = ("*.bin",)
_NEVER: Final = ("original/*", "onnx/*", "*/*.safetensors", "*/*.bin")


def fetch_snapshot(name: str, revision: str | None, role: str) -> tuple[Path, str]:
    """Download `name` (or find it in the cache) and return its folder and its commit.

    Raises `UsageError` when the hub has no such repository or revision or does not let this user
    have it, and `InfrastructureError` when the hub cannot be reached and the cache lacks it.
    """
    path = _download(name, revision, role, (*_FILES, *_SAFE_WEIGHTS))
    if not any(path.glob("*.safetensors")):  # pickled weights only where there is nothing better
        path = _download(name, revision, role, (*_FILES, *_OLD_WEIGHTS))
    return path, path.name


def _download(name: str, revision: str | None, role: str, patterns: Sequence[str]) -> Path:
    try:
        from huggingface_hub import errors, snapshot_download
    except ImportError:
        raise UsageError(
            f"there is no {role} folder {name}; to load it from the hub, pip install "
            "'recode-eval[transformers]'"
        ) from None
    try:
        with retries_in_one_line():
            folder = snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(patterns),
                ignore_patterns=list(_NEVER),
            )
    except errors.GatedRepoError as error:
        raise UsageError(
            f"the hub's {role} {name} is gated: accept its terms there and log in with"
            " `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"the hub's {role} {name} has no revision {revision}") from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(
            f"there is no {role} {name}: no such folder, and the hub has no {role} of that name "
            "(or it is private: log in with `hf auth login`)"
        ) from error
    except errors.HFValidationError as error:
        raise UsageError(f"there is no {role} folder {name}, and it is not a hub id") from error
    except Exception as error:  # the HTTP client's errors vary with the version of the library
        if is_disk_trouble(error):
            raise
        raise InfrastructureError(
            f"there is no folder {name}, and the hub cannot be reached to look for a {role} of"
            f" that name ({type(error).__name__}); check the name, or download it elsewhere and"
            " give the folder"
        ) from error
    return Path(folder)
