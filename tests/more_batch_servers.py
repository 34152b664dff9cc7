"""The batch protocols of Together, Mistral, xAI, Fireworks and Gemini on loopback; what they have in common is batch_servers.

Shapes as in unisafe_providers/hosted/*_batch.py, which name their sources. A request that expires is missing in the results.
"""

from __future__ import annotations

import email
import json
from typing import Any

from aiohttp import web

from tests.batch_servers import BLOCKED, EXPIRED, OVERLOADED, REFUSED, REJECTED, UNREADABLE, Job, OpenAI, Vendor

Json = dict[str, Any]


def moment(job: Job) -> str:
    return job.created.isoformat().replace("+00:00", "Z")


class Whole(OpenAI):
    """Of OpenAI's lines, the ones of requests that got an answer or an error of their own."""

    def finish(self, job: Job) -> None:
        super().finish(job)
        job.results = [line for line in job.results if line["response"]]

    def _expired(self, job: Job) -> bool:
        return len(job.results) < len(job.entries)


class Together(OpenAI):
    """States in capitals, the new job under `job`, a bare list, no metadata, an upload address of its own."""

    provider = "together"

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/files/upload", self._keyed(self._upload)), *super().routes()]

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert request.path.endswith("/upload")
        assert (form["purpose"], form["file_name"]) == ("batch-api", form["file"].filename)
        self.files[file := f"file-{len(self.files)}"] = form["file"].file.read()
        return web.json_response({"id": file, "object": "file", "purpose": "batch-api", "filename": form["file_name"]})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert "metadata" not in body
        self.submissions += 1
        if self.refusals:
            return self._error(*self.refusals.pop(0))
        entries = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        job = await self._accept(request, entries, body["input_file_id"])
        return web.json_response({"job": self._said(job, request), "warning": None}, status=201)

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response([self._said(job, request) for job in self._listed()])

    def _said(self, job: Job, request: web.Request) -> Json:
        told = super()._said(job, request)
        body = {key: told.get(key) for key in ("id", "output_file_id", "error_file_id")}
        body |= {"status": told["status"].upper(), "progress": 100.0 if job.ended else 40.0, "input_file_id": job.tag}
        if job.failure is not None:
            body |= {"error": job.failure[1], "error_file_id": job.failure[0] or None}
        return body | {"created_at": moment(job), "endpoint": "/v1/chat/completions"}


