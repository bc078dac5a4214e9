"""What the words in the heads of tables mean, for tooltips and the page of the glossary.

A head asks for its own text (`find`); a page carries the definitions of the heads that it has
(`with_definitions`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from recode_eval.leaderboard.model_facts import read_entries
from recode_eval.leaderboard.site_views import SiteView
from recode_eval.leaderboard.text import digest, shown
from recode_eval.resources import resource_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.leaderboard.site_views import SiteData

MARKER: Final = "<!--definitions-->"
"""Where a page has its definitions; templates escape everything, so no other text is this one."""
_TIP: Final = re.compile(r'popovertarget="((?:term|tip)-[a-z0-9-]+)"(?: data-tip="([^"]*)")?')
_ASKED: Final = re.compile(r'data-terms="([a-z0-9 -]*)"')
_K: Final = re.compile(r"@\d+$")


@dataclass(frozen=True, slots=True)
class Term:
    """One word and its meaning."""

    key: str
    name: str
    text: str
    heads: tuple[str, ...] = ()
    """Other heads of tables that mean it."""

    @property
    def anchor(self) -> str:
        """Its id, on every page."""
        return f"term-{self.key}"


@cache
def terms() -> tuple[Term, ...]:
    """Return the terms of leaderboard/glossary.yaml, in its order; raises `DataError`."""
    found = read_entries(resource_dir("leaderboard") / "glossary.yaml", "terms", _term)
    return tuple(found)


def _term(raw: Mapping[str, Any]) -> Term:
    return Term(raw["key"], raw["name"], raw["text"], tuple(raw.get("heads", ())))


@cache
def _by_head() -> Mapping[str, Term]:
    return {head.lower(): term for term in terms() for head in (term.name, *term.heads)}


def find(head: str) -> Term | None:
    """Return the term that a head of a table names, or None.

    >>> find("UPass@5").key, find("Clusters").key, find("a model")
    ('upass-k', 'cluster', None)
    """
    text = head.strip().lower()
    known = _by_head()
    return known.get(text) or known.get(_K.sub("@k", text))


def tip(head: str, title: str = "") -> Markup:
    """Return a button that shows what a head means: `title`, or the glossary; nothing without both.

    It takes keyboard, pointer and touch, and works without scripts (HTML's `popover`).
    """
    if title:
        target = f"tip-{digest(title)}"
        more = Markup(' data-tip="{}"').format(shown(title))
    elif term := find(head):
        target, more = term.anchor, Markup("")
    else:
        return Markup("")
    return Markup(
        '<button type="button" class="tip" popovertarget="{}"{} popovertargetaction="show" '
        'aria-describedby="{}" aria-label="What is {}?"></button>'
    ).format(target, more, target, shown(head))


def with_definitions(page: str, root: str) -> str:
    """Return a page with the definitions of its heads in the place of `MARKER`.

    `root` is the way to the site's first page. A script's heads are named by `data-terms`.
    """
    wanted = dict(_TIP.findall(page))
    for keys in _ASKED.findall(page):
        wanted |= {f"term-{key}": "" for key in keys.split()}
    known = {term.anchor: term for term in terms()}
    parts = []
    for target, title in wanted.items():
        if title:
            parts.append(_definition(target, Markup(title)))  # noqa: S704 (escaped in the page)
        elif target in known:
            term = known[target]
            link = Markup('<a href="{}glossary.html#{}">Glossary</a>').format(root, term.key)
            parts.append(
                _definition(target, Markup("<b>{}</b> {} {}").format(term.name, term.text, link))
            )
    return page.replace(MARKER, "".join(parts), 1)


def _definition(target: str, content: Markup) -> str:
    return Markup('<div popover id="{}" class="definition" role="note">{}</div>\n').format(
        target, content
    )


def _context(_: SiteData) -> dict[str, Any]:
    return {"terms": terms()}


GLOSSARY_VIEW = SiteView("glossary.html", "", "glossary.html", _context)
