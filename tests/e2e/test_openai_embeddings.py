"""OpenAI's own client with the demo model: texts to the reference implementation's vectors, and what is wrong by name."""

import asyncio
import http.client
import json

import numpy as np
import openai
import pytest

from node import PATIENCE, Node
from test_embeddings import DIMENSION, TOLERANCE, golden, largest_difference

__all__ = ["golden"]  # a fixture

MODEL = "minilm"
IDENTITY = 'skillset = "identity"\n'


@pytest.fixture(scope="module")
def node(program, minilm):
    with Node(program, {"identity": IDENTITY}, max_message_mib=16) as shared:
        files = [file for file in minilm.iterdir() if file.name != "model.toml"]
        shared.write_model(MODEL, (minilm / "model.toml").read_text(), files)
        shared.start().wait_ready()
        yield shared
        assert shared.stop() == 0


@pytest.fixture
def ai(node):
    with openai.OpenAI(**node.openai_options()) as client:
        yield client


def vectors_of(answer):
    assert [entry.index for entry in answer.data] == list(range(len(answer.data)))
    return np.array([entry.embedding for entry in answer.data], "<f4")


def post(node, path, body, **headers):
    """Status, headers and JSON of what OpenAI's client would never send."""
    connection = http.client.HTTPConnection(node.http_address, timeout=PATIENCE)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, json.loads(answer.read())


def test_the_models_that_it_can_use_are_listed(ai):
    [listed] = ai.models.list().data
    assert (listed.id, listed.object, listed.owned_by) == (MODEL, "model", "troupe")
    assert ai.models.retrieve(MODEL) == listed
    with pytest.raises(openai.NotFoundError) as failure:
        ai.models.retrieve("identity")
    assert failure.value.code == "model_not_found"


def test_texts_become_the_reference_vectors(ai, golden):
    some, vectors, _ = golden
    answer = ai.embeddings.create(model=MODEL, input=some, extra_body={"truncate": True})
    assert largest_difference(vectors_of(answer), vectors) <= TOLERANCE, "in base64, which the client asks for"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > len(some)
    numbers = ai.embeddings.create(model=MODEL, input=some[0], encoding_format="float")
    assert largest_difference(vectors_of(numbers), vectors[:1]) <= TOLERANCE


def test_tokens_are_texts_as_well(ai):
    hello = vectors_of(ai.embeddings.create(model=MODEL, input="hello"))
    for tokens in ([101, 7592, 102], [[101, 7592, 102]]):
        answer = ai.embeddings.create(model=MODEL, input=tokens)
        assert answer.usage.prompt_tokens == 3
        assert largest_difference(vectors_of(answer), hello) <= TOLERANCE


def test_fewer_dimensions_have_length_one_again(ai, golden):
    shortened = vectors_of(ai.embeddings.create(model=MODEL, input=golden[0][0], dimensions=7))
    beginning = golden[1][:1, :7]
    assert largest_difference(shortened, beginning / np.linalg.norm(beginning)) <= 1e-4


def test_more_texts_than_the_model_takes_at_once_are_answered_in_their_order(ai):
    some = [f"text {i}" for i in range(2048)]
    vectors = vectors_of(ai.embeddings.create(model=MODEL, input=some))
    assert vectors.shape == (2048, DIMENSION)
    for i in (0, 1023, 1024, 2047):
        alone = vectors_of(ai.embeddings.create(model=MODEL, input=some[i]))
        assert largest_difference(vectors[i:i + 1], alone) <= TOLERANCE, i


def test_many_at_once_do_not_mix(node, golden):
    async def run():
        async with openai.AsyncOpenAI(**node.openai_options()) as ai:
            return await asyncio.gather(*[
                ai.embeddings.create(model=MODEL, input=text, extra_body={"truncate": True}) for text in golden[0]])

    for answer, vector in zip(asyncio.run(run()), golden[1]):
        assert largest_difference(vectors_of(answer), vector) <= TOLERANCE


