"""Reading a PyTorch weight file (.pth) without PyTorch, and without ever running what is in it.

Such a file is a pickle that names tensors, beside their raw bytes: a zip archive since PyTorch 1.6, before
that one stream of pickles and storages (the published Inception and VGG files are of that older kind).
A pickle can call any function of the machine that reads it. Here it can call nothing: only the few opcodes
that PyTorch writes are read, and the names in it lead to five inert objects of this file or to a refusal.
"""

from __future__ import annotations

import io
import math
import mmap
import pickle
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.errors import DataError

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older kind
PROTOCOL = 1001
LOCAL = b"PK\x03\x04"  # every entry of a zip archive begins so
LARGEST_PICKLE = 32 * 2**20  # names and shapes only: real files stay below 1 MB
OPCODES = """
    PROTO FRAME STOP GLOBAL STACK_GLOBAL REDUCE BUILD BINPERSID MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT
    BININT1 BININT2 LONG1 LONG4 BINFLOAT UNICODE BINUNICODE SHORT_BINUNICODE BINSTRING SHORT_BINSTRING TUPLE
    EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 LIST EMPTY_LIST APPEND APPENDS DICT EMPTY_DICT SETITEM SETITEMS GET BINGET
    LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE
""".split()  # noqa: SIM905, one word after the other is read more easily
MOST_PLACES = 2**20  # in a pickle's memo, which Python allocates up to the highest place named
TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class _Refused(Exception):
    """The pickle asks for something that is no tensor."""


class _Storage(NamedTuple):
    """A run of numbers in the file."""

    type: np.dtype
    key: str
    numel: int


class _View(NamedTuple):
    """A tensor before its numbers are read: a window on a storage."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Named:
    """What a name in the pickle leads to: called, it builds one of our own values; nothing can be set on it."""

    __slots__ = ("_build", "type")
    type: np.dtype | None
    _build: Callable[..., Any] | None

    def __init__(self, build: Callable[..., Any] | None, type_: np.dtype | None = None) -> None:
        object.__setattr__(self, "_build", build)
        object.__setattr__(self, "type", type_)

    def __call__(self, *given: Any) -> Any:
        if self._build is None:
            raise _Refused("a type of storage is called")
        return self._build(*given)

    def __setattr__(self, name: str, value: Any) -> None:
        raise _Refused(f"the attribute {name} would be set")

    def __setstate__(self, state: Any) -> None:
        raise _Refused("a state would be set")


class _Dict(dict[Any, Any]):
    """An OrderedDict whose attributes (PyTorch hangs `_metadata` there) are left unread."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


def _ordered_dict(*items: Any) -> _Dict:
    return _Dict(*items)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _View:
    whole = (offset, *size, *stride)
    if not isinstance(storage, _Storage) or any(type(n) is not int or n < 0 for n in whole):
        raise _Refused("a tensor without storage, offset, size and stride")
    if len(size) != len(stride):
        raise _Refused("a tensor with other strides than sizes")
    return _View(storage, offset, tuple(size), tuple(stride))


def _parameter(data: Any, *_: Any) -> Any:
    return data


