"""Puts Python's requests through its paces: python3 with_requests.py URL."""

import hashlib
import sys

import requests

BASE = sys.argv[1]


def show(what, answer):
    print(what, answer.status_code, answer.reason, answer.url, len(answer.history))
    for name in sorted(answer.headers, key=str.lower):
        print(f"{name.lower()}: {answer.headers[name]}")
    print(len(answer.content), hashlib.sha256(answer.content).hexdigest())


def fails(what, call):
    try:
        show(what, call())
    except requests.RequestException as error:
        print(what, type(error).__name__)


def pieces():
    for number in range(50):
        yield f"piece {number}\n".encode()


with requests.Session() as session:
    session.trust_env = False
    show("get", session.get(f"{BASE}/echo", params={"q": "a b&ü", "r": ["1", "2"]}))
    show("json", session.post(f"{BASE}/echo", json={"a": [1, None, "ü"]}))
    show("form", session.post(f"{BASE}/echo", data={"a": "1", "b": "ü"}))
    show("files", session.post(f"{BASE}/sink", files={"f": ("a.txt", b"gold" * 30000, "text/plain")}, data={"n": "v"}))
    show("stream up", session.put(f"{BASE}/echo", data=pieces()))
    show("head", session.head(f"{BASE}/bytes/1000"))
    show("options", session.options(f"{BASE}/echo"))
    show("patch", session.patch(f"{BASE}/echo", data=b"\x00\xff"))
    show("delete", session.delete(f"{BASE}/status/204"))
    show("redirects", session.post(f"{BASE}/redirect/303/2", data="x"))
    show("kept method", session.post(f"{BASE}/redirect/307/2", data="x"))
    show("no redirect", session.get(f"{BASE}/redirect/302/1", allow_redirects=False))
    show("cookies", session.get(f"{BASE}/cookies/set"))
    show("cookies again", session.get(f"{BASE}/cookies"))
    show("basic", session.get(f"{BASE}/basic", auth=("ada", "lovelace")))
    show("not let in", session.get(f"{BASE}/basic", auth=("ada", "wrong")))
    for coding in ("gzip", "deflate"):
        show(coding, session.get(f"{BASE}/{coding}"))
    show("range", session.get(f"{BASE}/bytes/1000", headers={"Range": "bytes=10-19"}))
    show("not modified", session.get(f"{BASE}/bytes/1000", headers={"If-None-Match": '"e1"'}))
    show("large", session.get(f"{BASE}/bytes/5000000"))
    show("latin", session.get(f"{BASE}/echo", headers={"X-Latin": "caf\xe9".encode("latin-1")}))
    show("not found", session.get(f"{BASE}/nowhere"))
    with session.get(f"{BASE}/events/10", stream=True) as answer:
        print("events", [line for line in answer.iter_lines() if line])
    with session.get(f"{BASE}/bytes/3000000", stream=True) as answer:
        print("half of it", len(answer.raw.read(1500000)))
    fails("server error", lambda: session.get(f"{BASE}/status/500").raise_for_status())
    fails("too many", lambda: session.get(f"{BASE}/redirect/302/40"))
    fails("timeout", lambda: session.get(f"{BASE}/silent", timeout=(5, 0.5)))
    # Of a body with a length requests does not mind the end.
    fails("cut", lambda: session.get(f"{BASE}/cut/chunks"))
    for number in range(100):
        assert session.get(f"{BASE}/bytes/{number}").headers["content-length"] == str(number)
print("that is all")
