"""Reading a library's own notes: changelogs cut into entries, by release and heading.

Understood: reStructuredText, Markdown and plain text with a heading per release, folders with a
file per release (`whatsnew/v2.0.0.rst`), and reno's YAML notes, which name no release.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_VERSION = r"v?(?P<version>\d+(?:\.\d+){1,3}(?:\.?(?:a|b|rc|dev|post)\d*)?)"
_HEADING = re.compile(
    rf"^(?:[#=]+\s*)?\W{{0,3}}(?:(?:changes?|what'?s new|new|release notes|notes|version|release|"
    rf"released|in|for|of|and|\w[\w.-]*)[\s:]+){{0,5}}\W{{0,4}}{_VERSION}\b(?P<rest>.*)$",
    re.IGNORECASE,
)
_UNDERLINE = re.compile(r"^([=\-~^\"'`*+#.:_])\1{2,}\s*$")
_BULLET = re.compile(r"^(?P<indent>\s*)(?:[-*+•]|\d+[.)]|#\d+:?)\s+(?P<text>\S.*)$")
_FILE_VERSION = re.compile(r"(?:^|[^0-9.])v?(\d+\.\d+(?:\.\d+){0,2})(?:[^0-9.]|\.(?:rst|md|txt)|$)")
_RENO = re.compile(r"^(?P<key>[a-z_]+):\s*$")
_MOST_ENTRIES = 20_000
_LONGEST = 4_000

_BREAKING_HEADINGS = re.compile(
    r"break|backward|incompatib|remov|deprecat|api change|behaviou?r change|upgrade|migrat|"
    r"notable bug fix|prior (deprec|version)|^changed$",
    re.IGNORECASE,
)
_STRONG = re.compile(
    r"\b(?:remov(?:e|ed|es|al)|renam(?:e|ed|es)|dropp?(?:ed|s)?|no longer|deleted|deprecat\w*|"
    r"must (?:now )?be|incompatib\w*|break(?:s|ing)\b|backwards?[- ]|keyword.only|"
    r"(?:now|will) (?:always |now )?rais(?:e|es|ing)|raises? (?:an? )?`*\w*(?:Error|Warning|"
    r"Exception)|"
    r"(?:has|have|was|were|been) (?:moved|changed|replaced|renamed)|moved (?:to|from|into)|"
    r"replaced? (?:by|with)|disallow\w*|not (?:supported|allowed|accepted) anymore|"
    r"(?:doesn't|don't|does not|do not|cannot) [\w ]{0,40}(?:anymore|any more)|"
    r"changed?(?: the)? (?:default|behaviou?r|signature|return|type|order|name))",
    re.IGNORECASE,
)
_CHANGES = re.compile(
    r"\b(?:now (?:always )?(?:returns?|requires?|defaults?|uses?|only|must|emits?|warns?|treats?|"
    r"ignores?|throws?|is|are|has|have)|will now|(?:is|are) now|instead of|rather than|"
    r"default (?:value|for|of|is|changed|argument)|defaults? to|enforc\w+)",
    re.IGNORECASE,
)
"""What tells of a change unless the entry adds or mends something."""
_ADDS = re.compile(
    r"^(?:\W*(?:the|a|an|new|also|we|it|you|there) )*\W*(?:(?:is|are|has|have|been|can|now) )*"
    r"(?:add(?:s|ed|ing)?|new|allow(?:s|ed|ing)?|support(?:s|ed|ing)?|introduc(?:e|es|ed)|"
    r"implement(?:s|ed)?|provid(?:e|es|ed)|improv\w+|speed|faster|document\w*|clarif\w+|typo|"
    r"type hints?|typing|refactor\w*|test(?:s|ed|ing)?|enable[ds]?|expos(?:e|es|ed)|optimi\w+|"
    r"fix(?:es|ed|ing)?|correct(?:s|ed)?|bug\w*|avoid(?:s|ed)?|prevent(?:s|ed)?|ensure[sd]?|"
    r"restore[sd]?|handle[sd]?|resolve[sd]?|revert(?:s|ed)?|updat(?:e|es|ed) (?:the )?(?:doc|"
    r"type|test)\w*)\b|"
    r"\b(?:can (?:now )?be|is now possible|are now possible|now supports?|now allows?|"
    r"was added|were added|has been added|(?:it's|it is) (?:now )?possible|now possible|"
    r"now (?:also |correctly |properly |fully |optionally )*(?:accepts?|takes?|works?|"
    r"detect(?:s|ed)?|"
    r"handles?|can|compatible|correct(?:ly)?|populates?|include[sd]?|exported|available|"
    r"pass(?:es)?)\b|"
    r"(?:works?|work) again|(?:are|is) (?:also|now also|now correctly|not missing)|"
    r"(?:does|do|did|will|would) not (?:fail|raise|cause|error|crash|break|hang|leak)\w*|"
    r"can (?:also )?[a-z]+|(?:has|have) (?:an?|new|the) [\W\w]{0,40}(?:method|attribute|argument|"
    r"parameter|property|option)s?|annotat\w+|type checking|will (?:also )?detect|skips?|reusable|"
    r"(?:an|new) optional|type (?:stubs?|annotations?|hints?)|typing\b|TypeGuard|mypy|pyright|"
    r"performance|faster|speed|now (?:is |are )?correct|correctly|no longer (?:crash|fail|error|"
    r"break)\w*)\b|"
    r"^\W*(?:bug|regression|performance|docs?|typing|type annotations?)\b",
    re.IGNORECASE,
)
_MENDS = re.compile(
    r"no longer (?:crash|fail|error|break|leak|hang|show|appear)\w*|^\W*(?:fix|bug|"
    r"regression)\w* .*"
    r"no longer|type (?:stubs?|annotations?|hints?)|Python (?:2|3)(?:\.\d+)?\b.{0,40}"
    r"(?:no longer|dropp|remov|deprecat|support)|(?:drop\w*|remov\w*|end\w*) (?:\w+ ){0,3}"
    r"(?:for )?(?:\w+ ){0,2}Python \d",
    re.IGNORECASE,
)
_OPENING = 110
"""Characters in which an entry says what it is about."""
_ADDING_HEADINGS = re.compile(
    r"bug ?fix|^fix|fixed|performance|enhancement|feature|added|addition|documentation|internal|"
    r"testing|maintenance|improvement|contributor|^new\b|security|other|typing|regression",
    re.IGNORECASE,
)
_KIND_WORDS = (
    ("newly-deprecated", re.compile(r"\bdeprecat(?:e|es|ed|ion|ions)\b", re.I)),
    ("renamed", re.compile(r"\brenam\w+", re.I)),
    ("moved", re.compile(r"\bmoved\b", re.I)),
    ("argument-keyword-only", re.compile(r"keyword[- ]only|positional arguments?", re.I)),
    ("default-changed", re.compile(r"\bdefaults?\b", re.I)),
    ("removed", re.compile(r"\b(?:remov\w+|dropp?(?:ed)?|deleted)\b", re.I)),
    ("return-changed", re.compile(r"\b(?:now )?(?:returns?|yields?)\b", re.I)),
)
_ENFORCED = re.compile(r"remov\w+ (?:the |all |previously |prior )*deprecat|enforced? deprec", re.I)
_REMOVED_FIRST = re.compile(
    r"(?:(?!deprecat).)*?\b(?:remov(?:e|es|ed|al)|dropp?(?:s|ed)?)\b", re.I | re.S
)
_CODE = re.compile(
    r":[\w:]+:`(?P<role>[^`]+)`|``(?P<double>[^`]+)``|`(?P<single>[^`]+)`|"
    r"(?P<call>\.?\b[A-Za-z_][\w.]*\(\))|(?P<dotted>\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\b)|"
    r"(?P<camel>\b[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+\b)|(?P<snake>\b[a-z]+(?:_[a-z0-9]+)+\b)"
)
_WORD = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a library's notes."""

    release: str
    """Its version; empty: the file does not say."""
    heading: str
    text: str
    file: str
    words: tuple[str, ...] = field(default=())
    """What it writes as code: dotted names, the roles' and calls' decorations taken off."""

    @property
    def breaking(self) -> bool:
        """Whether it reads as a change that old code can meet."""
        if _STRONG.search(self.text) or self.text.startswith("!"):
            return not _MENDS.search(self.text)
        if _BREAKING_HEADINGS.search(self.heading) and self.words:
            return True
        return self.states

    @property
    def states(self) -> bool:
        """Whether it says how something behaves, and neither adds nor mends anything."""
        if _ADDS.search(self.text[:_OPENING]):
            return False
        return bool(_CHANGES.search(self.text)) or not _ADDING_HEADINGS.search(self.heading)

    @property
    def kind(self) -> str:
        """The kind of change that its words speak of."""
        if _ENFORCED.search(f"{self.heading}. {self.text}") or _REMOVED_FIRST.match(self.text):
            return "removed"
        for kind, pattern in _KIND_WORDS:
            if pattern.search(self.text):
                return kind
        for kind, pattern in _KIND_WORDS:
            if kind in {"removed", "newly-deprecated"} and pattern.search(self.heading):
                return kind
        return "behaviour-changed"


