"""Write the log as one JSON object a line, without anything of the images."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any

log = logging.getLogger("sightline.serve")

ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)
"""Made once: `json.dumps` would make one for each line."""


def event(name: str, level: int = logging.INFO, /, **fields: Any) -> None:
    """Write an event to the log."""
    if log.isEnabledFor(level):
        log.log(level, name, extra={"fields": fields})


def request(level: int, /, **fields: Any) -> None:
    """Write a request's log line: as `event` does, at a fifth of the cost."""
    for handler in log.handlers:
        record = logging.LogRecord(log.name, level, "", 0, "request", None, None)
        record.fields = fields
        handler.handle(record)


class JsonLines(logging.Formatter):
    """Formats log records as JSON: time, level, event, then its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line of JSON."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return ENCODER.encode(line)


def to_stderr() -> None:
    """Send the server's lines, and uvicorn's warnings, to standard error."""
    # No line tells the process, the thread or the task; then they need not be looked up, either.
    logging.logProcesses = logging.logThreads = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("sightline.serve", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
