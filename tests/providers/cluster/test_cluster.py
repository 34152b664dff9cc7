"""Models on the machines of a Ray cluster: two of them on this one, of which one is lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from unisafe_providers.base import Capabilities, Image, Misconfigured, Request, Response, Text, Transient
from unisafe_providers.cluster import worker
from unisafe_providers.cluster.relay import Relay
from unisafe_providers.cluster.worker import ActorWorker, ClusterSettings
from unisafe_providers.local import LocalProvider, LocalSettings

TESTS = Path(__file__).parents[2]
SLOW = f"import sys; sys.path.insert(0, {str(TESTS)!r}); import failing_worker; failing_worker.main()"


@pytest.fixture
def cluster() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield found
    ray.shutdown()
    found.shutdown()


def model(
    folder: Path, address: str, copies: int, gpus: float = 0.0, script: str = SLOW, patience: float = 1_800.0
) -> LocalProvider:
    (folder / "config.json").write_text("{}")
    settings = ClusterSettings(address=address, gpus=gpus)
    launch = partial(ActorWorker, settings=settings, command=[sys.executable, "-c", script])
    loaded = LocalSettings(library="transformers", model=str(folder), batch_size=1, patience_s=patience)
    return LocalProvider(loaded, Capabilities(image_in=True), ["cpu"] * copies, launch, turns=["cluster"])


async def ask(provider: LocalProvider, request: Request, answers: list[Response], lost: list[Transient]) -> None:
    """Asked again while it is worth it, as the gateway does."""
    for _ in range(8):
        try:
            answers.append(await provider.call(request))
        except Transient as error:
            lost.append(error)
            continue
        return


async def test_a_machine_that_is_lost_costs_its_batch_and_no_answer(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = cluster.add_node(num_cpus=1)
    answers: list[Response] = []
    lost: list[Transient] = []
    async with model(tmp_path, cluster.address, 2) as provider:
        picture = Image.from_bytes(b"a picture")
        await ask(provider, Request(kind="chat", parts=(picture, Text("a first day"))), answers, lost)
        with anyio.fail_after(60):
            while len(provider.status.places) < 2:  # noqa: ASYNC110 other processes
                await anyio.sleep(0.01)
        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(ask, provider, Request(kind="chat", parts=(Text(f"NAP {number}"),)), answers, lost)
            while len(answers) < 4:  # noqa: ASYNC110 other processes
                await anyio.sleep(0.01)
            await anyio.to_thread.run_sync(cluster.remove_node, second)
        assert sorted(answer.text for answer in answers[1:]) == sorted(f"NAP {number}" for number in range(30))
        assert 1 <= len(lost) <= 2
        assert provider.devices == ("cluster",)
        await provider.release()
        assert provider.status.state == "unloaded"

    async with model(tmp_path, cluster.address, 1, script="import sys; sys.stdin.read()", patience=0.5) as hanging:
        with pytest.raises(Misconfigured, match="was ended: no word for 0 s while it loaded"), anyio.fail_after(20):
            await hanging.call(Request(kind="chat", parts=(Text("hello"),)))

    monkeypatch.setattr(worker, "PENDING", 0.3)
    async with model(tmp_path, cluster.address, 1, gpus=1.0) as waiting:
        with anyio.move_on_after(3.0):
            await ask(waiting, Request(kind="chat", parts=(Text("never"),)), answers, lost)
        assert waiting.status.said.startswith("waits for 1 GPU and 1 CPU in the cluster since ")
        assert "it has 1 CPU" in waiting.status.said


async def test_a_cluster_that_is_not_there_stops_the_model(tmp_path: Path) -> None:
    async with model(tmp_path, "127.0.0.1:9", 1) as provider:
        with pytest.raises(Misconfigured, match=r"cluster\.address 127\.0\.0\.1:9: no Ray cluster answers there"):
            await provider.call(Request(kind="chat", parts=(Text("hello"),)))


def test_the_process_of_a_model_gets_no_variable_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "a secret")
    monkeypatch.setenv("ACME_HOME", "a folder")
    script = "import os; os.write(1, ' '.join(sorted(n for n in os.environ if 'ACME' in n or n == 'HF_HOME')).encode())"
    relay = Relay({"HF_HOME": "there"}, [sys.executable, "-S", "-c", script], frozenset({"ACME_API_KEY"}))
    assert relay.read() == b"ACME_HOME HF_HOME"
    assert relay.end()[0] == 0