def version_key(version: str) -> tuple[int, ...]:
    """The numbers of a version; those of a pre-release are its release's.

    >>> version_key("v2.0.0rc1") < version_key("2.0.1"), version_key("8.1")
    (True, (8, 1))
    """
    numbers = [
        int(part) for part in re.findall(r"\d+", re.split(r"[a-z+-]", version.lstrip("vV"))[0])
    ]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def entries_between(
    new_files: Mapping[str, str], old_files: Mapping[str, str], old: str, new: str
) -> list[Entry]:
    """Return the entries after the old release up to the new one; each text once.

    What the old release's own notes already say is left out, which also places the notes that
    name no release.
    """
    said = {
        _squeezed(entry.text) for file, text in old_files.items() for entry in entries(file, text)
    }
    low, high = version_key(old), version_key(new)
    found: dict[str, Entry] = {}
    for file, text in new_files.items():
        if file.endswith("METADATA") and any(not name.endswith("METADATA") for name in new_files):
            continue
        for entry in entries(file, text):
            key = _squeezed(entry.text)
            if entry.release:
                if not low < version_key(entry.release) <= high:
                    continue
            elif key in said or not _is_notes_alone(file):
                continue
            known = found.get(key)
            if known is None or (entry.release and not known.release):
                found[key] = entry
            if len(found) >= _MOST_ENTRIES:
                return list(found.values())
    return list(found.values())


