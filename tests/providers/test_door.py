"""One door for every provider: what is found, what is imported for it, what a section may say, and what is said when it says
more.
"""

from __future__ import annotations

import io
import json
import re
import runpy
import subprocess
import sys
import textwrap
import tomllib
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from unisafe_providers import Limits, own_entries
from unisafe_providers.endpoint_options import EndpointOptions
from unisafe_providers.plugins import PluginError
from unisafe_providers.registry import GROUP, built_in_spec, list_built_in, read_rooms
from unisafe_providers.spec import ProviderSpec
from unisafe_providers.workers.places import EXAMPLES

from unisafe_async import ConfigError, parse_config
from unisafe_async.run.endpoints import EndpointError, endpoint_of
from unisafe_async.screens.provider_keys import print_provider, read_provider
from unisafe_async.screens.providers import list_providers

ROOT = Path(__file__).parents[2]
JUDGE = {"provider": "simulated", "model": "judge"}
MODEL = {"name": "m", "model": "x"}


def parsed(**model: Any) -> Any:
    if model.get("provider") == "command":
        model = {"command": ["python", "serve.py"], **model}
    return parse_config({"models": [{**MODEL, **model}], "judge": JUDGE}).models[0]


def refused(**model: Any) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parsed(**model)
    return str(error.value).splitlines()


# ---------------------------------------------------------------- how providers are found


def test_every_entry_point_of_ours_names_what_registers_itself_by_that_name() -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    assert list(read_rooms()) == list(named)
    for name, entry in read_rooms().items():
        spec = entry.load()
        assert isinstance(spec, ProviderSpec)
        assert spec.name == name
        assert all(field.description for key, field in spec.options.model_fields.items() if key in spec.keys), (
            "each key has its help"
        )


def test_an_installed_package_has_its_providers_in_its_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "unisafe_async-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: unisafe-async\nVersion: 9.9\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nacme = acme:SPEC\n")
    monkeypatch.setattr(own_entries, "FOLDERS", [tmp_path])
    monkeypatch.syspath_prepend(str(tmp_path))
    (entry,) = own_entries.read_own_entries(GROUP)
    assert (entry.name, entry.target, entry.origin) == ("acme", "acme:SPEC", "unisafe-async 9.9")


def test_code_that_is_neither_installed_nor_a_checkout_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "somebody-elses"\n')
    monkeypatch.setattr(own_entries, "FOLDERS", [tmp_path])
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(PluginError, match="neither installed nor a source checkout"):
        own_entries.read_own_entries(GROUP)
    info = tmp_path / "unisafe_async-0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: unisafe-async\nVersion: 0.0\n")
    invalidate_caches()
    with pytest.raises(PluginError, match=r"its code is not of the version that is installed \(0\.0\)"):
        own_entries.read_own_entries(GROUP)


def test_a_vendor_on_a_known_wire_is_that_wire_with_the_vendor_s_data() -> None:
    mistral, openai = built_in_spec("mistral"), built_in_spec("openai")
    assert (mistral.title, mistral.options, mistral.build) == ("Mistral", openai.options, openai.build)
    assert (openai.batches, mistral.batches, built_in_spec("ollama").batches) == (True, True, False)


LIGHT = """
import sys
from unisafe_async import parse_config
parse_config({"models": [{"name": "m", "provider": "groq", "model": "x"}], "judge": {"provider": "groq", "model": "j"}})
print(sorted({"torch", "transformers", "openai", "aiohttp", "httpx2"} & sys.modules.keys()))
print(sorted(name.rpartition(".")[2] for name in sys.modules if name.endswith("_spec")))
"""


def test_a_configuration_imports_the_providers_that_it_names_and_none_of_what_they_ask_with() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['openai_spec']"]


# ---------------------------------------------------------------- what a section may say


