"""A sentence encoder in a GGUF file: the same vectors as from the model's own files, which another runtime computes."""

import hashlib
import json

import numpy as np
import openai
import pytest
import tritonclient.grpc as triton

import gguf_of_bert
from messages import texts
from node import Node
from test_embeddings import GOLDEN

LONGEST = 512  # tokens, by the positions that the model knows
MODELS = {
    "pooled": ("pooled.gguf", ""),
    "plain": ("plain.gguf", 'pooling = "mean"'),
    "undecided": ("plain.gguf", ""),
    "writer": ("pooled.gguf", 'task = "generation"'),
    "longer": ("pooled.gguf", f"context = {LONGEST + 1}"),
}
# What llama.cpp reads otherwise than the reference does, by their beginnings: Korean, of which it doesn't take the syllables
# apart; Hindi, of which it drops more signs than accents; words of more than 100 letters, which it knows; and names of
# control tokens, which are words like others here. Whoever wants them as they were sends token ids.
READ_OTHERWISE = ("한국어", "नमस्ते", "pneumono", "xxxx", "literal [CLS]")

MORE = ["The committee adjourned without reaching a decision on the budget.", "Interest rates went up by 0.25% on Tuesday.",
        "def area(r): return 3.14159 * r ** 2"]


@pytest.fixture(scope="module")
def files(minilm, tmp_path_factory):
    """The model as GGUF files, with and without a word on how to pool."""
    folder = tmp_path_factory.mktemp("gguf")
    gguf_of_bert.convert(minilm, folder / "pooled.gguf")
    gguf_of_bert.convert(minilm, folder / "plain.gguf", pooling=None)
    return folder


@pytest.fixture(scope="module")
def some():
    """Texts in many scripts, none of them too long for the reference, and how many tokens they are to it."""
    entries = json.loads((GOLDEN / "texts.json").read_text())["texts"]
    return {entry["text"]: entry["tokens"] for entry in entries if entry["tokens"] <= 256}


def settings_of(file, options=""):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return (f'skillset = "text_generation"\non_failure = "unavailable"\n[files]\n'
            f'weights = {{ path = "{file.name}", sha256 = "{digest}" }}\n[options]\n{options}')


@pytest.fixture(scope="module")
def node(program, minilm, files):
    with Node(program, {"identity": 'skillset = "identity"\n'}, max_message_mib=16) as shared:
        shared.write_model("reference", (minilm / "model.toml").read_text(),
                           [file for file in minilm.iterdir() if file.name != "model.toml"])
        for name, (file, options) in MODELS.items():
            shared.write_model(name, settings_of(files / file, options), [files / file])
        shared.start().wait_ready()
        yield shared
        assert shared.stop() == 0


def embed(client, model, some):
    return client.infer(model, texts(*some)).as_numpy("embedding")


@pytest.mark.parametrize("model", ["pooled", "plain"])
def test_the_vectors_are_those_of_the_reference(client, some, model):
    alike = [text for text in some if not text.startswith(READ_OTHERWISE)] + MORE
    vectors, right = embed(client, model, alike), embed(client, "reference", alike)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
    cosines = (vectors * right).sum(axis=1)
    assert len(alike) >= 20 and cosines.min() >= 0.999, dict(zip(alike, cosines))


def test_texts_are_the_reference_s_tokens(client, some):
    for text, tokens in some.items():
        read = client.infer("pooled", texts(text)).get_response().parameters["prompt_tokens"].int64_param
        assert (read == tokens) is not text.startswith(READ_OTHERWISE), (text, read, tokens)


def test_a_text_alone_has_the_same_vector(client, some):
    for text, vector in zip(some, embed(client, "pooled", list(some))):
        assert embed(client, "pooled", [text])[0] @ vector >= 0.99999


def test_a_text_that_is_longer_than_the_positions_is_refused_or_cut_as_the_caller_says(node, client):
    # A word of one token each; two more are at the ends.
    fits, too_long = "sea " * (LONGEST - 2), "sea " * (LONGEST - 1)
    with openai.OpenAI(**node.openai_options()) as ai:
        answer = ai.embeddings.create(model="pooled", input=fits)
        assert answer.usage.prompt_tokens == LONGEST
        with pytest.raises(openai.BadRequestError, match="longer than") as refused:
            ai.embeddings.create(model="pooled", input=["short", too_long])
        assert refused.value.code == "context_length_exceeded"
        cut = ai.embeddings.create(model="pooled", input=too_long, extra_body={"truncate": True})
        # What is cut off is text, and not the mark at its end.
        assert np.dot(cut.data[0].embedding, answer.data[0].embedding) >= 0.99999
    told = client.infer("pooled", texts(too_long)).get_response().parameters
    assert (told["truncated_texts"].int64_param, told["prompt_tokens"].int64_param) == (1, LONGEST)


@pytest.mark.parametrize("model, reason", [
    ("undecided", "doesn't say how to pool; set the option pooling to mean, cls or last"),
    ("writer", "doesn't write text from left to right; set the option task to embedding"),
    ("longer", f"made for {LONGEST} tokens"),
])
def test_what_it_cannot_do_is_said_at_the_load(client, model, reason):
    [entry] = [entry for entry in client.get_model_repository_index().models if entry.name == model]
    assert entry.state == "UNAVAILABLE" and reason in entry.reason, entry.reason
