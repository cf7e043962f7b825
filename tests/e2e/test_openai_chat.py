"""OpenAI's own client with a language model: what it sends, reads, retries and raises."""

import asyncio
import json
import threading
import time
from typing import Literal

import openai
import pydantic
import pytest

from node import PATIENCE, Node

MODEL = "smollm2"
GREEDY = {"model": MODEL, "temperature": 0}
CAPITAL = [{"role": "user", "content": "Name the capital of France."}]
STORY = [{"role": "user", "content": "Tell me a very long story about the sea."}]


def with_option(toml, option):
    return toml.replace("[options]", f"[options]\n{option}") if "[options]" in toml else f"{toml}\n[options]\n{option}\n"


@pytest.fixture(scope="module")
def served(program, smollm2):
    """A node with SmolLM2, which says the same whatever else it is asked at the same time."""
    with Node(program, {}) as node:
        node.write_model(MODEL, with_option((smollm2 / "model.toml").read_text(), "exact = true"), smollm2.glob("*.gguf"))
        node.start().wait_ready()
        yield node
        assert node.stop() == 0


@pytest.fixture
def openai_client(served):
    with openai.OpenAI(**served.openai_options()) as made:
        yield made


@pytest.fixture
def ask(openai_client):
    """Has the model answer, greedily unless something else is said."""

    def create(messages=CAPITAL, **parameters):
        return openai_client.chat.completions.create(messages=messages, **(GREEDY | parameters))

    return create


def test_the_model_is_listed(openai_client):
    assert [model.id for model in openai_client.models.list()] == [MODEL]
    assert openai_client.models.retrieve(MODEL).object == "model"


def test_an_answer_has_everything_that_the_client_reads(ask):
    answer = ask()
    assert "Paris" in answer.choices[0].message.content
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == ("chat.completion", MODEL, "stop")
    assert answer.choices[0].message.role == "assistant"
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert abs(answer.created - time.time()) < PATIENCE


def test_a_system_message_counts(ask):
    assert ask().usage.prompt_tokens != ask([{"role": "system", "content": "Be brief."}] + CAPITAL).usage.prompt_tokens


def test_a_beginning_that_came_before_is_not_computed_again(ask):
    messages = [{"role": "user", "content": "Once upon a time there was a king. " * 20 + "Who was there?"}]
    ask(messages, max_tokens=1)
    again = ask(messages, max_tokens=1).usage
    assert again.prompt_tokens_details.cached_tokens > again.prompt_tokens / 2


def test_a_stream_brings_the_same_answer_in_pieces(ask):
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    whole = ask()
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    assert sum(bool(delta.content) for delta in deltas) > 2
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_helper_for_streams_understands_them(openai_client):
    with openai_client.chat.completions.stream(messages=CAPITAL, **GREEDY) as stream:
        kinds = {event.type for event in stream}
        assert "content.delta" in kinds and "content.done" in kinds
        assert "Paris" in stream.get_final_completion().choices[0].message.content


def test_a_stream_that_is_closed_ends_the_work(served, openai_client):
    before = len(served.log.events("request", code="CANCELLED"))
    stream = openai_client.chat.completions.create(messages=STORY, stream=True, extra_body={"ignore_eos": True}, **GREEDY)
    assert next(iter(stream)).choices
    stream.close()
    served.log.wait_for("request", before + 1, code="CANCELLED")


def test_many_at_once_without_threads(served):
    async def run():
        async with openai.AsyncOpenAI(**served.openai_options()) as client:
            cities = ["France", "Italy", "Germany", "Japan", "Egypt", "Greece", "Norway", "Spain"]
            answers = await asyncio.gather(*[
                client.chat.completions.create(messages=[{"role": "user", "content": f"Name the capital of {city}."}],
                                               max_tokens=30, **GREEDY) for city in cities])
            stream = await client.chat.completions.create(messages=CAPITAL, stream=True, **GREEDY)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return [answer.choices[0].message.content for answer in answers], "".join(pieces)

    answers, streamed = asyncio.run(run())
    assert "Paris" in answers[0] and "Paris" in streamed
    assert len(set(answers)) == len(answers)


