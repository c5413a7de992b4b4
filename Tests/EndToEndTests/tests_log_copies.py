"""radiator-log's verbs that print messages and that make new stores."""

import json
import shutil
import subprocess

from harness import test, until
from tests_log_tool import contents

BINARY = bytes(range(256)) * 3
ODD = "/queue/odd:name@x/y_z-1.ü".replace("ü", "u")


def lines(environment, *arguments, expected=0):
    status, output, errors = environment.log_tool(*arguments)
    assert status == expected, (arguments, status, output[-500:], errors)
    return [json.loads(line) for line in output.splitlines()]


def mixed_store(environment, config='[storage]\nsegment_size = "1MiB"\n', fill=0):
    """A stopped store with settled, returned, binary, large and odd messages."""
    daemon = environment.daemon(config)
    with daemon.connect() as client:
        for number in range(20):
            client.send("/queue/orders", f"order {number}", order=str(number % 5))
        client.send("/queue/binary", BINARY, note="a\\cb\\nc\\\\d", content_type="x/y")
        client.send("/queue/binary", b"", empty="")
        client.send("/queue/large", b"L" * (3 << 20) + b"\xff")
        client.send(ODD, "odd \x00 \x01 \" \\ \x7f text \u00e4\u20ac")
        for number in range(fill):
            client.send("/queue/fill", b"f" * 1000)
        client.subscribe("/queue/orders", **{"prefetch_count": "3"})
        for _ in range(3):
            client.ack(client.expect_message())
    with daemon.connect() as client:
        client.subscribe("/queue/orders", **{"prefetch_count": "1"})
        client.ack(client.expect_message(), "NACK")
        client.expect_message()
    daemon.stop()
    return environment.data


def bodies(environment, data, queue, count):
    """What a daemon on the store delivers of a queue, in order."""
    daemon = environment.daemon(data=data)
    with daemon.connect() as client:
        client.subscribe(queue)
        found = []
        for _ in range(count):
            frame = client.expect_message()
            found.append(frame.body)
            client.ack(frame)
        client.expect_nothing()
    daemon.stop()
    return found


def comparable(exported):
    """Exported lines without what may differ: sequences that were not dense."""
    for line in exported:
        line.pop("next_sequence", None)
        for entry in line.get("entries", []):
            entry.pop("sequence")
    return exported


@test("dump prints messages with status, headers and exact bodies, by every filter")
def dump_messages(environment):
    data = mixed_store(environment)
    before = contents(data)
    every = lines(environment, "dump", data)
    orders = [line for line in every if line["queue"] == "/queue/orders"]
    assert [line["body"] for line in orders] == [f"order {number}" for number in range(20)]
    assert [line["settled"] for line in orders] == [True] * 3 + [False] * 17, orders
    assert orders[3]["delivery_count"] >= 1 and orders[15]["delivery_count"] == 0, orders
    binary = next(line for line in every if line["queue"] == "/queue/binary")
    assert binary["headers"]["note"] == "a:b\nc\\d", binary
    import base64
    assert base64.b64decode(binary["body_base64"]) == BINARY
    odd = lines(environment, "dump", data, "--queue", ODD)
    assert [line["body"] for line in odd] == ["odd \x00 \x01 \" \\ \x7f text \u00e4\u20ac"]

    def picked(*arguments):
        return [line["sequence"] for line in lines(environment, "dump", data, *arguments)]
    assert picked("--queue", "/queue/ord*", "--unsettled") == list(range(4, 21))
    assert picked("--queue", "*rders", "--settled") == [1, 2, 3]
    assert picked("--queue", "/queue/orders", "--sequence", "5-7") == [5, 6, 7]
    assert picked("--header", "order=2") == [3, 8, 13, 18]
    assert picked("--queue", "/queue/orders", "--limit", "2") == [1, 2]
    time = orders[9]["time"]
    assert picked("--queue", "/queue/orders", "--until", time)[:10] == list(range(1, 11))
    assert 10 in picked("--queue", "/queue/orders", "--from", orders[9]["time_ms"])
    assert "body" not in lines(environment, "dump", data, "--body", "none", "--limit", "1")[0]
    assert contents(data) == before, "dump changed the directory"


@test("dump --records prints every kind of record; a reader that stops early is no error")
def dump_records(environment):
    data = mixed_store(environment, fill=2500)
    records = lines(environment, "dump", "--records", data)
    kinds = {record["kind"] for record in records}
    assert {"group", "message", "settle", "requeue", "queue", "footer"} <= kinds, kinds
    settles = lines(environment, "dump", "--records", "--queue", "/queue/orders",
                    "--sequence", "2", data)
    assert {record["kind"] for record in settles} == {"message", "settle"}, settles
    runs = [run for record in settles if record["kind"] == "settle" for run in record["runs"]]
    assert {run["queue"] for run in runs} == {"/queue/orders"}, runs
    assert all(run["first"] <= 2 < run["first"] + run["count"] for run in runs), runs
    done = subprocess.run(f"{environment.options.log_tool} dump {data} | head -1; "
                          "exit ${PIPESTATUS[0]}", shell=True, executable="/bin/bash",
                          capture_output=True, text=True, timeout=30)
    assert done.returncode in (0, 141) and done.stderr == "", done
    assert len(done.stdout.splitlines()) == 1


