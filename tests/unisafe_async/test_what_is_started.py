"""What a bench.toml of somebody else's starts is shown before it starts, and never without a question."""

from __future__ import annotations

import io

from rich.console import Console
from unisafe_providers.base import Request, Text

from unisafe_async import parse_config
from unisafe_async.run.diagnosis import CheckedEndpoint
from unisafe_async.screens.commands import describe_cluster, describe_commands
from unisafe_async.screens.doctor import ask_to_pay

CONFIG = parse_config(
    {
        "models": [
            {"name": "own code", "provider": "transformers", "model": "owner/with-code", "trust_remote_code": True},
            {"name": "plain", "provider": "transformers", "model": "owner/plain", "cluster": False},
            {"name": "script", "provider": "command", "model": "x", "command": ["python", "serve.py", "\x1b[2J"]},
        ],
        "judge": {"provider": "simulated", "model": "judge"},
        "cluster": {"address": "local", "runtime_env": {"py_executable": "sh start.sh"}},
    }
)


def asked(names: set[str], cluster: list[str]) -> tuple[bool, str]:
    """Whether `doctor` would make its calls to these models where nobody can be asked, and what it printed."""
    console = Console(file=io.StringIO(), width=300)
    request = Request(kind="chat", parts=(Text("hello"),))
    checked = [
        CheckedEndpoint(place="models[0]", name=model.name, section=model, probes=[("text", request)])
        for model in CONFIG.models
        if model.name in names
    ]
    made = ask_to_pay(console, checked, cluster, yes=False)
    return made, console.file.getvalue()  # type: ignore[attr-defined]


def test_doctor_asks_before_it_runs_code_of_a_model_a_command_or_an_environment_of_a_cluster() -> None:
    assert asked({"plain"}, []) == (True, "1 tiny call, $0.00 at the most\n")
    made, printed = asked({"own code"}, [])
    assert not made
    assert "code that comes with owner/with-code (trust_remote_code)" in printed
    made, printed = asked({"script"}, [])
    assert not made
    assert "python serve.py" in printed
    assert "\x1b" not in printed
    made, printed = asked({"plain"}, describe_cluster(CONFIG))
    assert not made
    assert 'runtime_env = {"py_executable": "sh start.sh"}' in printed


def test_a_run_shows_the_environment_of_a_cluster_with_its_commands() -> None:
    lines = describe_commands(CONFIG)
    assert [line.startswith(beginning) for line, beginning in zip(lines, ("for answers of script", "Ray builds"), strict=True)] == [
        True,
        True,
    ]
    assert "sh start.sh" in lines[1]
