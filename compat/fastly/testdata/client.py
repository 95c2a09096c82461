"""Calls the vendor's Python client, as its pages show, and prints what it makes of the answers.

Reads {"host", "token", "prefix"?, "calls": [{"operation", "arguments": {...}}]} and
prints a list of {"value"} or {"error", "status", "body"}, one for each call. A call with "follow": true is
repeated with the cursor of each answer until there is none; its value is the list of the answers.
"""

import json
import sys

import fastly
from fastly.api import billing_usage_metrics_api


def plain(value):
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return value


def pages(method, arguments):
    found = []
    while True:
        found.append(plain(method(**arguments)))
        arguments["cursor"] = found[-1]["data"]["meta"]["next_cursor"]
        if not arguments["cursor"]:
            return found


def call(api, operation, arguments, follow):
    try:
        method = getattr(api, operation)
        return {"value": pages(method, arguments) if follow else plain(method(**arguments))}
    except fastly.ApiException as e:
        return {"error": type(e).__name__, "status": getattr(e, "status", 0), "body": str(getattr(e, "body", ""))}


def main():
    job = json.load(sys.stdin)
    configuration = fastly.Configuration(host=job["host"])
    configuration.api_key["token"] = job["token"]
    if job.get("prefix"):
        configuration.api_key_prefix["token"] = job["prefix"]
    with fastly.ApiClient(configuration) as client:
        api = billing_usage_metrics_api.BillingUsageMetricsApi(client)
        results = [call(api, c["operation"], c["arguments"], c.get("follow")) for c in job["calls"]]
    json.dump(results, sys.stdout, default=str)


main()
