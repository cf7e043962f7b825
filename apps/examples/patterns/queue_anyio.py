"""What queue.cpp does, with AnyIO."""

from anyio import create_memory_object_stream, create_task_group, run


# [queue]
async def produce(out, start):
    async with out:
        for item in range(start, start + 3):
            await out.send(item)


async def consume(source, result):
    async with source:
        result["sum"] = 0
        async for item in source:
            result["sum"] += item


async def queue():
    result = {}
    sender, receiver = create_memory_object_stream[int](10)
    async with create_task_group() as group:
        group.start_soon(produce, sender.clone(), 1)
        group.start_soon(produce, sender, 11)
        group.start_soon(consume, receiver, result)
    print(f"the sum is {result['sum']}")
# [/queue]


run(queue)
