#!/usr/bin/python3
"""demo-primary PORT FOLDER: the small mail server that stands for relayed.test's own in ./run-demo.

Takes whatever it is given on 127.0.0.1:PORT and stores it as a Maildir in FOLDER. It is no part of Posthouse and not
meant for anything else: no TLS, no accounts, one message held in memory while it arrives.
"""
import asyncio
import itertools
import os
import signal
import sys
import time

SIZE_MAX = 64 * 1024 * 1024
LINE_MAX = 65536
TIMEOUT = 300
counter = itertools.count(1)


def store(folder, content):
    """Durable before it is acknowledged: written and flushed in tmp/, then moved to new/."""
    name = f"{int(time.time())}.{os.getpid()}_{next(counter)}.demo"
    temporary = os.path.join(folder, "tmp", name)
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, os.path.join(folder, "new", name))
    directory = os.open(os.path.join(folder, "new"), os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


class Session:
    def __init__(self, reader, writer, folder):
        self.reader, self.writer, self.folder = reader, writer, folder
        self.reset()

    def reset(self):
        self.sender, self.recipients = None, []

    async def line(self):
        return await asyncio.wait_for(self.reader.readline(), TIMEOUT)

    async def say(self, text):
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def run(self):
        await self.say("220 primary.relayed.test ESMTP demonstration")
        while line := await self.line():
            verb, _, rest = line.decode("utf-8", "replace").rstrip("\r\n").partition(" ")
            handler = getattr(self, "on_" + verb.lower(), None)
            if handler is None:
                await self.say("500 5.5.2 unknown command")
            elif await handler(rest):
                return

    async def on_ehlo(self, _):
        self.reset()
        await self.say(f"250-primary.relayed.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE {SIZE_MAX}\r\n"
                       "250 ENHANCEDSTATUSCODES")

    async def on_helo(self, _):
        self.reset()
        await self.say("250 primary.relayed.test")

    async def on_mail(self, rest):
        if self.sender is not None:
            return await self.say("503 5.5.1 a message is begun already")
        self.sender = rest.partition("<")[2].partition(">")[0]
        await self.say("250 2.1.0 ok")

    async def on_rcpt(self, rest):
        if self.sender is None:
            return await self.say("503 5.5.1 MAIL first")
        self.recipients.append(rest.partition("<")[2].partition(">")[0])
        await self.say("250 2.1.5 ok")

    async def on_data(self, _):
        if not self.recipients:
            return await self.say("503 5.5.1 RCPT first")
        await self.say("354 go on, end with a dot")
        content = bytearray()
        while (line := await self.line()) != b".\r\n":
            if not line:
                return True
            if len(content) <= SIZE_MAX:
                content += line[1:] if line.startswith(b".") else line
        if len(content) > SIZE_MAX:
            await self.say("552 5.3.4 too long")
        else:
            head = f"Return-Path: <{self.sender}>\nDelivered-To: {', '.join(self.recipients)}\n"
            store(self.folder, head.encode() + bytes(content).replace(b"\r\n", b"\n"))
            await self.say("250 2.0.0 stored")
        self.reset()

    async def on_rset(self, _):
        self.reset()
        await self.say("250 2.0.0 ok")

    async def on_noop(self, _):
        await self.say("250 2.0.0 ok")

    async def on_quit(self, _):
        await self.say("221 2.0.0 bye")
        return True


async def main(port, folder):
    for name in ("tmp", "new", "cur"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)

    async def serve(reader, writer):
        try:
            await Session(reader, writer, folder).run()
        except (OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            pass  # the client went away, was silent, or sent a line that is too long
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=LINE_MAX)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        await stop.wait()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