def test_an_answer_ends_where_it_is_told_to(ask):
    cut = ask(STORY, max_completion_tokens=5)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 5)
    stopped = ask(stop=["Paris", "never"])
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.choices[0].message.content == ask().choices[0].message.content.split("Paris")[0]


def test_a_seed_repeats_what_chance_did(ask):
    chance = {"temperature": 1.2, "max_tokens": 20}
    first, second = (ask(STORY, seed=seed, **chance).choices[0].message.content for seed in (7, 8))
    assert first != second
    both = ask(STORY, seed=7, n=2, **chance)
    assert [choice.index for choice in both.choices] == [0, 1]
    assert [choice.message.content for choice in both.choices] == [first, second]


def test_log_probabilities_are_those_of_the_answer(ask):
    choice = ask(logprobs=True, top_logprobs=3, max_tokens=6).choices[0]
    tokens = choice.logprobs.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == choice.message.content
    for token in tokens:
        assert token.logprob <= 0
        likeliest = [top.logprob for top in token.top_logprobs]
        assert len(likeliest) == 3 and likeliest == sorted(likeliest, reverse=True)
        assert token.token == token.top_logprobs[0].token, "greedy"
    streamed = [token for chunk in ask(logprobs=True, top_logprobs=3, max_tokens=6, stream=True)
                if chunk.choices and chunk.choices[0].logprobs for token in chunk.choices[0].logprobs.content]
    assert [token.token for token in streamed] == [token.token for token in tokens]


class City(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=30)
    country: Literal["France", "Spain"]
    inhabitants: int


def test_the_parse_helper_gets_an_object(openai_client):
    parsed = openai_client.chat.completions.parse(messages=CAPITAL, response_format=City, max_tokens=120, **GREEDY)
    assert isinstance(parsed.choices[0].message.parsed, City)


def test_json_mode_gives_an_object(ask):
    answer = ask([{"role": "user", "content": "Say who you are, in JSON with the key name, shortly."}], max_tokens=300,
                 response_format={"type": "json_object"})
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(answer.choices[0].message.content), dict)
    assert answer.choices[0].message.content.lstrip().startswith("{")


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather in a city", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "maxLength": 30},
                                         "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"], "additionalProperties": False}}}
ASKED_FOR_WEATHER = [{"role": "user", "content": "What is the weather in Paris, in celsius?"}]
THAT_TOOL = {"type": "function", "function": {"name": "get_weather"}}
# A small model that may call more than once goes on calling.
ONE_CALL = {"parallel_tool_calls": False, "max_tokens": 200}


@pytest.mark.parametrize("choice", ["required", THAT_TOOL])
def test_a_tool_is_called_with_arguments_as_its_schema_says(ask, choice):
    answer = ask(ASKED_FOR_WEATHER, tools=[WEATHER], tool_choice=choice, **ONE_CALL)
    assert answer.choices[0].finish_reason == "tool_calls"
    call = answer.choices[0].message.tool_calls[0]
    assert (call.type, call.function.name, bool(call.id)) == ("function", "get_weather", True)
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("celsius", "fahrenheit")


def test_a_streamed_call_is_put_together_by_its_index(ask):
    calls = {}
    for chunk in ask(ASKED_FOR_WEATHER, tools=[WEATHER], tool_choice=THAT_TOOL, stream=True, **ONE_CALL):
        for delta in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(delta.index, {"id": delta.id, "name": delta.function.name, "arguments": ""})
            call["arguments"] += delta.function.arguments or ""
    assert calls[0]["id"] and calls[0]["name"] == "get_weather"
    assert set(json.loads(calls[0]["arguments"])) == {"city", "unit"}


def test_what_a_tool_said_can_be_sent_back(ask):
    call = ask(ASKED_FOR_WEATHER, tools=[WEATHER], tool_choice=THAT_TOOL, **ONE_CALL).choices[0].message
    said = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "It rains."}
    answer = ask(ASKED_FOR_WEATHER + [call.to_dict(), said], tools=[WEATHER], tool_choice="none", max_tokens=40)
    assert answer.choices[0].message.content and not answer.choices[0].message.tool_calls


