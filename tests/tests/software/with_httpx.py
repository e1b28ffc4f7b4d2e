"""Puts Python's httpx through its paces, one call after the other and many at once: python3 with_httpx.py URL."""

import asyncio
import hashlib
import sys

import httpx

BASE = sys.argv[1]


def show(what, answer):
    print(what, answer.status_code, answer.reason_phrase, answer.http_version, answer.url, len(answer.history))
    for name, value in sorted(answer.headers.multi_items()):
        print(f"{name}: {value}")
    print(len(answer.content), hashlib.sha256(answer.content).hexdigest())


def fails(what, call):
    try:
        show(what, call())
    except httpx.HTTPError as error:
        print(what, type(error).__name__)


def pieces():
    for number in range(50):
        yield f"piece {number}\n".encode()


def in_a_row():
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=30) as client:
        show("get", client.get(f"{BASE}/echo", params={"q": "a b&ü"}))
        show("json", client.post(f"{BASE}/echo", json={"a": [1, None, "ü"]}))
        show("form", client.post(f"{BASE}/echo", data={"a": "1", "b": "ü"}))
        show("files", client.post(f"{BASE}/sink", files={"f": ("a.txt", b"gold" * 30000, "text/plain")}))
        show("stream up", client.put(f"{BASE}/echo", content=pieces()))
        show("get with a body", client.request("GET", f"{BASE}/echo", content=b"why not"))
        show("head", client.head(f"{BASE}/bytes/1000"))
        show("redirects", client.post(f"{BASE}/redirect/302/2", content=b"x"))
        show("cookies", client.get(f"{BASE}/cookies/set"))
        show("basic", client.get(f"{BASE}/basic", auth=("ada", "lovelace")))
        show("gzip", client.get(f"{BASE}/gzip"))
        show("large", client.get(f"{BASE}/bytes/5000000"))
        show("not modified", client.get(f"{BASE}/bytes/1000", headers={"If-None-Match": '"e1"'}))
        with client.stream("GET", f"{BASE}/events/10") as answer:
            print("events", [line.strip() for line in answer.iter_lines() if line.strip()])
        fails("timeout", lambda: client.get(f"{BASE}/silent", timeout=0.5))
        fails("cut", lambda: client.get(f"{BASE}/cut"))


async def at_once():
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        calls = (client.post(f"{BASE}/echo", content=f"{number} " * number) for number in range(50))
        for number, answer in enumerate(await asyncio.gather(*calls)):
            assert (answer.status_code, answer.text) == (200, f"{number} " * number), number
    print("50 at once")


in_a_row()
asyncio.run(at_once())
print("that is all")
