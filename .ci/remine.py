"""Mine the bundled libraries again: from the newest release that pairs know to the newest one.

    python .ci/remine.py [--dry-run] [--most N] [--out DIR] [LIBRARY ...]

With `--most`, a share of the libraries that is another one every week. Prints a Markdown table of
what was found; `DIR` (default: mined) holds the candidates. A library that cannot be mined is a row
with the reason, and the others go on. Exit status 1: none could be mined.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.errors import RecodeError
from recode_eval.mining.notes import version_key
from recode_eval.mining.pipeline import MineConfig, mine
from recode_eval.mining.row_facts import final_versions
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TASKS = ("migration", "migration-validation", "migration-train")


def main(arguments: Sequence[str]) -> int:
    """Mine and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help="none: all")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be mined")
    parser.add_argument("--most", type=int, metavar="N", help="another N of them every week")
    parser.add_argument("--out", type=Path, default=Path("mined"), metavar="DIR")
    options = parser.parse_args(arguments)
    known = newest_bundled()
    libraries = options.libraries or sorted(known)
    if options.most is not None:
        week = dt.datetime.now(tz=dt.UTC).date().toordinal() // 7
        libraries = share_of(libraries, options.most, week)
    print("| library | known | newest | candidates | shown by execution |")
    print("| --- | --- | --- | ---: | ---: |")
    done = 0
    for library in libraries:
        old = known.get(library, "")
        try:
            new = max(final_versions(library), key=version_key, default="")
            if not old or not new or version_key(new) <= version_key(old):
                row = f"| {library} | {old} | {new} | nothing new | |"
            elif options.dry_run:
                row = f"| {library} | {old} | {new} | would be mined | |"
            else:
                folder = options.out / f"{library}-{old}-{new}"
                mined = mine(MineConfig(library=library, old=old, new=new, out=folder))
                shown = sum(one.executed for one in mined.candidates)
                row = f"| {library} | {old} | {new} | {len(mined.candidates)} | {shown} |"
            done += 1
        except RecodeError as error:
            row = f"| {library} | {old} | | {' '.join(str(error).split())[:200]} | |"
        print(row.replace("\n", " "), flush=True)
    return 0 if done or not libraries else 1


def newest_bundled() -> Mapping[str, str]:
    """Return the newest release of each library that a pair was written for."""
    newest: dict[str, str] = {}
    for name in TASKS:
        for problem in create_task(name).load(None, skip_bad_rows=False).problems:
            library, version = problem.payload.dependency, problem.payload.new_version
            newest[library] = max(newest.get(library, version), version, key=version_key)
    return newest


def share_of(libraries: Sequence[str], most: int, week: int) -> list[str]:
    """Return `most` of the libraries, in turn from week to week."""
    count = min(max(most, 0), len(libraries))
    return [libraries[(week * count + place) % len(libraries)] for place in range(count)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
