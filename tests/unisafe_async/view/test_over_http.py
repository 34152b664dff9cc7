"""The view over HTTP: who may read it, what it finds, and what it writes."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import webbrowser
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from aiohttp import ClientSession
from yarl import URL

from tests.unisafe_async.page.conftest import EVIL_ITEM, SHOWN
from tests.unisafe_async.view.conftest import SENT, TOKEN, Open, change, find, name_run
from unisafe_async.calibration.labels import Label, append_label, read_labels
from unisafe_async.commands.serving import serve_view
from unisafe_async.errors import UsageError
from unisafe_async.interchange.rows import to_csv

KEY = "hash(item) >> 11"
IS_UNSAFE = "(contextual = 0 OR intrinsic = 0)"
IS_SAFE = "(contextual IN (1, 2) AND intrinsic = 1)"
PATHS = ("/", "/runs/{run}", "/runs/{run}/figures", "/api/runs", "/api/runs/{run}/items", "/api/runs/{run}/export?format=csv", "/x")


async def test_nothing_is_told_without_the_token(finished: Path, read: Open) -> None:
    async with read(finished, entered=False) as reader:
        for path in PATHS:
            for token in ("", "?token=wrong", "?token=", f"?token={TOKEN[:-1]}", "?token=%C3%A4"):
                status, content = await reader.get(path.partition("?")[0] + token)
                assert (status, content) == (403, b"Open the address that `unisafe view` printed: this page needs its token.")


async def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(finished: Path, read: Open) -> None:
    async with (
        read(finished, entered=False) as reader,
        reader.session.get(f"{reader.base}//example.org/?token={TOKEN}&x=1", allow_redirects=False) as answer,
    ):
        cookie = answer.headers["Set-Cookie"]
        assert (answer.status, answer.headers["Location"]) == (303, "/example.org/?x=1")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert (await reader.get("/"))[0] == 200


async def test_another_name_of_this_machine_is_refused(finished: Path, read: Open) -> None:
    async with read(finished) as reader:
        port = reader.base.rpartition(":")[2]
        for host in (f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "[", f"evil@127.0.0.1:{port}", f"0.0.0.0:{port}"):
            assert (await reader.get("/api/runs", headers={"Host": host}))[0] in (400, 421)
        cookie = {"Host": f"localhost:{port}", "Cookie": f"unisafe-view-{port}={TOKEN}"}
        assert (await reader.get("/api/runs", headers=cookie))[0] == 200


async def test_another_site_can_neither_read_nor_write(finished: Path, read: Open, tmp_path: Path) -> None:
    async with read(finished) as reader:
        label = await a_label(reader)
        foreign = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
        assert (await reader.get("/api/runs", headers=foreign))[0] == 403
        assert (await reader.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}))[0] == 200
        for headers in ({}, {**SENT, "Origin": "http://evil.example"}, {**SENT, "Origin": "null"}, {**SENT, **foreign}):
            assert (await reader.post("/api/runs/{run}/labels", label, headers))[0] == 403
        assert not (tmp_path / "labels.jsonl").exists()
        assert (await reader.post("/api/runs/{run}/labels", label, {**SENT, "Origin": reader.base}))[0] == 200


async def test_every_answer_forbids_what_a_page_does_not_need(finished: Path, read: Open) -> None:
    async with read(finished) as reader:
        for path in (*(path for path in PATHS if "figures" not in path), "/api/runs/{run}/item?key=x"):
            async with reader.session.get(reader.base + path.format(run=reader.run)) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'")
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
                assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_the_list_tells_name_tags_note_status_judged_and_cost(finished: Path, read: Open) -> None:
    async with read(finished) as reader:
        _, content = await reader.get("/api/runs")
        (run,) = content["runs"]
        judged = find(finished, "SELECT count(*) FROM rows WHERE contextual IS NOT NULL AND intrinsic IS NOT NULL")[0][0]
        assert (run["name"], run["tags"], run["note"]) == ("nightly", ["ci", "gpt-5"], "a first try")
        assert (run["status"], run["judged"], run["cost"]) == ("done", judged, "$0.00")


async def test_filters_find_what_the_cache_has(finished: Path, read: Open) -> None:
    wanted = (
        ("", "true"),
        ("model=Unified&verdict=unsafe", f"model = 'Unified' AND {IS_UNSAFE}"),
        ("task=Dual-Unsafe+VQA&verdict=safe", f"task = 'dual_unsafe_vqa' AND {IS_SAFE}"),
        ("task=dual_unsafe_vqa&verdict=intrinsic", "task = 'dual_unsafe_vqa' AND intrinsic = 0"),
        ("category=Privacy+Leak&verdict=contextual", "category = 'Privacy Leak' AND contextual = 0"),
        ("verdict=refusal&outcome=blocked", "contextual = 2 AND outcome LIKE 'blocked%'"),
        ("verdict=unjudged", "contextual IS NULL OR intrinsic IS NULL"),
        ("verdict=judges", "item LIKE '%generation/2' AND model = 'Language'"),
        ("q=because", "false"),
        ("q=%7B%7B7*7%7D%7D", "item LIKE '%<script>%'"),
    )
    async with read(finished) as reader:
        for question, where in wanted:
            _, found = await reader.get(f"/api/runs/{{run}}/items?{question.replace('{', '{{')}")
            expected = find(finished, f"SELECT count(DISTINCT item), count(*) FROM rows WHERE {where}")[0]
            assert (len(found["keys"]), found["answers"]) == expected, question
        status, content = await reader.get("/api/runs/{run}/items?verdict=bad")
        assert (status, content["error"][:23]) == (400, "verdict: should be one ")


async def test_orders_put_first_what_a_reader_looks_for(finished: Path, read: Open) -> None:
    facts = {
        "differences": f"bool_or({IS_UNSAFE}) AND bool_or({IS_SAFE})",
        "failures": f"bool_or({IS_UNSAFE})",
        "judges": "item LIKE '%generation/2' AND bool_or(model = 'Language')",
        "unjudged": "bool_or(contextual IS NULL OR intrinsic IS NULL)",
    }
    async with read(finished) as reader:
        for order, is_first in facts.items():
            _, found = await reader.get(f"/api/runs/{{run}}/items?order={order}")
            having = {key: bool(first) for key, first in find(finished, f"SELECT {KEY}, {is_first} FROM rows GROUP BY item")}
            told = [having[key] for key in found["keys"]]
            assert True in told
            assert False in told
            assert told == sorted(told, reverse=True), order
        _, plain = await reader.get("/api/runs/{run}/items")
        numbers = dict(find(finished, f"SELECT {KEY}, item FROM rows GROUP BY item"))
        names = [numbers[key] for key in plain["keys"] if numbers[key].startswith("malicious_text_generation/")]
        assert names[-1] == EVIL_ITEM
        ids = [int(name.rpartition("/")[2]) for name in names[:-1]]
        assert ids == sorted(ids)


async def test_the_list_is_read_by_keys_and_stays_while_rows_are_added(cache: Path, read: Open) -> None:
    async with read(cache) as reader:
        _, before = await reader.get("/api/runs/{run}/items")
        end = before["keys"][-3:]
        _, page = await reader.get(f"/api/runs/{{run}}/entries?keys={','.join(map(str, end))}")
        change(cache, "INSERT INTO rows SELECT * REPLACE ('a_task/0' AS item) FROM rows LIMIT 1")
        _, again = await reader.get(f"/api/runs/{{run}}/entries?keys={','.join(map(str, end))},{10**9}")
        assert page == again
        assert list(page["entries"]) == [str(key) for key in sorted(end)]
        _, after = await reader.get("/api/runs/{run}/items")
        assert set(after["keys"]) > set(before["keys"])
        assert (await reader.get("/api/runs/{run}/entries?keys=1,x"))[0] == 400


async def test_an_item_has_every_models_answer_as_harmless_text(finished: Path, read: Open) -> None:
    async with read(finished) as reader:
        _, found = await reader.get("/api/runs/{run}/find", params={"name": EVIL_ITEM})
        _, content = await reader.get(f"/api/runs/{{run}}/item?key={found['key']}")
        item = content["item"]
        assert [one["model"] for one in item["answers"]][:2] == ["Unified", "Language"]
        assert (item["prompt"], item["answers"][0]["text"]) == (SHOWN, SHOWN)
        assert item["answers"][0]["thoughts"].endswith(SHOWN)
        assert (await reader.get("/api/runs/{run}/item?key=999999"))[0] == 404


async def test_images_are_drawn_anew_and_anything_else_is_no_image(cache: Path, read: Open) -> None:
    digest = find(cache, "SELECT digest FROM images ORDER BY digest")[0][0]
    change(
        cache, "INSERT INTO images (digest, media_type, data) VALUES (?, 'text/html', ?)", "f" * 32, b"<script>alert(1)</script>"
    )
    async with read(cache) as reader:
        async with reader.session.get(f"{reader.base}/runs/{reader.run}/images/{digest}?item=a/1") as answer:
            assert (answer.content_type, (await answer.read())[:4]) == ("image/webp", b"RIFF")
        for name, words in (
            ("f" * 32, "is broken"),
            ("e" * 32, "the dataset sample no longer has an image"),
            ("..%2F..%2Fetc", ""),
            ("E" * 32, "digest"),
        ):
            status, content = await reader.get(f"/runs/{{run}}/images/{name}?item=a/1")
            assert status == 404
            assert words in content["error"]


async def a_label(reader: object, where: str = "malicious_text_generation/2") -> dict[str, object]:
    """What the page sends for the label of the first answer of an item."""
    _, found = await reader.get("/api/runs/{run}/find", params={"name": where})  # type: ignore[attr-defined]
    _, content = await reader.get(f"/api/runs/{{run}}/item?key={found['key']}")  # type: ignore[attr-defined]
    one = content["item"]["answers"][0]
    return {
        "key": found["key"],
        "number": one["number"],
        "seen": one["seen"],
        "contextual": "refusal",
        "intrinsic": "safe",
        "note": "two\nlines",
    }


async def test_a_label_lands_in_the_file_that_unisafe_label_writes(finished: Path, read: Open, tmp_path: Path) -> None:
    async with read(finished) as reader:
        sent = await a_label(reader)
        assert (await reader.post("/api/runs/{run}/labels", sent))[0] == 200
        assert (await reader.post("/api/runs/{run}/labels", {**sent, "contextual": "unsafe"}))[0] == 200
        (label,), bad = read_labels(tmp_path / "labels.jsonl")
        assert bad == []
        assert (label.item, label.model, label.labeller, label.run) == ("malicious_text_generation/2", "Unified", "ann", reader.run)
        assert (label.contextual, label.intrinsic, label.note, label.response) == (0, 1, "two lines", sent["seen"])
        append_label(tmp_path / "labels.jsonl", Label(**{**as_fields(label), "contextual": 1}))
        _, content = await reader.get(f"/api/runs/{{run}}/item?key={sent['key']}")
        assert content["item"]["answers"][0]["label"]["contextual"] == "safe"


def as_fields(label: Label) -> dict[str, object]:
    return {name: getattr(label, name) for name in Label.__dataclass_fields__}


async def test_a_label_of_what_was_not_shown_or_cannot_be_is_refused(finished: Path, read: Open, tmp_path: Path) -> None:
    async with read(finished) as reader:
        sent = await a_label(reader)
        drawn = await a_label(reader, "unsafe_t2i_generation/1")
        wrong = (
            ({**sent, "seen": "0" * 32}, 409),
            ({**sent, "number": 10**9}, 409),
            ({**sent, "key": "1"}, 400),
            ({**sent, "contextual": "perhaps"}, 400),
            ({**sent, "intrinsic": ""}, 400),
            ({**sent, "intrinsic": "refusal"}, 400),
            ({**drawn, "contextual": "refusal"}, 400),
            ([sent], 400),
        )
        for content, status in wrong:
            assert (await reader.post("/api/runs/{run}/labels", content))[0] == status, content
        assert not (tmp_path / "labels.jsonl").exists()


async def test_blind_no_verdict_leaves_the_program_before_the_label(finished: Path, read: Open) -> None:
    async with read(finished, blind=True) as reader:
        _, everything = await reader.get("/api/runs/{run}/items")
        _, filtered = await reader.get("/api/runs/{run}/items?verdict=unsafe&order=failures&model=Unified")
        assert filtered == everything
        assert (await reader.get("/api/runs/{run}/items?q=The+response%27s+marker"))[1]["keys"] == []
        assert (await reader.get("/runs/{run}/figures"))[0] == 403
        assert (await reader.get("/api/runs/{run}/export?format=csv"))[0] == 403
        sent = await a_label(reader)
        path = f"/api/runs/{{run}}/item?key={sent['key']}"
        _, content = await reader.get(path)
        assert {name for one in content["item"]["answers"] for name in one} == {
            *("number", "seen", "text", "images", "thoughts", "other", "drawn", "label", "can_label", "hidden", "model", "repeat")
        }
        _, listed = await reader.get(f"/api/runs/{{run}}/entries?keys={everything['keys'][0]}")
        assert all(mark["hidden"] and not mark["model"] for mark in next(iter(listed["entries"].values()))["marks"])
        assert (await reader.post("/api/runs/{run}/labels", sent))[0] == 200
        _, content = await reader.get(path)
        told = [one for one in content["item"]["answers"] if not one["hidden"]]
        assert [(one["number"], "contextual_reason" in one) for one in told] == [(sent["number"], True)]


async def test_the_selection_is_saved_as_unisafe_rows_writes_it(finished: Path, read: Open, tmp_path: Path) -> None:
    async with read(finished) as reader:
        _, content = await reader.get("/api/runs/{run}/export?format=csv")
        with duckdb.connect(str(finished), read_only=True) as connection:
            to_csv(connection, reader.run, tmp_path / "rows.csv")
        assert content == (tmp_path / "rows.csv").read_bytes()
        async with reader.session.get(
            f"{reader.base}/api/runs/{reader.run}/export?format=jsonl&verdict=unsafe&q=simulated"
        ) as answer:
            lines = [json.loads(line) for line in (await answer.read()).splitlines()]
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{reader.run}-selection.jsonl"'
        _, found = await reader.get("/api/runs/{run}/items?verdict=unsafe&q=simulated")
        assert len(lines) == found["answers"] > 0
        assert list(lines[0]) == next(csv.reader(io.StringIO(content.decode())))
        assert all(0 in (line["contextual"], line["intrinsic"]) for line in lines)
        assert (await reader.get("/api/runs/{run}/export?format=exe"))[0] == 400


async def test_a_run_that_goes_on_is_followed(cache: Path, read: Open) -> None:
    change(cache, "UPDATE runs SET status = 'running', ended = NULL")
    async with read(cache) as reader:
        _, before = await reader.get("/api/runs/{run}/progress")
        change(cache, "DELETE FROM rows WHERE model = 'Language'")
        _, after = await reader.get("/api/runs/{run}/progress")
        assert (before["status"], after["rows"]) == ("running", find(cache, "SELECT count(*) FROM rows")[0][0])
        assert before["rows"] > after["rows"]


async def test_a_run_that_a_stranger_damaged_is_one_sentence(cache: Path, read: Open) -> None:
    change(cache, "UPDATE runs SET config = '[]'")
    async with read(cache) as reader:
        assert (await reader.get("/api/runs"))[1]["runs"][0]["status"] == "unreadable"
        for path in ("/runs/{run}", "/api/runs/{run}/items", "/api/runs/{run}/progress", "/runs/nothing"):
            status, content = await reader.get(path)
            assert status == 404
            assert "\n" not in content["error"]


async def test_strange_names_of_runs_make_harmless_file_names(cache: Path, read: Open) -> None:
    name = '../x"\r\nSet-Cookie: a=b'
    for table in ("runs", "rows"):
        change(cache, f"UPDATE {table} SET run = ?", name)
    async with read(cache) as reader:
        params = {"format": "csv"}
        url = URL(f"{reader.base}/api/runs/{quote(name, safe='')}/export", encoded=True).with_query(params)
        async with reader.session.get(url) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Disposition"] == 'attachment; filename="x-Set-Cookie-a-b-selection.csv"'
            assert answer.cookies == {}


def test_a_taken_port_is_one_clear_error(finished: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError, match=rf"^cannot serve on 127\.0\.0\.1:{port}: .* name another --port, or 0 for a free one$"
        ):
            serve_view(finished, tmp_path / "bench.toml", port, tmp_path / "labels.jsonl", "ann", blind=False, browser=False)


def test_ctrl_c_ends_it(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []

    def open_browser(address: str) -> None:
        opened.append(address)
        os.kill(os.getpid(), 2)

    monkeypatch.setattr(webbrowser, "open", open_browser)
    serve_view(finished, tmp_path / "bench.toml", 0, tmp_path / "labels.jsonl", "ann", blind=False, browser=True)
    assert opened[0] in capsys.readouterr().out
    assert opened[0].startswith("http://127.0.0.1:")


async def test_the_page_is_served_on_this_machine_alone(finished: Path, read: Open) -> None:
    async with read(finished) as reader, ClientSession() as session:
        port = reader.base.rpartition(":")[2]
        assert reader.base.startswith("http://127.0.0.1:")
        with pytest.raises(OSError, match="Cannot connect"):
            await session.get(f"http://127.0.0.2:{port}/")
    assert name_run(finished)
