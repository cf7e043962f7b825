"""What a node does with more than it can: an open loop at 2x and 5x of what it can do, and what comes after."""

import os
import re
import statistics
import subprocess
import sys

from node import Failed, Goal, Node, call, copy_model

MAX_WAIT_MS, CAPACITY, MAX_BATCH = 200, 128, 8
BURSTS = [2, 5]
NORMAL = 0.5  # of the capacity
BURST_SECONDS, NORMAL_SECONDS = 4, 2
GOODPUT_GOAL, REFUSAL_GOAL_MS, RECOVERY_GOAL_S = 0.95, 1, 1
SLICE = 0.1  # seconds; bench_load's
BATCHING = f"[batching]\nmax_batch = {MAX_BATCH}\n"
QUEUE = f'[queue]\ncapacity = {CAPACITY}\nmax_wait = "{MAX_WAIT_MS}ms"\n'
PATIENT = '[queue]\nmax_wait = "1h"\n'


def measure(given):
    """{burst: [a round's figures]}"""
    folder = given.folder / "overload"
    # One CPU is for the client and for gRPC: the work that the client makes must not be taken from the capacity.
    workers = max(1, os.cpu_count() - 1)
    copy_model(given.model, folder / "models" / "minilm", instances=workers, more=QUEUE + BATCHING)
    # The same, but where nothing is refused when somebody else keeps the machine busy for a moment: for the capacity.
    copy_model(given.model, folder / "models" / "patient", instances=workers, more=PATIENT + BATCHING)
    results = {burst: [] for burst in BURSTS}
    with Node(given.build, folder, f"[cpu]\nslots = {workers}\n") as node:
        for number in range(given.rounds):
            for burst in BURSTS:
                results[burst].append(one_round(given, node, burst, number))
            print(f"overload: round {number + 1} of {given.rounds} done", file=sys.stderr)
    return results


def one_round(given, node, burst, number):
    """Capacity, then normal load, the burst and normal load again, in one go. What the machine can do changes while
    others use it, so that the capacity before and after the burst are both measured."""
    load = lambda model, *how: call(given.program("bench_load"), "--target", node.target, "--pid", node.process.pid,
                                    "--model", model, "--texts", given.texts["short"], *how)
    closed = lambda: load("patient", "--concurrency", 4 * MAX_BATCH, "--connections", 2, "--warm-up", 500, "--window",
                          int(given.seconds * 1000))["requests_per_s"]
    before, had_waited = closed(), waits(given, node)
    phases = [(NORMAL * before, NORMAL_SECONDS), (burst * before, BURST_SECONDS), (NORMAL * before, NORMAL_SECONDS)]
    normal, storm, after = load("minilm", "--seed", number + 1, "--open",
                                ",".join(f"{rate:.1f}:{seconds}" for rate, seconds in phases))
    if failed := sum(phase["failed"]["count"] for phase in (normal, storm, after)):
        raise Failed(f"{failed} requests failed")
    waited = waited_at_most(0.99, storm["answered"]["count"], waits(given, node), had_waited)
    capacity = (before + closed()) / 2
    return {"capacity": capacity, "goodput": storm["good_per_s"] / capacity, "offered": storm["sent"] / BURST_SECONDS,
            "normal_p50": normal["answered"]["p50_us"] / 1000, "normal_p99": normal["answered"]["p99_us"] / 1000,
            "answered": storm["answered"]["count"], "refused": storm["refused"]["count"],
            "waited_p99": waited * 1000,
            "p50": storm["answered"]["p50_us"] / 1000, "p99": storm["answered"]["p99_us"] / 1000,
            "refused_p50": storm["refused"]["p50_us"] / 1000, "refused_p90": storm["refused"]["p90_us"] / 1000,
            "refused_p99": storm["refused"]["p99_us"] / 1000,
            "late_p99": storm["late_p99_us"] / 1000, "cpu": storm["cpu_s"] / BURST_SECONDS,
            "recovery": recovery(normal, after)}


def waits(given, node):
    """{seconds: how many requests had waited no longer when they were taken from the queue}, as the node counts them."""
    told = subprocess.run([given.program("troupe"), "--target", node.target, "metrics"], stdout=subprocess.PIPE,
                          text=True, check=True).stdout
    counts = re.findall(r'troupe_queue_waited_seconds_bucket{[^}]*model="minilm"[^}]*le="([^"]+)"} (\d+)', told)
    return {float(bound): int(count) for bound, count in counts}


def waited_at_most(part, burst, after, before):
    """The seconds that this part of the burst's requests waited at most: those that waited longest of all are taken to
    be the burst's. Within a bucket the waits are taken to be spread evenly."""
    counts = {bound: after[bound] - before[bound] for bound in after}
    rank = max(counts.values()) - (1 - part) * burst
    low, below = 0, 0
    for bound, count in sorted(counts.items()):
        if count >= rank:
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count


def recovery(normal, after):
    """Seconds from the end of the burst until the first slice in which nothing was refused, and half of what was asked
    was answered as fast as 99 of 100 before the burst."""
    for i, slice in enumerate(after["slices"]):
        if slice["answered"] and not slice["refused"] and slice["p50_us"] <= normal["answered"]["p99_us"]:
            return i * SLICE
    return len(after["slices"]) * SLICE


def show(results):
    goals = []
    print(f"\noverload; short texts, capacity = {CAPACITY}, max_wait = {MAX_WAIT_MS} ms, max_batch = {MAX_BATCH}, "
          f"{max(1, os.cpu_count() - 1)} of {os.cpu_count()} CPUs for the model; in ms, median of the rounds")
    columns = {"capacity": "capacity/s", "offered": "offered/s", "goodput": "goodput", "normal_p50": "norm. p50",
               "normal_p99": "norm. p99", "p50": "p50", "p99": "p99", "waited_p99": "waited p99", "refused_p50": "ref. p50",
               "refused_p90": "ref. p90", "refused_p99": "ref. p99", "late_p99": "late p99", "cpu": "CPUs",
               "recovery": "recov. s"}
    print(" " * 3 + "".join(f"{title:>11}" for title in columns.values()))
    for burst, rounds in results.items():
        m = {f: statistics.median(r[f] for r in rounds) for f in columns}
        print(f"{burst}x " + "".join(f"{m[f]:>11.2f}" for f in columns))
        goals += [
            Goal(f"{burst}x: goodput ≥ {GOODPUT_GOAL} of the capacity", f"{m['goodput']:.2f}",
                 m["goodput"] >= GOODPUT_GOAL),
            Goal(f"{burst}x: p99 of the wait of what is admitted ≤ {MAX_WAIT_MS} ms", f"{m['waited_p99']:.1f}",
                 m["waited_p99"] <= MAX_WAIT_MS),
            Goal(f"{burst}x: p99 of the answers to what is admitted ≤ {MAX_WAIT_MS} ms", f"{m['p99']:.1f}",
                 m["p99"] <= MAX_WAIT_MS),
            Goal(f"{burst}x: p50 of refusals < {REFUSAL_GOAL_MS} ms", f"{m['refused_p50']:.2f}",
                 m["refused_p50"] < REFUSAL_GOAL_MS),
            Goal(f"{burst}x: normal again within {RECOVERY_GOAL_S} s", f"{m['recovery']:.1f}",
                 m["recovery"] <= RECOVERY_GOAL_S)]
    return goals
