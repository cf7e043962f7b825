"""What a client of the Open Inference Protocol asks a node about, by tritonclient as it is."""

import grpc
import pytest
import tritonclient.grpc as triton
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import service_pb2

from messages import fails, numbers, slow_request

MODELS = {
    "identity": 'skillset = "identity"\n',
    "floats": 'skillset = "identity"\nversion = "2024-b"\ninstances = 3\n[options]\ndatatype = "FP32"\n',
}


def test_the_server_is_live_and_ready(client):
    assert client.is_server_live()
    assert client.is_server_ready()


def test_a_model_is_ready_at_its_version_and_without_one(client):
    assert client.is_model_ready("floats")
    assert client.is_model_ready("floats", "2024-b")


def test_no_model_is_ready_at_another_version_or_name(client):
    with fails("NOT_FOUND", "floats", "'1'", "2024-b"):
        client.is_model_ready("floats", "1")
    with fails("NOT_FOUND", "nothing"):
        client.is_model_ready("nothing")


def test_server_metadata_names_the_program(client):
    metadata = client.get_server_metadata()
    assert metadata.name == "troupe"
    assert metadata.version.count(".") == 2
    standard = {name for name in metadata.extensions if not name.startswith("troupe.")}
    assert standard == {"model_configuration", "model_repository", "statistics", "system_shared_memory", "parameters",
                        "logging", "sequence"}


def test_model_metadata_lists_inputs_and_outputs(client):
    metadata = client.get_model_metadata("floats", as_json=True)
    assert metadata["name"] == "floats"
    assert metadata["versions"] == ["2024-b"]
    assert metadata["platform"] == "troupe"
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": ["-1"]}]
    assert metadata["outputs"] == [{"name": "output", "datatype": "FP32", "shape": ["-1"]}]


def test_model_config_says_what_triton_calls_the_same(client):
    config = client.get_model_config("floats").config
    assert (config.name, config.backend, config.max_batch_size) == ("floats", "identity", 0)
    assert [(i.name, i.data_type, list(i.dims)) for i in config.input] == [("input", 11, [-1])]
    assert [(o.name, o.data_type, list(o.dims)) for o in config.output] == [("output", 11, [-1])]
    assert [group.count for group in config.instance_group] == [3]


def test_asking_about_no_model_is_not_found(client):
    for ask in client.get_model_metadata, client.get_model_config:
        with fails("NOT_FOUND", "nothing", "RepositoryIndex"):
            ask("nothing")


def test_the_index_lists_every_model(client, stub):
    models = client.get_model_repository_index().models
    assert [(m.name, m.version, m.state, m.reason) for m in models] == [
        ("floats", "2024-b", "READY", ""), ("identity", "1", "READY", "")]
    ready = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True)).models
    assert len(ready) == 2


def test_there_is_no_other_repository(stub):
    with fails("NOT_FOUND", "elsewhere"):
        stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(repository_name="elsewhere"))


def test_the_answer_carries_id_name_and_version(client):
    answer = client.infer("floats", numbers(), request_id="an id, with ünicode").get_response()
    assert (answer.id, answer.model_name, answer.model_version) == ("an id, with ünicode", "floats", "2024-b")
    assert client.infer("floats", numbers(), model_version="2024-b").get_response().id == ""


def test_outputs_can_be_chosen(client):
    answer = client.infer("floats", numbers(3, 4), outputs=[triton.InferRequestedOutput("output")])
    assert answer.as_numpy("output").tolist() == [3, 4]
    assert answer.as_numpy("another") is None


def test_a_parameter_reaches_the_model(client, stub):
    with fails("INVALID_ARGUMENT", "delay_ms"):
        client.infer("identity", numbers(), parameters={"delay_ms": "soon"})
    assert client.infer("identity", numbers(1), parameters={"delay_ms": 1, "more": True}).as_numpy("output") == [1]
    request = slow_request(0)
    request.parameters["delay_ms"].uint64_param = 1
    assert stub.ModelInfer(request).outputs[0].name == "output"


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_a_compressed_request_is_understood(client, compression):
    answer = client.infer("identity", numbers(*range(1000)), compression_algorithm=compression)
    assert answer.as_numpy("output").tolist() == list(range(1000))


def rest_of_the_service(client):
    """Each call of tritonclient that a node doesn't have, and a word that its refusal must have."""
    return [
        ("CUDA shared memory", lambda: client.register_cuda_shared_memory("region", b"aGFuZGxl", 0, 8)),
    ]


def test_the_rest_of_the_service_says_what_it_does_not_have(client):
    for what, call in rest_of_the_service(client):
        with fails("UNIMPLEMENTED", what, "not implemented"):
            call()


def test_sequences_and_classification_are_refused_rather_than_ignored(client):
    with fails("INVALID_ARGUMENT", "'identity' keeps no state"):
        client.infer("identity", numbers(), sequence_id=1, sequence_start=True)
    with fails("UNIMPLEMENTED", "'output'", "classification"):
        client.infer("identity", numbers(), outputs=[triton.InferRequestedOutput("output", class_count=1)])


def test_reflection_lists_the_services(node):
    with grpc.insecure_channel(node.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = {"inference.GRPCInferenceService", "troupe.node.v1.Node", "grpc.health.v1.Health"}
        assert services <= set(database.get_services())
        described = database.FindFileContainingSymbol("inference.GRPCInferenceService")
        assert "ModelInfer" in [method.name for method in described.service[0].method]
