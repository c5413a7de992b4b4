"""The cases of tests_conformance.py, by the sections of the specification.

`open_case` leaves the connection open, `end_case` ends it, with an ERROR or without; both begin after
CONNECT. `first_case` is a conversation from its first byte.
"""

from conformance_frames import (ALL, NEW, SOME, Case, connected, error, message, receipt)

CASES = []


def open_case(name, versions, *steps):
    CASES.append(Case(name, versions, _pairs(steps), False))


def end_case(name, versions, *steps):
    CASES.append(Case(name, versions, _pairs(steps), True))


def first_case(name, data, *patterns):
    is_end = patterns[-1].command == "ERROR"
    CASES.append(Case(name, (), [(data, list(patterns))], is_end))


def _pairs(steps):
    return [(data, list(patterns)) for data, *patterns in steps]


def subscribe(ack="auto", id="<tag>", more=""):
    return f"SUBSCRIBE\ndestination:/queue/<tag>\nid:{id}\nack:{ack}\n{more}\n\0".encode()


def send(body, more=""):
    return f"SEND\ndestination:/queue/<tag>\n{more}\n".encode() + body + b"\0"


AUTO = subscribe()
HELD = "prefetch-count:10\n"

# Connecting

first_case("CONNECT without accept-version is 1.0", b"CONNECT\n\n\0", connected("1.0"))
for accepted, version in (
        ("1.0", "1.0"), ("1.1", "1.1"), ("1.2", "1.2"), ("1.0,1.1", "1.1"), ("1.2,1.0,1.1", "1.2"),
        ("1.0,1.1,2.0", "1.1"), ("1.2, 1.0", "1.2"), ("1.1 ,1.0", "1.1"), ("2.0,1.0", "1.0")):
    for word in ("CONNECT", "STOMP"):
        first_case(f"{word} with accept-version {accepted} gets {version}",
                   f"{word}\naccept-version:{accepted}\nhost:h\n\n\0".encode(), connected(version))
for accepted in ("2.0", "1.3,3.1", "", "one"):
    first_case(f"accept-version '{accepted}' has nothing in common and is told the versions",
               f"CONNECT\naccept-version:{accepted}\nhost:h\nreceipt:<tag>\n\n\0".encode(),
               error("no common version", "<tag>", version="1.0,1.1,1.2"))
first_case("of two accept-version headers the first counts",
           b"CONNECT\naccept-version:1.1\naccept-version:1.2\n\n\0", connected("1.1"))
first_case("CONNECT with any host, login, passcode and unknown headers is accepted",
           b"CONNECT\naccept-version:1.2\nhost:nowhere.example\nlogin:me\npasscode:secret\nx:y\n\n\0",
           connected("1.2"))
first_case("CONNECT may have CR LF line ends",
           b"CONNECT\r\naccept-version:1.2\r\nhost:h\r\n\r\n\0", connected("1.2"))
first_case("padding in CONNECT is dropped", b"CONNECT\naccept-version: 1.1 \nlogin: <user>\n\n\0",
           connected("1.1"))
first_case("a backslash in CONNECT is no escape",
           b"CONNECT\naccept-version:1.2\nhost:\\t\nlogin:domain\\user\n\n\0", connected("1.2"))
first_case("a bare colon in CONNECT is part of the value",
           b"CONNECT\naccept-version:1.2\nhost:[::1]:61613\n\n\0", connected("1.2"))
first_case("line ends before CONNECT are skipped", b"\n\r\n\nCONNECT\naccept-version:1.2\n\n\0",
           connected("1.2"))
first_case("a body of CONNECT is ignored",
           b"CONNECT\naccept-version:1.2\ncontent-length:3\n\na\0b\0", connected("1.2"))
first_case("a receipt on CONNECT is not answered but by CONNECTED",
           b"CONNECT\naccept-version:1.2\nreceipt:<tag>\n\n\0", connected("1.2"))
