"""A synchronous call over a queue, with a timeout: `pip install stomp.py`, then

    python request_reply.py serve HOST PORT &
    python request_reply.py call HOST PORT 6 7        # prints 42
"""

import queue
import sys
import uuid

import stomp


class Caller(stomp.ConnectionListener):
    """Sends requests and waits for the reply with the same correlation-id."""

    def __init__(self, address, requests):
        self.requests = requests
        self.replies = {}
        self.connection = stomp.Connection12([address])
        self.connection.set_listener("", self)
        self.connection.connect(wait=True)

    def on_message(self, frame):
        waiting = self.replies.get(frame.headers.get("correlation-id"))
        if waiting:  # Otherwise it came too late: nobody waits any more.
            waiting.put(frame.body)

    def call(self, body, timeout):
        """The reply, or TimeoutError."""
        correlation = str(uuid.uuid4())
        self.replies[correlation] = queue.Queue()
        try:
            # The broker makes the reply queue, and puts its public address in place of the name.
            # The request is of no use after the timeout, so it expires.
            self.connection.send(self.requests, body, headers={
                "reply-to": "/temp-queue/replies",
                "correlation-id": correlation,
                "expiration": str(int(timeout * 1000)),
            })
            return self.replies[correlation].get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no reply within {timeout} s") from None
        finally:
            del self.replies[correlation]

    def close(self):
        self.connection.disconnect()


class Worker(stomp.ConnectionListener):
    """Multiplies what it is asked to. Connects again when its connection ends."""

    def __init__(self, address, requests):
        self.requests = requests
        self.connection = stomp.Connection12([address])
        self.connection.set_listener("", self)

    def on_message(self, frame):
        left, right = map(int, frame.body.split())
        # First the reply, then the ACK: a worker that dies between them is asked again.
        self.connection.send(frame.headers["reply-to"], str(left * right), headers={
            "correlation-id": frame.headers["correlation-id"],
        })
        self.connection.ack(frame.headers["ack"])

    def on_error(self, frame):
        # The asker is gone, for instance. The connection ends; the message comes again, and expires.
        print(frame.body, file=sys.stderr)

    def on_disconnected(self):
        self.connect()

    def connect(self):
        self.connection.connect(wait=True)
        self.connection.subscribe(self.requests, id="requests", ack="client-individual")


def main():
    role, host, port, *numbers = sys.argv[1:]
    address, requests = (host, int(port)), "/queue/multiply"
    if role == "serve":
        Worker(address, requests).connect()
        print("serving", flush=True)
        sys.stdin.read()
    else:
        caller = Caller(address, requests)
        print(caller.call(" ".join(numbers), timeout=5))
        caller.close()


if __name__ == "__main__":
    main()
