"""The types of numpy, pandas, torch and sympy that cross between processes as plain data.

Each library's functions are looked up once, before a set-up can have put an update in their place.
Arrays cross as bytes; which types of elements they may have is a closed list, since an array of
Python objects or a structure can be made to hold addresses.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import re
import sys
from typing import TYPE_CHECKING, Any

from recode_program import crossing_builtins, crossing_pandas, crossing_web
from recode_program.crossing import Decoder, Encoder, UncrossableError, register, register_base

if TYPE_CHECKING:
    import types

_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)|[SU]\d+|[mM]8(\[\w+\])?)")
_NAME = re.compile(r"[\w\\{}^ ,*+-]*")
"""Without brackets, dots and quotes nothing is called and no text is made."""
_TORCH_DTYPES = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64",
    "complex64", "complex128", "uint16", "uint32", "uint64",
)  # fmt: skip
_done: set[str] = set()


def bind() -> bool:
    """Register the types of the libraries that are loaded by now; return whether any is new."""
    new = [name for name in _LIBRARIES if name in sys.modules and name not in _done]
    new = [name for name in new if _complete(sys.modules[name])]
    for name in new:
        _done.add(name)
        # A release that lacks what ours expect: its values stay where they are, nothing else.
        with contextlib.suppress(AttributeError, ImportError):
            _LIBRARIES[name](sys.modules[name])
    return bool(new)


def load(tag: str) -> bool:
    """Load the library that a tag belongs to; return whether its types were not known before."""
    name = _TAGS.get(tag.partition(".")[0])
    if name is None or name in _done:
        return False
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
    return bind()


def _complete(module: types.ModuleType) -> bool:
    """Whether its import is over, and has not failed half-way."""
    spec = getattr(module, "__spec__", None)
    last = _LAST_NAMES.get(module.__name__, "__version__")
    return not getattr(spec, "_initializing", False) and hasattr(module, last)


def _numpy(np: Any) -> None:
    dtype, frombuffer, empty, ndarray = np.dtype, np.frombuffer, np.empty, np.ndarray
    zeros, np_any = np.zeros, np.any
    ascontiguousarray, matrix, masked = np.ascontiguousarray, np.matrix, np.ma.MaskedArray
    mask_of = np.ma.getmaskarray

    def kind(text: Any) -> Any:
        if type(text) is not str or not _DTYPE.fullmatch(text):
            raise ValueError("no type of elements that may cross")
        return dtype(text)

    def raw(encoder: Encoder, value: Any) -> list[Any]:
        text = value.dtype.str
        if not _DTYPE.fullmatch(text):
            raise UncrossableError(f"a numpy array of {value.dtype}")
        return [text, list(value.shape), encoder.blob(ascontiguousarray(value).tobytes())]

    def encode(encoder: Encoder, value: Any) -> Any:
        reference = encoder.seen(value)
        if reference is not None:
            return reference
        if value.dtype.hasobject:
            if value.dtype.kind != "O":
                raise UncrossableError(f"a numpy array of {value.dtype}")
            return ["np.o", list(value.shape), encoder.all(value.ravel().tolist())]
        return ["np.a", *raw(encoder, value)]

    def plain(decoder: Decoder, text: Any, shape: Any, number: int) -> Any:
        found = kind(text)
        data = decoder.blob(number)
        if found.itemsize == 0 or not data:
            # Never `empty`: that is what this process held there before.
            return zeros(0, found).reshape(shape) if found.itemsize else zeros(shape, found)
        return frombuffer(data, found).reshape(shape)

    def decode_objects(decoder: Decoder, shape: Any, forms: list[Any]) -> Any:
        made = decoder.add(empty(shape, object))
        flat = made.reshape(-1)
        for index, value in enumerate(decoder.all(forms)):
            flat[index] = value
        return made

    def encode_masked(encoder: Encoder, value: Any) -> Any:
        mask = mask_of(value)
        if mask.any() and not encoder.guarded:
            # numpy.testing takes what is masked for equal to anything.
            raise UncrossableError("a masked array")
        parts = (value.data, mask, value.fill_value)
        return encoder.seen(value) or ["np.ma", *encoder.all(parts)]

    def decode_masked(decoder: Decoder, *forms: Any) -> Any:
        fill = decoder.reserve()
        data, mask, filling = decoder.all(list(forms))
        if decoder.guarded and np_any(mask):
            raise ValueError("a masked array")
        return fill(masked(data, mask, fill_value=filling))

    register([ndarray], encode, np_a=lambda d, *parts: d.add(plain(d, *parts)), np_o=decode_objects)
    register(
        [matrix], lambda e, v: e.seen(v) or ["np.m", *raw(e, v)],
        np_m=lambda d, *parts: d.add(plain(d, *parts).view(matrix)),
    )  # fmt: skip
    register_base(ndarray, encode)
    register([masked], encode_masked, np_ma=decode_masked)
    scalars = [one for one in _subclasses(np.generic) if one not in {np.void, np.object_}]
    register(scalars, lambda e, v: ["np.s", *raw(e, v)],
             np_s=lambda d, *parts: plain(d, *parts).reshape(())[()])  # fmt: skip
    dtypes = {type(dtype(text)) for text in "?bBhHiIlLqQefdgFDGSUmM"}
    register(dtypes, lambda _, v: ["np.dtype", v.str], np_dtype=lambda _, text: kind(text))


def _subclasses(kind: type) -> list[type]:
    found: list[type] = []
    one: type
    for one in kind.__subclasses__():
        found += [one, *_subclasses(one)]
    return found


def _bytes_of_tensor(uint8: Any) -> Any:
    def bytes_of(value: Any) -> bytes:
        data = value.resolve_conj().resolve_neg().contiguous().reshape(-1)
        return data.view(uint8).numpy().tobytes()  # type: ignore[no-any-return]

    return bytes_of


def _with_numpy(from_numpy: Any, dtypes: dict[str, Any]) -> tuple[Any, Any]:
    """Make and read tensors as torch before 1.10 must: by numpy, which has no bfloat16."""
    numpy: Any = sys.modules["numpy"]
    frombuffer, ascontiguousarray = numpy.frombuffer, numpy.ascontiguousarray
    dtypes.pop("bfloat16", None)
    names = {value: name for name, value in dtypes.items()}

    def make(data: bytes, dtype: Any) -> Any:
        return from_numpy(frombuffer(bytearray(data), dtype=names[dtype]))

    return make, lambda value: ascontiguousarray(value.numpy()).tobytes()


def _torch(torch: Any) -> None:
    tensor = torch.Tensor
    dtypes: dict[str, Any] = {
        name: getattr(torch, name) for name in _TORCH_DTYPES if hasattr(torch, name)
    }
    if hasattr(torch, "frombuffer"):
        frombuffer, bytes_of = torch.frombuffer, _bytes_of_tensor(torch.uint8)
    elif "numpy" in sys.modules:
        frombuffer, bytes_of = _with_numpy(torch.from_numpy, dtypes)
    else:
        return
    names = {value: name for name, value in dtypes.items()}
    empty, strided, parameter = torch.empty, torch.strided, torch.nn.Parameter

    def raw(encoder: Encoder, value: Any) -> Any:
        reference = encoder.seen(value)
        if reference is not None:
            return reference
        if value.layout is not strided or value.dtype not in names or value.is_quantized:
            raise UncrossableError(f"a tensor of {value.dtype} that is {value.layout}")
        if value.device.type != "cpu":
            raise UncrossableError(f"a tensor on {value.device}")
        blob = bytes_of(value.detach()) if value.numel() else b""
        return ["pt.t", names[value.dtype], list(value.shape), encoder.blob(blob),
                bool(value.requires_grad), type(value) is parameter]  # fmt: skip

    def decode(
        decoder: Decoder, name: str, shape: Any, number: int, grad: bool, is_parameter: bool
    ) -> Any:
        data = decoder.blob(number)
        made = (
            frombuffer(data, dtype=dtypes[name]).reshape(shape)
            if data
            else empty(0, dtype=dtypes[name]).reshape(shape)
        )
        if is_parameter:
            made = parameter(made, requires_grad=bool(grad))
        elif grad:
            made.requires_grad_()
        return decoder.add(made)

    register([tensor, parameter], raw, pt_t=decode)
    register_base(tensor, raw)
    register([torch.Size], lambda _, v: ["pt.size", list(v)],
             pt_size=lambda _, parts: torch.Size(parts))  # fmt: skip
    register([torch.dtype], lambda _, v: ["pt.dtype", str(v)[6:]],
             pt_dtype=lambda _, name: dtypes[name])  # fmt: skip
    register([torch.device], lambda _, v: ["pt.device", str(v)],
             pt_device=lambda _, name: torch.device(str(name)))  # fmt: skip


def _sympy(sympy: Any) -> None:
    """Trees of classes that sympy itself has, built anew by calling them.

    Only with arguments that are sympy objects already: given a text, sympy would evaluate it.
    """
    basic = sympy.Basic
    classes = {
        one.__name__: one for one in _subclasses(basic) if one.__module__.startswith("sympy.")
    }
    classes.update({
        name: one for name, one in vars(sympy).items()
        if isinstance(one, type) and issubclass(one, basic)
    })  # fmt: skip
    undefined = sympy.core.function.AppliedUndef
    single = sympy.S

    def encode(encoder: Encoder, value: Any) -> Any:
        kind = type(value)
        if isinstance(value, sympy.Integer):
            return ["sy.n", encoder.encode(int(value)), 1]
        if isinstance(value, sympy.Rational):
            return ["sy.n", encoder.encode(int(value.p)), encoder.encode(int(value.q))]
        if isinstance(value, sympy.Float):
            return ["sy.f", encoder.encode(tuple(value._mpf_)), value._prec]
        if isinstance(value, sympy.Dummy):
            raise UncrossableError("a Dummy of sympy")
        if isinstance(value, sympy.Symbol):
            if not _harmless_name(value.name):
                raise UncrossableError(f"a symbol of sympy named {value.name[:40]!r}")
            given = (
                {key: flag for key, flag in value._assumptions_orig.items() if flag is not None}
                if hasattr(value, "_assumptions_orig")
                else {key: flag for key, flag in value.assumptions0.items() if key != "commutative"}
            )
            return ["sy.x", value.name, given]
        if isinstance(value, undefined):
            if not _harmless_name(value.func.__name__, called=True):
                raise UncrossableError(f"a function of sympy named {value.func.__name__[:40]!r}")
            return ["sy.u", value.func.__name__, encoder.all(value.args)]
        if isinstance(value, sympy.MatrixBase):
            reference = encoder.seen(value) if kind is sympy.Matrix else None
            if reference is not None:
                return reference
            return ["sy.m", kind.__name__, list(value.shape), encoder.all(list(value))]
        if getattr(single, kind.__name__, None) is value:
            return ["sy.s", kind.__name__]
        if classes.get(kind.__name__) is not kind or any(
            not isinstance(one, basic) for one in value.args
        ):
            raise UncrossableError(f"a {kind.__name__} of sympy")
        return ["sy.e", kind.__name__, encoder.all(value.args)]

    def parts(decoder: Decoder, forms: Any) -> list[Any]:
        made = decoder.all(forms)
        if any(not isinstance(one, (basic, sympy.MatrixBase)) for one in made):
            raise ValueError("no expression where one belongs")
        return made

    def integer(decoder: Decoder, form: Any) -> int:
        value = decoder.decode(form)
        if type(value) is not int:
            raise ValueError("no integer where one belongs")
        return value

    def symbol(_: Decoder, name: Any, given: Any) -> Any:
        if not _harmless_name(name) or any(type(flag) is not bool for flag in given.values()):
            raise ValueError("no symbol where one belongs")
        return sympy.Symbol(name, **given)

    def floating(decoder: Decoder, form: Any, precision: int) -> Any:
        value = decoder.decode(form)
        if type(value) is not tuple or [type(one) for one in value] != [int] * 4:
            raise ValueError("no number where one belongs")
        return sympy.Float._new(value, int(precision))

    def matrix(decoder: Decoder, name: str, shape: Any, forms: Any) -> Any:
        kinds = {"MutableDenseMatrix": sympy.Matrix, "ImmutableDenseMatrix": sympy.ImmutableMatrix}
        kind = kinds[name]
        fill = decoder.reserve() if kind is sympy.Matrix else lambda one: one
        return fill(kind(int(shape[0]), int(shape[1]), parts(decoder, forms)))

    def function(decoder: Decoder, name: Any, forms: Any) -> Any:
        if not _harmless_name(name, called=True):
            raise ValueError("no name where one belongs")
        return sympy.Function(name)(*parts(decoder, forms))

    def singleton(_: Decoder, name: str) -> Any:
        value = getattr(single, name)
        if not isinstance(value, basic):
            raise TypeError("no singleton of sympy")
        return value

    register(
        [*_subclasses(basic), sympy.Matrix, sympy.ImmutableMatrix], encode,
        sy_e=lambda d, name, forms: classes[name](*parts(d, forms)), sy_m=matrix, sy_f=floating,
        sy_n=lambda d, top, below: sympy.Rational(integer(d, top), integer(d, below)),
        sy_x=symbol, sy_u=function, sy_s=singleton,
    )  # fmt: skip
    register_base(undefined, encode)


def _harmless_name(name: Any, *, called: bool = False) -> bool:
    """Whether a name may occur in code: sympy's `lambdify` and printers write it there as it is."""
    if type(name) is not str or not _NAME.fullmatch(name):
        return False
    return not called or (name.isidentifier() and not hasattr(builtins, name))


