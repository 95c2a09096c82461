"""Generates a client from openapi.json, sends events with it and asks for usage.

Reads {"openapi", "folder", "url", "key"} and prints what the client decoded.
"""

import datetime
import json
import os
import subprocess
import sys

job = json.load(sys.stdin)
subprocess.run(
    [sys.executable, "-m", "openapi_python_client", "generate", "--path", job["openapi"],
     "--output-path", os.path.join(job["folder"], "odometer_api"), "--meta", "none"],
    check=True, stdout=sys.stderr,
    env={**os.environ, "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]},
)
sys.path.insert(0, job["folder"])

from odometer_api import AuthenticatedClient  # noqa: E402
from odometer_api.api.events import ingest_events, lookup_event  # noqa: E402
from odometer_api.api.meters import create_meter  # noqa: E402
from odometer_api.api.usage import get_usage, product_usage  # noqa: E402
from odometer_api.models import Event, GetUsageWindow, IngestResult, Meter  # noqa: E402

client = AuthenticatedClient(base_url=job["url"], token=job["key"])
hour = datetime.datetime(2026, 10, 5, 7, tzinfo=datetime.timezone.utc)


def event(id, region, bytes):
    return Event.from_dict({
        "specversion": "1.0", "id": id, "source": "python", "type": "edge.request", "subject": "acme",
        "time": hour.isoformat(), "traceparent": "00-1", "data": {"region": region, "bytes": bytes, "nested": {"deep": [1, 2]}},
    })


def answer(result):
    return result.to_dict() if hasattr(result, "to_dict") else result


one = ingest_events.sync(client=client, body=event("p-1", "eu", 1))
many = ingest_events.sync(client=client, body=[event("p-2", "eu", 20), event("p-3", "us", 300), event("p-1", "eu", 1)])
assert isinstance(one, IngestResult) and isinstance(many, IngestResult), (one, many)
meter = create_meter.sync(client=client, body=Meter.from_dict({"key": "python", "event_type": "edge.request", "aggregation": "SUM", "value": "bytes"}))
span = {"from_": hour, "to": hour + datetime.timedelta(hours=1)}
print(json.dumps({
    "one": answer(one),
    "many": answer(many),
    "preview": answer(meter)["preview"],
    "usage": answer(get_usage.sync(key="bytes", client=client, **span, window=GetUsageWindow.HOUR, tz="Europe/Oslo",
                                   group_by=["region"], filter_=["region=eu", "customer=acme"])),
    "products": answer(product_usage.sync(client=client, **span, customer=["acme", "zeta"])),
    "lookup": answer(lookup_event.sync(client=client, source="python", id="p-1")),
    "refused": answer(get_usage.sync(key="nothing", client=client, **span)),
}))