for beat in ("0,0", "0,60000", "60000,0", "60000,60000", "99999999999999999999,99999999999999999999"):
    first_case(f"heart-beat:{beat} is accepted",
               f"CONNECT\naccept-version:1.2\nheart-beat:{beat}\n\n\0".encode(),
               connected("1.2"))
for beat in ("", "1", "1,2,3", "-1,0", "a,1", ",", "1.5,1"):
    first_case(f"heart-beat:{beat} is refused",
               f"CONNECT\naccept-version:1.2\nheart-beat:{beat}\nreceipt:<tag>\n\n\0".encode(),
               error("bad heart-beat", "<tag>"))
for word in ("SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN", "COMMIT", "ABORT", "DISCONNECT"):
    first_case(f"{word} before CONNECT is refused",
               f"{word}\ndestination:/queue/after.<tag>\nreceipt:<tag>\n\n\0".encode(),
               error("not connected", "<tag>"))
for word in ("connect", "HELLO", "GET / HTTP/1.1"):
    first_case(f"'{word}' in place of CONNECT is refused", f"{word}\nhost:h\n\n\0".encode(),
               error("unknown command"))
first_case("CONNECT with a header line without a colon is refused", b"CONNECT\naccept-version\n\n\0",
           error("header line without a colon"))
end_case("a second CONNECT is refused", ALL,
         (b"CONNECT\naccept-version:1.2\nhost:h\nreceipt:<tag>\n\n\0", error("already connected", "<tag>")))
end_case("STOMP after CONNECT is refused", ALL,
         (b"STOMP\naccept-version:1.2\nhost:h\nreceipt:<tag>\n\n\0", error("already connected", "<tag>")))

# Commands and header lines

for word in ("DANCE", "send", "Send", "SEND ", " SEND", "SENDER", "CONNECTED", "MESSAGE", "RECEIPT", "ERROR"):
    end_case(f"the command '{word}' is refused", ALL,
             (f"{word}\ndestination:/queue/after.<tag>\n\n\0".encode(), error("unknown command")))
end_case("1.0 has no NACK", ("1.0",), (b"NACK\nmessage-id:1-1\nreceipt:<tag>\n\n\0",
                                       error("unknown command", "<tag>")))
end_case("a header line without a colon is refused", ALL,
         (send(b"x", "receipt:<tag>\nno colon\n"), error("header line without a colon", "<tag>")))
end_case("a header without a name is refused", ALL,
         (send(b"x", "receipt:<tag>\n:value\n"), error("header without a name", "<tag>")))
end_case("NUL inside the headers is refused", ALL,
         (b"SEND\ndestination:/queue/<tag>\nreceipt:<tag>\na:\0\n\nx\0",
          error("NUL inside the headers", "<tag>")))
end_case("a frame without its blank line is refused", ALL,
         (b"BEGIN\nreceipt:<tag>\ntransaction:t\n\0", error("NUL inside the headers", "<tag>")))
end_case("header names are case sensitive", ALL,
         (b"SEND\nDestination:/queue/<tag>\nreceipt:<tag>\n\nx\0", error("missing header", "<tag>")))
open_case("headers come in any order", ALL,
          (AUTO + b"SEND\nz:1\nreceipt:<tag>\na:2\ncontent-length:1\ndestination:/queue/<tag>\n\nx\0",
           receipt(), message(b"x", z="1", a="2")))
open_case("an empty value is a value", ALL,
          (AUTO + send(b"x", "empty:\n"), message(b"x", empty="")))
open_case("a bare colon is part of the value (1.0)", ("1.0",),
          (AUTO + send(b"x", "url:http://h:80/\n"), message(b"x", url="http://h:80/")))
open_case("a bare colon is part of the value, and escaped on its way out", NEW,
          (AUTO + send(b"x", "url:http://h:80/\n"), message(b"x", url="http\\c//h\\c80/")))
open_case("names and values may be any UTF-8", ALL,
          (AUTO + send(b"x", "größe:naïve ☂\n"), message(b"x", **{"größe": "naïve ☂"})))
open_case("spaces around a value are part of it", NEW,
          (AUTO + send(b"x", "padded:  b \n"), message(b"x", padded="  b ")))
