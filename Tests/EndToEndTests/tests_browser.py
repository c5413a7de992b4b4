"""A real browser: its own WebSocket, stomp.js, and the page of docs/clients.md."""

import json
import pathlib
import re

from browser import Page, browsing, report_of
from harness import Skip, test
from transport import WebSocketClient, listener, start

ROOT = pathlib.Path(__file__).resolve().parents[2]
STOMP_JS = ROOT / ".build-clients" / "stomp.js"

SCRIPT = """
const report = value => fetch("/report", {method: "POST", body: JSON.stringify(value)})
const events = {}
// Frames come one in a message; each is waited for in turn.
function connect(url, protocols) {
  const socket = new WebSocket(url, protocols)
  socket.binaryType = "arraybuffer"
  const inbox = [], waiting = []
  socket.onmessage = event => waiting.length ? waiting.shift()(event.data) : inbox.push(event.data)
  socket.next = () => new Promise(done => inbox.length ? done(inbox.shift()) : waiting.push(done))
  socket.opened = new Promise(done => {
    socket.onopen = () => done("open")
    socket.onerror = () => done("error")
  })
  socket.closed = new Promise(done => socket.onclose = event =>
    done({code: event.code, wasClean: event.wasClean}))
  return socket
}
const frame = (command, headers, body = "") => command + "\\n" +
  Object.entries(headers).map(([name, value]) => name + ":" + value + "\\n").join("") +
  "\\n" + body + "\\0"
async function run() {
  const socket = connect(OPEN, ["v10.stomp", "v12.stomp"])
  events.opened = await socket.opened
  events.protocol = socket.protocol
  socket.send(frame("CONNECT", {"accept-version": "1.0,1.1,1.2", host: "/"}))
  events.connected = await socket.next()
  socket.send(frame("SUBSCRIBE", {id: 1, destination: "/queue/q", ack: "client-individual",
                                  receipt: "subscribed"}))
  events.subscribed = await socket.next()
  socket.send(frame("SEND", {destination: "/queue/q"}, "tränen \\u20ac"))
  events.text = await socket.next()
  socket.send(frame("ACK", {id: /\\nack:(.*)\\n/.exec(events.text)[1], receipt: "acked"}))
  events.acked = await socket.next()
  const body = new Uint8Array(200000).map((_, index) => index * 7)
  const head = new TextEncoder().encode(
    "SEND\\ndestination:/queue/q\\ncontent-length:" + body.length + "\\n\\n")
  socket.send(new Blob([head, body, new Uint8Array(1)]))
  const binary = new Uint8Array(await socket.next())
  const start = new TextDecoder("latin1").decode(binary).indexOf("\\n\\n") + 2
  events.binary = binary.length === start + body.length + 2
    && body.every((byte, index) => binary[start + index] === byte)
  socket.send(frame("DISCONNECT", {receipt: "bye"}))
  events.bye = await socket.next()
  events.closed = await socket.closed
  const refused = connect(REFUSED, ["v12.stomp"])
  events.refusedOpened = await refused.opened
  events.refused = await refused.closed
  const unknown = connect(OPEN, ["mqtt"])
  events.unknown = await unknown.opened
}
run().catch(error => events.failure = String(error)).then(() => report(events))
"""


@test("a browser speaks STOMP over its own WebSocket, text and binary; a page of a wrong origin is kept out")
def browser(environment):
    files = {}
    page = Page(files)
    try:
        daemon = start(environment, listener("websocket", origins=json.dumps([page.origin]))
                       + listener("websocket"))
        urls = [f"ws://127.0.0.1:{port}/" for port in daemon.ports]
        constants = f"const OPEN = {urls[0]!r}, REFUSED = {urls[1]!r}\n"
        files["/"] = f"<!doctype html><script>\n{constants}{SCRIPT}</script>"
        events = report_of(environment, page)
    finally:
        page.close()
    assert "failure" not in events, events
    assert events["opened"] == "open" and events["protocol"] == "v12.stomp", events
    assert events["connected"].startswith("CONNECTED\nversion:1.2\n"), events
    assert events["subscribed"] == "RECEIPT\nreceipt-id:subscribed\n\n\0\n", events
    assert events["text"].startswith("MESSAGE\n"), events
    assert events["text"].endswith("\n\ntränen \u20ac\0\n"), events
    assert events["acked"] == "RECEIPT\nreceipt-id:acked\n\n\0\n", events
    assert events["binary"] is True, events
    assert "bye" in events["bye"], events
    assert events["closed"] == {"code": 1000, "wasClean": True}, events
    assert events["refusedOpened"] == "error" and events["refused"]["code"] == 1006, events
    assert events["unknown"] == "error", events
    assert "403: Pages of this origin may not connect" in daemon.log(), daemon.log()
    daemon.stop()


STOMP_SCRIPT = """
const report = value => fetch("/report", {method: "POST", body: JSON.stringify(value)})
const got = []
const client = Stomp.client(OPEN)
client.debug = null
client.heartbeat.outgoing = client.heartbeat.incoming = 200
client.connect("guest", "guest", () => {
  client.subscribe("/queue/stompjs", message => {
    got.push(message.body)
    message.ack()
    if (got.length < 3) return
    setTimeout(() => client.disconnect(() => report({got, version: client.ws.protocol})), 1000)
  }, {ack: "client"})
  for (const text of ["one", "tränen \\u20ac", "x".repeat(100000)]) client.send("/queue/stompjs", {}, text)
}, error => report({failure: String(error), got}))
"""


@test("stomp.js in a browser sends, receives, acknowledges and beats")
def stomp_js(environment):
    if not STOMP_JS.exists():
        raise Skip("there is no .build-clients/stomp.js; .ci/deps test fetches it")
    files = {"/stomp.js": STOMP_JS.read_text()}
    page = Page(files)
    try:
        daemon = start(environment, '[stomp]\nheart_beat_send = "200ms"\n'
                       + listener("websocket", origins=json.dumps([page.origin])))
        files["/"] = ('<!doctype html><script src="/stomp.js"></script><script>\n'
                      f'const OPEN = "ws://127.0.0.1:{daemon.ports[0]}/"\n{STOMP_SCRIPT}</script>')
        events = report_of(environment, page)
    finally:
        page.close()
    assert events.get("got") == ["one", "tränen \u20ac", "x" * 100_000], str(events)[:300]
    assert events["version"] == "v11.stomp", events["version"]
    with WebSocketClient(daemon.ports[0]) as client:
        client.subscribe("/queue/stompjs")
        client.expect_nothing()
    daemon.stop()


PAGES = re.findall(r"<!-- page -->\n```html\n(.*?)```",
                   (ROOT / "docs" / "clients.md").read_text(), re.DOTALL)


@test("the page of docs/clients.md works in a browser, as it stands")
def documented_page(environment):
    [text] = PAGES
    files = {}
    page = Page(files)
    try:
        daemon = start(environment, listener("websocket", origins=json.dumps([page.origin])))
        assert "127.0.0.1:15674" in text
        files["/"] = text.replace("15674", str(daemon.ports[0])) + (
            "<script>setInterval(() => fetch('/report', {method: 'POST', "
            "body: document.body.innerText}), 100)</script>")
        with browsing(environment, page):
            page.wait(lambda shown: "hello from the browser" in shown)
    finally:
        page.close()
    daemon.stop()
