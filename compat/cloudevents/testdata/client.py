"""Sends events with the Python SDK of CloudEvents, as its pages show, and
prints what a sender makes of the answers. Reads {"url", "token", "calls"} from
standard input; a call is {"mode", "events"}.
"""

import base64
import json
import sys
import urllib.error
import urllib.request
from datetime import datetime

from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent


def event_of(e):
    attributes = {name: e[name] for name in ("id", "source", "type", "subject") if name in e}
    if "time" in e:
        attributes["time"] = datetime.fromisoformat(e["time"].replace("Z", "+00:00"))
    attributes["datacontenttype"] = e.get("datacontenttype", "application/json")
    attributes.update(e.get("extensions", {}))
    data = base64.b64decode(e["bytes"]) if "bytes" in e else e.get("data")
    event = CloudEvent(attributes=attributes, data=data)
    if "time" not in e:  # the SDK gives an event the time of now where none is said
        event._attributes.pop("time", None)
    return event


def send(job, call):
    events = [event_of(e) for e in call["events"]]
    if call["mode"] == "binary":
        message = to_binary(events[0], JSONFormat())
    elif call["mode"] == "structured":
        message = to_structured(events[0], JSONFormat())
    if call["mode"] == "batch":  # the SDK writes events, not batches of them
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        body = b"[" + b",".join(JSONFormat().write(e) for e in events) + b"]"
    else:
        headers, body = dict(message.headers), message.body
    headers["Authorization"] = "Bearer " + job["token"]
    try:
        with urllib.request.urlopen(urllib.request.Request(job["url"], data=body, headers=headers, method="POST")) as answer:
            return {"value": {"delivered": True, "status": answer.status, "body": answer.read().decode()}}
    except urllib.error.HTTPError as e:
        return {"value": {"delivered": False, "status": e.code, "body": e.read().decode()}}


job = json.load(sys.stdin)
results = []
for call in job["calls"]:
    try:
        results.append(send(job, call))
    except Exception as e:  # of the SDK: the test wants to see it
        results.append({"error": f"{type(e).__name__}: {e}"})
json.dump(results, sys.stdout)