NAMES = {
    ("collections", "OrderedDict"): _Named(_ordered_dict),
    ("torch._utils", "_rebuild_tensor_v2"): _Named(_tensor),
    ("torch._utils", "_rebuild_tensor"): _Named(_tensor),  # before PyTorch 0.4, as in the VGG file of 2017
    ("torch._utils", "_rebuild_parameter"): _Named(_parameter),
    **{("torch", name): _Named(None, np.dtype(code)) for name, code in TYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Builds dictionaries, lists, numbers, texts and the views above: nothing else has a name here."""

    def __init__(self, piece: io.BytesIO) -> None:
        super().__init__(piece, encoding="utf-8")  # Python 2 wrote its texts as bytes
        self.storages: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The inert object of that name."""
        if (module, name) not in NAMES:
            raise _Refused(f"it asks for {module}.{name}")
        return NAMES[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """The storage that a persistent id stands for."""
        match pid:
            case ("storage", _Named(type=np.dtype() as kind), str(key), _, int(numel), *view):
                if numel < 0 or view not in ([], [None]):
                    raise _Refused("a view of a storage")
                self.storages[key] = kind
                return _Storage(kind, key, numel)
        raise _Refused("something else than a storage lies outside of it")


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a `.pth` file by name, as read-only arrays that lie in the file until they are used.

    Raises:
        DataError: no such file, not one that PyTorch wrote, damaged, or a pickle that asks for more than
            tensors: nothing in it was run.
    """
    try:
        with open(path, "rb") as stream:
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        state, numbers = _zip(path, content) if content[:4] == LOCAL else _stream(content)
        return {name: _array(view, numbers) for name, view in _tensors(state).items()}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"the weights {path} cannot be read: {error.strerror or error}") from error
    except _Refused as error:
        raise DataError(
            f"{path} was not read: {error}, and Mozart reads tensors only from a PyTorch file and runs nothing "
            "in it; is it a state_dict saved by torch.save?"
        ) from error
    # What a damaged pickle raises has no common base: its opcodes meet whatever lies on the stack.
    except Exception as error:
        raise DataError(
            f"{path} is not a PyTorch weight file, or is damaged ({type(error).__name__}: {str(error)[:120]}): "
            "fetch it anew"
        ) from error


def _load(content: bytes | mmap.mmap, start: int = 0) -> tuple[Any, int, dict[str, np.dtype]]:
    """What the pickle at `start` describes, where it ends, and the storages it names.

    Its opcodes are looked at first: one that PyTorch never writes, or a place in the memo (which Python
    would allocate) beyond the pickle's own length, is refused.
    """
    piece = io.BytesIO(content[start : start + LARGEST_PICKLE])
    for opcode, given, _ in pickletools.genops(piece):
        if opcode.name not in OPCODES or (opcode.name.endswith("PUT") and int(given or 0) > MOST_PLACES):
            raise _Refused(f"it uses the pickle opcode {opcode.name}")
    length = piece.tell()
    piece.seek(0)
    unpickler = _Unpickler(piece)
    return unpickler.load(), start + length, unpickler.storages


def _zip(path: Path, content: mmap.mmap) -> tuple[Any, dict[str, np.ndarray]]:
    """The description in `…/data.pkl` and the storages in `…/data/KEY`, which are stored uncompressed."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    (description,) = (name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1)
    root = description.removesuffix("data.pkl")
    if f"{root}byteorder" in entries and bytes(_record(content, entries[f"{root}byteorder"])) != b"little":
        raise _Refused("its numbers have their bytes in another order")
    pickled = bytes(_record(content, entries[description]))
    state = _load(pickled)[0]
    storages = f"{root}data/"
    return state, {
        name.removeprefix(storages): _record(content, entry)
        for name, entry in entries.items()
        if name.startswith(storages)
    }


def _record(content: mmap.mmap, entry: zipfile.ZipInfo) -> np.ndarray:
    """The bytes of an entry, in place."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise _Refused("an entry is compressed or encrypted, which torch.save never does")
    at = entry.header_offset
    if content[at : at + 4] != LOCAL:
        raise ValueError("no entry where the list of entries says one is")
    start = at + 30 + sum(int.from_bytes(content[at + i : at + i + 2], "little") for i in (26, 28))
    if start + entry.file_size > len(content):
        raise ValueError("an entry ends behind the file")
    return np.frombuffer(content, np.uint8, entry.file_size, start)


def _stream(content: mmap.mmap) -> tuple[Any, dict[str, np.ndarray]]:
    """Five pickles (magic number, protocol, machine, description, keys), then per key a count and numbers."""
    at, end = 0, len(content)
    heads = []
    for _ in range(3):
        head, at, _ = _load(content, at)
        heads.append(head)
    if heads[:2] != [MAGIC, PROTOCOL] or not heads[2].get("little_endian", False):
        raise ValueError("it does not begin as one")
    state, at, storages = _load(content, at)
    keys, at, _ = _load(content, at)
    numbers = {}
    for key in keys:
        count = int.from_bytes(content[at : at + 8], "little")
        length = count * storages[key].itemsize
        if at + 8 + length > end:
            raise ValueError(f"the numbers of storage {str(key)[:40]} are cut off")
        numbers[key] = np.frombuffer(content, np.uint8, length, at + 8)
        at += 8 + length
    return state, numbers


def _tensors(state: Any) -> dict[str, _View]:
    """The views of a state_dict, flat; one that lies under the key `state_dict` is found there."""
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state:
        raise _Refused("it holds no dictionary of tensors")
    for name, view in state.items():
        if not isinstance(name, str) or not isinstance(view, _View):
            raise _Refused(f"{str(name)[:40]!r} is no tensor")
    return state


def _array(view: _View, numbers: dict[str, np.ndarray]) -> np.ndarray:
    """The tensor's numbers, after a look that its window lies within its storage."""
    raw = numbers[view.storage.key]
    kind = view.storage.type
    storage = raw[: len(raw) // kind.itemsize * kind.itemsize].view(kind)
    last = view.offset + sum((n - 1) * step for n, step in zip(view.size, view.stride))
    if 0 in view.size or math.prod(view.size) > len(storage) or last >= len(storage):
        raise ValueError("a tensor is empty or reaches behind its storage")
    strides = [step * kind.itemsize for step in view.stride]
    return np.lib.stride_tricks.as_strided(storage[view.offset :], view.size, strides, writeable=False)
