"""The REST API, as a test calls it."""
import json
import urllib.error
import urllib.parse
import urllib.request

from .process import DEADLINE


class ApiError(AssertionError):
    def __init__(self, method, path, status, body):
        super().__init__(f"{method} {path}: {status} {body}")
        self.status = status
        self.body = body


class Api:
    def __init__(self, port, token):
        self.base = f"http://127.0.0.1:{port}"
        self.token = token

    def request(self, method, path, body=None, token=None, headers=None):
        """(status, headers, body): parsed if it is JSON, else text. Never raises for a status."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        token = self.token if token is None else token
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            reply = urllib.request.urlopen(request, timeout=DEADLINE)
        except urllib.error.HTTPError as error:
            reply = error
        with reply:
            raw = reply.read()
            kind = reply.headers.get("Content-Type", "")
            parsed = json.loads(raw) if "json" in kind and raw else raw.decode()
            return reply.status, reply.headers, parsed

    def _must(self, method, path, body=None):
        status, _, parsed = self.request(method, path, body)
        if not 200 <= status < 300:
            raise ApiError(method, path, status, parsed)
        return parsed

    def get(self, path, **query):
        return self._must("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))

    def post(self, path, body):
        return self._must("POST", path, body)

    def put(self, path, body):
        return self._must("PUT", path, body)

    def patch(self, path, body):
        return self._must("PATCH", path, body)

    def delete(self, path):
        return self._must("DELETE", path)

    # What nearly every test needs.
    def customer(self, name):
        return self.post("/v1/customers", {"name": name})

    def hosted_domain(self, name, customer):
        return self.post("/v1/domains", {"name": name, "customer": customer, "kind": "hosted"})

    def relay_domain(self, name, customer, *ports):
        """Its next hops: these ports on loopback, in order."""
        hops = [{"host": "127.0.0.1", "port": port, "priority": 10 * (place + 1)} for place, port in enumerate(ports)]
        return self.post("/v1/domains", {"name": name, "customer": customer, "kind": "relay", "next_hops": hops})

    def account(self, address, customer, password="posthouse-demo"):
        return self.post("/v1/accounts", {"address": address, "customer": customer, "password": password})
