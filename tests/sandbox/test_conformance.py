"""What every tier must do: verdicts, limits, blame, and a clean start for the next program.

Programs do so on Python 3.9, too, on which the supervisor itself cannot run.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import OLD_PYTHON, open_or_skip

from recode_eval.sandbox import Limits, Program, Sandbox, Status, Test

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENTS = ["mini", pytest.param(OLD_PYTHON, marks=pytest.mark.slow)]
LIMITS = Limits(cpu_s=2, wall_s=8, memory_bytes=512 << 20)


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def sandbox(tier: str, environment: str) -> Iterator[Sandbox]:
    """One worker of each tier and environment: what one test leaves behind, the next would see."""
    with open_or_skip(tier, environment=environment, workers=1) as opened:
        yield opened


def run(sandbox: Sandbox, candidate: str, *tests: str, setup: str = "", limits: Limits = LIMITS):
    program = Program(
        setup, candidate, tuple(Test(f"test_{n}", code) for n, code in enumerate(tests))
    )
    return sandbox.submit(program, limits).result()


def statuses(execution) -> list[Status]:
    return [verdict.status for verdict in execution.verdicts]


def test_each_test_gets_its_own_verdict(sandbox: Sandbox) -> None:
    result = run(
        sandbox,
        "def f(x):\n    return x + 1",
        "assert f(1) == 2",
        "assert f(1) == 3, 'no'",
        "raise SystemExit(0)",
        "def test():\n    assert f(2) == 3\ntest()",
    )
    assert statuses(result) == [Status.PASSED, Status.FAILED, Status.FAILED, Status.PASSED]
    assert [verdict.name for verdict in result.verdicts] == ["test_0", "test_1", "test_2", "test_3"]
    assert result.verdicts[1].detail == "AssertionError: no"
    assert not result.passed


def test_namespace_is_that_of_a_module_of_its_own(sandbox: Sandbox) -> None:
    result = run(
        sandbox,
        "import sys\nmodule = sys.modules[__name__].__dict__",
        "assert module is globals()",
        "assert len([n for n in module if not n.startswith('__')]) == 3, sorted(module)",
        setup="value = 1",
    )
    assert result.passed, result


@pytest.mark.parametrize(
    "guarded", ["sys.exit(main())", "print(input())", "import unittest; unittest.main()"]
)
def test_what_stands_under_the_main_guard_does_not_run(sandbox: Sandbox, guarded: str) -> None:
    """It failed right answers; HumanEval, EvalPlus and CodeUpdateArena never run it."""
    candidate = f"import sys\ndef main(): return 0\nif __name__ == '__main__':\n    {guarded}\n"
    assert run(sandbox, candidate, "assert main() == 0").passed


def test_a_program_can_find_itself(sandbox: Sandbox) -> None:
    """Its classes can be pickled, its source and its file read, its modules imported."""
    result = run(
        sandbox,
        "import inspect, pickle, typing\n"
        "class Point:\n    near: 'Point'\n    def __eq__(self, o): return type(self) is type(o)\n"
        "def copy(x): return pickle.loads(pickle.dumps(x))\n"
        "def source(): return inspect.getsource(source)\n"
        "def read(): return open(__file__).read()\n"
        "def other():\n"
        "    with open('written_beside.py', 'w') as file: file.write('value = 5')\n"
        "    import written_beside\n"
        "    return written_beside.value\n",
        "assert copy(Point()) == Point()",
        "assert typing.get_type_hints(Point) == {'near': Point}",
        "assert source() == 'def source(): return inspect.getsource(source)\\n'",
        "assert 'def read()' in read()",
        "assert other() == 5",
    )
    assert result.passed, result


def test_a_file_of_a_program_does_not_shadow_a_library(sandbox: Sandbox) -> None:
    result = run(
        sandbox,
        "with open('colorsys.py', 'w') as file: file.write('rgb_to_hls = None')",
        "import colorsys\nassert colorsys.rgb_to_hls(0, 0, 0) == (0.0, 0.0, 0.0)",
    )
    assert result.passed, result


def test_broken_setup_is_the_datas_fault(sandbox: Sandbox) -> None:
    result = run(sandbox, "x = 1", "assert x", setup="import not_there")
    assert result.verdicts == ()
    assert result.setup_error == "ModuleNotFoundError: No module named 'not_there'"
    assert not result.passed


@pytest.mark.parametrize(
    "candidate",
    [
        "def f(:",
        "raise ValueError('no')",
        "import sys; sys.exit(0)",
        "x = '\x00'",
        "x = '\ud800'",
        "(" * 5000,
        "from nowhere import nothing",
    ],
)
def test_broken_candidate_fails_all_tests(sandbox: Sandbox, candidate: str) -> None:
    result = run(sandbox, candidate, "assert True", "assert True")
    assert set(statuses(result)) <= {Status.FAILED, Status.MEMORY}
    assert len(result.verdicts) == 2
    assert result.setup_error is None


def test_limits_end_one_test_and_not_the_others(sandbox: Sandbox) -> None:
    """A test that hangs, crashes or eats memory must not take the tests after it with it."""
    result = run(
        sandbox,
        "import os, time",
        "while True: pass",
        "assert True",
        "os._exit(0)",
        "os.kill(os.getpid(), 11)",
        "x = [0] * 10**9",
        "assert True",
    )
    assert statuses(result) == [
        Status.TIMEOUT, Status.PASSED, Status.CRASHED, Status.CRASHED, Status.MEMORY, Status.PASSED,
    ]  # fmt: skip
    assert result.verdicts[0].cpu_s == pytest.approx(2, abs=0.6)


def test_sleeping_ends_by_wall_time(sandbox: Sandbox) -> None:
    limits = Limits(cpu_s=30, wall_s=1.5)
    start = time.monotonic()
    result = run(sandbox, "import time", "time.sleep(600)", "assert True", limits=limits)
    assert statuses(result) == [Status.TIMEOUT, Status.PASSED]
    assert time.monotonic() - start < 30


def test_memory_of_many_processes_counts_together(sandbox: Sandbox) -> None:
    """A limit per process alone let a program have it once per process."""
    result = run(
        sandbox,
        "import os, time",
        "for n in range(4):\n"
        "    if os.fork() == 0:\n"
        "        x = bytearray(300 << 20)\n"
        "        time.sleep(30)\n"
        "time.sleep(30)",
    )
    assert statuses(result) == [Status.MEMORY]


def test_hanging_candidate_times_out_once(sandbox: Sandbox) -> None:
    start = time.monotonic()
    result = run(sandbox, "while True: pass", *["assert True"] * 5)
    assert set(statuses(result)) == {Status.TIMEOUT}
    assert time.monotonic() - start < 25


def test_output_is_bounded_and_escaped(sandbox: Sandbox) -> None:
    result = run(
        sandbox,
        "",
        "print('a' * 200_000)",
        "import sys; sys.stdout.buffer.write(b'\\xff\\x00\\x1b[31m end')",
        limits=Limits(output_bytes=1000),
    )
    assert result.passed
    assert result.output.endswith("\\xff\\x00\\x1b[31m end")
    assert len(result.output) < 2000
    assert result.output.isascii()


def test_large_sources_and_many_tests_arrive(sandbox: Sandbox) -> None:
    """The channel takes about 200 kB at once; longer programs must not block or be cut."""
    filler = "#" + "x" * 300_000 + "\n"
    result = run(
        sandbox, filler + "y = 1", *[filler + "assert y == 1"] * 5, setup=filler, limits=Limits()
    )
    assert result.passed
    many = run(sandbox, "y = 1", *["assert y == 1"] * 2000, limits=Limits())
    assert many.passed
    assert len(many.verdicts) == 2000


def test_no_tests_is_no_pass(sandbox: Sandbox) -> None:
    result = run(sandbox, "x = 1")
    assert result.verdicts == ()
    assert result.setup_error is None
    assert not result.passed


def test_threads_and_forks_work_as_in_any_process(sandbox: Sandbox) -> None:
    """Programs are forked past Python's own hooks: nothing of what these set right may be wrong."""
    result = run(
        sandbox,
        "import concurrent.futures, logging, os, random, subprocess, sys, threading\n"
        "hooks = []\n"
        "os.register_at_fork(before=lambda: hooks.append('before'),\n"
        "                    after_in_child=lambda: hooks.append('child'))\n"
        "def child(work):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        os._exit(0 if work() else 1)\n"
        "    return os.waitpid(pid, 0)[1] == 0\n",
        "main = threading.main_thread()\n"
        "assert threading.current_thread() is main and main.is_alive()\n"
        "assert main.native_id == threading.get_native_id() == os.getpid()\n"
        "assert threading.enumerate() == [main] and list(sys._current_frames()) == [main.ident]",
        "seen = []\n"
        "def work():\n"
        "    import json.tool, this\n"
        "    logging.getLogger('x').warning('logged in a thread')\n"
        "    seen.append(threading.get_native_id())\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "assert len(seen) == 4 and os.getpid() not in seen\n"
        "assert threading.active_count() == 1",
        "with concurrent.futures.ThreadPoolExecutor(3) as pool:\n"
        "    assert sum(pool.map(abs, range(-9, 1))) == 45",
        "assert child(lambda: hooks == ['before', 'child'] and random.random())\n"
        "assert child(lambda: threading.main_thread().native_id and child(lambda: True))",
        "import signal\n"
        "signal.signal(signal.SIGALRM, lambda *_: hooks.append('alarm'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01)\n"
        "while 'alarm' not in hooks: pass",
        "done = subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True)\n"
        "assert done.stdout.strip() == b'42', done",
        limits=Limits(cpu_s=5, wall_s=20),
    )
    assert statuses(result) == [Status.PASSED] * 6, result


