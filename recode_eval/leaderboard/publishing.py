"""What of a run's own words may be on a public page: no path, no private host, no secret.

Results name the command line, files and servers of whoever made them. The page needs them to be
understood, not to be found.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from recode_eval.run.portable import portable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_URL: Final = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>|]+")
_PATH: Final = re.compile(
    r"(?<![\w/.~-])(?:file:)?(?:~[\w.-]*|[A-Za-z]:)?(?:[/\\][^\s'\"/\\,;:=|<>]+){2,}[/\\]?"
)
"""An absolute path of two parts or more: one part alone is as often a fraction or a route."""
_WHOLE_PATH: Final = re.compile(
    r"(?:^|(?<==))(?:(?:~[\w.-]*|[A-Za-z]:)?[/\\](?:[^/\\=\n]*[/\\])+"
    r"|\.\.[/\\](?:[^/\\=\n]*[/\\])*)([^/\\=\n]+)[/\\]*$"
)
"""A text, or what is behind its last `=`, that is a path to its end; its last part."""
_SECRET: Final = re.compile(r"(?i)key|token|secret|password|passwd|auth|credential|bearer|cookie")
_LOOKS_SECRET: Final = re.compile(
    r"\b(?:[spr]k[-_](?=[\w-]*\d)[\w-]{12,}"  # OpenAI, Anthropic, Stripe
    r"|(?:hf|gsk|r8|gh[oprsu])_[A-Za-z0-9]{12,}|github_pat_\w{12,}|glpat-[\w-]{12,}"
    r"|xox[abeprs]-[\w-]{12,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{20,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}[.\w-]*)",
    re.ASCII,
)
"""Each with its separator and letters: `skipinitialspace` and `hf-internal-testing` are none."""
_NOT_SECRET: Final = frozenset(
    {"--max-tokens", "--max-tokens-total", "--docs-tokens", "--api-key-env", "--tool-tokens"}
)
_PRIVATE: Final = (".local", ".internal", ".lan", ".corp", ".home", ".intranet", ".localdomain")
_BARE_HOST: Final = re.compile(
    r"(?<![\w.@/-])(?:[\w.+-]+@)?(?P<host>(?:\d{1,3}\.){3}\d{1,3}|(?:[\w-]+\.)+(?:"
    + "|".join(suffix[1:] for suffix in _PRIVATE)
    + r"))(?::\d{1,5})?(?![\w.-])",
    re.IGNORECASE | re.ASCII,
)
"""An address or a private name without a scheme, with its user and port."""
_HIDDEN: Final = "***"


def public(text: object) -> str:
    """Return text with paths cut to their last part, private hosts left out, and secrets masked.

    >>> public("read from /home/ada/rows/mine.jsonl")
    'read from …/mine.jsonl'
    >>> public("http://user:pw@10.0.0.7:8000/v1?key=1"), public("https://api.example.org/v1?key=1")
    ('http://(private)/v1', 'https://api.example.org/v1')
    >>> public("--host 10.0.0.7:8000 ada@gpu01.corp pandas 2.2.3")
    '--host (private) (private) pandas 2.2.3'
    """
    pieces, end = [], 0
    source = str(text)
    for found in _URL.finditer(source):
        pieces += [_plain(source[end : found.start()]), _public_url(found.group())]
        end = found.end()
    pieces.append(_plain(source[end:]))
    return _LOOKS_SECRET.sub(_HIDDEN, "".join(pieces))


def public_command(words: Sequence[object]) -> str:
    """Return a command line without values of options that name a secret; see `public_words`.

    >>> public_command(["/home/ada/.venv/bin/recode-eval", "--model", "/data/m/final", "--api-key",
    ...     "s3cret", "--request", "token=abc"])
    'recode-eval --model …/final --api-key *** --request token=***'
    """
    return " ".join(public_words(words))


def public_words(words: Sequence[object]) -> list[str]:
    """Return the words of a command line, made public one by one.

    A word that is an absolute path from its beginning, or from its last `=`, is one to its end, so
    that what follows a space in a folder's name does not stay. So is one that leads out of the
    folder (`../`).

    >>> public_words(["/usr/bin/recode-eval", "--api-key=1234", "-m", "/mnt/Ada L/final"])
    ['recode-eval', '--api-key=***', '-m', '…/final']
    >>> public_words(["recode-eval", "-o", "../ada/runs", "--tasks", "arena"])
    ['recode-eval', '-o', '…/runs', '--tasks', 'arena']
    """
    shown: list[str] = []
    hide = False
    for index, word in enumerate(map(str, words)):
        _name, equals, value = word.partition("=")
        if index == 0:
            shown.append(re.split(r"[/\\]", word)[-1])
        elif hide:
            shown.append(_HIDDEN)
        elif value and (hidden := _without_secret(word)) is not None:
            shown.append(hidden)
        else:
            shown.append(public(_without_whole_path(word)))
        option = word.startswith("-") and not equals
        hide = option and word not in _NOT_SECRET and bool(_SECRET.search(word))
    return shown


def public_content(content: Any) -> Any:
    """Return JSON-able content with every text in it made public; keys, too.

    >>> public_content({"source": "/mnt/Ada L/p.jinja2", "command": ["x", "--api-key", "s"]})
    {'source': '…/p.jinja2', 'command': ['x', '--api-key', '***']}
    """
    if isinstance(content, str):
        return public(_without_whole_path(content))
    if isinstance(content, list):
        return [public_content(part) for part in content]
    if isinstance(content, dict):
        return {
            public(key): public_words(value)
            if key == "command" and isinstance(value, list)
            else public_content(value)
            for key, value in content.items()
        }
    return content


def public_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's identity as it may be published: see `portable`; what a server says as well.

    >>> public_identity({"model": {"base_url": "http://10.0.0.7:8000/v1", "model": "m"}})
    {'model': {'base_url': 'http://(private)/v1', 'model': 'm'}}
    """
    found: dict[str, Any] = portable(dict(identity))
    model = found.get("model")
    if isinstance(model, dict) and "base_url" in model:
        told = {key: public_content(model[key]) for key in ("base_url", "served") if key in model}
        found["model"] = {**model, **told}
    return found


