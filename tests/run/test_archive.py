"""Packs: the round trip, and files of strangers that must not become anything else."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from command_line import failed, recode_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_runs import store_run

from recode_eval.errors import DataError, ExitCode, StorageError, UsageError
from recode_eval.run import archive
from recode_eval.run.archive import INDEX, MEMBERS, pack, unpack
from recode_eval.run.store import RESULTS, SCORES


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_run(tmp_path_factory.mktemp("runs"), "a", lambda p, s: s < 2, n=4, problems=6)


@pytest.fixture(scope="module")
def packed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packs") / "a.tar.zst"
    pack(run, out)
    return out


@pytest.fixture(scope="module")
def raw(packed: Path) -> bytes:
    """The tar in the pack."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(packed.read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def compressed(tar: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(tar)


def refused(content: bytes, folder: Path, *parts: str) -> None:
    """Check that a file is refused as bad data, and that nothing of it is left."""
    folder.mkdir(exist_ok=True)
    file = folder / "x.tar.zst"
    file.write_bytes(content)
    with pytest.raises(DataError) as raised:
        unpack(file, folder / "out")
    for part in parts:
        assert part in str(raised.value)
    assert [path.name for path in folder.iterdir()] == ["x.tar.zst"]


def files_of(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in MEMBERS}


def made(files: dict[str, bytes], **changed: object) -> bytes:
    """A pack with these files and an index that fits them; `changed` goes into the index."""
    entries = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    }
    index = json.dumps({"schema_version": 1, "files": entries, **changed}, sort_keys=True)
    return compressed(tar({INDEX: index.encode(), **files}))


def tar(files: dict[str, bytes]) -> bytes:
    parts = []
    for name, content in files.items():
        parts += [archive._header(name, len(content)), content, bytes(-len(content) % 512)]
    return b"".join([*parts, bytes(1024)])


def test_a_run_comes_back_as_it_was(run: Path, packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "run"
    unpack(packed, out)
    assert contents(out) == files_of(run)
    assert out.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in out.parent.iterdir()] == ["run"]
    pack(out, tmp_path / "again.tar.zst")
    assert (tmp_path / "again.tar.zst").read_bytes() == packed.read_bytes()


def test_what_the_attacks_are_made_from_is_accepted(run: Path, tmp_path: Path) -> None:
    (tmp_path / "made.tar.zst").write_bytes(made(files_of(run)))
    unpack(tmp_path / "made.tar.zst", tmp_path / "made")
    assert contents(tmp_path / "made") == files_of(run)


