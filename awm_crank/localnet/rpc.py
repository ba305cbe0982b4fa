"""Blocking JSON-RPC calls, for set-up and tests."""

from __future__ import annotations

import http.client
import json
import urllib.request
from typing import Any

from ..errors import RpcError


def call(url: str, method: str, *params: object, timeout_s: float = 30.0) -> Any:
    """Makes one call and returns the result.

    Raises:
        RpcError: there was no answer (recoverable), or the endpoint returned an error.
    """
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            reply = json.load(answer)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RpcError(f"{method}: no answer from {url}: {error}", recoverable=True) from None
    if "error" in reply:
        refusal = reply["error"]
        raise RpcError(f"{method}: {refusal['message']}", code=refusal["code"], data=refusal.get("data"))
    return reply["result"]
