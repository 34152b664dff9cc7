"""Amazon Bedrock's batch inference: Converse requests at half the price, read from a bucket of S3 and answered into it.

Shapes: the model of AWS's SDK (botocore, bedrock 2023-04-20: CreateModelInvocationJob and its kin), and the user guide, "Format and
upload your batch inference data" and "View the results of a batch inference job". A Bedrock key opens no bucket: all is signed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Unpack
from urllib.parse import quote, urlencode, urlsplit

import anyio
import httpx2
import orjson

from unisafe_providers.base import Capabilities, Misconfigured, ProviderError, RateLimited, Rejected, Request, Response, Transient
from unisafe_providers.batching import JobStatus, NoSuchJob, Reconciled
from unisafe_providers.hosted.aws import Signer
from unisafe_providers.hosted.batch_http import PAGES, UPLOAD_SECONDS, BatchHttp
from unisafe_providers.hosted.bedrock import RUNTIME, Bedrock, Guardrail
from unisafe_providers.hosted.bedrock_wire import read_converse_response
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes, parse_error_body
from unisafe_providers.hosted.flattened import read_error_message
from unisafe_providers.hosted.http import HostedOptions

ENDED = frozenset({"Completed", "PartiallyCompleted", "Stopped", "Expired"})
"""States of a job that has no more to come; those that stopped early may have no results at all."""
CANCELLED = frozenset({"Stopping", "Stopped"})
TOO_FEW = re.compile(r"(less|fewer) records|minimum (number )?of records|required minimum", re.I)
TOO_MANY = re.compile(r"quota|too many|limit .{0,40}(exceeded|reached)|exceed\w* .{0,40}limit", re.I)
OUT = ".out"
"""What the name of a file of answers ends with, after that of its file of requests."""


class BedrockBatches(Bedrock, BatchHttp):
    """One model whose chat requests can be submitted as batch jobs; arguments as in Bedrock.

    Args:
        role: the ARN of the role that reads and writes the bucket for the job.
        place: `s3://BUCKET/FOLDER`, where requests and answers are kept.
        control_url: the address of batch jobs; None for the region's.
        s3_url: an address of S3 that is the user's own; None for the bucket's.
    """

    most_requests = 50_000
    most_bytes = 200_000_000

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        role: str,
        place: str,
        signer: Signer,
        guardrail: Guardrail | None = None,
        response_fields: Sequence[str] | None = None,
        control_url: str | None = None,
        s3_url: str | None = None,
        **options: Unpack[HostedOptions],
    ) -> None:
        super().__init__(
            model, base_url, api_key, capabilities,
            signer=signer, guardrail=guardrail, response_fields=response_fields, **options,
        )  # fmt: skip
        self._signs = signer
        self._role = role
        self._place = place.rstrip("/")
        self._control = (control_url or RUNTIME.sub(r"\1bedrock\2\3", self.base_url)).rstrip("/")
        self._s3 = s3_url.rstrip("/") if s3_url else ""

    async def _authorize(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        named = url.startswith(f"{self._s3}/") if self._s3 else "s3" in (urlsplit(url).hostname or "").split(".")
        return await self._sign(self._signs, method, url, body, "s3" if named else "bedrock")

    async def entry(self, name: str, request: Request) -> bytes:
        if request.kind != "chat":
            raise Rejected("batch jobs of Amazon Bedrock carry chats only")
        body = await self._build_converse_body(await self._fit_request(request))
        return self._build_entry({"recordId": name}, "modelInput", body)

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        """Puts the requests into the bucket and asks for the job; a token keeps a job of this tag from being made twice."""
        source = f"{self._place}/{tag}.jsonl"
        await self._upload(source, b"\n".join(entries) + b"\n")
        job = {
            "jobName": tag,
            "clientRequestToken": tag,
            "roleArn": self._role,
            "modelId": self.model,
            "modelInvocationType": "Converse",
            "inputDataConfig": {"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": source}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"{self._place}/"}},
        }
        url = f"{self._control}/model-invocation-job"
        answer = await self._ask("POST", url, body=orjson.dumps(job), missing=self._no_api())
        with catch_odd_shapes():
            return str(answer["jobArn"])

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> Reconciled:
        """Finds a job by its name, which is the tag: the list is asked for that name alone."""
        after = ""
        for _ in range(PAGES):
            query = {"nameContains": tag, "maxResults": "100"} | ({"nextToken": after} if after else {})
            page = await self._ask("GET", f"{self._control}/model-invocation-jobs?{urlencode(query)}")
            with catch_odd_shapes():
                for job in page.get("invocationJobSummaries") or []:
                    if tag in (job.get("jobName"), job.get("clientRequestToken")):
                        return Reconciled("found", str(job["jobArn"]))
            after = str(page.get("nextToken") or "")
            if not after:
                return Reconciled("absent")
        return Reconciled("unread")

    async def status(self, job: str) -> JobStatus:
        found = await self._fetch_invocation_job(job)
        with catch_odd_shapes():
            state = str(found.get("status"))
            done = int(found.get("processedRecordCount") or 0)
            total = int(found.get("totalRecordCount") or 0)
            expires = found.get("jobExpirationTime")
            if state == "Failed":
                return JobStatus(state="failed", done=done, total=total, error=self._explain_failure(found))
            return JobStatus(
                state="ended" if state in ENDED else "in_progress",
                done=done,
                total=total,
                cancelled=state in CANCELLED,
                expires=_parse_moment(expires) if expires else None,
            )

    async def cancel(self, job: str) -> None:
        url = f"{self._control}/model-invocation-job/{quote(job, safe='')}/stop"
        await self._ask_for_nothing("POST", url)

    async def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        """The answers in the bucket, in any order; a job that stopped early may have written none."""
        found = await self._fetch_invocation_job(job)
        with catch_odd_shapes():
            source = str(found["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])
            folder = str(found["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]).rstrip("/")
            number = str(found["jobArn"]).rpartition("/")[2]
            whole = found.get("status") in ("Completed", "PartiallyCompleted")
        url = self._address_of(f"{folder}/{number}/{source.rpartition('/')[2]}{OUT}")
        try:
            async with aclosing(self._read_lines(url)) as lines:
                async for line in lines:
                    yield str(line.get("recordId")), self._outcome(line)
        except NoSuchJob:
            if whole:
                raise

    # ---------------------------------------------------- inside

    async def _fetch_invocation_job(self, job: str) -> Json:
        return await self._fetch_job(f"{self._control}/model-invocation-job/{quote(job, safe='')}", job)

    async def _upload(self, place: str, content: bytes) -> None:
        await self._ask_for_nothing("PUT", self._address_of(place), content)

    async def _ask_for_nothing(self, method: str, url: str, body: bytes = b"") -> None:
        """Send what is answered with an empty body, or one that nobody reads."""
        with self._catch_network_errors(), anyio.fail_after(max(self._timeout, UPLOAD_SECONDS if body else 0.0)):
            answer = await self._send(httpx2.Request(method, url, content=body, extensions=self._extensions))
        if answer.status not in (200, 201, 202, 204):
            with catch_odd_shapes():
                raise self._build_error(answer.status, parse_error_body(answer.content), answer.headers)

    def _address_of(self, place: str) -> str:
        """The address of `s3://BUCKET/KEY`; a bucket with a full stop in its name has no certificate of its own."""
        bucket, _, key = place.removeprefix("s3://").partition("/")
        path = quote(key, safe="/-_.~")
        if self._s3 or "." in bucket:
            return f"{self._s3 or f'https://s3.{self._signs.region}.amazonaws.com'}/{bucket}/{path}"
        return f"https://{bucket}.s3.{self._signs.region}.amazonaws.com/{path}"

    def _outcome(self, line: Json) -> Response | ProviderError:
        try:
            with catch_odd_shapes():
                error: Any = line.get("error")
                if not error:
                    return self._outcome_of(200, line["modelOutput"], read_converse_response, "bedrock")
                code = str(error.get("errorCode") or "")
                body = {"code": code, "message": str(error.get("errorMessage") or "")}
                return self._outcome_of(int(code) if code.isdigit() else 400, body, read_converse_response, "bedrock")
        except ProviderError as unreadable:
            return unreadable

    def _explain_failure(self, job: Json) -> ProviderError:
        """The error for a whole job that failed."""
        message = read_error_message({"message": job.get("message") or "the vendor gives no reason"})
        if TOO_FEW.search(message):
            return Misconfigured(f'the job failed: {message}; ask for more items, or take out mode = "batch"')
        if TOO_MANY.search(message):
            return RateLimited(f"the job failed: {message}")
        found = self._build_error(400, {"message": f"the job failed: {message}"}, {})
        return Rejected(str(found)) if isinstance(found, Transient) else found


def _parse_moment(text: object) -> datetime:
    """Parses a time of AWS's (RFC 3339, or seconds since 1970) into UTC without a zone."""
    if isinstance(text, int | float):
        return datetime.fromtimestamp(text, UTC).replace(tzinfo=None)
    return datetime.fromisoformat(str(text)).astimezone(UTC).replace(tzinfo=None)
