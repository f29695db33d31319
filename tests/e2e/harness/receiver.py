"""Who is told by webhooks: an HTTP server that checks each signature, as Standard Webhooks 1.0.0 has it."""
import base64
import collections
import hashlib
import hmac
import http.server
import json
import threading
import time

Told = collections.namedtuple("Told", "id type data timestamp path at")


class Receiver:
    """.told: what came with a good signature; .bad: what did not; .behave: (status, headers) or "cut" or None; .secrets: {path: secret}."""

    def __init__(self, tls=None, address="127.0.0.1"):
        self.told, self.bad, self.behave, self.secrets, self.tries = [], [], None, {}, 0
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # headers and body are two writes

            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.lock:
                    outer.tries += 1
                    behave = outer.behave
                    if behave is None:
                        outer.take(self.path, self.headers, body)
                if behave == "cut":
                    self.close_connection = True
                    return
                status, headers = behave or (204, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.url = f"{'https' if tls else 'http'}://{'localhost' if tls else address}:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, headers, body):
        key = base64.b64decode(self.secrets.get(path, "whsec_").removeprefix("whsec_"))
        name, when = headers["webhook-id"], headers["webhook-timestamp"]
        expected = base64.b64encode(hmac.digest(key, f"{name}.{when}.".encode() + body, hashlib.sha256)).decode()
        good = headers["webhook-signature"] == f"v1,{expected}" and abs(int(when) - time.time()) < 60
        if not good or headers["Content-Type"] != "application/json":
            self.bad.append((path, dict(headers), body))
            return
        event = json.loads(body)
        self.told.append(Told(name, event["type"], event["data"], event["timestamp"], path, time.time()))

    def types(self):
        return [told.type for told in self.told]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