def _networkx(nx: Any) -> None:
    kinds = {one.__name__: one for one in (nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph)}

    def encode(encoder: Encoder, value: Any) -> Any:
        reference = encoder.seen(value)
        if reference is not None:
            return reference
        keys = {"keys": True} if value.is_multigraph() else {}
        edges = list(value.edges(data=True, **keys))
        parts = (dict(value.graph), list(value.nodes(data=True)), edges)
        return ["nx", type(value).__name__, *encoder.all(parts)]

    def decode(decoder: Decoder, name: Any, *forms: Any) -> Any:
        made = decoder.add(kinds[name]())
        facts, nodes, edges = decoder.all(list(forms))
        made.graph.update(facts)
        made.add_nodes_from(nodes)
        made.add_edges_from(edges)
        return made

    register(kinds.values(), encode, nx=decode)


def _shapely(shapely: Any) -> None:
    del shapely  # before 2.0 it does not load its parts
    geometries = importlib.import_module("shapely.geometry")
    loads = importlib.import_module("shapely.wkb").loads
    names = ("Point", "LineString", "LinearRing", "Polygon", "MultiPoint", "MultiLineString",
             "MultiPolygon", "GeometryCollection")  # fmt: skip
    register(
        [getattr(geometries, name) for name in names],
        lambda encoder, value: [
            "wkb",
            encoder.blob(value.wkb),
            type(value) is geometries.LinearRing,
        ],
        wkb=lambda d, number, ring: (geometries.LinearRing if ring else lambda one: one)(
            loads(bytes(d.blob(number)))
        ),
    )


_TAGS = {
    "np": "numpy", "pd": "pandas", "pt": "torch", "sy": "sympy", "nx": "networkx",
    "wkb": "shapely", "wz": "werkzeug.wrappers",
}  # fmt: skip
_LAST_NAMES = {"werkzeug.wrappers": "Response"}
"""A name that a module has once its import is over."""
PYTHON_ITSELF = crossing_builtins
"""Loading it registers its types."""
_LIBRARIES: dict[str, Any] = {
    "numpy": _numpy, "pandas": crossing_pandas.bind, "torch": _torch, "sympy": _sympy,
    "networkx": _networkx, "shapely": _shapely, "werkzeug.wrappers": crossing_web.bind,
}  # fmt: skip
