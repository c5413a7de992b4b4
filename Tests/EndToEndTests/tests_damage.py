"""Damaged stores: what on_damage does with them, and where the damaged bytes go."""

import json

from harness import test
from load import Producer, Settler, browse, drain, pump
from tests_log_tool import contents

REFUSE = '[storage]\non_damage = "refuse"\n'


def victim(environment):
    """An unsettled message with unsettled neighbours, whose padding is nobody else's, shifted."""
    output = environment.log_tool("dump", environment.data, "--unsettled")[1]
    numbers = [int(json.loads(line)["body"].split()[0]) for line in output.splitlines()]
    return next(number for number in numbers[20:] if number % 10)


def crashed_behind_checkpoint(environment):
    """A directory after kill -9, and a message in it that the next start must read.

    A start reads what came after the last checkpoint, and takes damage in the last write for that
    write's own unfinished end. The store's first file is left for a prepared one, with a checkpoint;
    what is sent then and confirmed before further ones are sent is neither in the one nor the other.
    Packing would bring further checkpoints.
    """
    daemon = environment.daemon("[storage]\npack_below_live = 0\n")
    with daemon.connect() as client:
        client.send("/queue/kept", "the first file cannot go, which would bring a checkpoint")
    producer = Producer(daemon.address, "/queue/orders", padding=400)
    settler = Settler(daemon.address, "/queue/orders")
    # The new store's own checkpoint is the first; this one may come some turns after the second file.
    checkpoint = environment.data / "checkpoint-0000000002.chk"
    pump([producer, settler],
         lambda: producer.receipted > 8000 and len(settler.settled) > 2000 and checkpoint.exists())
    assert (environment.data / "segment-0000000002.log").exists()
    settler.limit = len(settler.taken)
    number = next(number for number in range(producer.next + 500, producer.next + 510)
                  if number % 10)  # whose padding is nobody else's, shifted
    pump([producer, settler], lambda: producer.receipted > number + producer.window)
    daemon.kill()
    drain([producer, settler])
    return environment.data, number


def damage(directory, number):
    """Writes over one byte in the body of a message; returns its file and the byte's place."""
    needle = b"%08d" % number * 20
    for path in sorted(directory.glob("segment-*.log")):
        place = path.read_bytes().find(needle)
        if place >= 0:
            with open(path, "r+b") as file:
                file.seek(place + 40)
                file.write(b"\x01")
            return path, place + 40
    raise AssertionError(f"message {number} is not in the log")


def copies(directory):
    return sorted(path.name for path in directory.glob("quarantine-*"))


@test("on_damage = refuse: exit 1, the damage is named, not a byte is changed")
def refuse(environment):
    data, number = crashed_behind_checkpoint(environment)
    path, _ = damage(data, number)
    before = contents(data)
    for _ in range(2):
        daemon = environment.daemon(REFUSE, wait=False)
        status, log = daemon.wait(), daemon.log()
        assert status == 1, (status, log)
        last = log.strip().splitlines()[-1]
        for word in (path.name, "/queue/orders", "radiator-log verify", "repair", "quarantine"):
            assert word in last, (word, last)
        assert "damage in the store" in log, log
        assert contents(data) == before, "a refused start changed the directory"
    daemon = environment.daemon()
    assert "store recovered" in daemon.log() and path.name in daemon.log()
    daemon.stop()
    repaired = environment.directory / "repaired"
    assert environment.log_tool("repair", data, "--out", repaired)[0] == 1
    daemon = environment.daemon(REFUSE, data=repaired)
    assert number not in browse(daemon.address, "/queue/orders")
    daemon.stop()


@test("on_damage = quarantine: the damaged bytes are kept once, listed, and the rest is served")
def quarantine(environment):
    data, number = crashed_behind_checkpoint(environment)
    path, place = damage(data, number)
    for turn in range(3):
        daemon = environment.daemon()
        found = copies(data)
        assert len(found) == 1 and found[0].startswith(f"quarantine-{path.name}-"), found
        if turn == 0:
            assert "damaged bytes kept aside" in daemon.log(), daemon.log()
        assert ("kept aside" in daemon.log()) == (turn == 0), daemon.log()
        daemon.kill()
    offset, length = map(int, found[0][:-4].split("-")[-2:])
    kept = (data / found[0]).read_bytes()
    assert offset <= place < offset + length and len(kept) == length
    assert path.read_bytes()[offset:offset + length] == kept
    for verb, status in (("inspect", 1), ("verify", 1)):
        got, value = environment.log_tool_json(verb, data)
        assert got == status, (verb, got, value)
        assert value["quarantined"] == [{"file": found[0], "bytes": length}], value["quarantined"]
        got, output, _ = environment.log_tool(verb, data)
        assert found[0] in output, output
    daemon = environment.daemon()
    numbers = browse(daemon.address, "/queue/orders")
    assert number not in numbers and {number - 1, number + 1} <= set(numbers), numbers[:5]
    daemon.stop()


@test("damage in a sealed segment is met by its reader, kept, and costs one message")
def cold(environment):
    config = '[storage]\nsegment_size = "1MiB"\npack_below_live = 0\ncompression = "none"\n'
    daemon = environment.daemon(config)
    producer = Producer(daemon.address, "/queue/orders", padding=400, limit=6000)
    pump([producer], lambda: producer.receipted == 6000)
    daemon.stop()
    data = environment.data
    number = victim(environment)
    path, place = damage(data, number)
    daemon = environment.daemon(config + 'on_damage = "refuse"\n')
    assert "damage in the store" not in daemon.log() and copies(data) == []
    numbers = browse(daemon.address, "/queue/orders")
    assert number not in numbers and {number - 1, number + 1} <= set(numbers), numbers[:5]
    assert "damage in the store" in daemon.log() and path.name in daemon.log(), daemon.log()
    daemon.stop()
    found = copies(data)
    assert len(found) == 1 and path.name in found[0], found
    offset, length = map(int, found[0][:-4].split("-")[-2:])
    assert offset <= place < offset + length < offset + 2000, found
