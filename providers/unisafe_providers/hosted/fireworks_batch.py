"""Fireworks' batch jobs: a dataset of requests becomes a dataset of answers, at half the price within a day.

Shapes: docs.fireworks.ai, "Batch API" (requests in a dataset, results and errors as two files of another at signed addresses) and
SDK 1.2 (BatchInferenceJob, Dataset, Account). All of it stands below an account, beside the address of chats.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from datetime import datetime
from urllib.parse import quote, urlsplit

import orjson

from unisafe_providers.base import Misconfigured, ProviderError, Rejected, Request, Response
from unisafe_providers.batching import JobStatus, NoSuchJob, Reconciled
from unisafe_providers.hosted.addresses import PUBLIC, is_local_name, kind_of, read_address
from unisafe_providers.hosted.batch_http import Listing, follow_token, found_or
from unisafe_providers.hosted.batch_states import find_status, read_state
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes
from unisafe_providers.hosted.openai_batch import OpenAIBatches

JOBS, DATASETS = "batchInferenceJobs", "datasets"
A_PAGE = 200
ACCOUNT = "FIREWORKS_ACCOUNT_ID"
"""The variable from which Fireworks' own package takes the account."""


class FireworksBatches(OpenAIBatches):
    """One model of Fireworks whose chats can be submitted as batch jobs; arguments as in OpenAICompatible.

    Attributes:
        account_id: the account; if it is empty, the one in FIREWORKS_ACCOUNT_ID, else the one that the key belongs to.
    """

    account_id = ""

    async def entry(self, name: str, request: Request) -> bytes:
        body = await self._build_batch_body(request)
        del body["model"]
        return self._build_entry({"custom_id": name}, "body", body)

    @property
    def _root(self) -> str:
        """The address of accounts: `/v1` beside `/inference/v1`."""
        return self.base_url.removesuffix("/inference/v1").removesuffix("/v1") + "/v1"

    async def _find_account(self) -> str:
        """`accounts/NAME`. Raises Misconfigured if the key belongs to several accounts, or to none."""
        self.account_id = self.account_id or os.environ.get(ACCOUNT, "").strip()
        if not self.account_id:
            page = await self._ask("GET", f"{self._root}/accounts", missing=self._no_api())
            with catch_odd_shapes():
                names = [str(one["name"]).removeprefix("accounts/") for one in page.get("accounts") or page.get("data") or []]
            if len(names) != 1:
                which = f"is one of {', '.join(names)}" if names else "stands in the account's settings"
                raise Misconfigured(f"batch jobs of {self.title} need account_id; it {which}")
            self.account_id = names[0]
        return f"accounts/{quote(self.account_id, safe='')}"

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        account = await self._find_account()
        place = f"{self._root}/{account}"
        given, made = f"{tag}-requests", f"{tag}-results"
        dataset = {"datasetId": given, "dataset": {"userUploaded": {}, "exampleCount": str(len(entries))}}
        await self._ask("POST", f"{place}/{DATASETS}", body=orjson.dumps(dataset), missing=self._no_api())
        content = (f"{tag}.jsonl", b"\n".join(entries) + b"\n", "application/jsonl")
        await self._ask("POST", f"{place}/{DATASETS}/{given}:upload", form={"files": [("file", content)]})
        job = {
            "model": self.model,
            "displayName": tag,
            "inputDatasetId": f"{account}/{DATASETS}/{given}",
            "outputDatasetId": f"{account}/{DATASETS}/{made}",
        }
        answer = await self._ask("POST", f"{place}/{JOBS}?batchInferenceJobId={tag}", body=orjson.dumps(job))
        with catch_odd_shapes():
            return str(answer["name"])

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> Reconciled:
        """Finds a job by its name, which we gave it, or by the name of its dataset."""
        listing = Listing(
            url=f"{self._root}/{await self._find_account()}/{JOBS}?pageSize={A_PAGE}&orderBy=createTime%20desc",
            key=JOBS,
            created="createTime",
            following=follow_token("nextPageToken", "pageToken"),
            may_lack_key=True,
        )

        def is_ours(job: Json) -> bool:
            told = [str(job.get(key) or "").rpartition("/")[2] for key in ("name", "displayName", "inputDatasetId")]
            return tag in told or f"{tag}-requests" in told

        jobs, whole = await self._list_jobs(listing, since, is_ours)
        with catch_odd_shapes():
            return found_or(whole, str(jobs[0]["name"]) if jobs else "")

    async def status(self, job: str) -> JobStatus:
        found = await self._fetch_job(f"{self._root}/{job}", job)
        with catch_odd_shapes():
            total = int((found.get("jobProgress") or {}).get("totalInputRequests") or 0)
            return self._tell_status(found, read_state(found["state"]), _count_done(found), total, None)

    def _has_results(self, job: Json) -> bool:
        return _count_done(job) > 0

    def _explain_failure(self, job: Json) -> ProviderError:
        told = job.get("status") or {}
        message = str(told.get("message") or "the vendor gives no reason")
        return self._explain_job(find_status(told.get("code")) or 400, {"error": {"message": f"the job failed: {message}"}})

    async def cancel(self, job: str) -> None:
        await self._ask("POST", f"{self._root}/{job}:cancel", body=b"{}")

    async def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        found = await self._fetch_job(f"{self._root}/{job}", job)
        for url in await self._find_files(found):
            async with aclosing(self._read_lines(url, keyless=True)) as lines:
                async for line in lines:
                    yield str(line.get("custom_id")), self._outcome(line)

    async def _find_files(self, job: Json) -> list[str]:
        """The signed addresses of the results and of the errors; a job that was cut short may have left no dataset."""
        with catch_odd_shapes():
            dataset = str(job.get("outputDatasetId") or "").rpartition("/")[2]
            place = f"{self._root}/{str(job['name']).partition(f'/{JOBS}/')[0]}/{DATASETS}/{dataset}"
        try:
            page = await self._fetch_job(f"{place}:getDownloadEndpoint", str(job["name"]))
        except NoSuchJob:
            if read_state(job.get("state")) == "ended":
                raise
            return []
        with catch_odd_shapes():
            return [self._check_address(str(url)) for url in (page.get("filenameToSignedUrls") or {}).values()]

    def _check_address(self, url: str) -> str:
        """A signed address of the web, or of where the endpoint is. Raises Rejected for any other: an answer may name anything."""
        there, here = urlsplit(url), urlsplit(self.base_url)
        address = read_address(there.hostname or "localhost")
        public = kind_of(address) == PUBLIC if address is not None else not is_local_name(there.hostname or "")
        if there.scheme == "https" and public:
            return url
        if (there.scheme, there.hostname) == (here.scheme, here.hostname):
            return url
        raise Rejected(f"the results lie at {url.partition('?')[0][:200]}, which is no public address of the web")


def _count_done(job: Json) -> int:
    """Requests that were answered or have failed."""
    told = job.get("jobProgress") or {}
    done = int(told.get("successfullyProcessedRequests") or 0) + int(told.get("failedRequests") or 0)
    return max(done, int(told.get("totalProcessedRequests") or 0))
