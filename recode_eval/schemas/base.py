"""What all file types share: a base class that also reads like JSON, and strict decoding."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from recode_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LARGEST = 2**53
"""Beyond it a number is neither a count nor a share, and a browser cannot hold it."""

Integer = Annotated[int, Meta(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
Positive = Annotated[int, Meta(ge=1, le=LARGEST)]
Share = Annotated[float, Meta(ge=0, le=1)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class JsonStruct(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a file; `section["key"]` is the same as `section.key`."""

    def __getitem__(self, key: str) -> Any:
        if key not in self.__struct_fields__:
            raise KeyError(key)
        return getattr(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field by its name, or `default` where there is no such field."""
        return getattr(self, key) if key in self.__struct_fields__ else default

    def keys(self) -> Sequence[str]:
        """Return the names of the fields."""
        return self.__struct_fields__

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield names and values of the fields."""
        return ((key, getattr(self, key)) for key in self.__struct_fields__)


S = TypeVar("S", bound=JsonStruct)


def decode(data: bytes, kind: type[S], name: str) -> S:
    """Return a file's content as `kind`; unknown keys (of a newer version) are left out.

    Raises:
        DataError: it is no JSON, or it does not follow the schema; the message has `name`, the
            place in the file, and what is expected there.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise _unlike(name, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # Python's parser has the better message, and takes the lone surrogates of models.

    def refuse(text: str) -> float:
        raise DataError(f"{name} is damaged: it holds {text}, which is not finite.")

    try:
        content = json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise DataError(f"Cannot read: {name} is not JSON ({error}).") from error
    check_numbers(content, name)
    return convert(content, kind, name)


def convert(content: object, kind: type[S], name: str) -> S:
    """Return parsed JSON as `kind`; raises `DataError` as `decode` does."""
    try:
        return msgspec.convert(content, kind)
    except (msgspec.ValidationError, RecursionError, UnicodeError) as error:
        raise _unlike(name, error) from error


def check_numbers(content: object, name: str) -> None:
    """Refuse numbers that JSON does not have or that a page cannot show; raises `DataError`."""
    stack = [content]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, int | float) and (
            not math.isfinite(value) if isinstance(value, float) else abs(value) > LARGEST
        ):
            raise DataError(
                f"{name} is damaged: it holds a number that is not finite or far too large."
            )


def require(content: dict[str, Any], keys: Sequence[str], place: str) -> None:
    """Check the keys of a free-form object; raises `ValueError`."""
    missing = [key for key in keys if key not in content]
    if missing:
        raise ValueError(f"`{place}` lacks {', '.join(missing)}")


def free_form(keys: Sequence[str], description: str = "") -> Meta:
    """Describe an object of which only some keys are fixed; `require` checks them."""
    extra = {"required": list(keys)}
    return Meta(description=description or None, extra_json_schema=extra)


def _unlike(name: str, error: Exception) -> DataError:
    text, _, path = str(error).partition(" - at `")
    if not path and text.startswith("Expected `object`"):
        return DataError(f"Cannot read {name}: a JSON object is expected.")
    if text == "Number out of range":
        text = "a number is far too large"
    place = re.sub(r"^\$\.?", "", path.rstrip("`")) or "the top level"
    return DataError(f"{name} is damaged: it does not follow the schema at {place} ({text}).")


def json_schema(kind: type[JsonStruct], title: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a file."""
    made = msgspec.json.schema(kind)
    parts = made["$defs"]
    root = parts.pop(kind.__name__)
    for part in (root, *parts.values()):
        part.pop("title", None)
        if "description" in part:
            part["description"] = " ".join(part["description"].split())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **root,
        "$defs": dict(sorted(parts.items())),
    }