def test_other_programs_can_read_it(run: Path, raw: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == [INDEX, *MEMBERS]
        assert {(m.uid, m.gid, m.mtime, m.mode, m.type) for m in members} == {
            (0, 0, 0, 0o644, tarfile.REGTYPE)
        }
        found = archive.extractfile(RESULTS)
        assert found is not None
        assert found.read() == (run / RESULTS).read_bytes()


def test_it_depends_on_the_content_alone(run: Path, packed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "notes.txt").write_text("private")
    for path in copy.iterdir():
        path.chmod(0o600)
        os.utime(path, (1, 1))
    pack(copy, tmp_path / "b.tar.zst")
    assert (tmp_path / "b.tar.zst").read_bytes() == packed.read_bytes()


def test_only_chosen_files_are_written(packed: Path, tmp_path: Path) -> None:
    unpack(packed, tmp_path / "some", names=(RESULTS,))
    assert [path.name for path in (tmp_path / "some").iterdir()] == [RESULTS]


def test_a_file_that_is_not_wanted_is_verified_all_the_same(
    run: Path, raw: bytes, tmp_path: Path
) -> None:
    files = files_of(run)
    scores = files[SCORES]
    changed = raw.replace(scores, scores[:2] + b"X" + scores[3:])
    assert changed != raw
    (tmp_path / "x.tar.zst").write_bytes(compressed(changed))
    with pytest.raises(DataError, match=r"the hash of scores\.jsonl"):
        unpack(tmp_path / "x.tar.zst", tmp_path / "out", names=(RESULTS,))


@pytest.mark.parametrize(
    "more",
    [
        b"x",
        zstandard.ZstdCompressor().compress(b"x"),
        zstandard.ZstdCompressor().compress(b""),
        b"\x50\x2a\x4d\x18\x04\0\0\0abcd",
    ],
    ids=["bytes", "frame", "empty frame", "skippable frame"],
)
def test_data_after_the_frame(packed: Path, more: bytes, tmp_path: Path) -> None:
    """What is appended is in no hash: two files would be the same run."""
    refused(packed.read_bytes() + more, tmp_path / "short", "more than it should")
    # The same where the frame's end and what follows are in different reads.
    gap = b"\x50\x2a\x4d\x18" + (1 << 14).to_bytes(4, "little") + bytes(1 << 14)
    refused(packed.read_bytes() + gap + more, tmp_path / "long", "more than it should")


def test_data_before_the_frame(packed: Path, tmp_path: Path) -> None:
    refused(b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + packed.read_bytes(), tmp_path)


def test_a_pack_that_is_cut_off_anywhere(packed: Path, tmp_path: Path) -> None:
    content = packed.read_bytes()
    for length in {0, 1, 4, 100, *range(200, len(content), 97), len(content) - 4, len(content) - 1}:
        refused(content[:length], tmp_path)


@pytest.mark.slow
def test_a_changed_byte_anywhere(run: Path, packed: Path, tmp_path: Path) -> None:
    """A changed byte is refused, or changes nothing.

    Zstandard can say the same thing in several ways (a frame's header, a table's entry that no
    sequence uses), so a handful of bytes can differ and still decompress to the same tar. Which
    ones depends on the run's times: a test that wanted a refusal for each failed now and then.
    """
    content = packed.read_bytes()
    file, out = tmp_path / "x.tar.zst", tmp_path / "out"
    same = 0
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x10
        file.write_bytes(changed)
        try:
            unpack(file, out)
        except DataError:
            assert [path.name for path in tmp_path.iterdir()] == [file.name]
        else:
            assert contents(out) == files_of(run)
            shutil.rmtree(out)
            same += 1
    assert same < len(content) / 100


def _index_of(raw: bytes) -> bytes:
    return raw[512 : 512 + int(raw[124:135], 8)]


def _header_at(raw: bytes, name: bytes) -> int:
    return next(at for at in range(512, len(raw), 512) if raw[at:].startswith(name + b"\0"))


def _summed(block: bytes) -> bytes:
    """Give a changed tar header the sum that fits it."""
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, b"../../x\0"),
        (0, b"/etc/x\0"),
        (0, b"scores.jsonl\0x"),
        (156, b"1"),
        (156, b"2"),
        (156, b"3"),
        (156, b"5"),
        (156, b"6"),
        (156, b"S"),
        (156, b"L"),
        (156, b"x"),
        (100, b"0006755\0"),
        (108, b"0001750\0"),
        (136, b"00000000001\0"),
        (124, b"77777777777\0"),
        (124, b"-0000000001\0"),
        (124, b"\x80\0\0\0\0\0\0\0\0\0\xff\xff"),
        (265, b"root\0"),
        (345, b"../..\0"),
    ],
)
def test_headers_of_another_kind(raw: bytes, position: int, value: bytes, tmp_path: Path) -> None:
    """Links, devices, folders, sparse files, long names, prefixes, owners, false sizes."""
    at = _header_at(raw, b"prompt.jinja2")
    block = bytearray(raw[at : at + 512])
    block[position : position + len(value)] = value
    changed = raw[:at] + _summed(bytes(block)) + raw[at + 512 :]
    refused(compressed(changed), tmp_path)


def test_members_that_are_missing_twice_foreign_or_in_another_order(
    run: Path, raw: bytes, tmp_path: Path
) -> None:
    files = files_of(run)
    index = _index_of(raw)
    backwards = {INDEX: index, **dict(reversed(files.items()))}
    refused(compressed(tar(backwards)), tmp_path, "completions.jsonl is missing")
    fewer = {INDEX: index, **{k: v for k, v in files.items() if k != SCORES}}
    refused(compressed(tar(fewer)), tmp_path, "not one that")
    refused(compressed(tar({INDEX: index, **files})[:-1024]), tmp_path, "cut off")
    once = tar({INDEX: index, **files})
    twice = once[:-1024] + tar({SCORES: b"{}\n"})
    refused(compressed(twice), tmp_path, "more than it should")
    refused(compressed(once[:-1024] + tar({"evil.py": b"1"})), tmp_path, "more than it should")
    refused(compressed(once + bytes(512)), tmp_path, "more than it should")
    refused(compressed(tar(files)), tmp_path, "does not begin with pack.json")
    refused(made({**files, "evil.py": b"1"}), tmp_path, "pack.json is malformed")


