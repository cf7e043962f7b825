"""What tasks.cpp does, with AnyIO."""

from anyio import create_task_group, fail_after, run, sleep_forever


# [tasks]
async def fail(why):
    raise OSError(why)


async def tasks():
    try:
        async with create_task_group() as group:
            group.start_soon(sleep_forever)
            group.start_soon(fail, "the disk is full")
            group.start_soon(fail, "the tape is torn")
    except* OSError as failed:
        for failure in failed.exceptions:
            print(f"failed: {failure}")

    try:
        with fail_after(0.01):
            async with create_task_group() as group:
                group.start_soon(sleep_forever)
    except TimeoutError:
        print("it took too long")
# [/tasks]


run(tasks)
