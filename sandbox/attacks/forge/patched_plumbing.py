"""Replaces what a judge might use to report: json, marshal, pickle, os.write, sockets, select.

Expect: not passed
"""

import io
import json
import marshal
import os
import pickle
import select
import socket
import struct
import sys
import time

passed = b'{"passed": true}'
json.dumps = pickle.dumps = marshal.dumps = lambda *arguments, **named: passed
json.loads = pickle.loads = marshal.loads = lambda *arguments, **named: {"passed": True}
struct.pack = lambda *arguments: passed
os.write = lambda number, data: len(data)
os.read = lambda number, size: passed
os._exit = sys.exit = lambda *arguments: None
select.select = lambda readers, writers, errors, *timeout: (readers, writers, errors)
time.process_time = time.monotonic = time.perf_counter = lambda: 0.0
socket.socket = type("socket", (), {"send": lambda self, data: len(data)})
sys.stdout = sys.stderr = io.StringIO()


def answer(question):
    return 0
