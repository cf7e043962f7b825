"""Tensors in system shared memory, by tritonclient's own way to make it; and clients that pull it away."""

import contextlib
import os
import pathlib
import uuid

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.grpc import service_pb2

from messages import begin, fails, length_prefixed, numbers, raw_request
from node import PATIENCE

MODELS = {
    "identity": 'skillset = "identity"\n',
    "floats": 'skillset = "identity"\n[options]\ndatatype = "FP32"\n',
}
SETTINGS = {"max_message_mib": 4, "log_level": "trace"}
MOST = 2**64 - 1


class Region:
    """An object of shared memory that is made, filled and read as tritonclient does it."""

    def __init__(self, size):
        self.key = f"/troupe-e2e-{uuid.uuid4().hex}"
        self.handle = shm.create_shared_memory_region("region", self.key, size, create_only=True)
        self.file = pathlib.Path("/dev/shm" + self.key)

    def put(self, array, offset=0):
        shm.set_shared_memory_region(self.handle, [array], offset)

    def floats(self, count, offset=0):
        return shm.get_contents_as_numpy(self.handle, np.float32, [count], offset).tolist()

    def close(self):
        with contextlib.suppress(FileNotFoundError):
            shm.destroy_shared_memory_region(self.handle)


@pytest.fixture
def make_region():
    regions = []

    def make(size):
        regions.append(Region(size))
        return regions[-1]

    yield make
    for region in regions:
        region.close()


@pytest.fixture
def region(client, make_region):
    """64 bytes, registered as `region` with the shared node."""
    made = make_region(64)
    client.register_system_shared_memory("region", made.key, 64)
    return made


@pytest.fixture(autouse=True)
def afterwards_nothing_is_registered_and_a_good_request_is_answered(client):
    yield
    client.unregister_system_shared_memory()
    assert not client.get_system_shared_memory_status().regions
    assert client.infer("floats", numbers(1, 2)).as_numpy("output").tolist() == [1, 2]


def shared_input(count, size=None, offset=0, datatype="FP32", region="region"):
    item = triton.InferInput("input", [count], datatype)
    item.set_shared_memory(region, 4 * count if size is None else size, offset)
    return item


def shared_output(size, offset=0, region="region"):
    item = triton.InferRequestedOutput("output")
    item.set_shared_memory(region, size, offset)
    return item


def test_tensors_travel_through_shared_memory_both_ways(client, region):
    region.put(np.array([1, 2, 3], np.float32))
    answer = client.infer("floats", [shared_input(3)], outputs=[shared_output(12, 32)])
    assert region.floats(3, 32) == [1, 2, 3]
    output = answer.get_output("output")
    assert (output.datatype, list(output.shape)) == ("FP32", [3])
    assert output.parameters["shared_memory_region"].string_param == "region"
    assert output.parameters["shared_memory_byte_size"].int64_param == 12
    assert output.parameters["shared_memory_offset"].int64_param == 32
    assert list(answer.get_response().raw_output_contents) == [b""]


def test_one_way_is_enough(client, region):
    region.put(np.array([4, 5], np.float32), 8)
    assert client.infer("floats", [shared_input(2, offset=8)]).as_numpy("output").tolist() == [4, 5]
    client.infer("floats", numbers(6, 7), outputs=[shared_output(64)])
    assert region.floats(2) == [6, 7]


def test_strings_travel_as_raw_contents_would(client, region):
    raw = length_prefixed(b"one", b"", "drei ü".encode())
    region.put(np.frombuffer(raw, np.uint8))
    answer = client.infer("identity", [shared_input(3, len(raw), datatype="BYTES")], outputs=[shared_output(32, 32)])
    assert answer.get_output("output").parameters["shared_memory_byte_size"].int64_param == len(raw)
    texts = shm.get_contents_as_numpy(region.handle, np.object_, [3], 32).tolist()
    assert texts == [b"one", b"", "drei ü".encode()]


def test_strings_whose_lengths_lie_are_told(client, region):
    region.put(np.array([2**32 - 1], np.uint32))
    with fails("INVALID_ARGUMENT", "'input'", "BYTES element"):
        client.infer("identity", [shared_input(1, 64, datatype="BYTES")])


def test_a_region_may_begin_anywhere_and_overlap_another(client, make_region):
    made = make_region(64)
    client.register_system_shared_memory("a", made.key, 32, offset=5)
    client.register_system_shared_memory("b", made.key, 40, offset=21)
    made.put(np.frombuffer(np.array([8, 9], np.float32).tobytes(), np.uint8), 21)
    for item in shared_input(2, offset=16, region="a"), shared_input(2, region="b"):
        assert client.infer("floats", [item]).as_numpy("output").tolist() == [8, 9]


def test_input_and_output_may_be_the_same_bytes(client, region):
    region.put(np.array([1, 2], np.float32))
    client.infer("floats", [shared_input(2)], outputs=[shared_output(8)])
    assert region.floats(2) == [1, 2]


