"""How long the first token takes: of a new prompt, and of one that begins like others before it."""

import statistics

from asking import OURS, THEIRS, Goal, in_turns, percentile, ratio, user, words

ASKED = 8
NEW_WORDS, SHARED_WORDS, QUESTION_WORDS = 100, 380, 12
GOAL = 1.1


def measure(given):
    """{case: {side: [a result a round]}}"""
    return {"a new prompt": in_turns(given, "first token, new", new_prompts),
            "a shared beginning": in_turns(given, "first token, shared", shared_beginnings)}


def new_prompts(side, key):
    return figures([side.ask([user(words(f"{key} {i}", NEW_WORDS))], max_tokens=1) for i in range(ASKED)])


def shared_beginnings(side, key):
    """Questions after the same instructions, of which the first is not counted: it brings them into the cache."""
    instructions = {"role": "system", "content": words(key, SHARED_WORDS)}
    answers = [side.ask([instructions, user(words(f"{key} {i}", QUESTION_WORDS))], max_tokens=1) for i in range(ASKED + 1)]
    return figures(answers[1:])


def figures(answers):
    return {"ms": percentile([answer.first * 1000 for answer in answers], 0.5),
            "prompt": statistics.median(answer.prompt_tokens for answer in answers),
            "cached": statistics.median(answer.cached_tokens for answer in answers)}


def show(results):
    goals = []
    print(f"\ntime to the first token, ms, p50 of {ASKED} (tokens of the prompt / of these in the cache)")
    print(f"{'':20}{OURS:>24}{THEIRS:>24}{'ratio':>8}")
    for case, sides in results.items():
        cells = []
        for name in (OURS, THEIRS):
            ms, prompt, cached = (statistics.median(r[field] for r in sides[name]) for field in ("ms", "prompt", "cached"))
            cells.append(f"{ms:.1f} ({prompt:.0f}/{cached:.0f})")
        cost = ratio(sides, lambda r: r["ms"])
        print(f"{case:20}{cells[0]:>24}{cells[1]:>24}{cost:>8.2f}")
        goals.append(Goal(f"{case}: first token within {GOAL}x", f"{cost:.2f}", cost <= GOAL))
    return goals
