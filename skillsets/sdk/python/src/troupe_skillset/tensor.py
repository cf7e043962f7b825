"""The data of requests and responses: named arrays, and parameters."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import Code, SkillsetError

if TYPE_CHECKING:
    import numpy

Parameter: TypeAlias = bool | int | float | str

# The Open Inference Protocol's datatypes, with struct's codes for their elements. BF16 has none.
_FORMATS: dict[str, str] = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
    "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d"}
_SIZES: dict[str, int] = {"BF16": 2, **{name: struct.calcsize(code) for name, code in _FORMATS.items()}}

# By numpy's kind and size. Texts and bytes are objects there.
_NUMPY: dict[str, str] = {
    "b1": "BOOL", "u1": "UINT8", "u2": "UINT16", "u4": "UINT32", "u8": "UINT64", "i1": "INT8", "i2": "INT16",
    "i4": "INT32", "i8": "INT64", "f2": "FP16", "f4": "FP32", "f8": "FP64"}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A named array: row-major, little-endian, laid out as the Open Inference Protocol's raw contents.

    The elements of BYTES are each preceded by their length in four bytes: `bytes_elements` takes them apart.
    """

    name: str
    datatype: str  # as the Open Inference Protocol spells it, such as FP32 or BYTES
    shape: tuple[int, ...]
    data: bytes | memoryview

    @staticmethod
    def of(name: str, datatype: str, values: Iterable[Any], shape: Sequence[int] | None = None) -> Tensor:
        """Of Python's values: numbers, or texts and bytes for BYTES. One axis, unless `shape` says more."""
        items = list(values)
        extents = (len(items),) if shape is None else tuple(shape)
        if math.prod(extents) != len(items):
            raise ValueError(f"tensor '{name}' has {len(items)} values for shape {list(extents)}")
        if datatype == "BYTES":
            return Tensor(name, datatype, extents, _join_bytes(items))
        if datatype not in _FORMATS:
            raise ValueError(f"there are no values of datatype '{datatype}' in Python")
        return Tensor(name, datatype, extents, struct.pack(f"<{len(items)}{_FORMATS[datatype]}", *items))

    @staticmethod
    def from_numpy(name: str, array: numpy.ndarray[Any, Any]) -> Tensor:
        """Of an array of numbers, or of objects that are texts or bytes."""
        if array.dtype.kind in "OSU":
            return Tensor(name, "BYTES", tuple(array.shape), _join_bytes(array.reshape(-1).tolist()))
        datatype = _NUMPY.get(f"{array.dtype.kind}{array.dtype.itemsize}")
        if datatype is None:
            raise ValueError(f"there is no datatype for numpy's '{array.dtype}' of tensor '{name}'")
        return Tensor(name, datatype, tuple(array.shape), array.astype(array.dtype.newbyteorder("<")).tobytes())

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def values(self) -> memoryview[Any]:
        """The elements without a copy, one after the other; not for BYTES, and the small floats FP16 and BF16."""
        if self.datatype not in _FORMATS or self.datatype == "FP16":  # Python 3.11 has no view of these
            raise TypeError(f"tensor '{self.name}' of {self.datatype} has no view of its elements")
        code: Any = _FORMATS[self.datatype]
        view: memoryview[Any] = memoryview(self.data).cast("B").cast(code)
        return view

    def bytes_elements(self) -> list[bytes]:
        """The elements of BYTES."""
        if self.datatype != "BYTES":
            raise TypeError(f"tensor '{self.name}' is of {self.datatype} and not of BYTES")
        view, at, elements = memoryview(self.data).cast("B"), 0, []
        while at < len(view):
            if at + 4 > len(view) or at + 4 + (length := int.from_bytes(view[at:at + 4], "little")) > len(view):
                raise SkillsetError(Code.INVALID_ARGUMENT, f"tensor '{self.name}' ends in the middle of an element")
            elements.append(bytes(view[at + 4:at + 4 + length]))
            at += 4 + length
        return elements

    def strings(self) -> list[str]:
        """The elements of BYTES as texts. INVALID_ARGUMENT for one that is no UTF-8."""
        try:
            return [element.decode() for element in self.bytes_elements()]
        except UnicodeDecodeError:
            raise SkillsetError(Code.INVALID_ARGUMENT, f"tensor '{self.name}' has an element that is no UTF-8") from None

    def numpy(self) -> numpy.ndarray[Any, Any]:
        """As an array, which shares the data and can't be written to; of objects for BYTES. Needs numpy."""
        import numpy

        if self.datatype == "BYTES":
            array = numpy.empty(self.size, dtype=object)
            array[:] = self.bytes_elements()
            return array.reshape(self.shape)
        if self.datatype not in _FORMATS:
            raise TypeError(f"numpy has no type for {self.datatype} of tensor '{self.name}'")
        return numpy.frombuffer(self.data, dtype="<" + _FORMATS[self.datatype]).reshape(self.shape)

    def is_whole(self) -> bool:
        """True when it has as many bytes as its shape says."""
        if self.datatype == "BYTES":
            try:
                return len(self.bytes_elements()) == self.size
            except SkillsetError:
                return False
        return len(memoryview(self.data).cast("B")) == self.size * _SIZES.get(self.datatype, 0)


def _join_bytes(items: Iterable[str | bytes]) -> bytes:
    parts = [item.encode() if isinstance(item, str) else bytes(item) for item in items]
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def _by_name(tensors: Sequence[Tensor], name: str) -> Tensor:
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    raise KeyError(f"there is no tensor '{name}'")


@dataclasses.dataclass(frozen=True)
class Request:
    """What a skillset is asked. Names, datatypes, shapes and sizes agree with the model's signature already."""

    inputs: Sequence[Tensor]
    parameters: Mapping[str, Parameter] = dataclasses.field(default_factory=dict)

    def input(self, name: str) -> Tensor:
        return _by_name(self.inputs, name)


@dataclasses.dataclass(frozen=True)
class Response:
    """What it answers: every output of the signature."""

    outputs: Sequence[Tensor]
    parameters: Mapping[str, Parameter] = dataclasses.field(default_factory=dict)

    def output(self, name: str) -> Tensor:
        return _by_name(self.outputs, name)