def test_status_tells_what_was_registered(client, region):
    client.register_system_shared_memory("other", region.key, 8, offset=16)
    regions = client.get_system_shared_memory_status().regions
    assert {name: (r.name, r.key, r.offset, r.byte_size) for name, r in regions.items()} == {
        "region": ("region", region.key, 0, 64), "other": ("other", region.key, 16, 8)}
    assert list(client.get_system_shared_memory_status("other").regions) == ["other"]
    with fails("NOT_FOUND", "'nothing'"):
        client.get_system_shared_memory_status("nothing")


def test_what_is_unregistered_is_gone_and_may_be_so_twice(client, region):
    for _ in range(2):
        client.unregister_system_shared_memory("region")
        with fails("NOT_FOUND", "'input'", "'region'"):
            client.infer("floats", [shared_input(1)])
        with fails("NOT_FOUND", "'output'", "'region'"):
            client.infer("floats", numbers(), outputs=[shared_output(8)])


def test_a_name_that_is_taken_is_named(client, region, make_region):
    with fails("ALREADY_EXISTS", "'region'"):
        client.register_system_shared_memory("region", make_region(8).key, 8)
    assert client.get_system_shared_memory_status().regions["region"].key == region.key


def test_an_object_that_is_not_there_is_named(client):
    with fails("NOT_FOUND", "'/troupe-e2e-nothing'"):
        client.register_system_shared_memory("region", "/troupe-e2e-nothing", 8)


@pytest.mark.parametrize("key", ["", "/", ".", "/..", "..", "/a/b", "/../etc/passwd", "//a", "/a\0b", "/" + "x" * 256])
def test_a_key_that_is_none_is_refused(client, key):
    with fails("INVALID_ARGUMENT", "no key of shared memory"):
        client.register_system_shared_memory("region", key, 8)


def test_what_is_no_memory_is_refused(client):
    path = f"/dev/shm/troupe-e2e-{uuid.uuid4().hex}"
    os.mkfifo(path)
    try:
        with fails("INVALID_ARGUMENT", "is no shared memory"):
            client.register_system_shared_memory("region", os.path.basename(path), 8)
    finally:
        os.unlink(path)


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_a_name_that_can_not_be_kept_is_refused(client, make_region, name):
    with fails("INVALID_ARGUMENT", "name"):
        client.register_system_shared_memory(name, make_region(8).key, 8)


BEYOND = [(0, 65), (64, 1), (65, 1), (MOST, 1), (1, MOST), (MOST, MOST), (MOST - 7, 8), (2**63, 2**63), (0, 2**63)]


@pytest.mark.parametrize("offset, size", BEYOND)
def test_a_region_beyond_the_object_is_refused(client, make_region, offset, size):
    with fails("INVALID_ARGUMENT", "'region'", f"{size} bytes from {offset} on", "has 64"):
        client.register_system_shared_memory("region", make_region(64).key, size, offset)
    with fails("INVALID_ARGUMENT", "no bytes"):
        client.register_system_shared_memory("region", make_region(64).key, 0)


@pytest.mark.parametrize("offset, size", [(0, 65), (60, 8), (64, 1), (2**63 - 1, 8), (8, 2**63 - 1), (-1, 8), (0, -8)])
def test_a_tensor_beyond_its_region_is_refused(client, region, offset, size):
    words = "'input'", f"{size} bytes from {offset} on"
    with fails("INVALID_ARGUMENT", *words):
        client.infer("floats", [shared_input(2, size, offset)])
    with fails("INVALID_ARGUMENT", "'output'", *words[1:]):
        client.infer("floats", numbers(), outputs=[shared_output(size, offset)])


def test_another_number_of_bytes_than_the_shape_needs_is_told(client, region):
    with fails("INVALID_ARGUMENT", "'input'", "2 x 4 bytes", "has 12"):
        client.infer("floats", [shared_input(2, 12)])


def test_an_output_that_does_not_fit_is_named_and_nothing_is_written(client, region):
    with fails("INVALID_ARGUMENT", "'output'", "needs 8 bytes", "the 7", "'region'"):
        client.infer("floats", numbers(1, 2), outputs=[shared_output(7)])
    assert region.floats(2) == [0, 0]


def test_contents_beside_shared_memory_are_refused(stub, region):
    request = raw_request("floats", ("input", "FP32", [1], bytes(4)))
    request.inputs[0].parameters["shared_memory_region"].string_param = "region"
    request.inputs[0].parameters["shared_memory_byte_size"].int64_param = 4
    with fails("INVALID_ARGUMENT", "1 raw contents", "1 inputs", "1 in shared memory"):
        stub.ModelInfer(request)
    request.ClearField("raw_input_contents")
    request.inputs[0].contents.fp32_contents.append(1)
    with fails("INVALID_ARGUMENT", "'input'", "contents"):
        stub.ModelInfer(request)


