"""Sends one message and returns when it is safe on the broker's disk."""

import sys

import stomp

queue, text = sys.argv[1:3]
connection = stomp.Connection12([("127.0.0.1", 61613)])
durable = stomp.listener.WaitingListener("order-1")
connection.set_listener("durable", durable)
connection.connect(wait=True)
connection.send(queue, text, receipt="order-1")
durable.wait_on_receipt()
print("stored:", text)
connection.disconnect()