end_case("a padded destination is none in 1.1 and 1.2", NEW,
         (b"SEND\ndestination: /queue/<tag>\nreceipt:<tag>\n\nx\0", error("bad destination", "<tag>")))
open_case("padding in 1.0 is dropped where the broker reads it", ("1.0",),
          (b"SUBSCRIBE\ndestination: /queue/<tag> \nid:<tag>\nack: auto\n\n\0"
           b"SEND\ndestination: /queue/<tag>\n\nx\0", message(b"x")))
open_case("user-defined headers and content-type reach the consumer", ALL,
          (AUTO + send(b"x", "content-type:text/plain;charset=utf-8\ncolour:blue\npriority:9\n"),
           message(b"x", content_type="text/plain;charset=utf-8", colour="blue", priority="9")))
open_case("headers that the broker writes itself are not taken from the sender", ALL,
          (AUTO + send(b"x", "message-id:mine\nsubscription:mine\nredelivered:true\ndelivery-count:7\n"
                       "receipt:<tag>\n"),
           receipt(), message(b"x", receipt=None, redelivered=None, delivery_count=None,
                              subscription=["<tag>"])))
open_case("an ack header of the sender does not reach the consumer", ALL,
          (AUTO + send(b"x", "ack:mine\n"), message(b"x", ack=None)))

open_case("priority, persistence and delays are passed on and have no effect", ALL,
          (AUTO + send(b"x", "priority:1\npersistent:false\nAMQ_SCHEDULED_DELAY:60000\nx-delay:60000\n")
           + send(b"y", "priority:9\n"),
           message(b"x", priority="1", persistent="false", x_delay="60000"), message(b"y")))

# Escapes

open_case("1.0 has no escapes", ("1.0",),
          (AUTO + send(b"x", "note:a\\cb\\nc\\\\d\\te\\\n"), message(b"x", note="a\\cb\\nc\\\\d\\te\\")))
open_case("the escapes of 1.1 come back as they were", NEW,
          (AUTO + send(b"x", "note:a\\cb\\nc\\\\d\n"), message(b"x", note="a\\cb\\nc\\\\d")))
open_case("\\r is an escape in 1.2", ("1.2",),
          (AUTO + send(b"x", "note:a\\rb\n"), message(b"x", note="a\\rb")))
open_case("header names are escaped, too", NEW,
          (AUTO + send(b"x", "a\\cb\\\\:1\n"), message(b"x", **{"a\\cb\\\\": "1"})))
end_case("\\r is no escape in 1.1", ("1.1",),
         (send(b"x", "receipt:<tag>\nnote:\\r\n"), error("undefined escape", "<tag>")))
for text in ("\\t", "\\N", "\\0", "b\\", "\\ "):
    end_case(f"the undefined escape '{text}' is refused", NEW,
             (send(b"x", f"receipt:<tag>\nnote:{text}\n"), error("undefined escape", "<tag>")))
end_case("an undefined escape in a name is refused", NEW,
         (send(b"x", "receipt:<tag>\na\\x:b\n"), error("undefined escape", "<tag>")))
open_case("destination, id, transaction and receipt are unescaped", NEW,
          (b"SUBSCRIBE\ndestination:/queue/<tag>\\c1\nid:<tag>\\c\n\n\0"
           b"BEGIN\ntransaction:<tag>\\c\\\\\n\n\0"
           b"SEND\ndestination:/queue/<tag>:1\ntransaction:<tag>:\\\\\n\nx\0"
           b"COMMIT\ntransaction:<tag>\\c\\\\\nreceipt:<tag>\\c\\n\n\n\0",
           receipt("<tag>\\c\\n"),
           message(b"x", destination="/queue/<tag>\\c1", subscription="<tag>\\c")),
          (b"UNSUBSCRIBE\nid:<tag>:\nreceipt:<tag>\n\n\0", receipt()))

# Line ends