def test_a_raw_response_has_its_headers(openai_client):
    raw = openai_client.chat.completions.with_raw_response.create(messages=CAPITAL, max_tokens=1, **GREEDY)
    assert raw.status_code == 200 and raw.headers["x-request-id"]
    assert raw.parse().choices[0].finish_reason == "length"
    named = openai_client.chat.completions.create(messages=CAPITAL, max_tokens=1, extra_headers={"X-Request-Id": "mine"},
                                                  **GREEDY)
    assert named._request_id == "mine"


@pytest.mark.parametrize("parameters, kind, code, param", [
    ({"model": "nobody"}, openai.NotFoundError, "model_not_found", "model"),
    ({"temperature": -1}, openai.BadRequestError, "invalid_value", "temperature"),
    ({"max_tokens": -1}, openai.BadRequestError, "invalid_value", "max_tokens"),
    ({"messages": []}, openai.BadRequestError, "invalid_value", "messages"),
    ({"messages": [{"role": "user", "content": "word " * 20000}]}, openai.BadRequestError, "context_length_exceeded",
     "messages"),
    ({"extra_body": {"dance": True}}, openai.BadRequestError, "unsupported_parameter", "dance"),
])
def test_what_is_wrong_raises_the_clients_own_errors(ask, parameters, kind, code, param):
    with pytest.raises(kind) as failure:
        ask(**parameters)
    assert (failure.value.code, failure.value.param) == (code, param)
    assert failure.value.request_id and failure.value.body["message"]
    assert "Paris" in ask().choices[0].message.content, "and the next answer is right"


def test_a_schema_that_cannot_be_kept_is_refused(ask):
    with pytest.raises(openai.BadRequestError) as failure:
        ask(response_format={"type": "json_schema", "json_schema": {
            "name": "x", "schema": {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}}})
    assert failure.value.param.startswith("response_format")


def test_a_client_without_patience_ends_the_work(served, openai_client):
    before = len(served.log.events("request", code="CANCELLED"))
    with pytest.raises(openai.APITimeoutError):
        openai_client.with_options(timeout=2).chat.completions.create(messages=STORY, extra_body={"ignore_eos": True},
                                                                        **GREEDY)
    served.log.wait_for("request", before + 1, code="CANCELLED")


def test_a_client_tries_again_until_the_model_is_there(served, openai_client, troupe):
    assert troupe("--target", served.address, "unload", MODEL).returncode == 0
    answers = []
    patient = openai_client.with_options(max_retries=20)
    asking = threading.Thread(target=lambda: answers.append(
        patient.chat.completions.create(messages=CAPITAL, max_tokens=20, **GREEDY)))
    before = len(served.log.events("request", code="UNAVAILABLE"))
    with pytest.raises(openai.InternalServerError) as failure:
        openai_client.chat.completions.create(messages=CAPITAL, **GREEDY)
    assert failure.value.status_code == 503 and failure.value.response.headers["retry-after"]
    asking.start()
    served.log.wait_for("request", before + 2, code="UNAVAILABLE")
    assert troupe("--target", served.address, "load", MODEL).returncode == 0
    asking.join(PATIENCE)
    assert "Paris" in answers[0].choices[0].message.content


def test_completions_go_on_with_a_text(openai_client):
    made = openai_client.completions.create(prompt=["One, two, three,", "The capital of France is"], max_tokens=3, logprobs=2,
                                            **GREEDY)
    assert [choice.index for choice in made.choices] == [0, 1]
    assert "four" in made.choices[0].text and "Paris" in made.choices[1].text
    logprobs = made.choices[0].logprobs
    assert "".join(logprobs.tokens) == made.choices[0].text and len(logprobs.top_logprobs[0]) == 2
    streamed = openai_client.completions.create(prompt="One, two, three,", max_tokens=3, stream=True, **GREEDY)
    assert "".join(chunk.choices[0].text for chunk in streamed) == made.choices[0].text
    echoed = openai_client.completions.create(prompt="One, two, three,", max_tokens=3, echo=True, **GREEDY)
    assert echoed.choices[0].text == "One, two, three," + made.choices[0].text


def test_responses_say_the_same(openai_client):
    asked = {"model": MODEL, "input": "Name the capital of France.", "temperature": 0, "store": False}
    response = openai_client.responses.create(**asked)
    assert "Paris" in response.output_text and response.status == "completed"
    events = list(openai_client.responses.create(stream=True, **asked))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == response.output_text
