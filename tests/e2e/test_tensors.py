"""Every datatype of the protocol goes through a node and comes back the same, raw and typed."""

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2

from messages import length_prefixed, raw_request, tensor

# The extremes of each type, because that is where a conversion on the way would show.
VALUES = {
    "BOOL": np.array([True, False]),
    "UINT8": np.array([0, 255], np.uint8),
    "UINT16": np.array([0, 2**16 - 1], np.uint16),
    "UINT32": np.array([0, 2**32 - 1], np.uint32),
    "UINT64": np.array([0, 2**64 - 1], np.uint64),
    "INT8": np.array([-128, 127], np.int8),
    "INT16": np.array([-(2**15), 2**15 - 1], np.int16),
    "INT32": np.array([-(2**31), 2**31 - 1], np.int32),
    "INT64": np.array([-(2**63), 2**63 - 1], np.int64),
    "FP16": np.array([6e-8, 65504], np.float16),
    "BF16": np.array([1e-40, -3.3e38], ml_dtypes.bfloat16),
    "FP32": np.array([1e-45, 3.4e38], np.float32),
    "FP64": np.array([5e-324, 1.7e308], np.float64),
}

TYPED_FIELDS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents",
}

STRINGS = [b"", b"a", "ünïcode".encode(), b"\x00\xff no text at all", b"x" * 70_000]


@pytest.mark.parametrize("datatype", VALUES)
def test_raw_numbers_come_back(client, datatype):
    values = VALUES[datatype]
    answer = client.infer("identity", [tensor("input", values)])
    output = answer.get_output("output")
    assert (output.datatype, list(output.shape)) == (datatype, [2])
    assert answer.as_numpy("output").tobytes() == values.tobytes()


@pytest.mark.parametrize("datatype", TYPED_FIELDS)
def test_typed_numbers_come_back_raw(stub, datatype):
    values = VALUES[datatype]
    request = service_pb2.ModelInferRequest(model_name="identity")
    contents = request.inputs.add(name="input", datatype=datatype, shape=[2]).contents
    getattr(contents, TYPED_FIELDS[datatype]).extend(values.tolist())
    answer = stub.ModelInfer(request)
    assert answer.outputs[0].datatype == datatype
    assert list(answer.raw_output_contents) == [values.tobytes()]


def test_raw_strings_have_their_lengths_before_them(client):
    answer = client.infer("identity", [tensor("input", np.array(STRINGS, np.object_), "BYTES")])
    assert answer.as_numpy("output").tolist() == STRINGS
    assert answer.get_response().raw_output_contents[0] == length_prefixed(*STRINGS)


def test_typed_strings_come_back_raw(stub):
    request = service_pb2.ModelInferRequest(model_name="identity")
    contents = request.inputs.add(name="input", datatype="BYTES", shape=[len(STRINGS)]).contents
    contents.bytes_contents.extend(STRINGS)
    assert stub.ModelInfer(request).raw_output_contents[0] == length_prefixed(*STRINGS)


@pytest.mark.parametrize("shape", [[], [0], [3, 0, 2], [1, 1, 1, 1, 1, 1], [2, 3, 4]])
def test_any_shape_comes_back(stub, shape):
    raw = bytes(4 * int(np.prod(shape)))
    answer = stub.ModelInfer(raw_request("identity", ("input", "FP32", shape, raw)))
    assert (list(answer.outputs[0].shape), answer.raw_output_contents[0]) == (shape, raw)


def test_a_large_tensor_comes_back(client):
    values = np.arange(4 << 20, dtype=np.float32)
    assert np.array_equal(client.infer("identity", [tensor("input", values)]).as_numpy("output"), values)
