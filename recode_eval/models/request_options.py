"""What a user may add to every request to a server, and how a model's name shows it.

These parameters are stored and shown: no secret may be among them. What the program sets itself
has an option of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from recode_eval.errors import UsageError

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_SECRET: Final = re.compile(
    r"api[-_.]?key|authori[sz]ation|password|passwd|secret|credential|bearer"
    r"|(?:access|auth|session|refresh|id)[-_.]?token|private[-_.]?key|cookie",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"\s*(?:bearer\s|sk-|hf_)", re.IGNORECASE)
_ONE_ANSWER: Final = "every sample is a request of its own; leave it out"
_OWN: Final = {
    "model": "give --model",
    "messages": "give --prompt",
    "prompt": "give --prompt",
    "n": "give --n",
    "best_of": _ONE_ANSWER,
    "seed": "give --seed",
    "temperature": "give --temperature",
    "top_p": "give --top-p",
    "max_tokens": "give --max-tokens",
    "max_completion_tokens": "give --max-tokens",
    "max_output_tokens": "give --max-tokens",
    "stop": "give --stop",
    "stream": "answers are read whole; leave it out",
    "stream_options": "answers are read whole; leave it out",
    "tools": "give --tools",
    "tool_choice": "give --tools",
    "parallel_tool_calls": "give --tools",
    "functions": "give --tools",
    "function_call": "give --tools",
    "continue_final_message": "give --server-prefill",
    "add_generation_prompt": "give --server-prefill",
    "user": "it would name a person in what is stored; leave it out",
    "extra_body": "name the parameters themselves",
    "extra_headers": "headers are not sent; a proxy can add them",
    "extra_query": "queries are not sent; a proxy can add them",
    "timeout": "give --request-timeout",
}
"""What is set in another way, and how."""
_DEEPEST: Final = 8
_LONGEST: Final = 4096
_SHOWN: Final = 40


def check_request(request: Any) -> None:
    """Raise `UsageError` for parameters that a request must not have, or JSON cannot.

    >>> check_request({"reasoning_effort": "high"})
    >>> check_request({"n": 4})
    Traceback (most recent call last):
    ...
    recode_eval.errors.UsageError: request: the program sets n itself; give --n.
    """
    if not isinstance(request, Mapping):
        raise UsageError(f"request must map parameters to values, not {request!r}.")
    for key, value in request.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise UsageError(f"request: {key!r:.80} is no name of a parameter.")
        if key.lower() in _OWN:
            raise UsageError(f"request: the program sets {key} itself; {_OWN[key.lower()]}.")
        _check_secrets(key, value)
    try:
        text = json.dumps(dict(request), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"request: JSON cannot have such a value ({error}).") from error
    if len(text) > _LONGEST:
        raise UsageError(f"request has {len(text)} characters; at most {_LONGEST} are sent.")


def _check_secrets(key: str, value: Any, depth: int = 0) -> None:
    """Raise `UsageError` for what looks like a secret: all of it is stored and shown."""
    if _SECRET.search(key) or (isinstance(value, str) and _BEARER.match(value)):
        raise UsageError(
            f"request: {key[:60]} looks like a secret, and these parameters are stored and shown; "
            "put the key into the environment variable that --api-key-env names."
        )
    if depth > _DEEPEST:
        raise UsageError(f"request: {key[:60]} is nested too deeply.")
    if isinstance(value, Mapping):
        for name, item in value.items():
            _check_secrets(str(name), item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_secrets(key, item, depth + 1)


def check_no_key(request: Mapping[str, Any], secret: str) -> None:
    """Raise `UsageError` if the server's key itself is among the parameters."""
    if secret and secret in json.dumps(dict(request), ensure_ascii=False):
        raise UsageError("request holds the server's key, and it is stored and shown; leave it out")


def labelled(name: str, identity: Mapping[str, Any]) -> str:
    """Return a model's name with its request parameters, as tables and boards show it.

    >>> labelled("big", {"request": {"reasoning_effort": "high"}})
    'big (reasoning_effort=high)'
    >>> labelled("big", {})
    'big'
    """
    request = identity.get("request")
    if not isinstance(request, Mapping) or not request:
        return name
    parts = ", ".join(f"{key}={_value(value)}" for key, value in sorted(request.items()))
    return f"{name} ({parts})"


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
