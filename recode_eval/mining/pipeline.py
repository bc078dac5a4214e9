"""Mining from end to end: the stages in order, each stored and resumable."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from recode_eval.errors import UsageError
from recode_eval.mining import candidates as records
from recode_eval.mining.candidates import Candidate
from recode_eval.mining.differences import Change, differences
from recode_eval.mining.examples import show
from recode_eval.mining.inspection import inspect_release
from recode_eval.mining.memory import PeakMemory
from recode_eval.mining.notes import entries_between
from recode_eval.mining.npm_releases import PREFIX, declarations_of, fetch_npm_release
from recode_eval.mining.probing import prove, settle
from recode_eval.mining.provenance import PublicNames, attach, from_notes
from recode_eval.mining.releases import Release, fetch_release
from recode_eval.mining.screening import documented_words, public_names, screened
from recode_eval.mining.stages import Made, StageCount, Stages
from recode_eval.mining.static import require_griffe, static_surface
from recode_eval.mining.surface import Surface, merged, read_surface, surface_rows
from recode_eval.mining.texts import note_files
from recode_eval.run.config import SandboxOptions
from recode_eval.run.progress import resolve_monitor
from recode_eval.sandbox.base import SandboxBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from recode_eval.run.progress import Progress
    from recode_eval.sandbox.base import Sandbox

_Kind = TypeVar("_Kind")
CANDIDATES = "candidates.jsonl"
_MOST_SUSPECTS = 1500
"""Things whose code alone changed that are probed: the best known ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MineConfig:
    """What to mine.

    >>> MineConfig(library="click", old="7.1.2", new="8.1.8").folder
    PosixPath('mined/click-7.1.2-8.1.8')
    """

    library: str
    old: str
    new: str
    companions: tuple[str, ...] = ()
    """Requirements to resolve both releases with (`numpy<2`)."""
    out: Path | None = None
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)
    notes: bool = True
    """Whether to read the library's changelog."""
    stage_seconds: float = 180.0
    """CPU time that one program of a stage gets in the sandbox."""

    @property
    def folder(self) -> Path:
        """Where the results go."""
        name = self.library.replace("/", "-").replace(":", "-")
        return self.out or Path("mined") / f"{name}-{self.old}-{self.new}"


@dataclass(frozen=True, slots=True)
class Mined:
    """What was mined."""

    candidates: tuple[Candidate, ...]
    stages: tuple[StageCount, ...]
    folder: Path
    environments: tuple[str, str] = ("", "")
    """The old and the new release's, as the sandbox knows them; empty: no wheels fit together."""


def mine(config: MineConfig, progress: Progress = None) -> Mined:
    """Mine two releases of a library; continues where an interrupted call stopped.

    Raises:
        UsageError: a name, version or companion that is none, or griffe is missing.
        SandboxBuildError: a release cannot be had.
        SandboxUnavailableError: no sandbox works here.
        StorageError: the folder cannot be written to.
    """
    if not config.library.startswith(PREFIX):
        require_griffe()
    if config.old == config.new:
        raise UsageError(
            f"{config.library} {config.old}: mining compares two releases; name another"
        )
    monitor = resolve_monitor(progress)
    with PeakMemory() as memory, _Places(config.sandbox, monitor.log) as places:
        stages = Stages(config.folder, monitor.log, memory)
        return _Miner(config, stages, places).run()


class _Places:
    """The sandbox, opened when the first program needs it."""

    def __init__(self, options: SandboxOptions, log: Callable[[str], None]) -> None:
        self._options, self._log = options, log
        self._closing = contextlib.ExitStack()
        self._sandbox: Sandbox | None = None
        self._own = ""

    def open(self, environment: str) -> Sandbox:
        """Return the sandbox; `environment` is its own if it is not open yet."""
        from recode_eval.sandbox.factory import open_router

        if self._sandbox is None:
            self._sandbox = self._closing.enter_context(
                open_router(**self._options.arguments, environment=environment, log=self._log)
            )
            self._own = environment
        return self._sandbox

    def name(self, environment: str) -> str:
        """What programs call an environment: nothing, if it is the sandbox's own."""
        return "" if environment == self._own else environment

    def __enter__(self) -> _Places:
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.close()


