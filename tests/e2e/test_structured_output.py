"""Answers that are bound to a schema are valid under it, and what nobody can be bound to is refused before anything runs."""

import concurrent.futures
import json
import os
import random

import jsonschema
import openai
import pytest

from node import Node

SEED = int(os.environ.get("TROUPE_SEED") or 7)
MODEL = "smollm2"
WORDS = ["name", "size", "colour", "kind", "age", "city", "tags", "done", "level", "owner"]
PATTERNS = ["^[a-z]{2,8}$", "^(red|green|blue)$", "^[A-Z]{3}-[0-9]{2,4}$", "^[0-9]{4}$", "^v[0-9]+$", "^(?:ab|cd){1,3}$"]


def leaf(chance):
    return chance.choice([
        lambda: {"type": "boolean"},
        lambda: {"type": "null"},
        lambda: {"enum": chance.sample(["a", "b", 1, 2.5, None, True, "long words"], 3)},
        lambda: {"const": chance.choice(["fixed", 7, [1, 2], {"a": None}])},
        lambda: {"type": "integer", "minimum": -chance.randrange(50), "maximum": chance.randrange(1, 1000)},
        lambda: {"type": "string", "maxLength": chance.randrange(1, 12)},
        lambda: {"type": "string", "pattern": chance.choice(PATTERNS)},
        lambda: {"type": "string", "format": chance.choice(["date", "time", "uuid"])},
        lambda: {"type": ["boolean", "null"]},
    ])()


def node_of(chance, depth):
    if depth == 0 or chance.random() < 0.3:
        return leaf(chance)
    kind = chance.choice(["object", "object", "array", "tuple", "anyOf"])
    if kind == "object":
        names = chance.sample(WORDS, chance.randrange(1, 4))
        return {"type": "object", "properties": {name: node_of(chance, depth - 1) for name in names},
                "required": chance.sample(names, chance.randrange(len(names) + 1)), "additionalProperties": False}
    if kind == "array":
        return {"type": "array", "items": node_of(chance, depth - 1), "minItems": chance.randrange(2), "maxItems": 2}
    if kind == "tuple":
        return {"type": "array", "prefixItems": [leaf(chance), leaf(chance)], "minItems": 2, "maxItems": 2}
    return {"anyOf": [node_of(chance, depth - 1), leaf(chance)]}


def schema_of(chance):
    names = chance.sample(WORDS, chance.randrange(1, 4))
    return {"type": "object", "properties": {name: node_of(chance, 2) for name in names}, "required": names,
            "additionalProperties": False}


@pytest.fixture(scope="module")
def client(program, smollm2):
    with Node(program, {}) as node:
        node.write_model(MODEL, (smollm2 / "model.toml").read_text(), smollm2.glob("*.gguf"))
        node.start().wait_ready()
        with openai.OpenAI(**node.openai_options(max_retries=2)) as made:
            yield made
        assert node.stop() == 0


def bound(client, schema, seed=None):
    return client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Make something up, as JSON."}], max_tokens=120, seed=seed,
        response_format={"type": "json_schema", "json_schema": {"name": "thing", "strict": True, "schema": schema}}).choices[0]


def test_every_completed_answer_is_valid(client):
    print("TROUPE_SEED", SEED)
    schemas = [schema_of(random.Random(SEED * 1000 + i)) for i in range(200)]

    def ask(numbered):
        number, schema = numbered
        jsonschema.Draft202012Validator.check_schema(schema)
        choice = bound(client, schema, number)
        if choice.finish_reason == "length":
            return False
        jsonschema.validate(json.loads(choice.message.content), schema)
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        completed = sum(pool.map(ask, enumerate(schemas)))
    assert completed > 150, f"only {completed} of 200 came to their end"


@pytest.mark.parametrize("schema, place", [
    ({"type": "number", "multipleOf": 3}, "multipleOf"),
    ({"type": "object", "properties": {"a": {"type": "string", "format": "email"}}}, "properties/a/format"),
    ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    ({"type": "string", "pattern": "^(a+)+$"}, "pattern"),
    ({"type": "string", "pattern": "\\d+"}, "pattern"),
    ({"allOf": [{"type": "string"}]}, "allOf"),
])
def test_what_no_text_can_be_bound_to_is_refused(client, schema, place):
    with pytest.raises(openai.BadRequestError) as refused:
        bound(client, {"type": "object", "properties": {"x": schema}, "required": ["x"]})
    assert place in refused.value.message


def test_a_schema_that_is_a_hundred_deep_is_refused(client):
    schema = {"type": "string"}
    for _ in range(100):
        schema = {"type": "array", "items": schema}
    with pytest.raises(openai.BadRequestError):
        bound(client, {"type": "object", "properties": {"x": schema}})


def test_json_mode_gives_an_object(client):
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Describe a cat in JSON."}], max_tokens=200, temperature=0,
        response_format={"type": "json_object"}).choices[0]
    assert answer.finish_reason == "length" or isinstance(json.loads(answer.message.content), dict)