@pytest.mark.parametrize("name", list_built_in())
def test_a_key_of_another_provider_is_said_to_be_its(name: str) -> None:
    able = [other for other in list_built_in() if "steps" in built_in_spec(other).keys]
    if name in able:
        assert parsed(provider=name, steps=3).steps == 3
        return
    field = "; a field of the endpoint's own requests goes into `extra`: extra = { steps = ... }"
    own = field if "extra_chat" in built_in_spec(name).keys else ""
    assert f'bench.toml: models[0].steps: goes with provider = "diffusers" only{own}' in refused(provider=name, steps=3)


def test_a_key_of_nobody_is_told_from_those_that_may_stand_there() -> None:
    assert refused(provider="openai", rmp=3) == ["bench.toml: models[0].rmp: unknown key; did you mean rpm?"]
    assert refused(provider="gemini", safty={}) == ["bench.toml: models[0].safty: unknown key; did you mean safety?"]
    (message,) = refused(provider="transformers", zzz=3)
    assert "quantization" in message
    assert "base_url" not in message, "a model on this machine has none"
    assert refused(provider="simulated", model="balanced", simulation={"refusl": 0.1}) == [
        "bench.toml: models[0].simulation.refusl: unknown key; did you mean refusal?"
    ]


def test_of_a_provider_that_nobody_has_only_that_is_said() -> None:
    (message,) = refused(provider="opnai", steps=3, rpm=5, options={})
    assert message.startswith("bench.toml: models[0].provider: 'opnai' is no provider")
    assert message.endswith("did you mean openai?")


def test_every_mistake_of_a_section_is_said_at_once() -> None:
    assert len(refused(provider="transformers", devices=["cpu", "cpu"], device="cpu", rpm=3.0)) == 3


def test_what_a_value_should_look_like_is_the_key_s_own_example() -> None:
    azure = {"provider": "azure", "base_url": "https://r.openai.azure.com/openai/v1", "key_env": "K"}
    assert refused(**azure, api_version="a b") == ["bench.toml: models[0].api_version: should look like 2024-10-21, found 'a b'"]
    (message,) = refused(provider="diffusers", devices=["gpu"])
    assert message == f"bench.toml: models[0].devices[0]: should look like {EXAMPLES}, found 'gpu'"


STORED = (
    '{"provider":"groq","model":"x","base_url":"https://api.groq.com/openai/v1","key_env":"GROQ_API_KEY","takes":["text"],'
    '"image_api":"images","api":"chat","api_version":null,"structured":true,"safety":{},"extra":{},"extra_chat":{},"extra_image":{},'
    '"extra_edit":{},"headers":{},"headers_env":{},"options":{},"rpm":null,"tpm":null,"images_per_minute":null,"max_concurrency":null,'
    '"timeout_s":120.0,"max_tries":8,"max_wait_s":900.0,"price_in":null,"price_out":null,"price_image":null,"simulation":null,'
    '"images":null,"revision":null,"dtype":"auto","device":"auto","devices":[],"gguf_file":null,"quantization":null,"attn":null,'
    '"trust_remote_code":false,"batch_size":"auto","batch_tokens":null,"memory_gb":null,"steps":null,"guidance":null,"strength":null,'
    '"name":"m","gives":["text"],"tasks":[],"backbone":null,"utility":null,"mode":"online","batch_poll_s":60.0,"batch_discount":0.5}'
)


def test_a_section_is_stored_as_it_always_was() -> None:
    """Runs are compared by what is stored, and scripts read it: a provider's keys are in it whatever the provider."""
    config = parse_config({"models": [{**MODEL, "provider": "groq"}], "judge": JUDGE})
    assert json.dumps(json.loads(config.model_dump_json())["models"][0], separators=(",", ":")) == STORED


# ---------------------------------------------------------------- a room of another package

