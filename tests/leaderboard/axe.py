"""The accessibility checker axe-core (MPL-2.0), as a package for tests brings it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chromium import Browser

VARIABLE = "RECODE_EVAL_AXE"
_PACKAGE = "axe_playwright_python"
_PATIENCE_S = 180
"""A long page took more than the usual 30 s while other tests ran."""
_RUN = (
    "const done = arguments[1];"
    "axe.run(arguments[0] ? {runOnly: arguments[0]} : {}).then((r) => done(r.violations.map("
    "(v) => [v.id, v.impact, v.nodes.map((n) => n.html).slice(0, 3)])));"
)


def axe_source() -> str:
    """Return the checker's code: of the file that the variable names, else of the package.

    The package is found and never imported: what else it is for is not needed here.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).read_text(encoding="utf-8")
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            f"axe.min.js is missing: pip install 'recode-eval[dev]', or let {VARIABLE} name it"
        )
    return Path(found.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")


def serious(window: Browser, source: str, rules: list[str] | None = None) -> list[list[object]]:
    """Return the serious and critical violations of the open page: rule, impact, elements.

    `rules` are the checker's names of rules; None: all of them.
    """
    # As the page's policy forbids scripts of others, the checker comes in from the debugger.
    window.command("Runtime.evaluate", expression=source)
    window.driver.set_script_timeout(_PATIENCE_S)
    found = window.driver.execute_async_script(_RUN, rules)
    return [item for item in found if item[1] in {"serious", "critical"}]