open_case("lines may end with CR LF in 1.2", ("1.2",),
          (b"SUBSCRIBE\r\ndestination:/queue/<tag>\r\nid:<tag>\r\n\r\n\0"
           b"SEND\r\ndestination:/queue/<tag>\r\na:b\nreceipt:<tag>\r\n\r\n\r\nx\0",
           receipt(), message(b"\r\nx", a="b")))
open_case("only one CR belongs to the line end in 1.2", ("1.2",),
          (AUTO + send(b"x", "a:b\r\r\n"), message(b"x", a="b\\r")))
end_case("CR LF after the command is refused in 1.0 and 1.1", ("1.0", "1.1"),
         (b"SEND\r\ndestination:/queue/<tag>\r\n\r\nx\0", error("unknown command")))
open_case("a CR is part of the value in 1.1", ("1.1",),
          (AUTO + send(b"x", "a:b\r\n"), message(b"x", a="b\r")))
open_case("line ends between frames are skipped", ALL,
          (b"\n\n\r\n" + AUTO + b"\n\r\n\r\n\n" + send(b"x", "receipt:<tag>\n") + b"\n" * 9,
           receipt(), message(b"x")))

# Bodies

open_case("without content-length the body ends at the first NUL", ALL,
          (AUTO + send(b"one") + send(b"two"), message(b"one"), message(b"two")))
open_case("content-length bytes are read, NUL or not", ALL,
          (AUTO + send(b"a\0b\0\0", "content-length:5\n"), message(b"a\0b\0\0")))
open_case("a body may hold any byte", ALL,
          (AUTO + send(bytes(range(256)), "content-length:256\n"), message(bytes(range(256)))))
open_case("an empty body has content-length 0", ALL,
          (AUTO + send(b"") + send(b"", "content-length:0\n"), message(b""), message(b"")))
open_case("line ends at the ends of a body are part of it", ALL,
          (AUTO + send(b"\n\nx\n"), message(b"\n\nx\n")))
open_case("a body that looks like a frame is a body", ALL,
          (AUTO + send(b"SEND\n\n\0SEND\n\n\0", "content-length:14\n"), message(b"SEND\n\n\0SEND\n\n\0")))
for value in ("-1", "", "x", "1x", "1,1", "+1", "0x1", "1.0"):
    end_case(f"content-length:{value} is refused", ALL,
             (send(b"x", f"receipt:<tag>\ncontent-length:{value}\n"),
              error("bad content-length", "<tag>")))
end_case("a content-length past all limits is refused", ALL,
         (send(b"x", "receipt:<tag>\ncontent-length:99999999999999999999\n"),
          error("body too large", "<tag>")))
end_case("a body that is longer than its content-length is refused", ALL,
         (send(b"xy", "receipt:<tag>\ncontent-length:1\n"), error("frame not ended by NUL", "<tag>")))
open_case("a body of a frame that has none is ignored", ALL,
          (b"SUBSCRIBE\ndestination:/queue/<tag>\nid:<tag>\nreceipt:<tag>1\ncontent-length:3\n\na\0b\0"
           b"BEGIN\ntransaction:<tag>\nreceipt:<tag>2\n\nignored\0"
           b"ABORT\ntransaction:<tag>\nreceipt:<tag>3\ncontent-length:0\n\n\0",
           receipt("<tag>1"), receipt("<tag>2"), receipt("<tag>3")))

# Repeated headers

open_case("of repeated headers the first counts, and all reach the consumer", ALL,
          (AUTO + send(b"x", "destination:/queue/after.<tag>\nfoo:World\nfoo:Hello\n"
                       "receipt:<tag>\nreceipt:no\n"),
           receipt(), message(b"x", foo=["World", "Hello"], destination=["/queue/<tag>"])))
open_case("of two content-lengths the first counts", ALL,
          (AUTO + send(b"a\0b", "content-length:3\ncontent-length:1\n"),
           message(b"a\0b", content_length=["3"])))

# Receipts

