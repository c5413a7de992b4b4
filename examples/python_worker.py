"""Takes messages one at a time; what is not acknowledged goes to somebody else."""

import sys
import threading

import stomp


class Worker(stomp.ConnectionListener):
    def __init__(self, connection):
        self.connection = connection
        self.over = threading.Event()

    def on_message(self, frame):
        print("working on:", frame.body, flush=True)
        self.connection.ack(frame.headers["ack"])

    def on_disconnected(self):
        self.over.set()


connection = stomp.Connection12([("127.0.0.1", 61613)])
worker = Worker(connection)
connection.set_listener("worker", worker)
connection.connect(wait=True)
connection.subscribe(sys.argv[1], id="1", ack="client-individual")
worker.over.wait()
