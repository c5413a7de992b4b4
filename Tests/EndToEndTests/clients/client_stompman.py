"""What stompman (asyncio, STOMP 1.2) does against a broker; see README.md for the verbs."""

import asyncio
import os
import sys

import stompman

BINARY = bytes(range(256)) * 8 + b"\x00\x00end\n\x00"


def client(host, port, **options):
    server = stompman.ConnectionParameters(host, port, "guest", "guest")
    return stompman.Client([server], heartbeat=stompman.Heartbeat(5000, 5000), **options)


def expect(actual, wanted, what):
    if actual != wanted:
        sys.exit(f"{what}: wanted {wanted!r}, got {actual!r}")


async def check(host, port):
    name, topic = f"/queue/check.stompman.{os.getpid()}", f"/topic/check.stompman.{os.getpid()}"
    inbox = asyncio.Queue()
    async with client(host, port) as connection:
        for number in range(10):
            await connection.send(b"body %d" % number, name, receipt_timeout=20)
        queue = await connection.subscribe_with_manual_ack(
            name, inbox.put, headers={"prefetch-count": "10"}, receipt_timeout=20)

        async def take(body, what):
            frame = await asyncio.wait_for(inbox.get(), 20)
            expect(frame.body, body, what)
            return frame

        for number in range(10):
            frame = await take(b"body %d" % number, "message in order")
            await (frame.nack() if number == 9 else frame.ack())
        await (await take(b"body 9", "message that was given back")).ack()

        async with connection.begin() as transaction:
            await transaction.send(b"one", name)
            await transaction.send(b"two", name)
        for body in (b"one", b"two"):
            await (await take(body, "message of a committed transaction")).ack()
        try:
            async with connection.begin() as transaction:
                await transaction.send(b"never", name)
                raise KeyError("to abort it")
        except KeyError:
            pass
        await connection.send(BINARY, name, content_type="application/x-test", receipt_timeout=20)
        frame = await take(BINARY, "binary body, and nothing of the aborted transaction")
        expect(frame.headers["content-type"], "application/x-test", "content-type")
        await frame.ack()
        await queue.unsubscribe()

        news = await connection.subscribe_with_manual_ack(topic, inbox.put, ack="auto", receipt_timeout=20)
        await connection.send(b"news", topic, headers={"colour": "a:b\\c"})
        frame = await take(b"news", "topic message")
        expect(frame.headers["colour"], "a:b\\c", "escaped header")
        await news.unsubscribe()


async def produce(host, port, name, first):
    number = int(first)
    try:
        async with client(host, port, connect_retry_attempts=1) as connection:
            while True:
                await connection.send(b"%d" % number, name, receipt_timeout=20)
                print(number, flush=True)
                number += 1
    except (stompman.Error, ExceptionGroup):
        pass  # the connection is lost


async def follow(host, port, name, last):
    """Takes messages, over lost connections, until the one that says `last`."""
    done = asyncio.Event()

    async def handle(frame):
        print(frame.body.decode(), flush=True)
        await frame.ack()
        if frame.body.decode() == last:
            done.set()

    async with client(host, port, connect_retry_attempts=60) as connection:
        subscription = await connection.subscribe_with_manual_ack(name, handle)
        await asyncio.wait_for(done.wait(), 60)
        await subscription.unsubscribe()


verb, host, port, *rest = sys.argv[1:]
asyncio.run({"check": check, "produce": produce, "follow": follow}[verb](host, int(port), *rest))
