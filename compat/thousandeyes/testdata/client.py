"""Calls the vendor's Python client, as its pages show, and prints what it makes of the answers.

Reads {"host" (as the release wants it), "token", "calls": [{"operation", "arguments": {...}}]} and prints a
list of {"value"} or {"error", "status", "body"}, one for each call. Arguments
ending in _date are read as dates. The operation NAME_paginated, where the
client has it, gives the rows of all pages.
"""

import datetime
import json
import sys

import thousandeyes_sdk.core
import thousandeyes_sdk.usage
from thousandeyes_sdk.core.exceptions import ApiException
from thousandeyes_sdk.usage import models

# Its name changed between the releases.
Expand = models.ExpandUsageOptions if hasattr(models, "ExpandUsageOptions") else models.Expand


def argument(name, value):
    if name.endswith("_date"):
        return datetime.datetime.fromisoformat(value)
    if name == "expand":
        return [Expand(v) for v in value.split(",")]
    return value


def plain(value):
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return [v.to_dict() for v in value]


def call(api, operation, arguments):
    try:
        method = getattr(api, operation)
        return {"value": plain(method(**{k: argument(k, v) for k, v in (arguments or {}).items()}))}
    except ApiException as e:
        data = e.data.to_dict() if hasattr(e.data, "to_dict") else None
        return {"error": type(e).__name__, "status": e.status, "body": e.body, "data": data}


def main():
    job = json.load(sys.stdin)
    configuration = thousandeyes_sdk.core.Configuration(host=job["host"], access_token=job["token"])
    with thousandeyes_sdk.core.ApiClient(configuration) as client:
        api = thousandeyes_sdk.usage.UsageApi(client)
        results = [call(api, c["operation"], c["arguments"]) for c in job["calls"]]
    json.dump(results, sys.stdout, default=str)


main()