ACME = f"""
    from typing import Literal

    from pydantic import Field

    from {Limits.__module__} import Limits, Response
    from {EndpointOptions.__module__} import EndpointOptions
    from {ProviderSpec.__module__} import ProviderSpec


    class Options(EndpointOptions):
        style: Literal["plain", "loud"] = Field("plain", description="how it answers")
        depth: int = Field(1, ge=1, le=9, description="how deep")

        def find_mistakes(self, declared):
            yield from super().find_mistakes(declared)
            if "image" in declared.gives:
                yield "gives: Acme draws nothing"


    class Acme:
        def __init__(self, settings, options):
            if options.depth == 9:
                raise RuntimeError(f"no such account for {{settings.key}}")
            self.identity = f"acme|{{settings.base_url}}|{{settings.model}}|{{options.style}}|{{options.depth}}"
            self.capabilities = settings.capabilities
            self.reported = Limits()

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            return None

        async def call(self, request):
            return Response(text=request.text)


    SPEC = ProviderSpec(name="acme", title="Acme", options=Options, build=Acme, defaults={{"max_concurrency": 3}})
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a room of its own, installed."""
    (tmp_path / "acme_room.py").write_text(textwrap.dedent(ACME))
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nacme = acme_room:SPEC\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme_room", raising=False)
    return tmp_path


async def never(_seconds: float) -> None:
    raise AssertionError


@pytest.mark.usefixtures("acme")
def test_a_room_s_keys_stand_in_the_section_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", "planted-secret-1")
    section = parsed(provider="acme", style="loud", base_url="https://acme.example", key_env="ACME_KEY", rpm=60)
    endpoint = endpoint_of(section, "m", Path(), never)
    assert endpoint.provider.identity == "acme|https://acme.example|x|loud|1"
    assert section.concurrency == 3
    stored = json.loads(section.model_dump_json())
    assert (stored["style"], stored["depth"], stored["steps"]) == ("loud", 1, None)
    assert section.hosted


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"depth": 0}, "models[0].depth: should be >= 1, found 0"),
        ({"depth": "3"}, "models[0].depth: should be a whole number, found '3'"),
        ({"stile": "loud"}, "models[0].stile: unknown key; did you mean style?"),
        ({"style": "shy"}, "models[0].style: should be one of 'plain' or 'loud', found 'shy'"),
        ({"gives": ["image"]}, "models[0].gives: Acme draws nothing"),
        ({"structured": False}, "models[0].structured: goes with provider ="),
        (
            {"options": {"style": "loud"}},
            'models[0].options: goes with provider = "command", or with a provider of another package that has no keys of its own',
        ),
        ({"base_url": "https://a:b@host"}, "models[0].base_url: holds a user, a password or a query"),
        ({"mode": "batch"}, 'models[0].mode: no batch jobs with provider = "acme"; they go with anthropic, azure, '),
    ],
)
def test_a_mistake_in_a_room_s_keys_reads_as_any_other(keys: dict[str, Any], words: str) -> None:
    (message,) = refused(provider="acme", **keys)
    assert message.startswith(f"bench.toml: {words}")


def test_an_option_cannot_have_a_word_that_sections_use_themselves(acme: Path) -> None:
    room = acme / "acme_room.py"
    room.write_text(room.read_text().replace("depth", "hosted"))
    (message,) = refused(provider="acme")
    assert message == (
        "bench.toml: models[0]: the provider 'acme' names an option 'hosted', and that word is taken; it needs another name"
    )


@pytest.mark.usefixtures("acme")
def test_a_room_that_cannot_be_built_is_named_without_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", "planted-secret-1")
    with pytest.raises(
        EndpointError, match=r"the plugin 'acme' of acme 1.0 made no provider: RuntimeError: no such account for \[key\]"
    ):
        endpoint_of(parsed(provider="acme", depth=9, key_env="ACME_KEY"), "m", Path(), never)


@pytest.mark.usefixtures("acme")
def test_only_ours_may_simulate_since_reports_say_so_when_the_package_is_gone(acme: Path) -> None:
    room = acme / "acme_room.py"
    room.write_text(room.read_text().replace("defaults={", 'answers_from="simulation", defaults={'))
    with pytest.raises(EndpointError, match=r"the plugin 'acme' of acme 1\.0 answers from a simulation, as only ours may"):
        endpoint_of(parsed(provider="acme"), "m", Path(), never)