class _Miner:
    def __init__(self, config: MineConfig, stages: Stages, places: _Places) -> None:
        self._config, self._stages, self._places = config, stages, places

    def run(self) -> Mined:
        config = self._config
        given = json.dumps([config.library, config.old, config.new, config.companions]).encode()
        content = self._stages.run("releases", given, self._releases)
        self._of = _decoded(content, Release)
        static = self._pair("static", b"", self._static)
        limits = str(config.stage_seconds).encode()
        runtime = self._pair("runtime", limits, self._runtime)
        self._runs = all(
            set(release.tops) & surface.modules
            for release, surface in zip(self._of, runtime, strict=True)
        )
        self._ran = runtime[0].modules | runtime[1].modules
        old, new = (merged(r, s) for r, s in zip(runtime, static, strict=True))
        self._old, self._new = old, new
        self._words = documented_words(self._of)
        changes = _decoded(self._stages.run("differences", b"", self._differences), Change)
        changes = _decoded(
            self._stages.run("screening", b"", lambda: self._screening(changes)), Change
        )
        noted = self._stages.run("notes", str(config.notes).encode(), lambda: self._notes(changes))
        changes = _decoded(noted, Change)
        probed = self._stages.run("probing", b"", lambda: self._probing(changes))
        final = self._stages.run(
            "candidates", b"", lambda: self._candidates(_decoded(probed, Change))
        )
        decoder = msgspec.json.Decoder(Candidate)
        found = tuple(decoder.decode(line) for line in final.splitlines())
        environments = (self._of[0].environment, self._of[1].environment)
        return Mined(found, tuple(self._stages.counts), config.folder, environments)

    # The stages, in order.

    def _releases(self) -> Made:
        config = self._config
        found = [self._fetched(version) for version in (config.old, config.new)]
        lost = Counter(loss.partition(":")[0] for release in found for loss in release.losses)
        return Made(2, sum(r.wheel is not None for r in found), lost, _encoded(found))

    def _fetched(self, version: str) -> Release:
        config = self._config
        if config.library.startswith(PREFIX):
            return fetch_npm_release(config.library, version)
        return fetch_release(config.library, version, config.companions)

    def _static(self) -> Made:
        if self._config.library.startswith(PREFIX):
            return _of_surfaces([declarations_of(release) for release in self._of])
        with ThreadPoolExecutor(2) as pool:
            surfaces = list(pool.map(static_surface, self._of))
        return _of_surfaces(surfaces)

    def _runtime(self) -> Made:
        found = []
        for number, release in enumerate(self._of):
            surface = self._inspected(release)
            if release.environment and not set(release.tops) & surface.modules:
                later = self._as_of_upload(release)
                if later is not None:
                    self._of[number], surface = later
            found.append(surface)
        content = _of_surfaces(found)
        return Made(
            len(self._of), content.given, content.lost, content.content + self._environments()
        )

    def _environments(self) -> bytes:
        return json.dumps(["environments", *(r.environment for r in self._of)]).encode() + b"\n"

    def _inspected(self, release: Release) -> Surface:
        surface = Surface()
        if not release.environment:
            surface.lost["no environment to run it in"] += 1
            return surface
        try:
            sandbox = self._places.open(release.environment)
            name = self._places.name(release.environment)
            return inspect_release(sandbox, name, release.tops, seconds=self._config.stage_seconds)[
                0
            ]
        except SandboxBuildError as error:
            surface.lost[f"its environment cannot be built ({str(error)[:80]})"] += 1
            return surface

    def _as_of_upload(self, release: Release) -> tuple[Release, Surface] | None:
        """Try a release that does not import with the libraries of its own days."""
        days = release.as_of_upload()
        if not days:
            return None
        try:
            again = fetch_release(
                release.library, release.version, self._config.companions, as_of=days
            )
        except SandboxBuildError:
            return None
        surface = self._inspected(again) if again.environment else Surface()
        return (again, surface) if set(again.tops) & surface.modules else None

    def _differences(self) -> Made:
        found = differences(self._old, self._new)
        names = len(self._old.names) + len(self._new.names)
        return Made(names, len(found), {}, _encoded(found))

    def _screening(self, changes: list[Change]) -> Made:
        kept, drops = screened(changes, self._old, self._new, self._words)
        return Made(len(changes), len(kept), drops, _encoded(kept))

    def _notes(self, changes: list[Change]) -> Made:
        if not self._config.notes:
            return Made(len(changes), len(changes), {"notes not asked for": 1}, _encoded(changes))
        old, new = self._of
        files = note_files(new.notes)
        entries = entries_between(files, note_files(old.notes), old.version, new.version)
        public = public_names(self._old, self._words) | public_names(self._new, self._words)
        names = PublicNames(self._old, self._new, public)
        taken = attach(changes, entries, names)
        more, lost = from_notes(entries, changes, taken, names, self._old, self._new)
        lost["a release without notes"] += not files
        whole = [*changes, *more]
        return Made(len(changes) + len(entries), len(whole), lost, _encoded(whole))

    def _probing(self, changes: list[Change]) -> Made:
        environments = tuple(release.environment for release in self._of)
        chosen, left = _worth_probing(changes, self._words)
        lost: Counter[str] = Counter()
        lost["suspects beyond the limit"] += left
        if not all(environments) or not self._runs:
            lost["not probed: a release does not run"] += len(chosen)
            kept = [c for c in chosen if not c.suspected or c.note is not None]
            return Made(len(changes), len(kept), lost, _encoded(kept))
        sandbox = self._places.open(environments[0])
        pair = self._places.name(environments[0]), self._places.name(environments[1])
        tops = (self._of[0].tops, self._of[1].tops)
        proofs = prove(sandbox, pair, tops, chosen, self._old, self._new)
        public: dict[str, list[str]] = {}
        for name in sorted(public_names(self._old, self._words), key=lambda n: (n.count("."), n)):
            if (item := self._old.item(name)) is not None and item.home in self._old.examples:
                public.setdefault(item.home, []).append(name)
        more, example_losses, _ = show(sandbox, pair, tops, chosen, self._old, public)
        kept, drops = settle(chosen, proofs, self._unreachable)
        lost += proofs.lost + example_losses + drops
        whole = [*kept, *more]
        return Made(len(changes) + len(more), len(whole), lost, _encoded(whole))

    def _unreachable(self, name: str) -> bool:
        """Whether a name lies in a module that no release of this library imports here."""
        while name and name not in self._old.modules:
            name = name.rpartition(".")[0]
        return bool(name) and name not in self._ran

    def _candidates(self, changes: list[Change]) -> Made:
        config = self._config
        old, new = self._of
        found: dict[str, Candidate] = {}
        for change in changes:
            if change.kind == "moved" and not change.new_api:
                change.kind = "removed"
            api = change.api + (f"({change.parameter})" if change.parameter else "")
            name = records.candidate_id(old.library, config.old, config.new, change.kind, api)
            candidate = Candidate(
                id=name,
                library=old.library,
                old_version=config.old,
                new_version=config.new,
                old_uploaded=old.uploaded,
                new_uploaded=new.uploaded,
                license=new.license or old.license,
                api=change.api,
                names=tuple(change.names[:24]),
                new_api=change.new_api,
                kind=change.kind,
                argument=change.parameter,
                new_argument=change.new_parameter,
                old_signature=change.old.signature if change.old else "",
                new_signature=change.new.signature if change.new else "",
                deprecation=change.deprecation,
                note=change.note,
                evidence=tuple(change.evidence[:6]),
                executed=change.executed,
            )
            known = found.get(name)
            if known is None or (candidate.executed and not known.executed):
                found[name] = candidate
        ranked = records.ranked(found.values())
        doubles = {"the same change twice": len(changes) - len(ranked)}
        return Made(len(changes), len(ranked), doubles, records.dump(ranked))

    def _pair(self, name: str, inputs: bytes, make: Callable[[], Made]) -> list[Surface]:
        """Run a stage whose result is both surfaces, one after a line that says so."""
        content = self._stages.run(name, inputs, make).decode("utf-8")
        parts: list[list[str]] = []
        for line in content.splitlines():
            if line == _NEXT:
                parts.append([])
            elif line.startswith('["environments"'):
                for number, environment in enumerate(json.loads(line)[1:]):
                    self._of[number] = replace(self._of[number], environment=environment)
            else:
                parts[-1].append(line)
        return [read_surface(lines, r.tops) for lines, r in zip(parts, self._of, strict=True)]