open_case("every frame may ask for a receipt (1.0)", ("1.0",),
          (subscribe(more="receipt:<tag>1\n") + b"BEGIN\ntransaction:<tag>\nreceipt:<tag>2\n\n\0"
           + send(b"x", "transaction:<tag>\nreceipt:<tag>3\n")
           + b"COMMIT\ntransaction:<tag>\nreceipt:<tag>4\n\n\0"
           b"BEGIN\ntransaction:<tag>\nreceipt:<tag>5\n\n\0ABORT\ntransaction:<tag>\nreceipt:<tag>6\n\n\0"
           b"ACK\nmessage-id:0-0\nreceipt:<tag>7\n\n\0" + send(b"y", "receipt:<tag>8\n"),
           *(receipt(f"<tag>{number}") for number in range(1, 9)), message(b"x"), message(b"y")),
          (b"UNSUBSCRIBE\nid:<tag>\nreceipt:<tag>9\n\n\0", receipt("<tag>9")))
for version, first, second in (
        ("1.1", "subscription:<tag>\nmessage-id:0-0", "subscription:<tag>\nmessage-id:0-0"),
        ("1.2", "id:0-0", "id:0-1")):
    open_case(f"every frame may ask for a receipt ({version})", (version,),
              (subscribe(more="receipt:<tag>1\n") + b"BEGIN\ntransaction:<tag>\nreceipt:<tag>2\n\n\0"
               + send(b"x", "transaction:<tag>\nreceipt:<tag>3\n")
               + b"COMMIT\ntransaction:<tag>\nreceipt:<tag>4\n\n\0"
               + f"ACK\n{first}\nreceipt:<tag>5\n\n\0NACK\n{second}\nreceipt:<tag>6\n\n\0".encode()
               + b"BEGIN\ntransaction:<tag>\nreceipt:<tag>7\n\n\0"
               b"ABORT\ntransaction:<tag>\nreceipt:<tag>8\n\n\0",
               *(receipt(f"<tag>{number}") for number in range(1, 9)), message(b"x")),
              (b"UNSUBSCRIBE\nid:<tag>\nreceipt:<tag>9\n\n\0", receipt("<tag>9")))
end_case("DISCONNECT is receipted last, and nothing after it is read", ALL,
         (send(b"x", "receipt:<tag>1\n") + b"DISCONNECT\nreceipt:<tag>2\n\n\0"
          b"SEND\ndestination:/queue/after.<tag>\nreceipt:<tag>3\n\nx\0",
          receipt("<tag>1"), receipt("<tag>2")))
end_case("DISCONNECT without a receipt ends the connection", ALL, (b"DISCONNECT\n\n\0",))

# SEND and SUBSCRIBE

end_case("SEND without destination is refused", ALL,
         (b"SEND\nreceipt:<tag>\n\nx\0", error("missing header", "<tag>")))
for name in ("", "/queue/", "queue", "/nowhere/a", "/queue/a b", "/queue/<tag>.*"):
    end_case(f"SEND to '{name}' is refused", ALL,
             (f"SEND\ndestination:{name}\nreceipt:<tag>\n\nx\0".encode(),
              error("bad destination", "<tag>")))
end_case("SUBSCRIBE without destination is refused", ALL,
         (b"SUBSCRIBE\nid:1\nreceipt:<tag>\n\n\0", error("missing header", "<tag>")))
end_case("SUBSCRIBE to a malformed name is refused", ALL,
         (b"SUBSCRIBE\nid:1\ndestination:/queue/\nreceipt:<tag>\n\n\0", error("bad destination", "<tag>")))
end_case("SUBSCRIBE without id is refused", NEW,
         (b"SUBSCRIBE\ndestination:/queue/<tag>\nreceipt:<tag>\n\n\0", error("missing header", "<tag>")))
end_case("SUBSCRIBE with an unknown ack mode is refused", ALL,
         (subscribe("perhaps", more="receipt:<tag>\n"), error("unknown ack mode", "<tag>")))
end_case("SUBSCRIBE with a selector is refused", ALL,
         (subscribe(more="selector:a = 1\nreceipt:<tag>\n"), error("selector not supported", "<tag>")))
