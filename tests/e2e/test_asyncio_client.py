"""tritonclient's asyncio client against a node."""

import asyncio

import pytest
import tritonclient.grpc.aio as triton

from messages import fails, numbers

SETTINGS = {"log_level": "trace", "slots": 1}


@pytest.fixture
async def client(node):
    async with triton.InferenceServerClient(node.address) as connected:
        yield connected


async def test_it_learns_what_there_is(client):
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("identity")
    assert (await client.get_server_metadata()).name == "troupe"
    assert [i.name for i in (await client.get_model_metadata("identity")).inputs] == ["input"]
    assert (await client.get_model_config("identity")).config.backend == "identity"
    assert [m.state for m in (await client.get_model_repository_index()).models] == ["READY"]


async def test_many_calls_at_once_get_their_own_answers(client):
    answers = await asyncio.gather(*(client.infer("identity", numbers(i), request_id=str(i)) for i in range(100)))
    assert [a.get_response().id for a in answers] == [str(i) for i in range(100)]
    assert [a.as_numpy("output")[0] for a in answers] == list(range(100))


async def test_its_errors_carry_code_and_message(client):
    with fails("NOT_FOUND", "nothing"):
        await client.infer("nothing", numbers())
    with fails("UNIMPLEMENTED", "CUDA shared memory"):
        await client.register_cuda_shared_memory("region", b"aGFuZGxl", 0, 8)


async def test_a_timeout_is_a_deadline(client):
    with fails("DEADLINE_EXCEEDED"):
        await client.infer("identity", numbers(), client_timeout=0.1, parameters={"delay_ms": 600_000})


async def test_a_stream_answers_each_of_its_requests(client):
    async def requests():
        for i in range(100):
            yield {"model_name": "identity", "inputs": numbers(i), "request_id": str(i)}

    answers = {}
    async for result, error in client.stream_infer(requests()):
        assert error is None
        answers[result.get_response().id] = result.as_numpy("output")[0]
    assert answers == {str(i): i for i in range(100)}


async def test_a_cancelled_task_cancels_the_work(node, client):
    before = len(node.log.events("executing"))
    task = asyncio.create_task(
        client.infer("identity", numbers(), request_id="left", parameters={"delay_ms": 600_000}))
    await asyncio.to_thread(node.log.wait_for, "executing", before + 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [left] = await asyncio.to_thread(node.log.wait_for, "request", id="left")
    assert left["code"] == "CANCELLED"
    answer = await client.infer("identity", numbers(5), parameters={"delay_ms": 1})
    assert answer.as_numpy("output").tolist() == [5]