class Mistral(Whole):
    """Requests within a job or in files; results so too."""

    provider = "mistral"

    def routes(self) -> list[web.RouteDef]:
        place = "/v1/batch/jobs"
        return [
            *super().routes(),
            web.post(place, self._keyed(self._create)),
            web.get(place, self._keyed(self._list)),
            web.get(place + "/{job}", self._keyed(self._show)),
            web.post(place + "/{job}/cancel", self._keyed(self._cancel)),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert (body["model"], body["endpoint"]) == ("a-model", "/v1/chat/completions")
        self.submissions += 1
        entries = body.get("requests")
        if entries is None:
            entries = [json.loads(line) for file in body["input_files"] for line in self.files[file].splitlines()]
        assert all("model" not in entry["body"] for entry in entries)
        job = await self._accept(request, entries, body["metadata"]["unisafe"])
        job.inline = "requests" in body  # type: ignore[attr-defined]
        return web.json_response(self._said(job, request))

    async def _list(self, request: web.Request) -> web.Response:
        found = [self._said(job, request) for job in self._listed()]
        start = 100 * int(request.query.get("page", 0))
        return web.json_response({"object": "list", "total": len(found), "data": found[start : start + 100]})

    def _said(self, job: Job, request: web.Request) -> Json:
        files = {f"out-{job.name}": [], f"err-{job.name}": []}  # type: ignore[var-annotated]
        body: Json = {
            "id": job.name, "object": "batch", "input_files": ["f"], "metadata": {"unisafe": job.tag}, "model": "a-model",
            "status": "CANCELLATION_REQUESTED" if job.cancelling else "RUNNING", "created_at": int(job.created.timestamp()),
            "output_file": None, "error_file": None, "errors": [], "outputs": None, "total_requests": len(job.entries),
            "completed_requests": 0, "succeeded_requests": 0, "failed_requests": 0,
        }  # fmt: skip
        if job.failure is not None:
            return body | {"status": "FAILED", "errors": [{"message": job.failure[1], "count": 1}]}
        if job.ended:
            body["status"] = "CANCELLED" if job.cancelling else "TIMEOUT_EXCEEDED" if self._expired(job) else "SUCCESS"
            if getattr(job, "inline", True):
                return body | ({"outputs": job.results} if request.query.get("inline") == "true" else {})
            for line in job.results:
                files[f"{'out' if line['response']['status_code'] == 200 else 'err'}-{job.name}"].append(line)
            self.files |= {name: "\n".join(map(json.dumps, lines)).encode() for name, lines in files.items()}
            body |= {"output_file": f"out-{job.name}", "error_file": f"err-{job.name}"}
        return body


class XAI(OpenAI):
    """Containers that are filled by a second call, counts instead of a state, pages of results."""

    provider = "xai"
    results_a_page = 2  # so that pages are turned

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.containers: dict[str, str] = {}
        self.arrives_late = 0  # so many requests of a job are not counted yet
        self._filling = ""

    def routes(self) -> list[web.RouteDef]:
        place = "/v1/batches"
        return [
            *Vendor.routes(self),
            web.post(place, self._keyed(self._create)),
            web.get(place, self._keyed(self._list)),
            web.post(place + "/{job}/requests", self._keyed(self._fill)),
            web.get(place + "/{job}/results", self._keyed(self._results)),
            web.post(place + "/{job:[^:/]+}:cancel", self._keyed(self._cancel)),
            web.get(place + "/{job}", self._keyed(self._show)),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        if self.refusals:
            return self._error(*self.refusals.pop(0))
        name = f"batch_{len(self.containers)}"
        self.containers[name] = (await request.json())["name"]
        return web.json_response(self._tell_empty(name))

    def _tell_empty(self, name: str) -> Json:
        return {"batch_id": name, "name": self.containers[name], "state": dict.fromkeys(("num_requests", "num_pending"), 0)}

    def _add(self, entries: list[Json], tag: str, foreign: bool = False) -> Job:
        job = super()._add(entries, tag, foreign)
        job.name = self._filling if self._filling and not foreign else job.name
        return job

    async def _fill(self, request: web.Request) -> web.Response:
        self.submissions += 1
        self._filling = request.match_info["job"]
        given = (await request.json())["batch_requests"]
        entries = [{"custom_id": one["batch_request_id"], "body": one["batch_request"]["chat_get_completion"]} for one in given]
        await self._accept(request, entries, self.containers[self._filling])
        return web.json_response(None)

    async def _list(self, request: web.Request) -> web.Response:
        filled = [self._said(job, request) for job in self._listed()]
        empty = [self._tell_empty(name) for name in self.containers if all(one["batch_id"] != name for one in filled)]
        found = filled + empty
        start = int(request.query.get("pagination_token", 0))
        more = {"pagination_token": str(start + 1)} if start + 1 < len(found) else {}
        return web.json_response({"batches": found[start : start + 1]} | more)

    async def _results(self, request: web.Request) -> web.StreamResponse:
        job = self._job(request)
        assert job is not None
        start = int(request.query.get("pagination_token", 0))
        lines = [self._as_result(line) for line in job.results[start : start + self.results_a_page]]
        following = start + self.results_a_page
        return web.json_response({"results": lines, "pagination_token": str(following) if following < len(job.results) else None})

    def _as_result(self, line: Json) -> Json:
        answer = line["response"]
        if answer is None:
            result: Json = {"error": {"code": 1 if line["error"]["code"] == "batch_cancelled" else 4, "message": "Not answered"}}
        elif answer["status_code"] == 200:
            result = {"response": {"chat_get_completion": answer["body"]}}
        else:
            result = {"error": {"code": {400: 3, 500: 13}[answer["status_code"]], "message": answer["body"]["error"]["message"]}}
        return {"batch_request_id": line["custom_id"], "batch_result": result}

    def _said(self, job: Job, request: web.Request) -> Json:
        counted = len(job.entries) - self.arrives_late
        done = counted if job.ended or self.arrives_late else 0
        state = {"num_requests": counted, "num_pending": counted - done, "num_success": done, "num_error": 0, "num_cancelled": 0}
        self.arrives_late = 0
        cancel_time = moment(job) if job.cancelling else None
        return {"batch_id": job.name, "name": job.tag, "create_time": moment(job), "cancel_time": cancel_time, "state": state}


class Fireworks(Whole):
    """Datasets below an account; results and errors at signed addresses, where no key may come."""

    path = "/inference/v1"
    provider = "fireworks"
    account = "/v1/accounts/an-account"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.accounts = ["an-account"]
        self.signed_with: list[str | None] = []

    def routes(self) -> list[web.RouteDef]:
        jobs, datasets = f"{self.account}/batchInferenceJobs", f"{self.account}/datasets"
        return [
            *Vendor.routes(self),
            web.get("/v1/accounts", self._keyed(self._show_accounts)),
            web.post(datasets, self._keyed(self._make_dataset)),
            web.post(datasets + "/{dataset:[^:/]+}:upload", self._keyed(self._upload)),
            web.get(datasets + "/{dataset:[^:/]+}:getDownloadEndpoint", self._keyed(self._sign)),
            web.post(jobs, self._keyed(self._create)),
            web.get(jobs, self._keyed(self._list)),
            web.post(jobs + "/{job:[^:/]+}:cancel", self._keyed(self._cancel)),
            web.get(jobs + "/{job}", self._keyed(self._show)),
            web.get("/signed/{file}", self._download),
        ]

    async def _show_accounts(self, request: web.Request) -> web.Response:
        return web.json_response({"accounts": [{"name": f"accounts/{name}"} for name in self.accounts]})

    async def _make_dataset(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["dataset"]["userUploaded"] == {}
        self.files[body["datasetId"]] = b""
        return web.json_response({"name": f"accounts/an-account/datasets/{body['datasetId']}", "state": "UPLOADING"})

    async def _upload(self, request: web.Request) -> web.Response:
        dataset = request.match_info["dataset"]
        assert self.files[dataset] == b""
        self.files[dataset] = (await request.post())["file"].file.read()
        return web.json_response({"id": dataset})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.submissions += 1
        lines = self.files[body["inputDatasetId"].rpartition("/")[2]].splitlines()
        job = await self._accept(request, [json.loads(line) for line in lines], request.query["batchInferenceJobId"])
        return web.json_response(self._said(job, request))

    def _add(self, entries: list[Json], tag: str, foreign: bool = False) -> Job:
        job = super()._add(entries, tag, foreign)
        job.name = job.name if foreign else tag
        return job

    async def _list(self, request: web.Request) -> web.Response:
        found = [self._said(job, request) for job in self._listed()]
        start = int(request.query.get("pageToken", 0))
        more = {"nextPageToken": str(start + 1)} if start + 1 < len(found) else {}
        return web.json_response({"batchInferenceJobs": found[start : start + 1]} | more)

    def _said(self, job: Job, request: web.Request) -> Json:
        state = "CANCELLING" if job.cancelling else "WRITING_RESULTS"
        if job.ended:
            state = "CANCELLED" if job.cancelling else "EXPIRED" if self._expired(job) else "COMPLETED"
        good = sum(line["response"]["status_code"] == 200 for line in job.results)
        progress = {"totalInputRequests": len(job.entries), "successfullyProcessedRequests": good}
        body: Json = {
            "name": f"accounts/an-account/batchInferenceJobs/{job.name}", "displayName": job.tag, "createTime": moment(job),
            "state": f"JOB_STATE_{state}", "outputDatasetId": f"accounts/an-account/datasets/{job.tag}-results",
            "jobProgress": progress | {"failedRequests": len(job.results) - good},
        }  # fmt: skip
        if job.failure is not None:
            body |= {"state": "JOB_STATE_FAILED", "status": {"code": job.failure[0], "message": job.failure[1]}}
        return body

    async def _sign(self, request: web.Request) -> web.Response:
        job = next(job for job in self.jobs if f"{job.tag}-results" == request.match_info["dataset"])
        good = [line | {"response": line["response"]["body"]} for line in job.results if line["response"]["status_code"] == 200]
        bad = [line for line in job.results if line["response"]["status_code"] != 200]
        errors = [
            {"custom_id": line["custom_id"], "error": {"code": line["response"]["status_code"]} | line["response"]["body"]["error"]}
            for line in bad
        ]
        urls = {}
        for name, lines in (("BIJOutputSet.jsonl", good), ("error-data", errors)):
            self.files[f"{job.tag}-{name}"] = "\n".join(map(json.dumps, lines)).encode()
            urls[f"an-account/{name}"] = f"http://{request.host}/signed/{job.tag}-{name}?signature=1"
        return web.json_response({"filenameToSignedUrls": urls})

    async def _download(self, request: web.Request) -> web.Response:
        self.signed_with.append(request.headers.get("authorization"))
        return web.Response(body=self.files[request.match_info["file"]])


class OpenRouter(OpenAI):
    """Requests within the call, results within the job; a list that tells no names."""

    provider = "openrouter"

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert list(body) == ["endpoint", "model", "completion_window", "requests"]
        self.submissions += 1
        return web.json_response(self._said(await self._accept(request, body["requests"], ""), request), status=202)

    def _said(self, job: Job, request: web.Request) -> Json:
        told = super()._said(job, request)
        listed = request.path.endswith("/batches")
        kept = {key: told[key] for key in ("id", "status", "created_at", "request_counts")}
        error = {"code": 422, "message": job.failure[1]} if job.failure is not None else None
        return kept | {"results": job.results if job.ended and not listed else None, "error": error}


class Gemini(Vendor):
    """generateContent: an operation for each job, counts as strings, results twice."""

    path = "/v1beta"
    provider = "gemini"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.files: dict[str, bytes] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            *super().routes(),
            web.post("/v1beta/models/a-model:batchGenerateContent", self._keyed(self._create)),
            web.get("/v1beta/batches", self._keyed(self._list)),
            web.post("/v1beta/batches/{job:[^:/]+}:cancel", self._keyed(self._cancel)),
            web.get("/v1beta/batches/{job}", self._keyed(self._show)),
            web.post("/upload/v1beta/files", self._keyed(self._upload)),
            web.get("/download/v1beta/files/{file:[^:/]+}:download", self._keyed(self._download)),
        ]

    async def _upload(self, request: web.Request) -> web.Response:
        assert request.headers["x-goog-upload-protocol"] == "multipart"
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        described, content = email.message_from_bytes(head + await request.read()).get_payload()  # type: ignore[misc]
        assert json.loads(described.get_payload())["file"]["mimeType"] == "application/jsonl"  # type: ignore[union-attr]
        self.files[file := f"f{len(self.files)}"] = content.get_payload(decode=True)  # type: ignore[union-attr, assignment]
        return web.json_response({"file": {"name": f"files/{file}", "state": "ACTIVE"}})

    async def _create(self, request: web.Request) -> web.Response:
        self.submissions += 1
        if self.refusals:
            return self._error(*self.refusals.pop(0))
        batch = (await request.json())["batch"]
        source = batch["inputConfig"]
        if "fileName" in source:
            given = [json.loads(line) for line in self.files[source["fileName"].removeprefix("files/")].splitlines()]
            entries = [{"custom_id": one["key"], "body": one["request"]} for one in given]
        else:
            given = source["requests"]["requests"]
            entries = [{"custom_id": one["metadata"]["key"], "body": one["request"]} for one in given]
        job = await self._accept(request, entries, batch["displayName"])
        job.inline = "fileName" not in source  # type: ignore[attr-defined]
        return web.json_response(self._said(job, request))

    async def _show(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if job is None:
            return self._error(404, "NOT_FOUND", "No such batch")
        self._look(job)
        return web.json_response(self._said(job, request))

    async def _list(self, request: web.Request) -> web.Response:
        found = [self._said(job, request) for job in self._listed()]
        start = int(request.query.get("pageToken", 0))
        more = {"nextPageToken": str(start + 1)} if start + 1 < len(found) else {}
        return web.json_response({"operations": found[start : start + 1]} | more if found else {})

    def _said(self, job: Job, request: web.Request) -> Json:
        stats = {"requestCount": str(len(job.entries)), "pendingRequestCount": str(len(job.entries))}
        told: Json = {"displayName": job.tag, "createTime": moment(job), "batchStats": stats, "state": "BATCH_STATE_RUNNING"}
        body: Json = {"name": f"batches/{job.name}", "metadata": told}
        if job.failure is not None:
            told["state"] = "BATCH_STATE_EXPIRED" if job.failure[0] == "4" else "BATCH_STATE_FAILED"
            return body | {"done": True, "error": {"code": int(job.failure[0]), "message": job.failure[1]}}
        if job.ended:
            told["state"] = "BATCH_STATE_CANCELLED" if job.cancelling else "BATCH_STATE_SUCCEEDED"
            results: Json = {"inlinedResponses": {"inlinedResponses": job.results}}
            if not getattr(job, "inline", True):
                lines = [{"key": one["metadata"]["key"]} | one for one in job.results]
                self.files[f"out-{job.name}"] = "\n".join(json.dumps(one) for one in lines).encode()
                results = {"responsesFile": f"files/out-{job.name}"}
            told["output"] = results
            body |= {"done": True, "response": results}
        return body

    async def _download(self, request: web.Request) -> web.Response:
        assert request.query["alt"] == "media"
        return web.Response(body=self.files[request.match_info["file"]])

    def _prompt(self, entry: Json) -> str:
        return str(entry["body"]["contents"][0]["parts"][-1]["text"])

    def _cancelled(self, name: str) -> Json:
        return {"metadata": {"key": name}, "error": {"code": 1, "message": "Cancelled"}}

    def _line(self, name: str, text: str, outcome: str) -> Json:
        errors = {REJECTED: (3, "The input is too long"), OVERLOADED: (13, "Overloaded"), EXPIRED: (4, "Deadline expired")}
        usage = {"promptTokenCount": 1000, "candidatesTokenCount": 1000, "totalTokenCount": 2000}
        line: Json = {"metadata": {"key": name}}
        if outcome in errors:
            code, message = errors[outcome]
            return line | {"error": {"code": code, "message": message}}
        if outcome == BLOCKED:
            return line | {"response": {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage}}
        if outcome == UNREADABLE:
            return line | {"response": {"candidates": "none"}}
        words = "I cannot help with that." if outcome == REFUSED else text
        candidate = {"content": {"role": "model", "parts": [{"text": words}]}, "finishReason": "STOP"}
        return line | {"response": {"candidates": [candidate], "usageMetadata": usage}}


MORE: list[type[Vendor]] = [Together, Mistral, XAI, Fireworks, OpenRouter, Gemini]
"""Those whose protocol differs from OpenAI's."""
