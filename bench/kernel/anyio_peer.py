#!/usr/bin/env python3
"""Does with AnyIO what a case of bench_kernel does, on asyncio or on Trio, and prints one line of JSON as that does.

A failure is an exception: nothing is measured that did not do all of its work.
"""

import argparse
import json
import resource
import time

import anyio
import anyio.from_thread
import anyio.to_thread


class Stopwatch:
    """Time on the wall, and CPU time (user and system) of the whole process with all of its threads."""

    def __init__(self):
        self.cpu, self.wall = self.cpu_now(), time.perf_counter()

    @staticmethod
    def cpu_now():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def stop(self, items):
        return {"items": items, "seconds": time.perf_counter() - self.wall, "cpu_seconds": self.cpu_now() - self.cpu}


def check(done, items):
    if done != items:
        raise RuntimeError(f"of {items} {done} were done")


async def cancel_waiters(items):
    """Cancels so many tasks at once that wait for an event, until the last has ended."""
    event = anyio.Event()
    cancelled = 0

    async def wait():
        nonlocal cancelled
        try:
            await event.wait()
        except anyio.get_cancelled_exc_class():
            cancelled += 1
            raise

    async with anyio.create_task_group() as group:
        for _ in range(items):
            group.start_soon(wait)
        while event.statistics().tasks_waiting < items:
            await anyio.sleep(0)
        watch = Stopwatch()
        group.cancel_scope.cancel()
    measured = watch.stop(items)
    check(cancelled, items)
    return measured


async def spawn_and_join(items):
    """Starts so many tasks, which do nothing, in one group, and waits until all have ended."""
    ran = 0

    async def child():
        nonlocal ran
        ran += 1

    watch = Stopwatch()
    async with anyio.create_task_group() as group:
        for _ in range(items):
            group.start_soon(child)
    measured = watch.stop(items)
    check(ran, items)
    return measured


async def pool_round_trip(items):
    """Has a thread of the pool do something, waits for the result, and again."""
    done = 0

    def work(n):
        return n + 1

    watch = Stopwatch()
    for _ in range(items):
        done = await anyio.to_thread.run_sync(work, done)
    measured = watch.stop(items)
    check(done, items)
    return measured


async def portal_round_trip(items):
    """From a foreign thread, has the event loop do something, waits for the result, and again."""
    done = 0

    async def work(n):
        return n + 1

    def foreign(portal):
        nonlocal done
        watch = Stopwatch()
        for _ in range(items):
            done = portal.call(work, done)
        return watch.stop(items)

    async with anyio.from_thread.BlockingPortal() as portal:
        measured = await anyio.to_thread.run_sync(foreign, portal)
    check(done, items)
    return measured


CASES = {case.__name__: case for case in (cancel_waiters, spawn_and_join, pool_round_trip, portal_round_trip)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--items", type=int, default=10_000)
    options = parser.parse_args()
    case = CASES[options.case]
    anyio.run(case, max(1, options.items // 10), backend=options.backend)  # the warm-up
    print(json.dumps(anyio.run(case, options.items, backend=options.backend)))


if __name__ == "__main__":
    main()
