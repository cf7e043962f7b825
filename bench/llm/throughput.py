"""Tokens a CPU second, with one, four and eight answers at a time."""

import statistics
import time

from asking import OURS, THEIRS, Goal, in_turns, ratio, together, user

AT_ONCE = [1, 4, 8]
ANSWERS = 8
TOKENS = 96
TOPICS = ["the sea", "a printing press", "bread", "the moon", "a violin", "winter", "trains", "a theatre"]
GOAL = 0.98


def measure(given):
    """{at once: {side: [{tokens a CPU second, tokens a second} a round]}}"""
    return {n: in_turns(given, f"throughput, {n} at once", lambda side, key, n=n: window(side, key, n)) for n in AT_ONCE}


def window(side, key, at_once):
    """The same questions for both sides, and others in every window, so that no answer is in a cache."""
    questions = [[user(f"({key}) Tell me what you know about {topic}.")] for topic in TOPICS[:ANSWERS]]

    def answer_some(which):
        return sum(side.ask(messages, max_tokens=TOKENS).tokens for messages in questions[which::at_once])

    cpu, began = side.cpu(), time.monotonic()
    tokens = sum(together(*(lambda which=which: answer_some(which) for which in range(at_once))))
    return {"cpu": tokens / (side.cpu() - cpu), "speed": tokens / (time.monotonic() - began)}


def show(results):
    goals = []
    print(f"\ntokens a CPU second (and a second); {ANSWERS} answers of {TOKENS} tokens a window")
    print(f"{'at once':>8}{OURS:>22}{THEIRS:>22}{'ratio':>8}")
    for at_once, sides in results.items():
        cells = [f"{statistics.median(r['cpu'] for r in sides[name]):.1f} "
                 f"({statistics.median(r['speed'] for r in sides[name]):.1f})" for name in (OURS, THEIRS)]
        gain = ratio(sides, lambda r: r["cpu"])
        print(f"{at_once:>8}{cells[0]:>22}{cells[1]:>22}{gain:>8.2f}")
        goals.append(Goal(f"{at_once} at once: tokens a CPU second ≥ {GOAL}x", f"{gain:.2f}", gain >= GOAL))
    return goals