end_case("SUBSCRIBE with an id in use is refused", ALL,
         (AUTO + b"SUBSCRIBE\ndestination:/queue/other\nid:<tag>\nreceipt:<tag>\n\n\0",
          error("id in use", "<tag>")))
for header in ("prefetch-count:0", "prefetch-count:x", "activemq.prefetchSize:0", "prefetch-count:65536"):
    end_case(f"SUBSCRIBE with {header} is refused", ALL,
             (subscribe(more=f"{header}\nreceipt:<tag>\n"), error(SOME, "<tag>")))
open_case("the subscription's id names its messages", ALL,
          (subscribe(id="<tag>.7") + send(b"x"), message(b"x", subscription="<tag>.7")))
open_case("a subscription of 1.0 without id is known by its destination", ("1.0",),
          (b"SUBSCRIBE\ndestination:/queue/<tag>\n\n\0" + send(b"x"), message(b"x", subscription=None)),
          (b"UNSUBSCRIBE\ndestination:/queue/<tag>\nreceipt:<tag>\n\n\0" + send(b"y", "receipt:<tag>2\n"),
           receipt(), receipt("<tag>2")))
open_case("ack defaults to auto", ALL,
          (b"SUBSCRIBE\ndestination:/queue/<tag>\nid:<tag>\n\n\0" + send(b"x") + send(b"y"),
           message(b"x", ack=None), message(b"y", ack=None)))
open_case("after UNSUBSCRIBE nothing comes any more", ALL,
          (AUTO + send(b"x"), message(b"x")),
          (b"UNSUBSCRIBE\nid:<tag>\nreceipt:<tag>\n\n\0" + send(b"y", "receipt:<tag>2\n"),
           receipt(), receipt("<tag>2")))
open_case("an id may be used again after UNSUBSCRIBE", ALL,
          (AUTO + b"UNSUBSCRIBE\nid:<tag>\n\n\0" + AUTO + send(b"x"), message(b"x", subscription="<tag>")))
end_case("UNSUBSCRIBE without id is refused", ALL,
         (b"UNSUBSCRIBE\nreceipt:<tag>\n\n\0", error("missing header", "<tag>")))
end_case("UNSUBSCRIBE by destination is refused in 1.1 and 1.2", NEW,
         (AUTO + b"UNSUBSCRIBE\ndestination:/queue/<tag>\nreceipt:<tag>\n\n\0",
          error("missing header", "<tag>")))
end_case("UNSUBSCRIBE of what is not there is refused", ALL,
         (b"UNSUBSCRIBE\nid:none\nreceipt:<tag>\n\n\0", error("no such subscription", "<tag>")))

# ACK and NACK, by each version's headers

ANSWERS = {"1.0": "message-id:<message-id:{0}>\n", "1.1": "subscription:<tag>\nmessage-id:<message-id:{0}>\n",
           "1.2": "id:<ack:{0}>\n"}
THREE = send(b"a") + send(b"b") + send(b"c")
AGAIN = b"UNSUBSCRIBE\nid:<tag>\n\n\0" + subscribe("client-individual", "<tag>again", HELD)


def back(body, count=2):
    return message(body, redelivered="true", delivery_count=str(count))