def test_an_index_of_another_form(run: Path, raw: bytes, tmp_path: Path) -> None:
    files = files_of(run)
    good = _index_of(raw)
    size = b'"size": %d' % len(files[SCORES])
    for bad in (
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 3000,
        good + b" ",
        good.replace(b'"schema_version": 1', b'"schema_version": 2'),
        good.replace(b'"schema_version": 1', b'"schema_version": 0, "schema_version": 1'),
        good.replace(b'"files": {', b'"files": {"evil.py": {"sha256": "", "size": 1}, '),
        good.replace(size, b'"size": -1'),
        good.replace(size, b'"size": true'),
        good.replace(size, b'"size": 1e3'),
        good.replace(size, b'"size": 1' + b"0" * 3000),
        good.replace(size, size + b', "size": 5'),
    ):
        assert bad != good
        refused(compressed(tar({INDEX: bad, **files})), tmp_path)
    refused(compressed(tar({INDEX: good + b" " * 5000, **files})), tmp_path, "does not begin")


def test_sizes_that_are_too_much_are_refused_before_anything_is_written(
    run: Path, raw: bytes, tmp_path: Path
) -> None:
    """A small file that would fill the disk: the index alone says so, and no file is begun."""
    files = files_of(run)
    good = _index_of(raw)
    size = b'"size": %d' % len(files[SCORES])
    for claimed, text in (
        (8 << 30, "larger than 8 GiB"),
        (6 << 30, "times as large as the pack"),
    ):
        index = good.replace(size, b'"size": %d' % claimed)
        refused(compressed(tar({INDEX: index})), tmp_path, text)


def test_a_bomb_needs_neither_memory_nor_disk(tmp_path: Path) -> None:
    """1 GiB of zeros in a hundred kilobytes, as a pack and in place of a member."""
    file = tmp_path / "x.tar.zst"
    with (
        file.open("wb") as target,
        zstandard.ZstdCompressor(level=1).stream_writer(target) as stream,
    ):
        for _ in range(1 << 10):
            stream.write(bytes(1 << 20))
    assert file.stat().st_size < 1 << 20
    program = (
        "import sys, pathlib\n"
        "from recode_eval.errors import DataError\n"
        "from recode_eval.run.archive import unpack\n"
        "try:\n"
        "    unpack(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
        "except DataError as error:\n"
        "    print(error)\n"
        # Not ru_maxrss: it begins with the size of the process that forked this one.
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(status.partition('VmHWM:')[2].split()[0])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(file), str(tmp_path / "out")],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    error, peak_kib = result.stdout.splitlines()
    assert "not one that `recode-eval pack` writes" in error
    assert int(peak_kib) < 600 << 10
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.zst"]


def test_a_window_that_needs_gigabytes_is_refused(packed: Path, tmp_path: Path) -> None:
    """A frame may ask its reader for as much memory as it likes."""
    parameters = zstandard.ZstdCompressionParameters(window_log=30)
    wide = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    refused(wide.compress(bytes(10)) + wide.flush(), tmp_path, "Zstandard")


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=3000), framed=st.booleans())
def test_whatever_it_is_it_is_refused_as_data(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, framed: bool
) -> None:
    refused(compressed(data) if framed else data, tmp_path_factory.getbasetemp() / "any")


