"""Vendors whose pictures are made by jobs: each takes its own paths and its own header with the key, and pictures need no key.

Sources: docs.bfl.ai, fal.ai/docs, replicate.com/docs, docs.agents.lumalabs.ai, docs.lumalabs.ai, developer.ideogram.ai, and Alibaba's
Model Studio.
"""

from __future__ import annotations

import re
from typing import ClassVar

from vendors.server import Asked, Reply, VendorServer

MADE, GONE = "/made.png", "/gone.png"
"""Where pictures lie: one that is there, and one whose link has expired."""


class JobServer(VendorServer):
    """Give it the answers to the submission and to the polls, in turn; the last one is given over and over.

    Attributes:
        picture: the file at MADE.
        fetched: how often a picture was asked for, at either address.
    """

    HEADER: ClassVar[str] = "authorization"
    FORM: ClassVar[str] = "Bearer {}"
    PATHS: ClassVar[str]

    picture = b""
    fetched = 0

    def refusal(self, asked: Asked) -> Reply | None:
        if asked.path in (MADE, GONE):
            self.fetched += 1
            if self.key in "".join(asked.headers.values()):
                return Reply({"error": "a key came to where pictures lie"}, 418)
            return Reply(self.picture, headers={"content-type": "image/png"}) if asked.path == MADE else Reply(b"<Error/>", 403)
        if asked.headers.get(self.HEADER) != self.FORM.format(self.key):
            return Reply({"detail": "Not authenticated"}, 401)
        return None if re.fullmatch(self.ROOT + self.PATHS, asked.path) else Reply({"detail": "Not Found"}, 404)

    @property
    def made(self) -> str:
        """The address of the picture."""
        return self.url.removesuffix(self.ROOT) + MADE

    @property
    def submitted(self) -> list[Asked]:
        """The calls that were paid for."""
        return [asked for asked in self.asked if asked.body]


class BflServer(JobServer):
    HEADER, FORM, PATHS = "x-key", "{}", r"/(flux[\w.-]+|get_result)"


class FalServer(JobServer):
    ROOT = ""
    FORM, PATHS = "Key {}", r"/fal-ai/flux[\w.-]*(/[\w.-]+)*(/requests/[\w-]+(/status)?)?"


class ReplicateServer(JobServer):
    PATHS = r"/(models/[\w-]+/[\w.-]+/predictions|predictions(/\w+)?)"


class LumaServer(JobServer):
    PATHS = r"/generations(/[\w-]+)?"


class PhotonServer(JobServer):
    ROOT = "/dream-machine/v1"
    PATHS = r"/generations/[\w-]+"


class IdeogramServer(JobServer):
    ROOT = ""
    HEADER, FORM = "api-key", "{}"
    PATHS = r"/(v1/ideogram-v\d/(generate|remix)|v2/image/(generate|remix)/[\w-]+|v2/generations/\w+)"


class DashScopeServer(JobServer):
    ROOT = "/api/v1"
    PATHS = r"/(services/aigc/(multimodal-generation/generation|(text|image)2image/image-synthesis)|tasks/\w+)"