def test_parameters_that_tell_no_place_are_refused(stub, region):
    request = service_pb2.ModelInferRequest(model_name="floats")
    parameters = request.inputs.add(name="input", datatype="FP32", shape=[1]).parameters
    parameters["shared_memory_region"].string_param = "region"
    with fails("INVALID_ARGUMENT", "'input'", "shared_memory_byte_size"):
        stub.ModelInfer(request)
    parameters["shared_memory_byte_size"].string_param = "4"
    with fails("INVALID_ARGUMENT", "'input'", "shared_memory_byte_size"):
        stub.ModelInfer(request)
    parameters["shared_memory_byte_size"].int64_param = 4
    assert stub.ModelInfer(request).outputs[0].name == "output"
    request.parameters["shared_memory_region"].string_param = "region"
    with fails("INVALID_ARGUMENT", "request", "shared memory"):
        stub.ModelInfer(request)


def test_an_object_may_lose_its_name(client, region):
    region.put(np.array([1, 2], np.float32))
    region.file.unlink()
    client.infer("floats", [shared_input(2)], outputs=[shared_output(8, 8)])
    assert region.floats(2, 8) == [1, 2]


def test_an_object_that_was_shrunk_costs_the_request_only(client, region):
    os.truncate(region.file, 4)
    with fails("FAILED_PRECONDITION", "'input'", region.key, "has 4 bytes", "8 bytes from 0 on"):
        client.infer("floats", [shared_input(2)])
    with fails("FAILED_PRECONDITION", "'output'", region.key, "has 4 bytes"):
        client.infer("floats", numbers(1, 2), outputs=[shared_output(8)])
    assert region.file.stat().st_size == 4, "nothing is written past the end"
    assert client.infer("floats", [shared_input(1)]).as_numpy("output").tolist() == [0]


def test_an_object_that_is_shrunk_while_the_model_works_costs_the_request_only(client, region, node):
    before = len(node.log.events("executing"))
    _, answer = begin(client, "identity", numbers(1, 2), outputs=[shared_output(8)], parameters={"delay_ms": 300})
    node.log.wait_for("executing", before + 1)
    os.truncate(region.file, 0)
    with fails("FAILED_PRECONDITION", "'output'", "smaller"):
        answer.result(PATIENCE)
    assert region.file.stat().st_size == 0


def test_a_region_that_is_removed_serves_the_request_that_uses_it(client, region, node):
    before = len(node.log.events("executing"))
    _, answer = begin(client, "identity", numbers(1, 2), outputs=[shared_output(8)], parameters={"delay_ms": 300})
    node.log.wait_for("executing", before + 1)
    client.unregister_system_shared_memory("region")
    region.file.unlink()
    answer.result(PATIENCE)
    assert region.floats(2) == [1, 2]


def test_a_small_message_can_not_ask_for_much_memory(client, make_region):
    made = make_region(8)
    os.truncate(made.file, 2**40)
    client.register_system_shared_memory("region", made.key, 2**40)
    for size in (4 << 20) + 4, 2**40:
        with fails("RESOURCE_EXHAUSTED", "'input'", str(size), "max_message_mib"):
            client.infer("floats", [shared_input(size // 4, size)])
    assert client.infer("floats", [shared_input(1 << 20)], outputs=[shared_output(4 << 20)])


def test_there_is_an_end_to_regions_and_room_again_afterwards(client, make_region):
    key = make_region(8).key
    for i in range(256):
        client.register_system_shared_memory(f"region {i}", key, 8)
    with fails("RESOURCE_EXHAUSTED", "256"):
        client.register_system_shared_memory("one more", key, 8)
    client.unregister_system_shared_memory("region 7")
    client.register_system_shared_memory("one more", key, 8)


def test_it_is_off_unless_the_settings_say_otherwise(make_node, make_region):
    node = make_node(settings='[models]\npath = "models"\n').start().wait_ready()
    with triton.InferenceServerClient(node.address) as other:
        assert "system_shared_memory" not in other.get_server_metadata().extensions
        with fails("FAILED_PRECONDITION", "switched off", "grpc.shared_memory"):
            other.register_system_shared_memory("region", make_region(8).key, 8)
        assert not other.get_system_shared_memory_status().regions


def test_there_is_no_cuda_shared_memory(client):
    # Clients of Triton begin like this, whether or not they want any.
    client.unregister_cuda_shared_memory()
    assert not client.get_cuda_shared_memory_status().regions
    with fails("NOT_FOUND", "'region'"):
        client.get_cuda_shared_memory_status("region")
    with fails("UNIMPLEMENTED", "CUDA shared memory"):
        client.register_cuda_shared_memory("region", b"aGFuZGxl", 0, 8)
