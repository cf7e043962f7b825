"""The demo model from text to vector through a node, compared with the reference implementation's vectors."""

import json
import pathlib

import numpy as np
import pytest

from messages import begin, fails, length_prefixed, raw_request, tensor, texts
from node import PATIENCE, Node

GOLDEN = pathlib.Path(__file__).parents[2] / "skillsets" / "text_embedding" / "golden"
DIMENSION = 384
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def node(program, minilm):
    with Node(program, {}, max_message_mib=16) as shared:
        files = [file for file in minilm.iterdir() if file.name != "model.toml"]
        shared.write_model("minilm", (minilm / "model.toml").read_text(), files)
        shared.start().wait_ready()
        yield shared
        assert shared.stop() == 0


@pytest.fixture(scope="module")
def golden():
    """The reference's texts, the vector of each, and how many of the texts are too long for the model."""
    description = json.loads((GOLDEN / "texts.json").read_text())
    entries = description["texts"]
    vectors = np.fromfile(GOLDEN / "vectors.bin", "<f4").reshape(len(entries), DIMENSION)
    truncated = sum(entry["tokens"] > description["max_tokens"] for entry in entries)
    return [entry["text"] for entry in entries], vectors, truncated


def embed(client, *some):
    return client.infer("minilm", texts(*some)).as_numpy("embedding")


def largest_difference(vectors, others):
    return np.abs(vectors - others).max()


def test_the_model_says_what_it_takes_and_gives(client):
    metadata = client.get_model_metadata("minilm", as_json=True)
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": ["-1"]}]
    assert metadata["outputs"] == [{"name": "embedding", "datatype": "FP32", "shape": ["-1", "384"]}]
    assert metadata["platform"] == "openvino"
    assert client.get_model_config("minilm").config.max_batch_size == 1024


def test_all_texts_in_one_request_give_the_reference_vectors(client, golden):
    some, vectors, truncated = golden
    answer = client.infer("minilm", texts(*some))
    output = answer.get_output("embedding")
    assert (output.datatype, list(output.shape)) == ("FP32", [len(some), DIMENSION])
    assert largest_difference(answer.as_numpy("embedding"), vectors) <= TOLERANCE
    assert answer.get_response().parameters["truncated_texts"].int64_param == truncated == 1


def test_a_text_alone_gives_the_reference_vector(client, golden):
    for text, vector in list(zip(golden[0], golden[1]))[:6]:
        assert largest_difference(embed(client, text), vector) <= TOLERANCE, text


def test_typed_texts_give_the_same(stub, golden):
    request = raw_request("minilm")
    request.inputs.add(name="text", datatype="BYTES", shape=[2]).contents.bytes_contents.extend(
        [text.encode() for text in golden[0][2:4]])
    [raw] = stub.ModelInfer(request).raw_output_contents
    assert largest_difference(np.frombuffer(raw, "<f4").reshape(2, DIMENSION), golden[1][2:4]) <= TOLERANCE


def test_requests_at_the_same_time_do_not_mix(client, golden):
    some, vectors, _ = golden
    answers = [begin(client, "minilm", texts(text))[1] for text in some]
    for answer, vector, text in zip(answers, vectors, some):
        assert largest_difference(answer.result(PATIENCE).as_numpy("embedding"), vector) <= TOLERANCE, text
    [stats] = client.get_inference_statistics("minilm").model_stats
    assert max(batch.batch_size for batch in stats.batch_stats) > 1
    assert stats.execution_count < stats.inference_count


def test_every_vector_has_length_one(client, golden):
    lengths = np.linalg.norm(embed(client, *golden[0]), axis=1)
    assert np.abs(lengths - 1).max() <= 1e-5


def test_an_empty_text_has_a_vector_too(client):
    assert abs(np.linalg.norm(embed(client, "")) - 1) <= 1e-5


def test_no_texts_give_no_vectors(client):
    assert client.infer("minilm", texts()).as_numpy("embedding").shape == (0, DIMENSION)


def test_a_megabyte_of_words_is_cut_and_counted(client):
    answer = client.infer("minilm", texts("short", "a word " * 150_000))
    assert answer.as_numpy("embedding").shape == (2, DIMENSION)
    assert answer.get_response().parameters["truncated_texts"].int64_param == 1


def test_a_megabyte_without_a_space_is_one_unknown_word(client):
    answer = client.infer("minilm", texts("x" * (1 << 20), "y" * (1 << 20)))
    assert largest_difference(*answer.as_numpy("embedding")) <= TOLERANCE
    assert answer.get_response().parameters["truncated_texts"].int64_param == 0


def test_as_many_texts_as_the_limit_says_are_answered(client):
    assert embed(client, *["a"] * 1024).shape == (1024, DIMENSION)


def test_ten_thousand_texts_are_refused_with_the_limit(client):
    with fails("RESOURCE_EXHAUSTED", "'text'", "10000", "1024", "limits.items"):
        embed(client, *["a"] * 10_000)
    assert embed(client, "a").shape == (1, DIMENSION)


def test_a_text_that_is_not_utf8_is_named(client):
    with fails("INVALID_ARGUMENT", "text 1", "UTF-8"):
        embed(client, "good", b"bad \xff")
    assert embed(client, "a").shape == (1, DIMENSION)


def test_lengths_that_lie_are_named(stub, client):
    for raw in [length_prefixed(b"abc")[:-1], b"\xff\xff\xff\xffabc", b"\x01\x00", length_prefixed(b"a", b"b")]:
        with fails("INVALID_ARGUMENT", "'text'", "BYTES element"):
            stub.ModelInfer(raw_request("minilm", ("text", "BYTES", [1], raw)))
        assert embed(client, "a").shape == (1, DIMENSION)


def test_numbers_are_no_texts(client):
    with fails("INVALID_ARGUMENT", "'text'", "FP32", "BYTES"):
        client.infer("minilm", [tensor("text", np.zeros(1, np.float32))])
    with fails("INVALID_ARGUMENT", "'text'", "[1, 1]", "[-1]"):
        client.infer("minilm", [tensor("text", np.array([["a"]], np.object_), "BYTES")])
    assert embed(client, "a").shape == (1, DIMENSION)
