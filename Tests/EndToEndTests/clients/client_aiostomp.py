"""What aiostomp (asyncio, STOMP 1.1) does against a broker; see README.md for the verbs.

It has neither receipts nor transactions.
"""

import asyncio
import os
import sys

import aiostomp

BINARY = bytes(range(256)) * 8 + b"\x00\x00end\n\x00"


async def connect(host, port):
    connection = aiostomp.AioStomp(host, port, heartbeat_interval_cx=5000, heartbeat_interval_cy=5000)
    await connection.connect("guest", "guest")
    return connection


def expect(actual, wanted, what):
    if actual != wanted:
        sys.exit(f"{what}: wanted {wanted!r}, got {actual!r}")


async def check(host, port):
    connection = await connect(host, port)
    name, topic = f"/queue/check.aiostomp.{os.getpid()}", f"/topic/check.aiostomp.{os.getpid()}"
    inbox, refused = asyncio.Queue(), []

    async def handle(frame, body):
        if body == b"body 9" and not refused:
            refused.append(frame)
            return False
        await inbox.put((frame, body))
        return True

    async def take(body, what):
        frame, got = await asyncio.wait_for(inbox.get(), 20)
        expect(got, body, what)
        return frame

    for number in range(10):
        connection.send(name, f"body {number}")
    queue = connection.subscribe(
        name, ack="client-individual", handler=handle, extra_headers={"prefetch-count": 10})
    for number in range(10):
        frame = await take(b"body %d" % number, "message in order")
    expect(frame.headers.get("redelivered"), "true", "mark of the message that was given back")
    connection.send(name, BINARY)
    await take(BINARY, "binary body")
    connection.unsubscribe(queue)

    connection.subscribe(topic, handler=handle)
    connection.send(topic, "news", headers={"colour": "a:b\\c"})
    frame = await take(b"news", "topic message")
    expect(frame.headers["colour"], "a:b\\c", "escaped header")
    connection.close()


async def follow(host, port, name, last):
    """Takes messages, over lost connections, until the one that says `last`."""
    done = asyncio.Event()

    async def handle(frame, body):
        print(body.decode(), flush=True)
        if body.decode() == last:
            done.set()
        return True

    connection = await connect(host, port)
    connection.subscribe(name, ack="client-individual", handler=handle)
    await asyncio.wait_for(done.wait(), 60)
    connection.close()


verb, host, port, *rest = sys.argv[1:]
asyncio.run({"check": check, "follow": follow}[verb](host, int(port), *rest))
