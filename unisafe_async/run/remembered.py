"""What a run remembers of its trials from one pass to the next; all else is in the cache."""

from __future__ import annotations

from collections import defaultdict

from unisafe_judger import Verdict

from unisafe_async.run.judged import Asked
from unisafe_async.run.panel import Panel
from unisafe_async.run.trials import Trial

FINISHED, CALLED = 1, 2


class Remembered:
    """Two bits for each trial, and the failures of judges about trials that are not finished: a failure is in no cache."""

    def __init__(self) -> None:
        self._bits: defaultdict[tuple[str, int], bytearray] = defaultdict(bytearray)
        self._missed: dict[tuple[str, int, int], dict[Asked, dict[int, Verdict]]] = {}

    def is_finished(self, trial: Trial) -> bool:
        """Whether its row is written."""
        return bool(self._read(trial) & FINISHED)

    def note_finished(self, trial: Trial) -> None:
        self._write(trial, FINISHED)
        self._missed.pop((trial.endpoint.name, trial.place, trial.repeat), None)

    def note_called(self, trial: Trial) -> None:
        """Note that somebody was asked for it in this run."""
        trial.called = True
        self._write(trial, CALLED)

    def note_failure(self, trial: Trial, asked: Asked, position: int, verdict: Verdict) -> None:
        """Note that the judge at `position` could not be asked, so that a later pass does not wait for it."""
        self._missed.setdefault((trial.endpoint.name, trial.place, trial.repeat), {}).setdefault(asked, {})[position] = verdict

    def recall(self, trial: Trial, panel: Panel) -> None:
        """Fill in what earlier passes noted."""
        trial.seen, trial.called = True, bool(self._read(trial) & CALLED)
        trial.missed = self._missed.get((trial.endpoint.name, trial.place, trial.repeat), {})
        for position, verdict in trial.missed.get("intent", {}).items():
            trial.note_no_intent(panel, position, verdict)

    def _read(self, trial: Trial) -> int:
        bits = self._bits[trial.endpoint.name, trial.repeat]
        return bits[trial.place] if trial.place < len(bits) else 0

    def _write(self, trial: Trial, bit: int) -> None:
        bits = self._bits[trial.endpoint.name, trial.repeat]
        if trial.place >= len(bits):
            bits.extend(bytes(trial.place + 1 - len(bits)))
        bits[trial.place] |= bit
