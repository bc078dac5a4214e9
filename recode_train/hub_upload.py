"""Upload a training's result to the hub: asked for before the training, done after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recode_eval.errors import InfrastructureError, UsageError, is_disk_trouble
from recode_eval.hub_retries import retries_in_one_line

if TYPE_CHECKING:
    from pathlib import Path


def make_repository(name: str, *, private: bool) -> str:
    """Make the repository, unless it is there, and return its full name.

    Called before a training: what would keep the result from the hub is known before hours of work.

    Raises:
        UsageError: nobody is logged in, or this user may not write there.
        InfrastructureError: the hub cannot be reached.
    """
    from huggingface_hub import HfApi

    try:
        with retries_in_one_line():
            return str(HfApi().create_repo(name, private=private, exist_ok=True).repo_id)
    except Exception as error:
        raise _blamed(name, error) from error


def upload(folder: Path, repository: str) -> str:
    """Upload a folder and return the commit's address. Raises as `make_repository`."""
    from huggingface_hub import HfApi

    try:
        with retries_in_one_line():
            done = HfApi().upload_folder(
                repo_id=repository,
                folder_path=folder,
                commit_message="Upload what recode-train made",
            )
    except Exception as error:
        raise _blamed(
            repository, error, f" The result itself is complete: hf upload {repository} {folder}"
        ) from error
    return str(done.commit_url)


def _blamed(name: str, error: Exception, more: str = "") -> Exception:
    """Return the error as one of ours."""
    from huggingface_hub import errors

    if is_disk_trouble(error):
        return error
    if isinstance(error, errors.LocalTokenNotFoundError):
        return UsageError(f"push_to_hub: log in first (hf auth login), or set HF_TOKEN.{more}")
    if isinstance(error, errors.HFValidationError):
        return UsageError(f"push_to_hub: hub_model_id {name}: {error}{more}")
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    if status in {401, 403, 404}:
        return UsageError(
            f"push_to_hub: the hub refuses {name} (HTTP {status}): log in with a token that may "
            f"write there (hf auth login), or set another hub_model_id.{more}"
        )
    what = f"HTTP {status}" if status else type(error).__name__
    return InfrastructureError(
        f"push_to_hub: the hub cannot be reached ({what}). Train without push_to_hub, and upload "
        f"the result later.{more}"
    )
