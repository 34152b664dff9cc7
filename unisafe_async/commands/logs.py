"""What is logged, for `--log-file` and `--verbose`: one JSON object a line, without keys."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson

from unisafe_async.config.secret_words import hide_in_text
from unisafe_async.errors import UsageError
from unisafe_async.text import plain

LOGGERS = ("unisafe_async", "unisafe_providers", "unisafe_judger", "unisafe_cache")
OURS = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}
"""The attributes that every record has; what else it has are the fields of its event."""


class JsonLines(logging.Formatter):
    """A record as a line of JSON: `time` (UTC), `level`, `logger`, `message`, and the fields that the code gave in `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in OURS}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields,
        }
        return hide_in_text(orjson.dumps(line, default=str).decode())


class PlainLines(logging.Formatter):
    """A record for people: its time, level and message, without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        return f"{time} {record.levelname.lower()}: {plain(hide_in_text(record.getMessage()))}"


@contextmanager
def keep_log(file: Path | None, *, shown: bool) -> Iterator[None]:
    """Append what is logged to `file`, also each answer; with `shown` print it on standard error, without the answers.

    Raises UsageError for a file that cannot be written.
    """
    handlers: list[logging.Handler] = []
    if file is not None:
        try:
            kept = logging.FileHandler(file, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--log-file {file}: cannot be written: {error.strerror}") from None
        kept.setFormatter(JsonLines())
        kept.setLevel(logging.DEBUG)
        handlers.append(kept)
    if shown:
        printed = logging.StreamHandler(sys.stderr)
        printed.setFormatter(PlainLines())
        printed.setLevel(logging.INFO)
        handlers.append(printed)
    level = min((handler.level for handler in handlers), default=logging.NOTSET)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers if handlers else ():
            logger.setLevel(level)
            for handler in handlers:
                logger.addHandler(handler)
        yield
    finally:
        for logger, old in zip(loggers, before, strict=True):
            logger.setLevel(old)
            for handler in handlers:
                logger.removeHandler(handler)
        for handler in handlers:
            handler.close()
