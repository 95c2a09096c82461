"""Calls the vendor's Python client, as its pages show, and prints what it makes of the answers.

Reads {"host", "organization", "calls": [{"operation", "path": [...], "query": {...}, "body", "model", "key", "prefix",
"naive", "again", "host"}]} and prints a list of {"value"} or {"error", "status", "body"}, one for each call. A body is built with the client's own
model, a list of them for a list; "naive" gives its timestamp as a datetime without a zone, "again" sends what was answered before.
"""

import datetime
import json
import sys

import suger_sdk_python as suger
from suger_sdk_python import models
from suger_sdk_python.exceptions import ApiException


def model(name, body, naive):
    if isinstance(body, list):
        return [model(name, one, naive) for one in body]
    made = getattr(models, name).from_dict(body)
    if naive:
        made.timestamp = datetime.datetime.fromisoformat(body["timestamp"])
    return made


def plain(value):
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


before = None  # what was answered last


def make(api, organization, call):
    global before
    try:
        arguments = [organization, *(call.get("path") or [])]
        if call.get("again"):
            arguments.append(before)
        elif call.get("body") is not None:
            arguments.append(model(call["model"], call["body"], call.get("naive")))
        answer = getattr(api, call["operation"] + "_with_http_info")(*arguments, **(call.get("query") or {}))
        before = answer.data
        return {"value": plain(answer.data), "status": answer.status_code}
    except ApiException as e:
        return {"error": type(e).__name__, "status": e.status, "body": e.body}
    except Exception as e:  # what the client itself refuses
        return {"error": type(e).__name__, "status": 0, "body": str(e)}


def main():
    job = json.load(sys.stdin)
    results = []
    for call in job["calls"]:
        configuration = suger.Configuration(host=call.get("host") or job["host"])
        if call.get("key"):
            configuration.api_key["APIKeyAuth"] = call["key"]
        if call.get("prefix"):
            configuration.api_key_prefix["APIKeyAuth"] = call["prefix"]
        with suger.ApiClient(configuration) as client:
            results.append(make(suger.MeteringApi(client), call.get("organization") or job["organization"], call))
    json.dump(results, sys.stdout, default=str)


main()
