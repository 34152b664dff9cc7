"""When all models are done that share eight devices, beside the lower bound and beside the order of locks; simulated times.

    uv run python -m benchmarks.devices [--cases 300] [--seed 1]

Each case has 6 to 20 models of known times, on one, two, four or eight devices that lie side by side. The lower bound is the most
work of models of which no two can run at the same time. The baseline is a lock for each device, which the models take in the order
of the devices' names, the smallest model first: a model over several devices holds some of them while it waits for the others.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from unisafe_async.run.turns import Turn, choose_next

DEVICES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    choice = random.Random(given.seed)
    cases = [draw_turns(choice) for _ in range(given.cases)]
    orders: list[tuple[str, Callable[[Sequence[Turn]], float]]] = [
        ("whoever most work depends on (this program)", lambda turns: run_by_choice(turns, turns)),
        ("the same, estimates wrong by up to a half", lambda turns: run_by_choice(misjudge(turns, choice), turns)),
        ("baseline: locks, the smallest first", run_by_locks),
    ]
    print(f"{given.cases} cases of 6 to 20 models on {DEVICES} devices; time over the lower bound")
    print(f"{'':46}{'mean':>8}{'worst':>8}{'within 10%':>12}")
    for name, run in orders:
        over = [run(turns) / find_lower_bound(turns) for turns in cases]
        within = sum(one <= 1.1 for one in over) / len(over)
        print(f"{name:46}{statistics.mean(over):8.3f}{max(over):8.3f}{within:12.1%}")


def draw_turns(choice: random.Random) -> list[Turn]:
    turns = []
    for number in range(choice.randint(6, 20)):
        width = choice.choice([1, 1, 1, 1, 2, 2, 4, 8])
        first = choice.randint(0, DEVICES - width)
        work = choice.choice([choice.uniform(1, 10), choice.lognormvariate(1, 1)])
        devices = frozenset(f"cuda:{number}" for number in range(first, first + width))
        turns.append(Turn(name=f"m{number}", devices=devices, work=work, size=round(work * choice.uniform(0.5, 2) * 1000)))
    return turns


def misjudge(turns: Sequence[Turn], choice: random.Random) -> list[Turn]:
    """The turns with the work that somebody expects who is wrong by up to a half."""
    return [replace(turn, work=turn.work * choice.uniform(0.5, 1.5)) for turn in turns]


def find_lower_bound(turns: Sequence[Turn]) -> float:
    """The most work of models of which no two can run at the same time: no order is done before that."""
    best = 0.0

    def add(left: list[Turn], work: float) -> None:
        nonlocal best
        best = max(best, work)
        for index, one in enumerate(left):
            if work + sum(other.work for other in left[index:]) <= best:
                return
            add([other for other in left[index + 1 :] if other.devices & one.devices], work + one.work)

    add(sorted(turns, key=lambda turn: -turn.work), 0.0)
    return best


def run_by_choice(expected: Sequence[Turn], turns: Sequence[Turn]) -> float:
    """The time until all are done, if `choose_next` goes by the `expected` work."""
    takes = {turn.name: turn for turn in turns}
    waiting, free = list(expected), {device for turn in turns for device in turn.devices}
    running, time = list[tuple[float, str]](), 0.0
    while waiting or running:
        for turn in choose_next(waiting, free):
            waiting.remove(turn)
            free -= turn.devices
            heapq.heappush(running, (time + takes[turn.name].work, turn.name))
        time, name = heapq.heappop(running)
        free |= takes[name].devices
    return time


def run_by_locks(turns: Sequence[Turn]) -> float:
    """The time until all are done, if each takes the locks of its devices one by one, and waits in line for each."""
    queues, running, time = defaultdict[str, deque[Turn]](deque), list[tuple[float, str]](), 0.0
    by_name = {turn.name: turn for turn in turns}
    missing = {turn.name: sorted(turn.devices) for turn in turns}

    def go_on(turn: Turn) -> None:
        """Take locks until one is held by another; whoever has all of them runs. A lock's holder is first in its line."""
        while missing[turn.name]:
            line = queues[missing[turn.name][0]]
            if turn not in line:
                line.append(turn)
            if line[0] is not turn:
                return
            missing[turn.name].pop(0)
        heapq.heappush(running, (time + turn.work, turn.name))

    for turn in sorted(turns, key=lambda turn: turn.size):
        go_on(turn)
    while running:
        time, name = heapq.heappop(running)
        for device in sorted(by_name[name].devices):
            queues[device].popleft()
            if queues[device]:
                go_on(queues[device][0])
    return time


if __name__ == "__main__":
    main()