RIGHT_PROGRAMS = {
    "asyncio": (
        "import asyncio, sys\n"
        "async def work():\n"
        "    command = [sys.executable, '-c', 'print(1)']\n"
        "    done = await asyncio.create_subprocess_exec(*command, stdout=-1)\n"
        "    said, _ = await done.communicate()\n"
        "    return said, await asyncio.gather(*[asyncio.sleep(0.01, n) for n in range(3)])\n"
        "assert asyncio.run(work()) == (b'1\\n', [0, 1, 2])"
    ),
    "shell": (
        "import subprocess\n"
        "shell = 'for n in 3 1 2; do echo $n; done | sort | tr \\'\\\\n\\' , ; echo $(echo end)'\n"
        "for name in ('sh', 'bash'):\n"
        "    done = subprocess.run([name, '-c', shell], capture_output=True, text=True)\n"
        "    assert done.stdout == '1,2,3,end\\n', (name, done)"
    ),
    "children": (
        "import os, signal, subprocess\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_DFL)\n"
        "children = [os.fork() or os._exit(n) for n in range(3)]\n"
        "assert [os.waitpid(child, 0)[1] >> 8 for child in children] == [0, 1, 2]\n"
        "with subprocess.Popen(['sleep', '60']) as child:\n"
        "    child.terminate()\n"
        "assert child.returncode == -15"
    ),
    "files": (
        "import mmap, os, pathlib, shutil, sqlite3, tempfile, zipfile\n"
        "folder = pathlib.Path(tempfile.mkdtemp())\n"
        "one, two = folder / 'one', folder / 'two'\n"
        "one.write_bytes(os.urandom(1 << 20))\n"
        "shutil.copy2(one, two)\n"
        "assert one.read_bytes() == two.read_bytes()\n"
        "os.link(one, folder / 'link'); os.symlink(one, folder / 'symlink')\n"
        "two.rename(folder / 'z')\n"
        "one.chmod(0o600); os.utime(one, (1, 1)); os.truncate(one, 10)\n"
        "with open(one, 'r+b') as file, mmap.mmap(file.fileno(), 0) as area:\n"
        "    area[:2] = b'ab'; area.flush(); os.fsync(file.fileno())\n"
        "with zipfile.ZipFile(folder / 'x.zip', 'w') as archive:\n"
        "    archive.write(one)\n"
        "with sqlite3.connect(folder / 'data') as database:\n"
        "    database.execute('create table t (x)'); database.execute('insert into t values (1)')\n"
        "shutil.copytree(folder, 'copy'); shutil.rmtree(folder)"
    ),
    "waiting": (
        "import os, select, selectors, signal, socket, threading, time\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})\n"  # threads inherit it
        "reader, writer = socket.socketpair()\n"
        "with selectors.DefaultSelector() as selector:\n"
        "    selector.register(reader, selectors.EVENT_READ)\n"
        "    timer = threading.Timer(0.01, writer.send, [b'x'])\n    timer.start()\n"
        "    assert selector.select(5)\n"
        "assert select.select([reader], [], [], 5)[0] and reader.recv(1) == b'x'\n"
        "timer.join()\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "assert signal.sigwait({signal.SIGUSR1}) == signal.SIGUSR1\n"
        "condition = threading.Condition()\n"
        "with condition:\n"
        "    assert not condition.wait(0.01)"
    ),
    "machine": (
        "import getpass, locale, os, platform, random, resource, secrets, time, zoneinfo\n"
        "assert os.cpu_count() and os.sched_getaffinity(0)\n"
        "assert platform.uname().system == 'Linux'\n"
        "assert zoneinfo.ZoneInfo('Europe/Berlin') if zoneinfo.TZPATH else True\n"
        "assert os.nice(1) >= 0 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert len(secrets.token_bytes()) == 32 and time.tzname and os.getloadavg()"
    ),
    "numbers": (
        "import numpy, pandas, sympy, io\n"
        "assert numpy.linalg.svd(numpy.random.rand(200, 200))[1].shape == (200,)\n"
        "frame = pandas.DataFrame({'a': range(9), 'b': list('xyz') * 3})\n"
        "assert frame.groupby('b').a.sum().to_dict() == {'x': 9, 'y': 12, 'z': 15}\n"
        "frame.to_csv('f.csv', index=False)\n"
        "assert pandas.read_csv('f.csv').equals(frame)\n"
        "numpy.save('x.npy', numpy.arange(9)); assert numpy.load('x.npy', mmap_mode='r')[3] == 3\n"
        "x = sympy.Symbol('x'); assert sympy.integrate(2 * x, x) == x ** 2"
    ),
}


