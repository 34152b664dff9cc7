"""Amazon Bedrock's batch inference on loopback: a bucket, jobs that read and write it, and a signature that is checked each time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from vendors.bedrock import REGION, find_fault

from tests.batch_servers import BLOCKED, EXPIRED, OVERLOADED, REJECTED, UNREADABLE, Job, Vendor

ROLE = "arn:aws:iam::123456789012:role/batches"
KEYS = f'region = "{REGION}"\nbatch_role = "{ROLE}"\nbatch_s3 = "s3://a-bucket/of=mine+1"\n'


class Bedrock(Vendor):
    """`/model-invocation-job` and a bucket under `/s3`; the files of answers hold their lines backwards."""

    provider = "bedrock"
    path = ""
    a_page = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bucket: dict[str, bytes] = {}
        self.state = ""  # the word that the job's state has, instead of its own
        self.message = ""
        self.writes = True  # whether a job that ends writes answers
        self.bodies: list[dict[str, Any]] = []
        self.faults: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        job = "/model-invocation-job"
        return [
            *super().routes(),
            web.put("/s3/{key:.*}", self._signed(self._put, "s3")),
            web.get("/s3/{key:.*}", self._signed(self._get, "s3")),
            web.post(job, self._signed(self._create)),
            web.get("/model-invocation-jobs", self._signed(self._list)),
            web.get(job + "/{job}", self._signed(self._show)),
            web.post(job + "/{job}/stop", self._signed(self._cancel)),
        ]

    def keys(self, address: str) -> str:
        """The keys of a section of bench.toml."""
        return f'{KEYS}s3_url = "{address}/s3"\n'

    def _signed(self, handler: Any, service: str = "bedrock") -> Any:
        async def checked(request: web.Request) -> web.StreamResponse:
            fault = find_fault(request, await request.read(), service=service)
            self.faults.add(fault)
            return self._error(403, "InvalidSignatureException", fault) if fault else await handler(request)

        return checked

    def _error(self, status: int, code: str, message: str) -> web.Response:
        return web.json_response({"message": message}, status=status, headers={"x-amzn-errortype": code})

    async def _put(self, request: web.Request) -> web.Response:
        self.bucket[request.match_info["key"]] = await request.read()
        return web.Response()

    async def _get(self, request: web.Request) -> web.StreamResponse:
        content = self.bucket.get(request.match_info["key"])
        if content is None:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>", content_type="application/xml")
        return await self._send(request, [json.loads(line) for line in content.splitlines()])

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.submissions += 1
        if self.refusals:
            return self._error(*self.refusals.pop(0))
        if any(made["clientRequestToken"] == body["clientRequestToken"] for made in self.bodies):
            return web.json_response({"jobArn": self._arn(self.jobs[-1])})
        self.bodies.append(body)
        source = body["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].removeprefix("s3://")
        entries = [json.loads(line) for line in self.bucket[source].splitlines()]
        named = [{**entry, "custom_id": entry["recordId"]} for entry in entries]
        job = await self._accept(request, named, body["jobName"])
        return web.json_response({"jobArn": self._arn(job)})

    def _arn(self, job: Job) -> str:
        return f"arn:aws:bedrock:{REGION}:123456789012:model-invocation-job/{self.jobs.index(job):012}"

    def _job(self, request: web.Request) -> Job | None:
        name = unquote(request.match_info["job"])
        return next((job for job in self.jobs if self._arn(job) == name), None)

    async def _list(self, request: web.Request) -> web.Response:
        shown = [job for job in self._listed() if request.query.get("nameContains", "") in job.tag]
        start = int(request.query.get("nextToken") or 0)
        page = [self._said(job, request) for job in shown[start : start + self.a_page]]
        more = {"nextToken": str(start + self.a_page)} if start + self.a_page < len(shown) else {}
        return web.json_response({"invocationJobSummaries": page, **more})

    async def _show(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if job is None:
            return self._error(404, "ResourceNotFoundException", "The specified job does not exist.")
        self._look(job)
        return web.json_response(self._said(job, request))

    def _said(self, job: Job, request: web.Request) -> dict[str, Any]:
        body = next((made for made in self.bodies if made["jobName"] == job.tag), self.bodies[0])
        state = "Stopping" if job.cancelling else "InProgress"
        if job.ended:
            state = (
                "Stopped" if job.cancelling else "PartiallyCompleted" if any("error" in one for one in job.results) else "Completed"
            )
            if self.writes:
                self._write(job, body)
        return {
            **body,
            "jobArn": self._arn(job),
            "jobName": job.tag,
            "status": self.state or state,
            "message": self.message,
            "submitTime": job.created.isoformat().replace("+00:00", "Z"),
            "jobExpirationTime": (job.created + timedelta(days=1)).isoformat().replace("+00:00", "Z"),
            "totalRecordCount": len(job.entries),
            "processedRecordCount": len(job.entries) if job.ended else 0,
        }

    def _write(self, job: Job, body: dict[str, Any]) -> None:
        folder = body["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"].removeprefix("s3://")
        source = body["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].rpartition("/")[2]
        lines = "".join(json.dumps(line) + "\n" for line in job.results)
        self.bucket[f"{folder}{self._arn(job).rpartition('/')[2]}/{source}.out"] = lines.encode()

    def _prompt(self, entry: dict[str, Any]) -> str:
        return str(next(block["text"] for block in entry["modelInput"]["messages"][-1]["content"] if "text" in block))

    def _cancelled(self, name: str) -> dict[str, Any]:
        return {"recordId": name, "modelInput": {}, "error": {"errorCode": 500, "errorMessage": "The job was stopped."}}

    def _line(self, name: str, text: str, outcome: str) -> dict[str, Any]:
        errors = {
            REJECTED: (400, "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Too long."),
            OVERLOADED: (503, "The service is overloaded."),
            EXPIRED: (408, "Model has timed out in processing the request."),
        }
        if outcome in errors:
            code, words = errors[outcome]
            return {"recordId": name, "modelInput": {}, "error": {"errorCode": code, "errorMessage": words}}
        usage = {"inputTokens": 1000, "outputTokens": 1000, "totalTokens": 2000}
        answer: dict[str, Any] = {"output": {"message": {"content": [{"text": text}]}}, "stopReason": "end_turn", "usage": usage}
        if outcome == BLOCKED:
            hit = {"g": {"topicPolicy": {"topics": [{"name": "Advice", "type": "DENY", "action": "BLOCKED"}]}}}
            answer |= {"stopReason": "guardrail_intervened", "trace": {"guardrail": {"inputAssessment": hit}}}
        if outcome == UNREADABLE:
            answer = {"output": "none"}
        return {"recordId": name, "modelInput": {}, "modelOutput": answer}