# ---------------------------------------------------------------- screens and the page


def shown(name: str) -> str:
    out = io.StringIO()
    print_provider(Console(file=out, width=200), *read_provider(name))
    return out.getvalue()


@pytest.mark.parametrize("name", list_built_in())
def test_every_key_of_a_provider_is_shown_with_its_default(name: str) -> None:
    screen = shown(name)
    rows = {line.split()[0]: line for line in screen.splitlines() if line.strip()}
    assert set(built_in_spec(name).keys) <= rows.keys()
    for key, value in parsed_of(name).items():
        if key in ("key_env", "base_url", "timeout_s", "dtype", "structured") and value:
            assert (f'"{value}"' if isinstance(value, str) else str(value).lower().removesuffix(".0")) in rows[key]


WANTED: dict[str, dict[str, Any]] = {
    "anthropic-foundry": {"base_url": "https://r.services.ai.azure.com/anthropic/v1", "key_env": "K"},
    "azure": {"base_url": "https://r.openai.azure.com/openai/v1", "key_env": "K"},
    "bedrock": {"base_url": "https://bedrock-runtime.eu-west-1.amazonaws.com", "key_env": "K"},
    "bedrock-openai": {"base_url": "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1", "key_env": "K"},
    "cloudflare": {"base_url": "https://gateway.ai.cloudflare.com/v1/a/g/compat", "key_env": "K"},
    "databricks": {"base_url": "https://w.cloud.databricks.com/serving-endpoints", "key_env": "K"},
    "snowflake": {"base_url": "https://a.snowflakecomputing.com/api/v2/cortex/v1", "key_env": "K"},
    "vertex": {"project": "p"},
}
"""What a section must say, where its provider alone is not enough."""


def parsed_of(name: str) -> dict[str, Any]:
    address = WANTED.get(name, {})
    model = "balanced" if built_in_spec(name).simulates else "x"
    own = json.loads(parsed(provider=name, model=model, **address).model_dump_json())
    unset = built_in_spec(name).options.STORED_IF_SET - own.keys()
    return {key: own[key] for key in built_in_spec(name).keys if key not in {*address, *unset}}


@pytest.mark.usefixtures("acme")
def test_a_room_s_keys_are_shown_with_what_they_may_be() -> None:
    screen = shown("acme")
    assert re.search(r'style +"plain" or "loud" +"plain" +how it answers', screen)
    assert re.search(r"depth +whole number >= 1 and <= 9 +1 +how deep", screen)
    (listed,) = [one for one in list_providers() if one.name == "acme"]
    assert listed.note == 'options: style = "plain", depth = 1'


def test_a_name_that_nobody_has_is_told_from_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'gemni' is no provider; .* lists them; did you mean gemini\?"):
        read_provider("gemni")
    with pytest.raises(ConfigError, match=r"'qqqqq' is no provider; providers are anthropic, .*, command$"):
        read_provider("qqqqq")


@pytest.mark.parametrize("script", ["bench_keys.py", "vendor_tables.py"])
def test_the_tables_on_the_pages_are_those_of_the_models_and_the_vendors_files(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts" / script), run_name="__main__")
    assert ended.value.code == 0, f"run `python scripts/{script}`"


@pytest.mark.parametrize("width", [80, 100])
def test_on_a_narrow_screen_a_provider_s_own_keys_come_first_and_nothing_is_cut_off(width: int) -> None:
    out = io.StringIO()
    print_provider(Console(file=out, width=width), *read_provider("bfl"))
    screen = out.getvalue()
    assert screen.index("job_wait_s   number") < screen.index("Keys of every model behind an address") < screen.index("rpm ")
    assert '"https://api.bfl.ai/v1" unless set' in " ".join(screen.split())
    assert "…" not in screen
    assert "each answer is made by a job" in screen