_NEXT = '["release"]'


def _of_surfaces(surfaces: list[Surface]) -> Made:
    lines = []
    lost: Counter[str] = Counter()
    for surface in surfaces:
        lines += [_NEXT, *surface_rows(surface)]
        lost += surface.lost
    given = sum(len(surface.names) for surface in surfaces)
    content = "".join(f"{line}\n" for line in lines).encode()
    return Made(len(surfaces), given, lost, content)


def _encoded(things: Iterable[object]) -> bytes:
    encoder = msgspec.json.Encoder(enc_hook=str)  # paths
    return b"".join(encoder.encode(thing) + b"\n" for thing in things)


def _decoded(content: bytes, kind: type[_Kind]) -> list[_Kind]:
    decoder = msgspec.json.Decoder(kind, dec_hook=lambda of, text: of(text))
    return [decoder.decode(line) for line in content.splitlines()]


def _worth_probing(changes: list[Change], words: frozenset[str]) -> tuple[list[Change], int]:
    """Leave out the suspects beyond the limit: those that the documents do not name first."""
    suspects = [change for change in changes if change.suspected and change.note is None]
    suspects.sort(key=lambda c: (".".join(c.api.split(".")[-2:]) not in words, c.api.count(".")))
    left_out = {id(change) for change in suspects[_MOST_SUSPECTS:]}
    return [change for change in changes if id(change) not in left_out], len(left_out)