def _is_notes_alone(file: str) -> bool:
    """Whether everything in a file is a note: an entry without a release counts there."""
    return (
        file.endswith((".yaml", ".yml"))
        or re.search(r"changelog\.d|newsfragments", file) is not None
    )


def _squeezed(text: str) -> str:
    return re.sub(r"\W+", "", text)[:200].lower()


def entries(file: str, text: str) -> Iterator[Entry]:
    """Cut one file into its entries; any text will do."""
    if file.endswith((".yaml", ".yml")):
        yield from _reno(file, text)
        return
    match = _FILE_VERSION.search(file.rpartition("/")[2])
    release = match[1] if match else ""
    in_file = bool(match)
    heading, parent, block, indent = "", "", list[str](), -1
    lines = text[:4_000_000].splitlines()
    fenced = False

    def flush() -> Iterator[Entry]:
        nonlocal block
        joined = " ".join(" ".join(block).split())
        block = []
        if len(joined) > 12:
            where = f"{heading}: {parent[:100]}".strip(": ") if parent else heading
            yield _entry(release, where, joined[:_LONGEST], file)

    for number, line in enumerate(lines):
        stripped = line.strip()
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if stripped.startswith("```"):
            fenced = not fenced
            continue
        if fenced:
            continue
        underlined = bool(_UNDERLINE.match(following)) and len(following.strip()) >= min(
            len(stripped), 4
        )
        marked = stripped.startswith("#") and not re.match(r"#\d", stripped)
        if (
            stripped
            and not line[0].isspace()
            and (marked or underlined or _stands_alone(stripped, lines, number))
        ):
            yield from flush()
            indent, parent = -1, ""
            title = stripped.strip("#= ")[:300]
            found = _HEADING.match(title)
            if found and not (
                in_file and version_key(found["version"])[:2] != version_key(release)[:2]
            ):
                release, heading = found["version"], ""
            elif _UNDERLINE.match(title) is None:
                heading = title[:120]
            continue
        if not stripped:
            if indent < 0:
                yield from flush()
            continue
        if _UNDERLINE.match(line) or (
            stripped.startswith(".. ") and not stripped.startswith(".. deprec")
        ):
            if indent < 0:
                yield from flush()
            continue
        bullet = _BULLET.match(line)
        if bullet and stripped.count(" ") > 0:
            inner = 0 <= indent < len(bullet["indent"]) - 1
            above = " ".join(block)
            yield from flush()
            if inner:  # what it belongs to stays its context
                parent = parent or above
            else:
                parent, indent = "", len(bullet["indent"])
            block = [bullet["text"]]
        elif indent >= 0 and not line[0].isspace():
            if block and number and lines[number - 1].strip():  # a lazy continuation
                block.append(stripped)
            else:
                yield from flush()
                indent, parent = -1, ""
                block = [stripped]
        else:
            block.append(stripped)
    yield from flush()


