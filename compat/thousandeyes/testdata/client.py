"""Calls the vendor's Python client, as its pages show, and prints what it makes of the answers.

Reads {"host" (as the release wants it), "calls": [{"operation", "arguments": {...}, "token", "how"}]} and prints a
list of {"value"} or {"error", "status", "body", "data"}, one for each call. Arguments ending in _date are read as
dates. With how = "pages" the value is the list of all pages, asked for with the cursor of each page's link and the
same arguments; with how = "rows" it is what the client's own iterator gives, where the client has one.
"""

import datetime
import json
import sys
import urllib.parse

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
        return [Expand(v) for v in value.split(",") if v]
    return value


def pages(method, arguments):
    found = []
    while True:
        page = method(**arguments).to_dict()
        found.append(page)
        following = page["_links"].get("next")
        if not following:
            return found
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(following["href"]).query, strict_parsing=True)
        (arguments["cursor"],) = query["cursor"]


def make(api, call):
    try:
        arguments = {k: argument(k, v) for k, v in (call["arguments"] or {}).items()}
        how = call.get("how")
        if how == "rows":
            return {"value": [row.to_dict() for row in getattr(api, call["operation"] + "_paginated")(**arguments)]}
        method = getattr(api, call["operation"])
        return {"value": pages(method, arguments) if how == "pages" else method(**arguments).to_dict()}
    except ApiException as e:
        data = e.data.to_dict() if hasattr(e.data, "to_dict") else None
        return {"error": type(e).__name__, "status": e.status, "body": e.body, "data": data}


def main():
    job = json.load(sys.stdin)
    apis, results = {}, []
    for call in job["calls"]:
        token = call["token"]
        if token not in apis:
            configuration = thousandeyes_sdk.core.Configuration(host=job["host"], access_token=token)
            apis[token] = thousandeyes_sdk.usage.UsageApi(thousandeyes_sdk.core.ApiClient(configuration))
        results.append(make(apis[token], call))
    json.dump(results, sys.stdout, default=str)


main()
