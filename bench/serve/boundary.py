"""What it costs that an instance lives in a process of its own, which may die: the same batches in a thread of the node's
and in a host, without a gateway around them."""

import statistics
import sys

from node import Goal, call

MIB = 1 << 20
SMALL, LARGE = 16, 4 * MIB  # FP32 elements
SMALL_GOAL_US, MODEL_GOAL, LARGE_GOAL = 60, 1.05, 2e9


def measure(given):
    """{case: [a result a round]}"""
    identity = given.folder / "boundary" / "identity"
    identity.mkdir(parents=True)
    (identity / "model.toml").write_text('skillset = "identity"\n')
    cases = {"small": (identity, SMALL), "large": (identity, LARGE), "model": (given.model, given.texts["short"])}
    results = {case: [] for case in cases}
    for number in range(given.rounds):
        for case, (model, what) in cases.items():
            results[case].append(call(given.program("bench_boundary"), given.build, model, what,
                                      int(given.seconds * 1000)))
        print(f"boundary: round {number + 1} of {given.rounds} done", file=sys.stderr)
    return results


def show(results):
    names = {"small": f"identity, FP32 [{SMALL}]", "large": f"identity, {4 * LARGE // MIB} MiB",
             "model": "MiniLM, 8 short texts"}
    median = lambda case, side, field: statistics.median(r[side][field] for r in results[case])
    print(f"\n{'a batch':27}{'CPU us, thread':>16}{'process':>12}{'us, thread':>13}{'process':>12}")
    for case, name in names.items():
        print(f"{name:27}{median(case, 'thread', 'cpu_us'):>16.1f}{median(case, 'process', 'cpu_us'):>12.1f}"
              f"{median(case, 'thread', 'us'):>13.1f}{median(case, 'process', 'us'):>12.1f}")
    added = statistics.median(r["process"]["cpu_us"] - r["thread"]["cpu_us"] for r in results["small"])
    ratio = statistics.median(r["process"]["cpu_us"] / r["thread"]["cpu_us"] for r in results["model"])
    speed = 4 * LARGE / (median("large", "process", "us") / 1e6)
    return [Goal(f"a small batch: ≤ {SMALL_GOAL_US} us of CPU more", f"{added:.1f}", added <= SMALL_GOAL_US),
            Goal(f"MiniLM: CPU ≤ {MODEL_GOAL}x", f"{ratio:.3f}", ratio <= MODEL_GOAL),
            Goal(f"16 MiB there and back: ≥ {LARGE_GOAL / 1e9:.0f} GB/s", f"{speed / 1e9:.2f}", speed >= LARGE_GOAL)]
