"""Right programs with threads, tasks, child processes and signals; see `right_programs`."""

from __future__ import annotations

PROCESSES: dict[str, str] = {
    "forty threads in a pool": r"""
from concurrent.futures import ThreadPoolExecutor
import threading
def squares(numbers):
    together = threading.Barrier(40, timeout=20)
    def work(number):
        together.wait()
        return number * number
    with ThreadPoolExecutor(max_workers=40) as pool:
        return list(pool.map(work, numbers))
# test
assert squares(range(40)) == [n * n for n in range(40)]
""",
    "locks and conditions": r"""
import threading
def count(workers, steps):
    total, lock = [0], threading.RLock()
    def work():
        for _ in range(steps):
            with lock:
                total[0] += 1
    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return total[0]
def handed_over():
    condition, box = threading.Condition(), []
    def give():
        with condition:
            box.append(7)
            condition.notify_all()
    threading.Thread(target=give).start()
    with condition:
        condition.wait_for(lambda: box, timeout=5)
    return box
# test
assert count(8, 500) == 4000
# test
assert handed_over() == [7]
""",
    "producer and consumer": r"""
import queue, threading
def pipeline(values):
    todo, done = queue.Queue(maxsize=4), queue.PriorityQueue()
    def consume():
        while (value := todo.get()) is not None:
            done.put(value * 2)
            todo.task_done()
        todo.task_done()
    worker = threading.Thread(target=consume, daemon=True)
    worker.start()
    for value in values: todo.put(value)
    todo.put(None)
    todo.join()
    worker.join()
    return [done.get() for _ in range(done.qsize())]
# test
assert pipeline([3, 1, 2]) == [2, 4, 6]
""",
    "timer and event": r"""
import threading
def later(seconds):
    event = threading.Event()
    timer = threading.Timer(seconds, event.set)
    timer.start()
    came = event.wait(5)
    timer.join()
    return came
# test
assert later(0.02) is True
""",
    "thread with locals and an error": r"""
import threading
def run():
    own, seen, errors = threading.local(), [], []
    own.value = 'main'
    threading.excepthook = lambda args: errors.append(args.exc_type.__name__)
    def work():
        seen.append(hasattr(own, 'value'))
        raise KeyError('x')
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return own.value, seen, errors
# test
assert run() == ('main', [False], ['KeyError'])
""",
    "deep recursion in a thread with a big stack": r"""
import sys, threading
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
def run(n):
    sys.setrecursionlimit(10**5)
    threading.stack_size(256 << 20)
    found = []
    thread = threading.Thread(target=lambda: found.append(depth(n)))
    thread.start()
    thread.join()
    return found[0]
# test
assert run(20_000) == 20_000
""",
    "asyncio gather and timeout": r"""
import asyncio
async def one(n):
    await asyncio.sleep(0.01)
    return n
async def all_of(n): return await asyncio.gather(*[one(i) for i in range(n)])
async def too_late():
    try:
        await asyncio.wait_for(asyncio.sleep(30), 0.02)
    except asyncio.TimeoutError:
        return 'late'
def both(): return asyncio.run(all_of(50)), asyncio.run(too_late())
# test
assert both() == (list(range(50)), 'late')
""",
    "asyncio queue, lock and semaphore": r"""
import asyncio
async def work():
    queue, lock, gate, done = asyncio.Queue(2), asyncio.Lock(), asyncio.Semaphore(2), []
    async def consume():
        while True:
            value = await queue.get()
            async with gate, lock:
                done.append(value + 1)
            queue.task_done()
    tasks = [asyncio.create_task(consume()) for _ in range(3)]
    for value in range(9): await queue.put(value)
    await queue.join()
    for task in tasks: task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(done), [type(one).__name__ for one in ended]
def run(): return asyncio.run(work())
# test
assert run() == (list(range(1, 10)), ['CancelledError'] * 3)
""",
    "asyncio subprocess": r"""
import asyncio, sys
async def double(number):
    child = await asyncio.create_subprocess_exec(
        sys.executable, '-c', 'print(int(input()) * 2)', stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE)
    said, _ = await child.communicate(str(number).encode())
    return int(said), child.returncode
async def shell():
    child = await asyncio.create_subprocess_shell('exit 3')
    return await child.wait()
def run(): return asyncio.run(double(21)), asyncio.run(shell())
# test
assert run() == ((42, 0), 3)
""",
    "asyncio with threads": r"""
import asyncio, concurrent.futures, time
def slow(n):
    time.sleep(0.01)
    return n * n
async def work():
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = await asyncio.gather(*[loop.run_in_executor(pool, slow, n) for n in range(8)])
    return found, await loop.run_in_executor(None, slow, 9)
def run(): return asyncio.run(work())
# test
assert run() == ([n * n for n in range(8)], 81)
""",
    "async generators and context managers": r"""
import asyncio, contextlib
log = []
@contextlib.asynccontextmanager
async def opened(name):
    log.append('open ' + name)
    try: yield name.upper()
    finally: log.append('close ' + name)
async def count(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i
async def work():
    async with opened('a') as name:
        return name, [i * 2 async for i in count(5) if i % 2 == 0]
def run(): return asyncio.run(work()), log
# test
assert run() == (('A', [0, 4, 8]), ['open a', 'close a'])
""",
    "subprocess with pipes": r"""
import subprocess, sys
def upper(text):
    done = subprocess.run([sys.executable, '-c', 'import sys; print(sys.stdin.read().upper())'],
                          input=text, capture_output=True, text=True, check=True)
    return done.stdout.strip()
def fails():
    try: subprocess.run(['sh', '-c', 'echo no >&2; exit 3'], check=True, capture_output=True)
    except subprocess.CalledProcessError as error: return error.returncode, error.stderr
def hangs():
    try: subprocess.run(['sleep', '60'], timeout=0.05)
    except subprocess.TimeoutExpired: return 'timeout'
# test
assert upper('abc') == 'ABC'
# test
assert fails() == (3, b'no\n')
# test
assert hangs() == 'timeout'
""",
    "a script that it wrote": r"""
import os, pathlib, stat, subprocess, sys
def run_shell():
    path = pathlib.Path('hello.sh')
    path.write_text('#!/bin/sh\necho "hello $1"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return subprocess.run(['./hello.sh', 'you'], capture_output=True, text=True).stdout
def run_python():
    pathlib.Path('tool.py').write_text(f'#!{sys.executable}\nprint(6 * 7)\n')
    os.chmod('tool.py', 0o755)
    return subprocess.check_output([os.path.abspath('tool.py')], text=True)
# test
assert run_shell() == 'hello you\n'
# test
assert run_python() == '42\n'
""",
    "numpy in a child Python": r"""
import subprocess, sys
def total(n):
    code = f'import numpy; print(numpy.arange({n}).sum())'
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout
# test
assert total(101) == '5050\n'
""",
    "shell pipelines": r"""
import os, subprocess
def run(command): return subprocess.check_output(command, shell=True, text=True)
# test
assert run('printf "b\na\nc\n" | sort | head -n 2 | tr "\n" ,') == 'a,b,'
# test
assert run('for n in 1 2 3; do echo $((n * n)); done > out; wc -l < out').strip() == '3'
# test
import os
assert os.system('exit 4') >> 8 == 4 and os.popen('echo read').read() == 'read\n'
""",
    "fork, pipe and wait": r"""
import os
def child_says(text):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, text.encode())
        os._exit(5)
    os.close(writer)
    with os.fdopen(reader) as file: said = file.read()
    return said, os.WEXITSTATUS(os.waitpid(pid, 0)[1])
# test
assert child_says('hi') == ('hi', 5)
""",
    "multiprocessing process and queue": r"""
import multiprocessing as mp
def work(todo, done):
    for value in iter(todo.get, None): done.put((value, value * value))
def run(values):
    todo, done = mp.Queue(), mp.Queue()
    workers = [mp.Process(target=work, args=(todo, done)) for _ in range(2)]
    for one in workers: one.start()
    for value in values: todo.put(value)
    for _ in workers: todo.put(None)
    found = dict(done.get(timeout=20) for _ in values)
    for one in workers: one.join()
    return found, [one.exitcode for one in workers]
# test
assert run([1, 2, 3]) == ({1: 1, 2: 4, 3: 9}, [0, 0])
""",
    "multiprocessing pool": r"""
from multiprocessing import Pool
def square(x): return x * x
def power(x, y): return x ** y
def run():
    with Pool(4) as pool:
        return pool.map(square, range(10)), pool.starmap(power, [(2, 3), (3, 2)]), \
            sorted(pool.imap_unordered(square, [3, 4])), pool.apply_async(square, (5,)).get(20)
# test
assert run() == ([n * n for n in range(10)], [8, 9], [9, 16], 25)
""",
    "multiprocessing thread pool": r"""
from multiprocessing.pool import ThreadPool
def lengths(words):
    with ThreadPool(8) as pool: return pool.map(len, words)
# test
assert lengths(['a', 'bb', 'ccc']) == [1, 2, 3]
""",
    "multiprocessing locks and shared values": r"""
import multiprocessing as mp
def add(value, array, lock):
    for _ in range(100):
        with lock: value.value += 1
    array[0] = 2.5
def run():
    value, array, lock = mp.Value('i', 0), mp.Array('d', 3), mp.Lock()
    workers = [mp.Process(target=add, args=(value, array, lock)) for _ in range(3)]
    for one in workers: one.start()
    for one in workers: one.join()
    return value.value, list(array)
def waits():
    event, gate = mp.Event(), mp.Semaphore(0)
    mp.Process(target=lambda: (gate.release(), event.set())).start()
    return gate.acquire(timeout=10), event.wait(10)
# test
assert run() == (300, [2.5, 0, 0])
# test
assert waits() == (True, True)
""",
    "multiprocessing pipe": r"""
import multiprocessing as mp
def serve(end):
    end.send({'got': end.recv()})
    end.close()
def ask(value):
    mine, yours = mp.Pipe()
    child = mp.Process(target=serve, args=(yours,))
    child.start()
    mine.send(value)
    said = mine.recv()
    child.join()
    return said
# test
assert ask([1, 'a']) == {'got': [1, 'a']}
""",
    "multiprocessing spawn": r"""
import multiprocessing as mp
def cube(x): return x ** 3
def run(values):
    with mp.get_context('spawn').Pool(1) as pool: return pool.map(cube, values)
# test
assert run([1, 2, 3]) == [1, 8, 27]
""",
    "process pool executor": r"""
from concurrent.futures import ProcessPoolExecutor, as_completed
def work(n):
    if n < 0: raise ValueError(n)
    return sum(range(n))
def run():
    with ProcessPoolExecutor(max_workers=3) as pool:
        jobs = [pool.submit(work, n) for n in (10, 100)]
        bad = pool.submit(work, -1).exception()
        return sorted(job.result() for job in as_completed(jobs)), repr(bad)
# test
assert run() == ([45, 4950], 'ValueError(-1)')
""",
    "shared memory": r"""
from multiprocessing import Process, shared_memory
import numpy as np
def fill(name, size):
    block = shared_memory.SharedMemory(name=name)
    np.ndarray((size,), dtype=np.int64, buffer=block.buf)[:] = np.arange(size)
    block.close()
def run(size):
    block = shared_memory.SharedMemory(create=True, size=size * 8)
    child = Process(target=fill, args=(block.name, size))
    child.start()
    child.join()
    total = int(np.ndarray((size,), dtype=np.int64, buffer=block.buf).sum())
    block.close()
    block.unlink()
    return total
def listed():
    values = shared_memory.ShareableList(['a', 1, 2.5])
    found = list(values)
    values.shm.close()
    values.shm.unlink()
    return found
# test
assert run(1000) == 499500
# test
assert listed() == ['a', 1, 2.5]
""",
    "signals and alarms": r"""
import os, signal, time
def interrupted():
    def ring(number, frame): raise TimeoutError(number)
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try: time.sleep(20)
    except TimeoutError as error: return error.args[0] == signal.SIGALRM
    finally: signal.alarm(0)
def to_itself():
    seen = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    return seen == [signal.SIGUSR1]
# test
assert interrupted()
# test
assert to_itself()
""",
    "children that are ended": r"""
import os, signal, subprocess
def stop(how):
    with subprocess.Popen(['sleep', '60']) as child:
        getattr(child, how)()
    return child.returncode
def by_number():
    child = subprocess.Popen(['sleep', '60'])
    os.kill(child.pid, signal.SIGINT)
    return child.poll(), child.wait(timeout=10)
# test
assert (stop('terminate'), stop('kill')) == (-15, -9)
# test
assert by_number()[1] == -2
""",
    "a bash script with jobs": r"""
import subprocess
def run():
    script = 'sleep 0.05 & one=$!; (exit 3) & two=$!; wait $one; echo $?; wait $two; echo $?'
    return subprocess.run(['bash', '-c', script], capture_output=True, text=True).stdout
# test
assert run() == '0\n3\n'
""",
    "a socket pair and selectors": r"""
import selectors, socket
def echo(text):
    one, other = socket.socketpair()
    with one, other, selectors.DefaultSelector() as selector:
        selector.register(other, selectors.EVENT_READ)
        one.sendall(text)
        return [key.fileobj.recv(100) for key, _ in selector.select(5)]
# test
assert echo(b'hello') == [b'hello']
""",
}
