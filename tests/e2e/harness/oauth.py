"""An authorization server: introspection (RFC 7662), a JWK Set, and tokens, signed by openssl."""
import base64
import http.server
import json
import re
import subprocess
import threading
import time
import urllib.parse

from .process import run


def base64url(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


class Key:
    def __init__(self, folder, name, kind="RS256", bits=2048):
        self.name, self.kind, self.path = name, kind, folder / f"{name}.key"
        if kind == "RS256":
            run(["openssl", "genrsa", "-out", self.path, str(bits)])
        else:
            run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path])

    def jwk(self):
        common = {"kid": self.name, "use": "sig", "alg": self.kind}
        if self.kind == "RS256":
            modulus = run(["openssl", "rsa", "-in", self.path, "-modulus", "-noout"]).stdout.strip().partition("=")[2]
            return {"kty": "RSA", "n": base64url(bytes.fromhex(modulus)), "e": "AQAB", **common}
        text = run(["openssl", "ec", "-in", self.path, "-text", "-noout"]).stdout
        point = bytes.fromhex(re.sub(r"[\s:]", "", text.split("pub:")[1].split("ASN1")[0]))
        return {"kty": "EC", "crv": "P-256", "x": base64url(point[1:33]), "y": base64url(point[33:65]), **common}

    def sign(self, text):
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(self.path)], input=text.encode(), capture_output=True,
                                   check=True).stdout
        return signature if self.kind == "RS256" else self.raw(signature)

    @staticmethod
    def raw(der):
        """R and S from their SEQUENCE."""
        numbers, at = [], 2
        for _ in range(2):
            length = der[at + 1]
            numbers.append(int.from_bytes(der[at + 2:at + 2 + length], "big").to_bytes(32, "big"))
            at += 2 + length
        return b"".join(numbers)

    def token(self, claims, **header):
        header = {"alg": self.kind, "kid": self.name, "typ": "JWT", **header}
        text = f"{base64url({k: v for k, v in header.items() if v is not None})}.{base64url(claims)}"
        return f"{text}.{base64url(self.sign(text))}"


class AuthorizationServer:
    """.tokens: what introspection knows; .keys: what is published; .asked: paths; .behave: a status instead, "cut", "silent", "nonsense",
    "endless"."""

    def __init__(self, folder, secret, certificate=None):
        """certificate: it speaks https with it."""
        self.folder, self.secret, self.certificate = folder, secret, certificate
        self.issuer, self.audience = "https://issuer.test", "posthouse"
        self.tokens, self.keys, self.asked, self.behave = {}, [], [], None
        self.server = None
        self.port = 0
        self.ended = threading.Event()
        self.start()

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # headers and body are two writes

            def log_message(self, *_):
                pass

            def answer(self, status, body):
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def misbehaves(self):
                outer.asked.append(self.path)
                if outer.behave == "cut":
                    self.close_connection = True
                elif outer.behave == "silent":
                    outer.ended.wait(60)
                elif outer.behave in ("nonsense", "endless"):
                    self.answer(200, b"nonsense" if outer.behave == "nonsense" else b" " * 300000)
                elif outer.behave:
                    self.answer(outer.behave, {"error": "so it was asked for"})
                return outer.behave is not None

            def do_GET(self):
                if not self.misbehaves():
                    self.answer(200, {"keys": [key.jwk() for key in outer.keys]})

            def do_POST(self):
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                if self.misbehaves():
                    return
                expected = base64.b64encode(f"relay:{outer.secret}".encode()).decode()
                if self.headers.get("Authorization") != f"Basic {expected}":
                    self.answer(401, {"error": "invalid_client"})
                else:
                    self.answer(200, outer.tokens.get(form["token"][0], {"active": False}))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self.certificate:
            self.server.socket = self.certificate.server_context().wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def url(self, path):
        return f"{'https://localhost' if self.certificate else 'http://127.0.0.1'}:{self.port}{path}"

    def claims(self, account, **more):
        claims = {"iss": self.issuer, "aud": self.audience, "exp": int(time.time()) + 600, "scope": "openid mail", "email": account,
                  **more}
        return {name: value for name, value in claims.items() if value is not None}
