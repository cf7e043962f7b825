"""kill -9 of a host while eight requests are under way, again and again; one and two instances, three models."""

import os
import random
import signal
import statistics
import sys
import time

import chats
from asking import (PATIENCE, Failed, Goal, Node, asking, call, hosts_of, lost, p99_of_others, unloaded, write_models,
                    wrong)

CASES = [("identity", "numbers", 1), ("identity", "numbers", 2), ("MiniLM", "text", 1), ("MiniLM", "text", 2),
         ("SmolLM2", "chat", 1)]
COLD_LOADS = 3
PAUSE_GOAL, PAUSE_GOAL_OF_TWO, OTHERS_GOAL = 1.3, 0.5, 1.5


def measure(given):
    """{(model, instances): figures}"""
    results, cold = {}, {}
    for name, kind, instances in CASES:
        if given.cases and name not in given.cases:
            continue
        if kind == "chat":
            results[name, instances] = chats.measure(given)
            continue
        folder = given.folder / f"kills-{name}-{instances}"
        write_models(given, folder, kind, instances)
        with Node(given.build, folder, log_level="off") as node:
            if instances == 1:
                cold[name] = cold_load(given, node)
            results[name, instances] = one_case(given, node, kind) | {"cold": cold[name]}
        print(f"kills: {name} with {instances} done", file=sys.stderr)
    return results


def cold_load(given, node):
    """Milliseconds from the wish to load the model, which nobody has in memory, until it is READY."""
    times = []
    for load in unloaded(given, node, COLD_LOADS):
        began = time.monotonic()
        load()
        times.append((time.monotonic() - began) * 1000)
    return statistics.median(times)


def restarts(given, node):
    """Of the model that is hit: how often an instance of it was there again."""
    status = call(given.program("troupe"), "--json", "--target", node.target, "status")
    return next(model["counts"]["restarts"] for model in status["models"] if model["name"] == "hit")


def end_of_start(given, node, kills):
    """When a window has lasted long enough, and the instance that was killed is there again. Looked for once that is over, and
    not before: a program that asks the node takes as much of the CPUs as the host that starts."""
    end = time.monotonic() + PATIENCE
    while True:
        time.sleep(given.seconds)
        now = time.monotonic()
        if restarts(given, node) == kills:
            return now
        if now > end:
            raise Failed(f"the start of an instance took longer than {PATIENCE} s")


def one_case(given, node, kind):
    """As many seconds without kills as with them, in turns."""
    chance = random.Random(1)
    spans = {"calm": [], "kills": []}
    kills = []
    with asking(given, node, kind) as outcomes:
        time.sleep(2)
        for _ in range(given.rounds):
            began = time.monotonic()
            time.sleep(given.seconds)
            spans["calm"].append((began, time.monotonic()))
            began = time.monotonic()
            os.kill(chance.choice(hosts_of(node)), signal.SIGKILL)
            kills.append(time.monotonic())
            spans["kills"].append((began, end_of_start(given, node, len(kills))))
    return figures(outcomes, spans, kills)


def figures(outcomes, spans, kills):
    hit, other = outcomes["hit"], outcomes["other"]
    pauses = [longest_pause(hit, kill, end) for kill, (_, end) in zip(kills, spans["kills"])]
    calm = [longest_pause(hit, begin, end) for begin, end in spans["calm"]]
    return {"asked": len(hit), "failed": len(lost(hit)) + len(lost(other)), "wrong": wrong(hit) + wrong(other),
            "why": (lost(hit) + lost(other))[:1], "kills": len(kills), "pause": statistics.median(pauses),
            "longest": max(pauses), "calm": statistics.median(calm)} | p99_of_others(other, **spans)


def longest_pause(outcomes, begin, end):
    """Milliseconds without an answer, at most, from a kill on: what was on its way already comes at once, so that the
    first answer after the kill says nothing."""
    times = [begin] + [answered for _, answered, what in outcomes if begin < answered < end and what == "right"]
    return max(b - a for a, b in zip(times, times[1:] + [end])) * 1000


def pause_goal(what, instances, r):
    if instances == 1:
        return Goal(f"{what}: without an answer for ≤ {PAUSE_GOAL} of a cold load", f"{r['pause'] / r['cold']:.2f}",
                    r["pause"] <= PAUSE_GOAL * r["cold"])
    most = max(PAUSE_GOAL_OF_TWO * r["cold"], OTHERS_GOAL * r["calm"])
    return Goal(f"{what}: without an answer for ≤ {most:.1f} ms", f"{r['pause']:.1f}", r["pause"] <= most)


def show(results):
    goals = []
    print("\nkill -9 of a host, 8 requests under way; in ms, median of the kills")
    print(f"{'':18}{'kills':>7}{'asked':>8}{'failed':>8}{'wrong':>7}{'calm':>8}{'pause':>8}{'longest':>9}{'cold load':>11}"
          f"{'ratio':>7}{'others p99':>12}{'with kills':>12}")
    for (name, instances), r in results.items():
        ratio = r["pause"] / r["cold"]
        print(f"{name + ' x ' + str(instances):18}{r['kills']:>7}{r['asked']:>8}{r['failed']:>8}{r['wrong']:>7}"
              f"{r['calm']:>8.1f}{r['pause']:>8.1f}{r['longest']:>9.1f}{r['cold']:>11.1f}{ratio:>7.2f}"
              f"{r['other_calm']:>12.2f}{r['other_kills']:>12.2f}")
        for why in r["why"]:
            print(f"    {why}")
        what = f"{name} x {instances}"
        others = r["other_kills"] / r["other_calm"]
        low, high = r["other_quartiles"]
        goals += [Goal(f"{what}: no request fails or is answered wrongly", str(r["failed"] + r["wrong"]),
                       r["failed"] + r["wrong"] == 0),
                  pause_goal(what, instances, r),
                  Goal(f"{what}: others' p99 ≤ {OTHERS_GOAL}x",
                       f"{others:.2f} (quartiles of the windows {low:.2f}, {high:.2f})", others <= OTHERS_GOAL)]
    return goals