@pytest.mark.parametrize("name", RIGHT_PROGRAMS)
def test_right_programs_need_no_more_than_they_get(sandbox: Sandbox, name: str) -> None:
    """A list of allowed system calls must not leave out what ordinary programs make."""
    result = run(sandbox, "", RIGHT_PROGRAMS[name], limits=Limits(cpu_s=20, wall_s=60))
    assert result.passed, result


def test_random_numbers_start_the_same_for_every_test(sandbox: Sandbox) -> None:
    code = "import random, numpy\nprint(random.random(), numpy.random.rand())"
    result = run(sandbox, "import numpy", code, code)
    first, second = result.output.split("\n")[:2]
    assert first == second
    assert run(sandbox, "import numpy", code).output.strip() == first


def test_patched_libraries_are_whole_again_for_the_next_program(sandbox: Sandbox) -> None:
    patched = run(sandbox, "", "assert numpy.sum([1]) == 3", setup="import numpy\nnumpy.sum = max")
    assert statuses(patched) == [Status.FAILED]
    assert run(sandbox, "", "assert numpy.sum([1, 1]) == 2", setup="import numpy").passed


def test_files_are_gone_for_the_next_program(sandbox: Sandbox) -> None:
    write = "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('x')\nos.chmod('a', 0)"
    assert run(sandbox, "", write).passed
    assert run(sandbox, "import os", "assert os.listdir('.') == [], os.listdir('.')").passed