@pytest.mark.parametrize("parameters, kind, code, param", [
    ({"model": "nobody"}, openai.NotFoundError, "model_not_found", "model"),
    ({"model": "identity"}, openai.BadRequestError, "invalid_value", "model"),
    ({"input": []}, openai.BadRequestError, "invalid_value", "input"),
    ({"input": ["a", 7]}, openai.BadRequestError, "invalid_value", "input[1]"),
    ({"input": ["a"] * 2049}, openai.BadRequestError, "invalid_value", "input"),
    ({"input": "word " * 400}, openai.BadRequestError, "context_length_exceeded", "input"),
    ({"dimensions": DIMENSION + 1}, openai.BadRequestError, "invalid_value", "dimensions"),
    ({"encoding_format": "hex"}, openai.BadRequestError, "invalid_value", "encoding_format"),
    ({"extra_body": {"dance": True}}, openai.BadRequestError, "unsupported_parameter", "dance"),
    ({"extra_body": {"priority": 9}}, openai.BadRequestError, "invalid_value", "priority"),
])
def test_what_is_wrong_raises_the_clients_own_errors(ai, parameters, kind, code, param):
    good = {"model": MODEL, "input": "a"}
    with pytest.raises(kind) as failure:
        ai.embeddings.create(**(good | parameters))
    assert (failure.value.code, failure.value.param) == (code, param)
    assert failure.value.request_id and failure.value.body["message"]
    assert ai.embeddings.create(**good).data, "and the next answer is right"


def test_a_token_that_the_model_has_not_is_named(ai):
    with pytest.raises(openai.BadRequestError, match="text 1 has the token id 99999 at 0"):
        ai.embeddings.create(model=MODEL, input=[[7592], [99999]])


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"nonsense", b'{"model":"minilm","input":"\xff"}', b'{"model":"minilm","input":"\\ud800"}',
    b'{"model":"minilm","input":NaN}', b'{"model":"minilm","input":' + b"[" * 100_000,
    b'{"model":"minilm","model":"minilm","input":"a"}', b'{"model":"minilm","input":"a","dimensions":1e999}'])
def test_a_body_that_is_none_is_refused(node, body):
    status, headers, answer = post(node, "/v1/embeddings", body)
    assert (status, headers["Content-Type"]) == (400, "application/json")
    assert answer["error"]["type"] == "invalid_request_error" and answer["error"]["message"]
    assert headers["x-request-id"]


def test_what_is_too_large_is_told_as_such(node, ai):
    good = json.dumps({"model": MODEL, "input": "x" * (10 << 20), "truncate": True})
    assert post(node, "/v1/embeddings", good)[0] == 200
    status, _, answer = post(node, "/v1/embeddings", b" " * (65 << 20))
    assert (status, answer["error"]["type"]) == (413, "invalid_request_error")
    assert ai.embeddings.create(model=MODEL, input="a").data


def test_a_request_has_the_id_that_its_client_gave_it(node, ai):
    body = json.dumps({"model": MODEL, "input": "a"})
    assert post(node, "/v1/embeddings", body, **{"X-Request-Id": "mine"})[1]["x-request-id"] == "mine"
    node.log.wait_for("request", id="mine", model=MODEL, code="OK")


def test_other_endpoints_want_another_model(ai):
    for ask in (lambda: ai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "a"}]),
                lambda: ai.completions.create(model=MODEL, prompt="a"),
                lambda: ai.responses.create(model=MODEL, input="a")):
        with pytest.raises(openai.BadRequestError, match="does not generate text") as failure:
            ask()
        assert failure.value.param == "model"


def test_a_model_that_was_unloaded_is_unavailable(node, ai, troupe):
    assert troupe("--target", node.address, "unload", MODEL).returncode == 0
    with pytest.raises(openai.InternalServerError) as failure:
        ai.embeddings.create(model=MODEL, input="a")
    assert failure.value.status_code == 503 and int(failure.value.response.headers["retry-after"]) >= 1
    assert ai.models.list().data == []
    assert troupe("--target", node.address, "load", MODEL).returncode == 0
    assert ai.embeddings.create(model=MODEL, input="a").data
