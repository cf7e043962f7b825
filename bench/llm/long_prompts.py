"""How long answers that are under way stand still while long prompts come."""

import statistics
import threading
import time

from asking import OURS, THEIRS, Goal, in_turns, percentile, ratio, together, user, words

ANSWERS = 4
TOKENS = 160
LONG_WORDS = 1470
GOAL = 0.5


def measure(given):
    """{side: [a result a round]}"""
    return in_turns(given, "long prompts", window)


def window(side, key):
    """Four answers, and as soon as all of them have begun one long prompt after another, until they have ended."""
    begun, ended = threading.Barrier(ANSWERS + 1, timeout=60), threading.Event()

    def answer(which):
        side.ask([user(f"({key}) Begin.")], max_tokens=1)
        begun.wait()
        return side.ask([user(f"({key}, {which}) Tell me a long story.")], max_tokens=TOKENS)

    def answer_all():
        try:
            return together(*(lambda which=which: answer(which) for which in range(ANSWERS)))
        finally:
            ended.set()

    def send_long_prompts():
        begun.wait()
        began, sent = time.monotonic(), []
        while not ended.is_set():
            sent.append(side.ask([user(words(f"{key} {len(sent)}", LONG_WORDS))], max_tokens=1))
        return began, sent

    answers, (began, sent) = together(answer_all, send_long_prompts)
    gaps = [gap * 1000 for one in answers for gap in one.gaps(since=began)]
    return {"p50": percentile(gaps, 0.5), "p99": percentile(gaps, 0.99), "most": max(gaps), "long": len(sent),
            "tokens": statistics.median(one.prompt_tokens for one in sent)}


def show(results):
    print(f"\nfrom token to token of {ANSWERS} answers, ms, while long prompts come")
    print(f"{'':14}{'p50':>8}{'p99':>8}{'most':>8}{'prompts':>9}{'of tokens':>11}")
    for name in (OURS, THEIRS):
        p50, p99, most, count, tokens = (statistics.median(r[field] for r in results[name])
                                         for field in ("p50", "p99", "most", "long", "tokens"))
        print(f"{name:14}{p50:>8.1f}{p99:>8.1f}{most:>8.1f}{count:>9.0f}{tokens:>11.0f}")
    share = ratio(results, lambda r: r["p99"])
    return [Goal(f"long prompts: p99 from token to token ≤ {GOAL}x", f"{share:.2f}", share <= GOAL)]