@test("export, import and export give the same lines, and a daemon serves the imported store")
def export_import(environment):
    data = mixed_store(environment, fill=1500)
    before = contents(data)
    first = environment.directory / "first.jsonl"
    tool = environment.options.log_tool
    with open(first, "wb") as file:
        assert subprocess.run([tool, "export", str(data)], stdout=file).returncode == 0
    copy = environment.directory / "copy"
    status, report = environment.log_tool_json("import", first, "--out", copy)
    assert status == 0 and report["messages"] == 17 + 2 + 1 + 1 + 1500, report
    again = lines(environment, "export", copy)
    assert comparable(again) == comparable([json.loads(line) for line in open(first)])
    assert environment.log_tool("verify", copy)[0] == 0
    assert environment.log_tool("import", first, "--out", copy)[0] == 2, "into an existing store"
    assert contents(data) == before
    assert bodies(environment, copy, "/queue/binary", 2) == [BINARY, b""]
    large = bodies(environment, copy, "/queue/large", 1)
    assert large == [b"L" * (3 << 20) + b"\xff"]
    orders = bodies(environment, copy, "/queue/orders", 17)
    assert orders == [f"order {number}".encode() for number in range(3, 20)]


@test("an export that was cut off is not taken for a whole one, and no report is lost in silence")
def import_cut_off(environment):
    whole = environment.log_tool("export", mixed_store(environment))[1]
    path, out = environment.directory / "cut.jsonl", environment.directory / "copy"
    for text in ("", whole[:whole.rindex('{"kind":"end"')], whole.replace('"order 7"', '"order'  + "\n")):
        path.write_text(text)
        status, output, errors = environment.log_tool("import", path, "--out", out)
        assert status == 2 and not out.exists(), (status, output, errors)
    lines = whole.splitlines(keepends=True)
    path.write_text("".join(lines[:-2] + lines[-1:]))
    status, output, errors = environment.log_tool("import", path, "--out", out)
    assert status == 2 and "21 messages were exported, and 20 are here" in errors, errors
    path.write_text("".join(lines[:-1]))
    assert environment.log_tool("import", path, "--partial", "--out", out)[0] == 0
    entry = '{"queue":"/queue/a","sequence":%d}'
    path.write_text('{"kind":"message","time_ms":1,"entries":[%s,%s],"headers":[],"body":"x"}\n'
                    % (entry % 1, entry % 2))
    status, output, errors = environment.log_tool("import", path, "--out", out / "b")
    assert status == 2 and "line 1" in errors and "twice" in errors, errors
    with open("/dev/full", "w") as full:
        for verb in ("verify", "inspect"):
            done = subprocess.run([environment.options.log_tool, verb, str(environment.data)],
                                  stdout=full, stderr=subprocess.PIPE, text=True)
            assert done.returncode == 2 and "No space" in done.stderr, (verb, done)


@test("import names the bad line and leaves nothing behind")
def import_bad_line(environment):
    good = '{"kind":"message","time_ms":1,"entries":[{"queue":"/queue/a","sequence":1}],' \
           '"headers":[],"body":"x"}'
    out = environment.directory / "out"
    for bad in ("{", "[]", '{"kind":"other"}', good.replace('"x"', "3"), good.replace("1}]", "0}]"),
                good.replace("/queue/a", "/queue/a b"), good.replace("/queue/a", "/topic/a"),
                good.replace('"body":"x"', '"body_base64":"@@@@"'), good + "x"):
        path = environment.file("bad.jsonl", good + "\n" + bad + "\n")
        status, output, errors = environment.log_tool("import", path, "--out", out)
        assert status == 2 and "line 2" in errors, (bad, status, errors)
        assert not out.exists() and not (environment.directory / "out.partial").exists()


@test("repair brings over what is sound, names what is lost, and a daemon serves the rest")
def repair_damage(environment):
    data = mixed_store(environment, fill=3000)
    needle = b"order 9"
    path, place = next((path, place) for path in sorted(data.glob("segment-*"))
                       if (place := path.read_bytes().find(needle)) >= 0)
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(b"ORDER")
    before = contents(data)
    out = environment.directory / "repaired"
    status, report = environment.log_tool_json("repair", data, "--out", out)
    assert status == 1 and report["lost_entries"] == 1, report
    lost = report["lost"][0]
    assert lost["queue"] == "/queue/orders" and lost["file"] == path.name, lost
    assert lost["entries"] == [{"first": 10, "count": 1}] and lost["offset"] < place, lost
    assert contents(data) == before, "repair changed the directory"
    assert environment.log_tool("verify", out)[0] == 0
    orders = bodies(environment, out, "/queue/orders", 16)
    assert orders == [f"order {number}".encode() for number in range(3, 20) if number != 9]
    # Without any checkpoint, and with the first header gone, it still works.
    for checkpoint in data.glob("checkpoint-*"):
        checkpoint.write_bytes(b"garbage" * 20)
    with open(sorted(data.glob("segment-*"))[0], "r+b") as file:
        file.write(b"\0" * 64)
    again = environment.directory / "again"
    status, report = environment.log_tool_json("repair", data, "--out", again)
    assert status == 1 and report["lost_entries"] == 1, report
    assert environment.log_tool("verify", again)[0] == 0