def test_an_honest_run_of_equal_answers_is_taken(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that says the same a thousand times compresses like a bomb; it is still a run."""
    monkeypatch.setattr(archive, "FREE", 0)
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    line = {"problem_id": "p", "sample": 0, "text": random.Random(1).randbytes(2000).hex()}
    with (copy / SCORES).open("w") as file:
        for sample in range(10_000):
            file.write(json.dumps({**line, "sample": sample}) + "\n")
    pack(copy, tmp_path / "b.tar.zst")
    unpack(tmp_path / "b.tar.zst", tmp_path / "out")
    assert contents(tmp_path / "out") == files_of(copy)


def test_what_could_not_be_read_back_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FREE", 0)
    monkeypatch.setattr(archive, "MAX_RATIO", 1)
    with pytest.raises(DataError, match="times as large"):
        pack(run, tmp_path / "b.tar.zst")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(run: Path, packed: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.tar.zst"
    there.write_bytes(b"mine")
    (tmp_path / "link.tar.zst").symlink_to(tmp_path / "nowhere")
    for name in ("there.tar.zst", "link.tar.zst"):
        with pytest.raises(UsageError, match="exists"):
            pack(run, tmp_path / name)
    assert there.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("full", "link", "there.tar.zst"):
        with pytest.raises(UsageError, match="not an empty folder"):
            unpack(packed, tmp_path / name)
    unpack(packed, tmp_path / "empty")
    assert set(contents(tmp_path / "empty")) == set(MEMBERS)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_run_that_is_not_whole(run: Path, name: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / name).unlink()
    with pytest.raises(DataError, match=f"no plain file {name}"):
        pack(copy, tmp_path / "b.tar.zst")
    (copy / name).symlink_to(run / name)
    with pytest.raises(DataError, match=f"no plain file {name}"):
        pack(copy, tmp_path / "b.tar.zst")
    assert not (tmp_path / "b.tar.zst").exists()


def test_results_of_another_run(run: Path, tmp_path: Path) -> None:
    other = store_run(tmp_path, "b", lambda p, s: True, n=4, problems=6)
    shutil.copy(run / RESULTS, other / RESULTS)
    with pytest.raises(DataError, match="belong to different runs"):
        pack(other, tmp_path / "b.tar.zst")


def test_a_run_that_is_being_written(run: Path, tmp_path: Path) -> None:
    with (run / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="Another process is writing"):
            pack(run, tmp_path / "b.tar.zst")
    assert not list(tmp_path.iterdir())


def test_a_file_that_changes_meanwhile(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    original: Callable[..., None] = archive._write

    def late(folder: Path, *rest: object) -> None:
        with (folder / SCORES).open("ab") as file:
            file.write(b"{}\n")
        original(folder, *rest)

    monkeypatch.setattr(archive, "_write", late)
    with pytest.raises(DataError, match="changed during packing"):
        pack(copy, tmp_path / "b.tar.zst")
    assert not (tmp_path / "b.tar.zst").exists()


def test_a_full_disk_leaves_nothing(run: Path, packed: Path, tmp_path: Path) -> None:
    """The limit on a file's size stands for the full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError):
            unpack(packed, tmp_path / "out")
        with pytest.raises(StorageError):
            pack(run, tmp_path / "b.tar.zst")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_no_room_is_said_at_once(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(StorageError, match="no room"):
        unpack(packed, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_command(run: Path, packed: Path, tmp_path: Path) -> None:
    result = recode_eval("pack", str(run), cwd=tmp_path)
    name = f"a-{run.name}.tar.zst"
    assert (result.returncode, result.stdout) == (0, f"{name}\n"), result.stderr
    assert (tmp_path / name).read_bytes() == packed.read_bytes()
    failed(recode_eval("pack", str(run), cwd=tmp_path), ExitCode.USAGE, "exists")
    assert recode_eval("pack", "--extract", name, "--out", "o", cwd=tmp_path).returncode == 0
    assert contents(tmp_path / "o") == files_of(run)
    (tmp_path / "bad.tar.zst").write_bytes(packed.read_bytes()[:-9])
    bad = recode_eval("pack", "--extract", "bad.tar.zst", "--out", "p", cwd=tmp_path)
    failed(bad, ExitCode.DATA, "bad.tar.zst is not a pack of a run")
    failed(recode_eval("pack", "--extract", name, cwd=tmp_path), ExitCode.USAGE, "--out FOLDER")
    failed(recode_eval("pack", cwd=tmp_path), ExitCode.USAGE, "Name a run")


def test_unscored_samples_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recode_eval import cli

    monkeypatch.chdir(tmp_path)
    run = store_run(tmp_path, "a", lambda p, s: None if s else True, n=4, problems=6)
    assert cli.run(["pack", str(run)]) == 0
    assert "18 of the 24 samples in the pack are unscored" in capsys.readouterr().err