for version, by in ANSWERS.items():
    marks = {"ack": SOME if version == "1.2" else None, "subscription": "<tag>", "redelivered": None}
    delivered = [message(body, **marks) for body in (b"a", b"b", b"c")]
    for mode, left in (("client", []), ("client-individual", [b"a", b"b"])):
        open_case(f"ACK of the third with ack:{mode} ({version})", (version,),
                  (subscribe(mode, more=HELD) + THREE, *delivered),
                  (f"ACK\n{by.format(3)}receipt:<tag>\n\n\0".encode() + AGAIN,
                   receipt(), *(back(body) for body in left)))
        if version != "1.0":
            returned = [b"a", b"b"] if mode == "client" else [b"b"]
            open_case(f"NACK of the second with ack:{mode} ({version})", (version,),
                      (subscribe(mode, more=HELD) + THREE, *delivered),
                      (f"NACK\n{by.format(2)}receipt:<tag>\n\n\0".encode(),
                       receipt(), *(back(body) for body in returned)))
    open_case(f"one message at a time without a header that says otherwise ({version})", (version,),
              (subscribe("client") + THREE, delivered[0]),
              (f"ACK\n{by.format(1)}\n\0".encode(), delivered[1]),
              (f"ACK\n{by.format(2)}\n\0".encode(), delivered[2]),
              (f"ACK\n{by.format(3)}receipt:<tag>\n\n\0".encode(), receipt()))
    for header in ("prefetch-count", "activemq.prefetchSize"):
        open_case(f"{header}:2 gives a subscription two at a time ({version})", (version,),
                  (subscribe("client", more=f"{header}:2\n") + THREE, *delivered[:2]),
                  (f"ACK\n{by.format(1)}\n\0".encode(), delivered[2]))
    open_case(f"an ACK in a transaction that is aborted has no effect ({version})", (version,),
              (subscribe("client", more=HELD) + send(b"a"), message(b"a", **marks)),
              (f"BEGIN\ntransaction:<tag>\n\n\0ACK\n{by.format(1)}transaction:<tag>\nreceipt:<tag>1\n\n\0"
               "ABORT\ntransaction:<tag>\nreceipt:<tag>2\n\n\0".encode() + AGAIN,
               receipt("<tag>1"), receipt("<tag>2"), back(b"a")))
    open_case(f"an ACK in a transaction holds from COMMIT on ({version})", (version,),
              (subscribe("client", more=HELD) + send(b"a"), message(b"a", **marks)),
              (f"BEGIN\ntransaction:<tag>\n\n\0ACK\n{by.format(1)}transaction:<tag>\nreceipt:<tag>1\n\n\0"
               "COMMIT\ntransaction:<tag>\nreceipt:<tag>2\n\n\0".encode() + AGAIN,
               receipt("<tag>1"), receipt("<tag>2")))
    open_case(f"a second ACK of one delivery has no effect and no ERROR ({version})", (version,),
              (subscribe("client-individual", more=HELD) + send(b"a"), message(b"a", **marks)),
              (f"ACK\n{by.format(1)}receipt:<tag>1\n\n\0ACK\n{by.format(1)}receipt:<tag>2\n\n\0".encode(),
               receipt("<tag>1"), receipt("<tag>2")))
open_case("ids that never were have no effect and no ERROR (1.0)", ("1.0",),
          (b"ACK\nmessage-id:hello\nreceipt:<tag>1\n\n\0ACK\nmessage-id:\nreceipt:<tag>2\n\n\0",
           receipt("<tag>1"), receipt("<tag>2")))
open_case("ids that never were have no effect and no ERROR (1.1)", ("1.1",),
          (b"ACK\nsubscription:no\nmessage-id:hello\nreceipt:<tag>1\n\n\0"
           b"NACK\nsubscription:no\nmessage-id:1-1\nreceipt:<tag>2\n\n\0",
           receipt("<tag>1"), receipt("<tag>2")))
open_case("ids that never were have no effect and no ERROR (1.2)", ("1.2",),
          (b"ACK\nid:hello\nreceipt:<tag>1\n\n\0NACK\nid:99999-99999\nreceipt:<tag>2\n\n\0",
           receipt("<tag>1"), receipt("<tag>2")))
open_case("an ACK by another subscription's id does not reach the message", ("1.1",),
          (subscribe("client", more=HELD) + send(b"a"), message(b"a")),
          (b"ACK\nsubscription:<tag>no\nmessage-id:<message-id:1>\nreceipt:<tag>\n\n\0" + AGAIN,
           receipt(), back(b"a")))
for word in ("ACK", "NACK"):
    for version, headers in (("1.0", "subscription:s"), ("1.1", "message-id:1-1"), ("1.1", "subscription:s"),
                             ("1.1", "id:1-1"), ("1.2", "message-id:1-1\nsubscription:s")):
        if (word, version) != ("NACK", "1.0"):
            end_case(f"{word} with no more than {' and '.join(headers.split())} is refused in {version}",
                     (version,),
                     (f"{word}\n{headers}\nreceipt:<tag>\n\n\0".encode(), error("missing header", "<tag>")))