@test("out directories that exist, lie inside the store or are left over are refused")
def out_refused(environment):
    data = mixed_store(environment)
    before = contents(data)
    there = environment.directory / "there"
    there.mkdir()
    (there / "file").write_text("mine")
    left = environment.directory / "left.partial"
    left.mkdir()
    for verb in ("repair", "snapshot"):
        for out, word in ((there, "not empty"), (data / "inner", "inside"),
                          (environment.directory / "left", "left.partial"), (data, "not empty")):
            status, output, errors = environment.log_tool(verb, data, "--out", out)
            assert status == 2 and word in errors, (verb, out, status, errors)
        missing = environment.directory / "missing"
        status, output, errors = environment.log_tool(verb, missing, "--out", there / "new")
        assert status == 2 and str(missing) in errors, (verb, errors)
        assert not (there / "new").exists() and not (there / "new.partial").exists()
    assert contents(data) == before and list(there.iterdir()) == [there / "file"]


@test("a full disk ends import, repair and snapshot with a sentence and nothing left behind")
def out_full(environment):
    data = mixed_store(environment, fill=3000)
    mount = environment.tmpfs("2m")
    exported = environment.directory / "all.jsonl"
    with open(exported, "wb") as file:
        subprocess.run([environment.options.log_tool, "export", str(data)], stdout=file, check=True)
    for arguments in (("import", exported), ("repair", data), ("snapshot", data)):
        status, output, errors = environment.log_tool(*arguments, "--out", mount / "out")
        assert status == 2 and "space" in errors, (arguments, status, errors)
        assert list(mount.iterdir()) == [], arguments
    with open(mount / "lines", "wb") as file:
        done = subprocess.run([environment.options.log_tool, "export", str(data)], stdout=file,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "space" in done.stderr.lower(), done


@test("a snapshot outlives the original: recycling and removal there do not touch it")
def snapshot_outlives(environment):
    config = '[storage]\nsegment_size = "1MiB"\n'
    data = mixed_store(environment, config, fill=3000)
    copy = environment.directory / "snapshot"
    status, report = environment.log_tool_json("snapshot", data, "--out", copy)
    assert status == 0 and report["shared_segments"] >= 2, report
    before = contents(copy)
    daemon = environment.daemon(config)
    with daemon.connect() as client:
        client.subscribe("/queue/fill", **{"prefetch_count": "100"})
        for _ in range(3000):
            client.write("ACK", id=client.expect_message().headers["ack"])
        client.write("UNSUBSCRIBE", id="s")
        for number in range(6):
            for _ in range(60):
                client.write("SEND", b"n" * 20000, destination="/queue/new")
            client.send("/queue/new", "n")
        until(lambda: sum(name.startswith("segment-") and not (data / name).exists()
                          for name in before) >= 2, what="segments go")
    daemon.stop()
    assert contents(copy) == before, "the snapshot changed"
    assert environment.log_tool("verify", copy)[0] == 0
    assert len(bodies(environment, copy, "/queue/fill", 3000)) == 3000


@test("snapshots of a busy store are sound and hold everything that had its receipt")
def snapshot_live(environment):
    from load import Producer, Settler, drain, pump
    config = '[storage]\nsegment_size = "1MiB"\n'
    daemon = environment.daemon(config)
    producer = Producer(daemon.address, "/queue/orders", padding=400)
    settler = Settler(daemon.address, "/queue/orders")
    copies = []
    for number in range(5):
        goal = producer.receipted + 3000
        pump([producer, settler], lambda: producer.receipted > goal)
        copy = environment.directory / f"live-{number}"
        receipted = producer.receipted
        # The load stands still while this process waits, but the daemon's own work goes on.
        status, report = environment.log_tool_json("snapshot", environment.data, "--live",
                                                   "--out", copy)
        assert status == 0, report
        copies.append((copy, receipted))
    daemon.kill()
    drain([producer, settler])
    for copy, receipted in copies:
        assert environment.log_tool("verify", copy)[0] == 0, copy
        status, value = environment.log_tool_json("inspect", copy)
        queue = next(queue for queue in value["queues"] if queue["name"] == "/queue/orders")
        assert queue["next_sequence"] > receipted, (queue, receipted)
    shutil.rmtree(environment.data)
    again = environment.daemon(data=copies[-1][0])
    again.stop()
