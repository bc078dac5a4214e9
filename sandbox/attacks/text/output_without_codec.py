"""Replaces how text becomes bytes, closes the output, and breaks its objects.

Expect: not passed
"""

import codecs
import sys


class Broken:
    encoding = "recode-attack"

    def write(self, text):
        raise BaseException("write")

    def flush(self):
        raise BaseException("flush")


def answer(question):
    sys.stdout.close()
    sys.stdout = sys.stderr = Broken()
    codecs.lookup = codecs.encode = None
    raise ValueError("\udcff")
