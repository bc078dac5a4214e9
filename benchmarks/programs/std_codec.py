import base64
import hashlib
import itertools
import zlib

LENGTH = 400  # 100..6000
ALPHABET = 4  # 2..9

# %% candidate
def encode(text):
    """Run-length encoding: `aaab` -> [("a", 3), ("b", 1)]."""
    return [(letter, len(list(run))) for letter, run in itertools.groupby(text)]  # wrong: return [(letter, text.count(letter)) for letter, run in itertools.groupby(text)]


def decode(pairs):
    return "".join(letter * count for letter, count in pairs)


def packed(text):
    """A printable checksum and the compressed text."""
    data = base64.b85encode(zlib.compress(text.encode()))
    return hashlib.sha256(data).hexdigest(), data


def sample(length, alphabet):
    return "".join("abcdefghi"[(i * i // 7) % alphabet] for i in range(length))


# %% test (fails when wrong)
def test_round_trip():
    text = sample(LENGTH, ALPHABET)
    assert decode(encode(text)) == text

# %% test
def test_one_run():
    assert encode("x" * LENGTH) == [("x", LENGTH)]

# %% test
def test_packed():
    text = sample(LENGTH, ALPHABET)
    digest, data = packed(text)
    assert zlib.decompress(base64.b85decode(data)).decode() == text
    assert digest == hashlib.sha256(data).hexdigest()

# %% test (fails when wrong)
def test_return_of_a_letter():
    assert encode("aba" + "c" * ALPHABET) == [("a", 1), ("b", 1), ("a", 1), ("c", ALPHABET)]
