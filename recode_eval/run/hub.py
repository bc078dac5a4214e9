"""Files on the hub as places of stored runs: `hub:OWNER/NAME[@REVISION]/path/results.json`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from recode_eval.errors import InfrastructureError, UsageError, is_disk_trouble
from recode_eval.hub_retries import retries_in_one_line

PREFIX: Final = "hub:"
_PLACE: Final = re.compile(
    r"hub:(?P<datasets>datasets/)?(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[^/@]+))?/(?P<file>.+)"
)


def fetch(place: str) -> Path:
    """Download a file (or find it in the cache) and return where it is.

    The repository is a model's, or with `hub:datasets/OWNER/NAME/...` a data set's.

    Raises:
        UsageError: `place` is not of that form, or the hub has no such file, or not for this user.
        InfrastructureError: the hub cannot be reached and the cache lacks the file.
    """
    found = _PLACE.fullmatch(place)
    if found is None or {"", ".", ".."} & set(found["file"].split("/")) or "\\" in found["file"]:
        raise UsageError(
            f"{place}: write hub:OWNER/NAME/path/results.json, or hub:OWNER/NAME@REVISION/..., or "
            "hub:datasets/OWNER/NAME/... for a data set."
        )
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError:
        raise InfrastructureError(
            f"{place}: the hub needs its client: pip install 'recode-eval[hub]'."
        ) from None
    try:
        with retries_in_one_line():
            path = hf_hub_download(
                found["repository"],
                found["file"],
                repo_type="dataset" if found["datasets"] else "model",
                revision=found["revision"],
            )
    except errors.LocalEntryNotFoundError as error:
        raise _unreachable(place, error) from error
    except errors.GatedRepoError as error:
        raise UsageError(
            f"{place}: the repository is gated: accept its terms there and log in with "
            "`hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"{place}: the repository has no revision {found['revision']}.") from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(
            f"{place}: the hub has no such repository (or it is private: log in with `hf auth "
            "login`). A data set is hub:datasets/OWNER/NAME/..."
        ) from error
    except errors.EntryNotFoundError as error:
        raise UsageError(f"{place}: the repository has no file {found['file']}.") from error
    except errors.HFValidationError as error:
        raise UsageError(f"{place}: {error}") from error
    except Exception as error:  # the HTTP client's errors vary with the version of the library
        if is_disk_trouble(error):
            raise
        raise _unreachable(place, error) from error
    return Path(path)


def _unreachable(place: str, error: Exception) -> InfrastructureError:
    return InfrastructureError(
        f"{place}: the hub cannot be reached, and the local cache lacks the file "
        f"({type(error).__name__}). Download it elsewhere, and give its path."
    )
