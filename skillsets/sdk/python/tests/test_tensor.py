"""Tensors: laid out as the Open Inference Protocol's raw contents, with numpy and without."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy
import pytest

from troupe_skillset import Request, Skillset, SkillsetError, Tensor, TensorSpec
from troupe_skillset.skillset import _zeros

NUMBERS: list[tuple[str, Any]] = [
    ("BOOL", numpy.bool_), ("UINT8", numpy.uint8), ("UINT16", numpy.uint16), ("UINT32", numpy.uint32),
    ("UINT64", numpy.uint64), ("INT8", numpy.int8), ("INT16", numpy.int16), ("INT32", numpy.int32),
    ("INT64", numpy.int64), ("FP16", numpy.float16), ("FP32", numpy.float32), ("FP64", numpy.float64)]


@pytest.mark.parametrize("datatype, kind", NUMBERS)
def test_numbers_are_numpys(datatype: str, kind: Any) -> None:
    array = numpy.array([[0, 1, 0], [1, 1, 0]], kind)
    tensor = Tensor.from_numpy("x", array)
    assert (tensor.datatype, tensor.shape, tensor.size) == (datatype, (2, 3), 6)
    assert tensor == Tensor.of("x", datatype, array.reshape(-1).tolist(), [2, 3])
    if datatype == "FP16":
        with pytest.raises(TypeError, match="no view"):
            tensor.values()
    else:
        assert tensor.values().tolist() == array.reshape(-1).tolist()
    assert tensor.numpy().dtype == kind and (tensor.numpy() == array).all()
    assert not tensor.numpy().flags.writeable
    assert tensor.is_whole() and not Tensor("x", datatype, (7,), tensor.data).is_whole()


def test_bytes_are_texts_or_not() -> None:
    tensor = Tensor.of("x", "BYTES", ["né", b"\xff\x00", ""])
    assert tensor.data == b"\x03\x00\x00\x00n\xc3\xa9\x02\x00\x00\x00\xff\x00\x00\x00\x00\x00"
    assert tensor.bytes_elements() == ["né".encode(), b"\xff\x00", b""]
    assert tensor.numpy().tolist() == tensor.bytes_elements()
    assert Tensor.from_numpy("x", numpy.array(["né", ""], object)).strings() == ["né", ""]
    assert Tensor.from_numpy("x", numpy.array([["a"], ["b"]])).shape == (2, 1)
    with pytest.raises(SkillsetError, match="no UTF-8"):
        tensor.strings()
    for cut in (b"\x01", b"\x02\x00\x00\x00a", b"\xff\xff\xff\xff"):
        with pytest.raises(SkillsetError, match="in the middle of an element"):
            Tensor("x", "BYTES", (1,), cut).bytes_elements()
        assert not Tensor("x", "BYTES", (1,), cut).is_whole()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="2 values for shape"):
        Tensor.of("x", "FP32", [1, 2], [3])
    with pytest.raises(ValueError, match="no values of datatype 'BF16'"):
        Tensor.of("x", "BF16", [1])
    with pytest.raises(ValueError, match="complex"):
        Tensor.from_numpy("x", numpy.array([1j]))
    with pytest.raises(TypeError, match="no type for BF16"):
        Tensor("x", "BF16", (1,), b"12").numpy()
    with pytest.raises(TypeError, match="not of BYTES"):
        Tensor.of("x", "FP32", [1]).bytes_elements()
    with pytest.raises(TypeError, match="no view"):
        Tensor.of("x", "BYTES", ["a"]).values()
    with pytest.raises(KeyError, match="there is no tensor 'y'"):
        Request([Tensor.of("x", "FP32", [1])]).input("y")


def test_what_is_big_endian_is_turned() -> None:
    assert Tensor.from_numpy("x", numpy.array([1, 2], ">i4")).values().tolist() == [1, 2]


def test_an_empty_tensor_has_nothing() -> None:
    tensor = Tensor.of("x", "FP32", [], [0, 4])
    assert (tensor.size, tensor.numpy().shape, tensor.values().tolist()) == (0, (0, 4), [])


@pytest.mark.parametrize("spec, shape", [
    (TensorSpec("x", "FP32", [-1, 3]), (1, 3)), (TensorSpec("x", "BYTES", []), ()),
    (TensorSpec("x", "ANY", any_rank=True), (1,)), (TensorSpec("x", "BF16", [2]), (2,))])
def test_a_warm_up_is_made_of_zeros(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    zeros = _zeros(spec)
    assert zeros.shape == shape and zeros.is_whole()


def test_numpy_is_loaded_only_when_it_is_wanted() -> None:
    script = ("import sys; sys.modules['numpy'] = None; import troupe_skillset as t\n"
              "assert t.Tensor.of('x', 'FP32', [1, 2]).values().tolist() == [1, 2]")
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_skillset_without_an_answer_says_so() -> None:
    class Empty(Skillset):
        name = "empty"

    with pytest.raises(SkillsetError, match="neither an answer nor a run"):
        Empty().answer(Request([]), None)  # type: ignore[arg-type]
