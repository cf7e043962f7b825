"""What bridge.cpp does, with AnyIO."""

from anyio import from_thread, run, sleep, to_thread


# [bridge]
async def square(number):
    await sleep(0.001)
    return number * number


def add_squares():  # in a worker thread
    total = 0
    for number in range(1, 4):
        from_thread.check_cancelled()
        total += from_thread.run(square, number)
    return total


async def bridge():
    total = await to_thread.run_sync(add_squares)
    print(f"the sum of the squares is {total}")


def stranger():  # in a thread that AnyIO has not started
    with from_thread.start_blocking_portal() as portal:
        print(f"the square is {portal.call(square, 4)}")
# [/bridge]


stranger()
run(bridge)