def test_standard_input_is_empty(sandbox: Sandbox) -> None:
    result = run(sandbox, "", "input()")
    assert result.verdicts[0].detail == "EOFError: EOF when reading a line"


def test_environment_holds_no_secret(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(sandbox, "import os", "print(sorted(os.environ))")
    names = eval(result.output)
    assert not [name for name in names if "KEY" in name or "TOKEN" in name or "PROXY" in name]


def test_cpu_time_is_reported(sandbox: Sandbox) -> None:
    burn = "import time\nt = time.process_time()\nwhile time.process_time() - t < 0.3: pass"
    result = run(sandbox, "", burn, "assert True")
    assert result.verdicts[0].cpu_s == pytest.approx(0.3, abs=0.1)
    assert result.verdicts[1].cpu_s == pytest.approx(0, abs=0.1)
    assert result.cpu_s == pytest.approx(0.3, abs=0.15)


def test_info_tells_what_was_used(sandbox: Sandbox, tier: str) -> None:
    info = sandbox.info
    assert info.tier == tier
    assert info.guarantees
    assert info.libraries["numpy"] == "1.26.4"
    assert (info.image_digest is not None) == (tier == "docker")


def test_programs_run_on_the_environments_python(sandbox: Sandbox, environment: str) -> None:
    """The supervisor was once started by it, so that no program could run on an older one."""
    seen = run(sandbox, "import sys", "print(*sys.version_info[:3], sys.argv[1:])")
    major, minor, micro, arguments = seen.output.split()
    assert sandbox.info.python == f"{major}.{minor}.{micro}"
    assert arguments == "[]"
    old = environment == OLD_PYTHON
    wanted = run(sandbox, "import sys", "assert sys.version_info[:2] == (3, 9), sys.version")
    assert wanted.passed == old
    runtime = sandbox.info.runtimes["python"]
    assert (runtime["kind"], runtime["version"]) == ("python", sandbox.info.python)
    assert tuple(map(int, sandbox.info.supervisor.split(".")[:2])) >= (3, 11)


def test_what_a_program_executes_is_the_same_python(sandbox: Sandbox) -> None:
    """With Python in a folder of root's own, a child could not read it and took the system's."""
    result = run(
        sandbox,
        "import subprocess, sys\ncode = 'import sys, numpy; print(sys.version, sys.prefix)'",
        "done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)\n"
        "assert done.stdout == f'{sys.version} {sys.prefix}\\n', done",
        limits=Limits(cpu_s=10, wall_s=30),
    )
    assert result.passed, result
