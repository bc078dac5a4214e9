"""Values that cross between tests and candidate: what arrives, and what hostile messages can do."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.sandbox.local import supervisor_folder

sys.path.insert(0, str(supervisor_folder()))
from recode_program import crossing, crossing_libraries, namespace, values
from recode_program.crossing import Decoder, Encoder, HungUpError, UncrossableError
from recode_program.peer import Peer

REFUSALS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**5000, max_value=10**5001),
    st.floats(allow_nan=False),
    st.text(st.characters()),
    st.binary(),
    st.complex_numbers(allow_nan=False),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
)
HASHABLE = st.one_of(SCALARS, st.tuples(SCALARS, SCALARS), st.frozensets(SCALARS, max_size=3))
VALUES = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
    ),
    max_leaves=12,
)
FORMS = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-3, 70), st.floats(), st.text(max_size=4),
        st.sampled_from(sorted(crossing._DECODERS)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.tuples(st.sampled_from([*sorted(crossing._DECODERS), "o", "ref", "C", "h", "I", "exc",
                                   "pickle", "mod", "fn", "bound"]), inner, inner).map(list),
    ),
    max_leaves=10,
)  # fmt: skip


def refuse(_: Any, *value: Any) -> Any:
    raise UncrossableError(repr(value))


def there_and_back(value: Any) -> Any:
    encoder = Encoder(refuse, {})
    form = json.loads(json.dumps(encoder.encode(value)))
    decoder = Decoder(refuse, [bytearray(blob) for blob in encoder.blobs], [])
    found = decoder.decode(form)
    assert len(decoder.objects) == len(encoder.objects)
    return found


@given(VALUES)
def test_plain_data_arrives_as_it_was(value: Any) -> None:
    found = there_and_back(value)
    assert found == value
    assert type(found) is type(value)


def test_what_is_shared_stays_shared() -> None:
    part: list[Any] = [1]
    part.append(part)
    found = there_and_back({"a": part, "b": [part]})
    assert found["a"] is found["b"][0]
    assert found["a"][1] is found["a"]


@given(FORMS)
def test_no_form_does_more_than_be_refused(form: Any) -> None:
    """Whatever the candidate's process sends is data, a proxy, or one of a few exceptions."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = Peer(ours, guarded=True)
        decoder = Decoder(peer._decode_other, [bytearray(b"12345678")] * 3, [])
        with contextlib.suppress(*REFUSALS, UncrossableError):
            decoder.decode(form)


@pytest.mark.parametrize(
    "form",
    [
        ["pickle", 0, []],
        ["mod", "os"],
        ["fn", "os", "system"],
        ["np.a", "|O", [1], 0],
        ["np.a", "V8", [1], 0],
        ["np.a", "<f8", [10**12], 0],
        ["sy.e", "__class__", []],
        ["sy.s", "register"],
        ["sy.u", 5, []],
        ["np.a", "<f8", [4], 1],
        ["np.ma", ["np.a", "<f8", [1], 0], True, 0.0],
        ["pd.ts", "now", "ns", None, 0],
        ["pd.ts", 0, "ns", "dateutil//etc/localtime", 0],
        ["sy.x", "exit()", {}],
        ["sy.u", "exit", []],
        ["zone", "../../etc/localtime"],
        ["ref", "asyncio.events", "Handle"],
        ["deque", "x", []],
        ["re", ["b", 9], 0],
        ["o", 10**9],
        ["o", -1],
        ["r", 0],
        ["a", 0],
        [],
        [["l"]],
        {"a": 1},
    ],
)
def test_hostile_forms_are_refused(form: Any) -> None:
    pytest.importorskip("numpy")
    crossing_libraries.bind()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = Peer(ours, guarded=True)
        with pytest.raises(REFUSALS):
            Decoder(peer._decode_other, [bytearray(8), bytearray()], []).decode(form)


def test_a_class_is_named_only_if_it_is_loaded_and_harmless() -> None:
    assert values._class_by_reference("collections", "OrderedDict").__name__ == "OrderedDict"
    for module, name in (("subprocess", "Popen"), ("os", "system"), ("no.such", "X"),
                         ("ctypes", "CDLL"), ("builtins", "exec")):  # fmt: skip
        assert values._class_by_reference(module, name) is object


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 12,
        (5).to_bytes(8, "little") + (0).to_bytes(4, "little") + b"nojsn",
        (2).to_bytes(8, "little") + (3).to_bytes(4, "little") + b"[]",
        (1 << 40).to_bytes(8, "little") + (0).to_bytes(4, "little"),
        (2).to_bytes(8, "little") + (1).to_bytes(4, "little") + b"[]" + b"\xff" * 8,
    ],
)
def test_what_is_no_message_ends_the_conversation(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(data)
        with pytest.raises(HungUpError):
            crossing.receive(ours)


def conversation(value: Any) -> tuple[Peer, int]:
    """A guarded peer, with one that has `value` at the other end."""
    ours, theirs = socket.socketpair()
    owner = Peer(theirs, guarded=False)
    number = owner._number(value)
    threading.Thread(target=owner.serve, daemon=True).start()
    return Peer(ours, guarded=True), number


def test_a_test_can_ask_and_be_asked() -> None:
    peer, number = conversation(lambda f, *values: [f(value) for value in values])
    assert peer.request("call", number, (lambda x: x + 1, 1, 2), {}) == [2, 3]


@pytest.mark.parametrize(
    "name", ["__globals__", "__code__", "__closure__", "_secret", "gi_frame", "f_back", "mro"]
)
def test_what_a_test_hands_over_cannot_be_looked_behind(name: str) -> None:
    def spy(handed: Any) -> Any:
        try:
            return getattr(handed, name)
        except AttributeError:
            return "refused"

    class Handed:
        _secret = f_back = gi_frame = "secret"

    Handed.__module__ = namespace.NAME
    peer, number = conversation(spy)
    assert peer.request("call", number, (Handed(),), {}) == "refused"
