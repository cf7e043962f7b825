"""What a node adds to its engine, and what it saves where others pad: MiniLM, a sentence a request."""

import os
import statistics
import sys

from node import Goal, Node, copy_model, call

IN_FLIGHT = [1, 8, 32]
BATCHES = [1, 4, 8, 16, 32]  # 4 and 16 are what two instances make of 8 and 32 in flight
PADDED = [16, 32]  # what two workers make of 32 in flight, or one
SIDES = {"engine": "engine, batches of", "padded": "padded, batches of", "node": "node, in flight"}
CPU_GOAL, THROUGHPUT_GOAL, PADDING_GOAL = 1.05, 0.95, 3


def measure(given):
    """{texts: {"node": {in flight: [a result a round]}, "engine": {batch: […]}, "padded": {batch: […]}}}"""
    results = {name: {"node": {n: [] for n in IN_FLIGHT}, "engine": {n: [] for n in BATCHES}, "padded": {}}
               for name in given.texts}
    results["mixed"]["padded"] = {n: [] for n in PADDED}
    folder = given.folder / "efficiency"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "minilm").symlink_to(given.model)
    # Room for the whole of a padded batch.
    padded = copy_model(given.model, folder / "padded", options="batch_tokens = 8192")
    with Node(given.build, folder) as node:
        for number in range(given.rounds):
            for name, file in given.texts.items():
                for n in BATCHES:
                    results[name]["engine"][n].append(engine(given, given.model, file, n))
                for n in IN_FLIGHT:
                    results[name]["node"][n].append(load(given, node, file, n))
                for n in results[name]["padded"]:
                    results[name]["padded"][n].append(engine(given, padded, file, n, "padded"))
            print(f"efficiency: round {number + 1} of {given.rounds} done", file=sys.stderr)
    return results


def engine(given, model, texts, batch, *how):
    return call(given.program("bench_engine"), given.build / "lib/troupe/skillsets", model, texts, batch,
                os.cpu_count(), int(given.seconds * 1000), *how)


def load(given, node, texts, in_flight):
    return call(given.program("bench_load"), "--target", node.target, "--pid", node.process.pid, "--concurrency",
                in_flight, "--connections", 2, "--warm-up", 300, "--window", int(given.seconds * 1000), "--model",
                "minilm", "--texts", texts)


def ratio(ours, others, field):
    return statistics.median(a[field] / b[field] for a, b in zip(ours, others))


def show(results):
    goals = []
    for name, sides in results.items():
        cpu_of = {n: statistics.median(r["cpu_us"] for r in rounds) for n, rounds in sides["engine"].items()}
        best = sides["engine"][min(cpu_of, key=cpu_of.get)]
        print(f"\n{name} texts; the engine is at its best with batches of {min(cpu_of, key=cpu_of.get)}")
        print(f"{'':27}{'sentences/s':>12}{'/ best':>8}{'CPU ms':>9}{'/ best':>8}")
        for side, words in SIDES.items():
            for n, rounds in sides[side].items():
                speed, cpu = (statistics.median(r[f] for r in rounds) for f in ("requests_per_s", "cpu_us"))
                print(f"{f'{words} {n}':27}{speed:>12.1f}{ratio(rounds, best, 'requests_per_s'):>8.2f}"
                      f"{cpu / 1000:>9.2f}{ratio(rounds, best, 'cpu_us'):>8.2f}")
        for n in (8, 32):
            cpu, speed = (ratio(sides["node"][n], best, f) for f in ("cpu_us", "requests_per_s"))
            goals += [Goal(f"{name}, {n} in flight: CPU ≤ {CPU_GOAL}x of the engine's best", f"{cpu:.2f}",
                           cpu <= CPU_GOAL),
                      Goal(f"{name}, {n} in flight: throughput ≥ {THROUGHPUT_GOAL}x", f"{speed:.2f}",
                           speed >= THROUGHPUT_GOAL)]
        for n, rounds in sides["padded"].items():
            gain = ratio(sides["node"][32], rounds, "requests_per_s")
            goals.append(Goal(f"{name}, 32 in flight: ≥ {PADDING_GOAL}x the throughput of padded batches of {n}",
                              f"{gain:.2f}", gain >= PADDING_GOAL))
    return goals
