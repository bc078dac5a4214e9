"""Changes modules, paths, hooks and settings of its interpreter for those who come later.

Expect: contained
"""

import builtins
import codecs
import copyreg
import decimal
import gc
import json
import locale
import math
import os
import sys
import threading
import warnings

for module in (builtins, json, os, math, threading, sys):
    module.recode_attack = 1
json.loads = json.dumps = lambda *arguments, **named: None
math.isclose = lambda *arguments, **named: True
sys.path.insert(0, "/tmp/recode-attack")
sys.setrecursionlimit(77)
sys.meta_path.clear()
sys.modules["recode_attack"] = sys
gc.disable()
gc.set_threshold(1)
decimal.getcontext().prec = 1
warnings.simplefilter("error")
codecs.register(lambda name: None)
copyreg.pickle(complex, lambda number: (complex, (0,)))
try:
    locale.setlocale(locale.LC_ALL, "C")
except locale.Error:
    pass
threading.settrace(lambda *arguments: None)
sys.settrace(lambda *arguments: None)