def _stands_alone(stripped: str, lines: list[str], number: int) -> bool:
    """Whether a line is a release's heading without any mark: `8.1.0 (2022-03-28)`."""
    if len(stripped) > 60 or _BULLET.match(stripped):
        return False
    before = lines[number - 1].strip() if number else ""
    found = re.match(rf"(?:version |release |v)?{_VERSION}[\s:,(\[-]*(.{{0,40}})$", stripped, re.I)
    return (
        not before
        and found is not None
        and not re.search(r"[a-z]{4,} [a-z]{3,} [a-z]{2,}", stripped)
    )


def _reno(file: str, text: str) -> Iterator[Entry]:
    heading, block = "", list[str]()
    for line in [*text[:1_000_000].splitlines(), "end:"]:
        key = _RENO.match(line)
        bullet = re.match(r"^\s*-\s*(?:[|>][-+]?)?\s*(.*)$", line)
        if key or bullet:
            joined = " ".join(" ".join(block).split())
            if len(joined) > 12 and heading:
                yield _entry("", heading, joined[:_LONGEST], file)
            block = []
        if key:
            heading = key["key"]
        elif bullet:
            block = [bullet[1]]
        else:
            block.append(line.strip())


def _entry(release: str, heading: str, text: str, file: str) -> Entry:
    return Entry(release, heading, text, file, tuple(dict.fromkeys(_words(text))))


def _words(text: str) -> Iterator[str]:
    for match in _CODE.finditer(text):
        code = next(group for group in match.groups() if group is not None)
        if "<" in code and code.endswith(">"):
            code = code.rpartition("<")[2]
        for word in _WORD.findall(code.strip("~.!")):
            if len(word) > 1:
                yield word


def between(entries_: Iterable[Entry]) -> dict[str, int]:
    """Count entries by release, for the stage table."""
    counts: dict[str, int] = {}
    for entry in entries_:
        counts[entry.release or "?"] = counts.get(entry.release or "?", 0) + 1
    return counts
