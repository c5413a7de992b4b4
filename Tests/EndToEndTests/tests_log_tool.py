"""radiator-log on directories that crashes and damage left behind."""

import os
import shutil

from harness import test
from load import Producer, Settler, drain, pump


def crashed_store(environment, config=None):
    """A directory with a few thousand messages, some settled, after kill -9."""
    daemon = environment.daemon(config)
    producer = Producer(daemon.address, "/queue/orders", padding=400)
    settler = Settler(daemon.address, "/queue/orders")
    pump([producer, settler],
         lambda: producer.receipted > 8000 and len(settler.settled) > 2000)
    daemon.kill()
    drain([producer, settler])
    return environment.data


def integers(value, key=""):
    """Every integer in a JSON value, with the key it stands under."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from integers(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from integers(inner, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


@test("inspect and verify read what kill -9 left, call it sound and change nothing")
def sound_after_kill(environment):
    data = crashed_store(environment, '[storage]\nsegment_size = "1MiB"\n')
    before = contents(data)
    status, value = environment.log_tool_json("verify", data)
    assert status == 0, value
    status, value = environment.log_tool_json("inspect", data)
    assert status == 0 and "/queue/orders" in str(value), value
    for verb in ("inspect", "verify"):
        status, output, errors = environment.log_tool(verb, data)
        assert status == 0 and output.strip(), (verb, status, output, errors)
    assert contents(data) == before, "an offline tool changed the directory"


@test("verify names file and offset of a flipped byte; the daemon then serves the rest")
def flipped_byte(environment):
    data = crashed_store(environment)
    copy = environment.directory / "copy"
    shutil.copytree(data, copy)
    needle = b"00003001" * 20  # inside the body of message 3001, and of no other
    path, place = next((path, place) for path in sorted(copy.iterdir()) if path.is_file()
                       and (place := path.read_bytes().find(needle)) >= 0)
    with open(path, "r+b") as file:
        file.seek(place + 40)
        file.write(b"\x01")
    status, value = environment.log_tool_json("verify", copy)
    assert status == 1, (status, value)
    assert path.name in str(value), f"{path.name} is not named: {value}"
    near = [number for key, number in integers(value)
            if "offset" in key.lower() and place - 1024 <= number <= place + 41]
    assert near, f"no offset near {place}: {value}"
    status, output, errors = environment.log_tool("verify", copy)
    assert status == 1 and path.name in output + errors, (status, output, errors)
    assert environment.log_tool("verify", data)[0] == 0, "the original is sound"


@test("what is no store cannot be read: exit status 2")
def nonsense(environment):
    empty = environment.directory / "empty"
    empty.mkdir()
    for target in (environment.directory / "missing", environment.file("plain", "text"), empty):
        for verb in ("inspect", "verify"):
            status, output, errors = environment.log_tool(verb, target)
            assert status == 2, (verb, str(target), status, output, errors)
            assert str(target) in output + errors, (verb, output, errors)
    assert list(empty.iterdir()) == [], "an offline tool wrote into the directory"


@test("a directory in use is refused, unless --live is given")
def in_use(environment):
    daemon = environment.daemon()
    with daemon.connect() as client:
        for number in range(100):
            client.send("/queue/orders", number)
        for verb in ("inspect", "verify"):
            status, output, errors = environment.log_tool(verb, environment.data)
            assert status == 2, (verb, status, output, errors)
            assert "--live" in output + errors, (verb, output, errors)
            status, value = environment.log_tool_json(verb, environment.data, "--live")
            assert status == 0, (verb, value)
        client.send("/queue/orders", "unharmed")
    daemon.stop()


@test("the active segment deleted, zeroed or cut after kill -9: verify and the start name the file")
def lost_end(environment):
    config = '[storage]\nsegment_size = "1MiB"\n'
    # What vouches for the active segment is a checkpoint in it, which comes a moment after it begins,
    # and that its file was prepared; a sender that outruns the disk has the log go on in one that was not.
    for _ in range(20):
        data = crashed_store(environment, config)
        active = sorted(path.name for path in data.glob("segment-*.log"))[-1]
        status, output, errors = environment.log_tool("verify", data)
        prepared = (data / active).read_bytes()[56:64] != bytes(8)
        if prepared and f"up to position {int(active[8:18])}:" in output:
            break
    else:
        raise AssertionError(f"no kill -9 met a prepared segment with a checkpoint in it: {output}")

    def zero(path):
        path.write_bytes(bytes(path.stat().st_size))

    def cut(path):
        os.truncate(path, path.stat().st_size // 2)

    for name, harm in (("deleted", os.remove), ("zeroed", zero), ("cut", cut)):
        copy = environment.directory / name
        shutil.copytree(data, copy)
        harm(copy / active)
        status, output, errors = environment.log_tool("verify", copy)
        assert status == 1 and active in output, (name, status, output, errors)
        daemon = environment.daemon(config, data=copy)
        assert "damage in the store" in daemon.log() and active in daemon.log(), (name, daemon.log())
        with daemon.connect() as client:
            client.send("/queue/orders", b"after")
        daemon.stop()
