"""A real HTTP receiver and a real SMTP server on this machine, for what the house sends out."""

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hook:
    """A webhook's server: keeps what was posted; answers as told, in order, the last for ever."""

    def __init__(self, *answers):
        self.posted = []
        self._answers = list(answers) or [200]
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.posted.append(json.loads(body))
                status = owner._answers.pop(0) if len(owner._answers) > 1 else owner._answers[0]
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"json://127.0.0.1:{self._server.server_port}/assay"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


class _Session(socketserver.StreamRequestHandler):
    """One connection of a mail client."""

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        mail = self.server.mail
        if mail.silent:
            mail.ending.wait(30)
            return
        self.say("220 mail.example")
        sender, recipients = "", []
        while line := self.rfile.readline().decode().strip():
            word, said = line[:4].upper(), line.partition(":")[2]
            if word == "MAIL":
                sender = said
            elif word == "RCPT" and mail.refuse:
                self.say("550 no such person")
                continue
            elif word == "RCPT":
                recipients.append(said)
            elif word == "DATA":
                self.say("354 go on")
                mail.received.append((sender, recipients, self.text()))
            self.say("221 bye" if word == "QUIT" else "250 ok")
            if word == "QUIT":
                return

    def text(self):
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        return b"".join(lines).decode()


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class Mail:
    """A small SMTP server (RFC 5321): keeps sender, recipients and text of each message.

    With `refuse` it answers every recipient with 550; with `silent` it says nothing at all.
    """

    def __init__(self, *, refuse=False, silent=False):
        self.received = []
        self.refuse, self.silent = refuse, silent
        self.ending = threading.Event()
        self._server = _MailServer(("127.0.0.1", 0), _Session)
        self._server.mail = self
        self.address = (
            f"mailto://127.0.0.1:{self._server.server_address[1]}"
            "?from=assay@bank.example&to=risk@bank.example&mode=insecure"
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