def looks_secret(text: str) -> bool:
    """Tell whether a text has what looks like the token of a known service.

    >>> looks_secret("token hf_abcdefghijklmnop"), looks_secret("a skipped test")
    (True, False)
    """
    return _LOOKS_SECRET.search(text) is not None


def _without_whole_path(text: str) -> str:
    return _WHOLE_PATH.sub(lambda found: f"…/{found[1]}", text)


def _without_secret(word: str) -> str | None:
    """Return `token=***` for `token=abc`, also behind an option; None where nothing is secret."""
    parts = word.split("=")
    for index, name in enumerate(parts[:-1]):
        if _SECRET.search(name) and name not in _NOT_SECRET:
            return "=".join([*parts[: index + 1], _HIDDEN])
    return None


def _plain(text: str) -> str:
    """Return text between URLs without paths and hosts."""
    return _BARE_HOST.sub(_without_host, _without_paths(text))


def _without_host(found: re.Match[str]) -> str:
    """Return `(private)`; four numbers alone stay if they may be a version."""
    host = found["host"]
    if host != found.group() or not host.replace(".", "").isdigit():
        return "(private)"
    try:
        return "(private)" if ipaddress.ip_address(host).is_private else host
    except ValueError:
        return host


def _without_paths(text: str) -> str:
    return _PATH.sub(lambda found: f"…/{_last_part(found.group())}", text)


def _last_part(path: str) -> str:
    return [part for part in re.split(r"[/\\]", path) if part][-1]


def _public_url(url: str) -> str:
    if url.lower().startswith("file:"):
        return f"…/{_last_part(url)}"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "(URL)"
    if parts.scheme.lower() not in {"http", "https"}:
        return f"{parts.scheme}://(private)"
    shown = "(private)" if _is_private(host) else host
    return f"{parts.scheme}://{shown}{parts.path}"


def _is_private(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.lower().endswith(_PRIVATE)
    return True
