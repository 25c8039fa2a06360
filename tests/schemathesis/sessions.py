"""A session of its own for each request: for operations that end the session that asks.

ROLLCALL_URL, ROLLCALL_USERNAME and ROLLCALL_PASSWORD say where and as whom to sign in.
"""

import json
import os
import urllib.request

import schemathesis


@schemathesis.auth(refresh_interval=None)
class Session:
    def get(self, case, context):
        body = {
            "username": os.environ["ROLLCALL_USERNAME"],
            "password": os.environ["ROLLCALL_PASSWORD"],
        }
        request = urllib.request.Request(
            os.environ["ROLLCALL_URL"] + "/api/users/login",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["tokens"]["sip"]

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
