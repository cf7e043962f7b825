"""Models are loaded, loaded again and unloaded while the node runs, and nobody's request is lost by that."""

import json
import subprocess
import threading

import pytest
import tritonclient.grpc as triton

from conftest import IDENTITY
from messages import fails, numbers, slow_request, status_of, stub_of

FOREVER = 600_000
NOT_VITAL = IDENTITY + 'on_failure = "unavailable"\n'


@pytest.fixture(name="node")
def make_own_node(make_node):
    return make_node({"identity": NOT_VITAL}, drain="30s").start().wait_ready()


@pytest.fixture(name="client")
def connect(node):
    with triton.InferenceServerClient(node.address) as connected:
        yield connected


def state_of(client, model):
    [entry] = [m for m in client.get_model_repository_index().models if m.name == model]
    return entry.state, entry.reason


def test_a_model_comes_and_goes(node, client):
    node.write_model("late", NOT_VITAL)
    with fails("NOT_FOUND"):
        client.infer("late", numbers())
    client.load_model("late")
    assert client.is_model_ready("late")
    assert client.infer("late", numbers(1)).as_numpy("output").tolist() == [1]
    client.unload_model("late")
    assert not client.is_model_ready("late") and client.is_server_ready()
    assert state_of(client, "late") == ("UNAVAILABLE", "unloaded")
    with fails("UNAVAILABLE", "unloaded"):
        client.infer("late", numbers())
    client.unload_model("late")
    client.load_model("late")
    assert client.infer("late", numbers(2)).as_numpy("output").tolist() == [2]


def test_what_cannot_be_loaded_says_why_and_leaves_all_as_it_was(node, client):
    with fails("NOT_FOUND", "'nothing'"):
        client.load_model("nothing")
    with fails("NOT_FOUND", "'../models/identity'"):
        client.load_model("../models/identity")
    with fails("NOT_FOUND", "'nothing'"):
        client.unload_model("nothing")
    node.write_model("broken", 'skillset = "identity"\ncolour = "red"\n')
    with fails("INVALID_ARGUMENT", "model.toml:2", "colour"):
        client.load_model("broken")
    with fails("INVALID_ARGUMENT", "settings:1", "instances"):
        load_with_settings(client, "instances = 0")
    with fails("INVALID_ARGUMENT", "JSON"):
        client.load_model("identity", config="{")
    with fails("INVALID_ARGUMENT", "platform"):
        client.load_model("identity", config='{"platform": "tensorrt_plan"}')
    with fails("INVALID_ARGUMENT", "no_such_option"):
        client.load_model("identity", config='{"parameters": {"no_such_option": {"string_value": "1"}}}')
    with fails("UNIMPLEMENTED", "file:1/model.onnx"):
        client.load_model("identity", config="{}", files={"file:1/model.onnx": b"weights"})
    assert client.infer("identity", numbers(3)).as_numpy("output").tolist() == [3]
    assert [m.name for m in client.get_model_repository_index().models] == ["identity"]


def load_with_settings(client, settings):
    request = triton.service_pb2.RepositoryModelLoadRequest(model_name="identity")
    request.parameters["settings"].string_param = settings
    try:
        client._client_stub.RepositoryModelLoad(request)
    except triton.grpc.RpcError as e:
        raise triton._utils.get_error_grpc(e) from None


def test_a_configuration_goes_before_that_of_the_folder(client):
    config = json.loads(json.dumps(client.get_model_config("identity", as_json=True)["config"]))
    config["instance_group"][0]["count"] = 2
    config["dynamic_batching"]["max_queue_delay_microseconds"] = "500"
    config["dynamic_batching"]["default_queue_policy"]["max_queue_size"] = 7
    client.load_model("identity", config=json.dumps(config))
    now = client.get_model_config("identity").config
    assert now.instance_group[0].count == 2
    assert now.dynamic_batching.max_queue_delay_microseconds == 500
    assert now.dynamic_batching.default_queue_policy.max_queue_size == 7
    load_with_settings(client, "[queue]\ncapacity = 9")
    now = client.get_model_config("identity").config
    assert now.instance_group[0].count == 1
    assert now.dynamic_batching.default_queue_policy.max_queue_size == 9


def test_loading_again_refuses_nobody(node, client):
    stop = threading.Event()
    answers, failures = [], []

    def ask(number):
        with triton.InferenceServerClient(node.address) as own:
            while not stop.is_set():
                try:
                    answers.append(own.infer("identity", numbers(number)).as_numpy("output").tolist() == [number])
                except triton.InferenceServerException as e:
                    failures.append(e)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        client.load_model("identity")
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures and all(answers) and len(answers) > 30


def test_an_unload_lets_those_finish_who_are_in(make_node):
    node = make_node({"identity": NOT_VITAL}, slots=1, log_level="trace").start().wait_ready()
    with triton.InferenceServerClient(node.address) as client, stub_of(node.address) as stub:
        running = [stub.ModelInfer.future(slow_request(500))]
        node.log.wait_for("executing")
        running += [stub.ModelInfer.future(slow_request(1)) for _ in range(100)]
        node.log.wait_for("admitted", 101)
        unloading = threading.Thread(target=client.unload_model, args=("identity",))
        unloading.start()
        codes = [status_of(call) for call in running]
        unloading.join()
        assert state_of(client, "identity") == ("UNAVAILABLE", "unloaded")
        assert codes == ["OK"] * 101


def test_a_request_that_outlasts_the_drain_is_cut_off(make_node):
    node = make_node({"identity": NOT_VITAL}, drain="200ms", log_level="trace").start().wait_ready()
    with stub_of(node.address) as stub, triton.InferenceServerClient(node.address) as client:
        running = stub.ModelInfer.future(slow_request(FOREVER))
        node.log.wait_for("executing")
        client.unload_model("identity")
        assert status_of(running) == "UNAVAILABLE"
    assert node.stop() == 0


def test_a_node_may_keep_its_models_as_they_are(make_node):
    settings = '[grpc]\nmodel_control = false\n[models]\npath = "models"\n'
    node = make_node(settings=settings).start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        for change in (client.load_model, client.unload_model):
            with fails("FAILED_PRECONDITION", "grpc.model_control"):
                change("identity")
        assert client.is_model_ready("identity")


def test_the_command_line_loads_and_unloads(node, program):
    def troupe(*words):
        return subprocess.run([program.parent / "troupe", "--target", node.address, *words], capture_output=True,
                              text=True, timeout=120)

    node.write_model("late", NOT_VITAL)
    assert troupe("load", "late", "--set", "queue.capacity=3", "--set", 'queue.max_wait="2s"').returncode == 0
    with triton.InferenceServerClient(node.address) as client:
        policy = client.get_model_config("late").config.dynamic_batching.default_queue_policy
        assert (policy.max_queue_size, policy.default_timeout_microseconds) == (3, 2_000_000)
        assert troupe("unload", "late").returncode == 0
        assert state_of(client, "late") == ("UNAVAILABLE", "unloaded")
    wrong = troupe("load", "late", "--set", "queue.capacity=0")
    assert wrong.returncode != 0 and "queue.capacity" in wrong.stderr
    assert "nothing" in troupe("unload", "nothing").stderr
