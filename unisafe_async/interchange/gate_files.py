"""The decision of `unisafe gate` for machines: JSON, JUnit's XML for CI systems, and Markdown for their summaries."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from unisafe_async.benchmark.measures import BY_KEY
from unisafe_async.results.gate import Gate, Verdict
from unisafe_async.results.runs import describe_simulated
from unisafe_async.text import plain


def build_gate_json(gate: Gate) -> dict[str, Any]:
    """The whole decision; docs/gate.md describes each key."""
    return {
        "format": 1,
        "decision": gate.decision,
        "run": gate.heading.run,
        "status": gate.status,
        "dataset": gate.dataset,
        "judge": gate.heading.judge,
        "simulated": bool(describe_simulated(gate.heading)),
        "min_judged": gate.section.min_judged,
        "blocked": gate.section.blocked,
        "models": {model: gate.decision_of(model) for model in dict.fromkeys(one.model for one in gate.verdicts)},
        "bounds": [asdict(one) for one in gate.verdicts],
        "notes": list(gate.notes),
    }


def build_gate_junit(gate: Gate) -> bytes:
    """One test case for each bound of each model: broken is a failure, what was not decided or not measured is an error."""
    counts = {"tests": len(gate.verdicts), "failures": 0, "errors": 0}
    suite = Element("testsuite", {"name": "unisafe gate"})
    for one in gate.verdicts:
        case = SubElement(suite, "testcase", {"classname": _xml_safe(one.model), "name": f"{one.key} ({one.where})"})
        if one.decision != "pass":
            kind = "failure" if one.decision == "fail" else "error"
            counts[f"{kind}s"] += 1
            words = f"{_describe(one)}: {one.decision}; {one.why}"
            SubElement(case, kind, {"type": one.decision, "message": _xml_safe(words)})
    for name, number in counts.items():
        suite.set(name, str(number))
    SubElement(suite, "system-out").text = _xml_safe("\n".join([describe_simulated(gate.heading), *gate.notes]).strip())
    found: bytes = tostring(suite, encoding="utf-8", xml_declaration=True)
    return found


def build_gate_markdown(gate: Gate) -> str:
    """A heading with the decision and a table of the bounds."""
    warning = describe_simulated(gate.heading)
    lines = [f"## Release gate: {gate.decision}", "", *([f"**{warning}**", ""] if warning else [])]
    lines += ["| model | bound | where | found (95%) | judged | decision | |", "|---|---|---|---|---|---|---|"]
    for one in gate.verdicts:
        found = "-" if one.value is None else f"{one.value:.1f} ({one.low:.1f} to {one.high:.1f})"
        cells = (one.model, _describe(one), one.where, found, f"{one.valid:,}/{one.items:,}", f"**{one.decision}**", one.why)
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    lines += ["", f"Run `{gate.heading.run}` ({gate.status}), {_cell(gate.dataset)}, judge {_cell(gate.heading.judge)}."]
    return "\n".join([*lines, *map(_cell, gate.notes)]) + "\n"


def _describe(one: Verdict) -> str:
    side = "at most" if one.limit == "max" else "at least"
    against = f" points worse than {':'.join(one.against)}" if one.against else "%"
    return f"{BY_KEY[one.score].title} {side} {one.bound:g}{against}"


def _cell(text: str) -> str:
    """Foreign text in a table of Markdown: on one line, without markup."""
    words = " ".join(plain(text).split())
    return "".join(f"\\{letter}" if letter in "\\|[]<>`" else letter for letter in words)


def _xml_safe(text: str) -> str:
    return plain(text).replace("\N{REPLACEMENT CHARACTER}", "?")
