"""Signs requests with the vendor's EdgeGrid for Python, as its pages show, and prints what came back.

Reads {"host", "ca", "credentials": {NAME: {"client_token", "access_token", "client_secret"}}, "calls": [...]}
and prints one {"status", "type", "location", "body", "again"} for each call. A call has
  path           path, and query if it was built by hand
  query          further parameters
  as             the name of a credential; without one the request goes out unsigned
  method         instead of GET
  account_key    the account to switch to
  age            seconds by which the timestamp lies in the past
  authorization  this header instead of a signature
  twice          send the same signed request once more; its status is "again"
"""

import datetime
import json
import sys

import requests
from akamai.edgegrid import EdgeGridAuth


class Aged(EdgeGridAuth):
    """Signs with a clock that is slow."""

    age = 0

    def __call__(self, request):
        then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=self.age)
        request.headers["Authorization"] = self.ah.make_auth_header(request, then.strftime("%Y%m%dT%H:%M:%S+0000"), "nonce")
        return request


def auth(job, call):
    if not call.get("as"):
        return None
    c = job["credentials"][call["as"]]
    age = call.get("age", 0)
    signer = (Aged if age else EdgeGridAuth)(client_token=c["client_token"], client_secret=c["client_secret"], access_token=c["access_token"])
    signer.age = age
    return signer


def make(session, job, call):
    query = dict(call.get("query") or {})
    if call.get("account_key"):
        query["accountSwitchKey"] = call["account_key"]
    headers = {"Authorization": call["authorization"]} if call.get("authorization") else {}
    request = session.prepare_request(
        requests.Request(call.get("method") or "GET", job["host"] + call["path"], params=query, headers=headers, auth=auth(job, call))
    )
    response = session.send(request)
    result = {
        "status": response.status_code,
        "type": response.headers.get("Content-Type", ""),
        "location": response.headers.get("Location", ""),
        "redirects": len(response.history),
        "body": response.text,
    }
    if call.get("twice"):
        again = session.send(request)
        result["again"], result["body"] = again.status_code, again.text
    return result


def main():
    job = json.load(sys.stdin)
    with requests.Session() as session:
        session.trust_env = False
        session.verify = job["ca"] or True
        json.dump([make(session, job, call) for call in job["calls"]], sys.stdout)


main()