open_case("a topic's message has an ack id where an answer is due", ("1.2",),
          (b"SUBSCRIBE\ndestination:/topic/<tag>\nid:<tag>\nack:client\n\n\0"
           b"SEND\ndestination:/topic/<tag>\n\nx\0", message(b"x", destination="/topic/<tag>", ack=SOME)),
          (b"ACK\nid:<ack:1>\nreceipt:<tag>\n\n\0", receipt()))

# Transactions

open_case("nothing is sent before COMMIT, all after it", ALL,
          (AUTO + b"BEGIN\ntransaction:<tag>\n\n\0" + send(b"a", "transaction:<tag>\nreceipt:<tag>1\n")
           + send(b"b", "transaction:<tag>\n") + send(b"c"), receipt("<tag>1"), message(b"c")),
          (b"COMMIT\ntransaction:<tag>\nreceipt:<tag>2\n\n\0", receipt("<tag>2"),
           message(b"a", transaction=None), message(b"b")))
open_case("nothing is sent after ABORT", ALL,
          (AUTO + b"BEGIN\ntransaction:<tag>\n\n\0" + send(b"a", "transaction:<tag>\n")
           + b"ABORT\ntransaction:<tag>\nreceipt:<tag>1\n\n\0" + send(b"b"), receipt("<tag>1"),
           message(b"b")))
open_case("a transaction's name may be used again after its end", ALL,
          (AUTO + (b"BEGIN\ntransaction:<tag>\n\n\0" + send(b"a", "transaction:<tag>\n")
                   + b"COMMIT\ntransaction:<tag>\n\n\0") * 2, message(b"a"), message(b"a")))
open_case("two transactions of two names are open at once", ALL,
          (AUTO + b"BEGIN\ntransaction:<tag>1\n\n\0BEGIN\ntransaction:<tag>2\n\n\0"
           + send(b"a", "transaction:<tag>1\n") + send(b"b", "transaction:<tag>2\n")
           + b"COMMIT\ntransaction:<tag>2\n\n\0ABORT\ntransaction:<tag>1\nreceipt:<tag>\n\n\0",
           receipt(), message(b"b")))
for word in ("BEGIN", "COMMIT", "ABORT"):
    end_case(f"{word} without transaction is refused", ALL,
             (f"{word}\nreceipt:<tag>\n\n\0".encode(), error("missing header", "<tag>")))
for word in ("COMMIT", "ABORT"):
    end_case(f"{word} of a transaction that is not open is refused", ALL,
             (f"{word}\ntransaction:none\nreceipt:<tag>\n\n\0".encode(), error("bad transaction", "<tag>")))
end_case("a second COMMIT is refused", ALL,
         (b"BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0"
          b"COMMIT\ntransaction:t\nreceipt:<tag>\n\n\0", error("bad transaction", "<tag>")))
end_case("BEGIN of an open transaction is refused", ALL,
         (b"BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\nreceipt:<tag>\n\n\0",
          error("bad transaction", "<tag>")))
end_case("SEND in a transaction that is not open is refused", ALL,
         (send(b"x", "transaction:none\nreceipt:<tag>\n"), error("bad transaction", "<tag>")))
for version, headers in (("1.0", "message-id:1-1"), ("1.1", "subscription:s\nmessage-id:1-1"), ("1.2", "id:1-1")):
    end_case(f"ACK in a transaction that is not open is refused ({version})", (version,),
             (f"ACK\n{headers}\ntransaction:none\nreceipt:<tag>\n\n\0".encode(),
              error("bad transaction", "<tag>")))
end_case("an ERROR undoes what its connection's transactions held", ALL,
         (b"BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/after.<tag>\ntransaction:t\n\nx\0"
          b"DANCE\n\n\0", error("unknown command")))
