"""How long answers that are under way stand still while long prompts come."""

import statistics
import threading
import time

from asking import OURS, THEIRS, Goal, in_turns, percentile, ratio, together, user, words

ANSWERS = 4
MOST_TOKENS = 1000
PROMPTS, LONG_WORDS = 3, 1470
GOAL = 0.5


def measure(given):
    """{side: [a result a round]}"""
    return in_turns(given, "long prompts", window)


def window(side, key):
    """Four answers, and once all of them have begun three long prompts, one after another."""
    begun, enough = threading.Barrier(ANSWERS + 1), threading.Event()

    def answer(which):
        begun.wait()
        return side.ask([user(f"({key}, {which}) Tell me a long story.")], max_tokens=MOST_TOKENS, enough=enough)

    def send_long_prompts():
        begun.wait()
        try:
            # With the answers to the short prompts that came before it, it comes when these are under way.
            side.ask([user(f"({key}) Begin.")], max_tokens=8)
            began = time.monotonic()
            sent = [side.ask([user(words(f"{key} {i}", LONG_WORDS))], max_tokens=1) for i in range(PROMPTS)]
            return began, time.monotonic(), sent
        finally:
            enough.set()

    *answers, (began, ended, sent) = together(*(lambda which=which: answer(which) for which in range(ANSWERS)),
                                              send_long_prompts)
    gaps = [gap * 1000 for one in answers for gap in one.gaps(began, ended)]
    return {"p50": percentile(gaps, 0.5), "p99": percentile(gaps, 0.99), "most": max(gaps), "count": len(gaps),
            "long": statistics.median(one.first * 1000 for one in sent),
            "tokens": statistics.median(one.prompt_tokens for one in sent)}


def show(results):
    print(f"\nfrom token to token of {ANSWERS} answers, ms, while {PROMPTS} long prompts come one after another")
    print(f"{'':14}{'p50':>9}{'p99':>9}{'most':>9}{'of':>7}{'long prompt':>13}{'of tokens':>11}")
    for name in (OURS, THEIRS):
        p50, p99, most, count, long, tokens = (statistics.median(r[field] for r in results[name])
                                               for field in ("p50", "p99", "most", "count", "long", "tokens"))
        print(f"{name:14}{p50:>9.1f}{p99:>9.1f}{most:>9.1f}{count:>7.0f}{long:>13.0f}{tokens:>11.0f}")
    share = ratio(results, lambda r: r["p99"])
    return [Goal(f"long prompts: p99 from token to token ≤ {GOAL}x", f"{share:.2f}", share <= GOAL)]
