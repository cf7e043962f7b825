"""LangChain's models for OpenAI, on a node: chat with a language model, vectors of an embedding model."""

import asyncio
import math

import pydantic
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from node import Node

QUESTION = "Name the capital of France."


@pytest.fixture(scope="module")
def served(program, smollm2, minilm):
    """A node with both demo models."""
    with Node(program, {}) as node:
        for folder in (smollm2, minilm):
            node.write_model(folder.name, (folder / "model.toml").read_text(),
                             [file for file in folder.iterdir() if file.name != "model.toml"])
        node.start().wait_ready()
        yield node
        assert node.stop() == 0


@pytest.fixture
def chat(served):
    def make(**options):
        return ChatOpenAI(**served.openai_options(model="smollm2", temperature=0, max_tokens=200) | options)

    return make


def test_chat_answers_a_conversation(chat):
    answer = chat().invoke([SystemMessage("You know geography."), HumanMessage("Hello."), AIMessage("Hello!"),
                            HumanMessage(QUESTION)])
    assert "Paris" in answer.content
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata["output_tokens"] > 0


def test_chat_streams(chat):
    pieces = [piece.content for piece in chat(stream_usage=True).stream(QUESTION)]
    assert "Paris" in "".join(pieces) and len(pieces) > 3


def test_chat_answers_many_at_once(chat):
    answers = chat(max_tokens=20).batch([f"Name the capital of {country}." for country in ("France", "Germany", "Italy")])
    assert "Paris" in answers[0].content and len({answer.content for answer in answers}) == 3


def test_chat_works_without_threads(chat):
    async def run():
        whole = await chat().ainvoke(QUESTION)
        pieces = [piece.content async for piece in chat().astream(QUESTION)]
        return whole.content, "".join(pieces)

    whole, streamed = asyncio.run(run())
    assert whole == streamed and "Paris" in whole


class City(pydantic.BaseModel):
    """A city."""

    name: str = pydantic.Field(max_length=30)
    inhabitants: int


def test_structured_output_is_an_object(chat):
    for method in ("json_schema", "function_calling"):
        assert isinstance(chat().with_structured_output(City, method=method).invoke(QUESTION), City)


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


def test_a_tool_is_called_and_its_answer_taken(chat):
    asked = [HumanMessage("What is the weather in Paris?")]
    called = chat().bind_tools([get_weather], tool_choice="get_weather", parallel_tool_calls=False).invoke(asked)
    [call] = called.tool_calls
    assert call["name"] == "get_weather" and isinstance(call["args"]["city"], str)
    told = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert chat(max_tokens=40).invoke([*asked, called, told]).content


def test_embeddings_tell_what_is_alike(served):
    vectors = OpenAIEmbeddings(base_url=f"http://{served.http_address}/v1", api_key="none is needed", model="minilm",
                               check_embedding_ctx_length=False)  # else it would fetch OpenAI's tokenizer
    a, b, c = vectors.embed_documents(["The actors take a bow.", "The players bow to their audience.", "Rates went up."])
    assert len(a) == 384 and math.isclose(math.hypot(*a), 1, abs_tol=1e-5)
    dot = lambda x, y: sum(i * j for i, j in zip(x, y))
    assert dot(a, b) > 0.5 > dot(a, c)
    assert dot(vectors.embed_query("The actors take a bow."), a) == pytest.approx(1, abs=1e-3)
