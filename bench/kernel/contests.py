"""What bench/kernel/run compares with what. A contest is a group of sides that take turns in one run; a row of it is
the ratio of two of them, or one side's figure alone."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Side:
    """Something that is measured: a case of bench_kernel, or of anyio_peer.py when it has a back end."""
    case: str
    items: int
    arguments: tuple = ()
    backend: str = ""
    most_rounds: int = 1000  # of what takes so long that it can't be measured often


@dataclass(frozen=True)
class Row:
    """`ours` and `peer` are names of sides. The goal of a ratio is the least that ours should do in the peer's time;
    that of a row without a peer is the most that `figure` should come to."""
    ours: str
    peer: str = ""
    goal: float | None = None
    figure: str = "items_per_s"


@dataclass(frozen=True)
class Contest:
    name: str
    title: str
    sides: dict = field(default_factory=dict)
    rows: tuple = ()


def stream(producers, batch):
    """A queue of capacity 128, as many consumers as producers; receives take one item, or as many as there are."""
    arguments = ("--producers", producers, "--consumers", producers, "--batch", batch)

    def side(case, items):
        return Side(case, items, tuple(map(str, arguments)))

    return Contest(
        f"stream-{producers}-{batch}",
        f"items through a queue, {producers} → {producers}, "
        + ("one at a time" if batch == 1 else f"received up to {batch} at a time"),
        {"coroutines": side("stream_coroutines", 1_500_000), "threads": side("stream_threads", 1_500_000),
         "actors": side("stream_actors", 300_000), "Asio channel": side("asio_channel", 600_000),
         "CAF actor": side("caf_channel", 100_000), "moodycamel": side("moodycamel_queue", 1_500_000)},
        (Row("coroutines", "Asio channel", 3.0), Row("threads", "Asio channel"), Row("actors", "Asio channel"),
         Row("actors", "CAF actor"), Row("threads", "moodycamel", 0.5)))


def against_anyio(name, title, case, items, anyio_items, more_sides=None, more_rows=(), most_rounds=None):
    """Ours and AnyIO on both of its back ends. `case` is the one of bench_kernel; AnyIO's has the contest's name."""
    peers = {f"AnyIO, {backend}": Side(name, anyio_items, (), backend, (most_rounds or {}).get(backend, 1000))
             for backend in ("asyncio", "trio")}
    return Contest(name.replace("_", "-"), title, {"ours": Side(case, items)} | (more_sides or {}) | peers,
                   (*more_rows, *(Row("ours", peer, 20.0) for peer in peers)))


CONTESTS = (
    stream(1, 1), stream(1, 32), stream(4, 1), stream(4, 32),
    # AnyIO takes most of a minute for it on asyncio, whose events look for each waiter in a list.
    against_anyio("cancel_waiters", "waits cancelled at once, of 100,000", "cancel_waiters", 100_000, 100_000,
                  most_rounds={"asyncio": 1, "trio": 3}),
    Contest("supervisor-restart", "from a crash to the next instance", {"supervisor": Side("supervisor_restart", 1000)},
            (Row("supervisor", figure="p50_us", goal=1000.0), Row("supervisor", figure="p99_us"))),
    against_anyio("spawn_and_join", "children of a task group, started and joined", "spawn_and_join", 100_000, 20_000),
    against_anyio("pool_round_trip", "calls of a pool's thread, one after the other", "pool_round_trip", 30_000, 2000,
                  # At most 1.3 times the time.
                  {"bare pool": Side("bare_pool_round_trip", 30_000)}, (Row("ours", "bare pool", 1 / 1.3),)),
    against_anyio("portal_round_trip", "calls from a foreign thread, one after the other", "portal_round_trip", 30_000,
                  2000),
)
