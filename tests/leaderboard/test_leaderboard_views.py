"""A view of another package: a module, a template and an entry point."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_runs import make_run

from recode_eval.leaderboard.site import build

MODULE = """
from pathlib import Path
from recode_eval.leaderboard.site_views import SiteView

def context(site):
    names = [row.model for row in site.rows]
    return {"names": names} if len(names) > 1 else None

VIEW = SiteView("names.html", "All names", "names.html", context,
                lambda site: [("data/names.txt", "\\n".join(row.model for row in site.rows))],
                templates=Path(__file__).parent)
"""
TEMPLATE = """{% extends "base.html" %}
{% block title %}Names{% endblock %}
{% block main %}<h1>Names</h1>{% for name in names %}<p>{{ name }}</p>{% endfor %}{% endblock %}
"""


def test_a_view_is_in_the_navigation_and_escapes_like_every_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "others"
    (package / "names-1.0.dist-info").mkdir(parents=True)
    (package / "names-1.0.dist-info" / "METADATA").write_text("Name: names\nVersion: 1.0\n")
    (package / "names-1.0.dist-info" / "entry_points.txt").write_text(
        "[recode_eval.leaderboard_views]\nnames = names_view:VIEW\n"
    )
    (package / "names_view.py").write_text(MODULE)
    (package / "names.html").write_text(TEMPLATE)
    monkeypatch.syspath_prepend(package)
    make_run(tmp_path / "runs", "<b>one", 0.5, n=1)
    build([tmp_path / "runs"], tmp_path / "site", reported=False)
    assert not (tmp_path / "site" / "names.html").exists()  # there was nothing to show
    assert "All names" not in (tmp_path / "site" / "index.html").read_text()
    make_run(tmp_path / "runs", "two", 0.5, n=1)
    build([tmp_path / "runs"], tmp_path / "site", reported=False)
    page = (tmp_path / "site" / "names.html").read_text()
    assert "<p>&lt;b&gt;one</p>" in page
    assert '<a href="names.html">All names</a>' in (tmp_path / "site" / "index.html").read_text()
    assert sorted((tmp_path / "site" / "data" / "names.txt").read_text().split("\n")) == [
        "<b>one", "two",
    ]  # fmt: skip
