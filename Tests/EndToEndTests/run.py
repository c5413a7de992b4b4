#!/usr/bin/env python3
"""Runs the end-to-end tests against a real daemon; see README.md beside this file.

Prints one line per test and `N passed, N failed` at the end. Exit status 1 if anything failed.
"""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback

import harness

import tests_abuse       # noqa: F401  importing a module registers its tests
import tests_access      # noqa: F401
import tests_browser     # noqa: F401
import tests_client_docs  # noqa: F401
import tests_clients     # noqa: F401
import tests_conformance  # noqa: F401
import tests_configuration  # noqa: F401
import tests_crash       # noqa: F401
import tests_damage      # noqa: F401
import tests_delivery    # noqa: F401
import tests_disk        # noqa: F401
import tests_documents   # noqa: F401
import tests_fuzz        # noqa: F401
import tests_limits      # noqa: F401
import tests_log_copies  # noqa: F401
import tests_log_replay  # noqa: F401
import tests_log_tool    # noqa: F401
import tests_names       # noqa: F401
import tests_protocol    # noqa: F401
import tests_start_stop  # noqa: F401
import tests_time        # noqa: F401
import tests_tls         # noqa: F401
import tests_websocket   # noqa: F401

environments, lock = set(), threading.Lock()


def run_one(options, root, name, function):
    """Runs one test: its verdict ('passed', 'failed', 'skipped') and what to print after it."""
    environment = harness.Environment(options, root, name.replace(" ", "_").replace("/", "_"))
    with lock:
        environments.add(environment)
    try:
        function(environment)
        return "passed", ""
    except harness.Skip as reason:
        return "skipped", f" ({reason})"
    except Exception as error:
        detail = str(error) if isinstance(error, AssertionError) and str(error) else ""
        where = traceback.extract_tb(error.__traceback__)
        steps = [f"{pathlib.Path(step.filename).name}:{step.lineno} {step.line}" for step in where]
        logs = [path.read_text(errors="replace")[-1500:]
                for path in sorted(environment.directory.glob("daemon-*.log"))]
        text = detail or f"{type(error).__name__}: {error}"
        return "failed", "\n    " + "\n    ".join(
            [text, *steps[1:], *(line for log in logs[-1:] for line in log.splitlines()[-12:])])
    finally:
        clean_up(environment)


def clean_up(environment):
    with lock:
        if environment not in environments:
            return
        environments.discard(environment)
    environment.clean_up()


def stop_everything(root):
    for environment in list(environments):
        clean_up(environment)
    shutil.rmtree(root, ignore_errors=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--daemon", required=True, help="the radiatord to test")
    parser.add_argument("--log-tool", required=True, help="the radiator-log to test")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT",
                        help="run the tests whose name contains this; may be repeated")
    parser.add_argument("--jobs", type=int, default=4, help="tests at the same time")
    parser.add_argument("--python", default=sys.executable,
                        help="interpreter that has stomp.py; this one by default")
    parser.add_argument("--directory", help="where temporary files go")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args()
    options.daemon = str(pathlib.Path(options.daemon).resolve())
    options.log_tool = str(pathlib.Path(options.log_tool).resolve())
    return options


def main():
    options = parse_arguments()
    chosen = [entry for entry in harness.ALL_TESTS
              if not options.only or any(text in entry[0] for text in options.only)]
    if options.list:
        print("\n".join(name for name, _, _ in chosen))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Started in the background by a shell it is ignored, and so it would be in every child.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    root = tempfile.mkdtemp(prefix="radiator-e2e-", dir=options.directory)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failures = []

    def report(name, start, verdict, detail):
        counts[verdict] += 1
        line = f"{verdict:7} {name} [{time.monotonic() - start:.1f} s]{detail}"
        print(line, flush=True)
        if verdict == "failed":
            failures.append(line)

    def run(entry):
        start = time.monotonic()
        verdict, detail = run_one(options, root, entry[0], entry[1])
        if not interrupted.is_set():
            report(entry[0], start, verdict, detail)

    interrupted = threading.Event()
    pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
    try:
        for running in [pool.submit(run, entry) for entry in chosen if not entry[2]]:
            running.result()
        for entry in chosen:
            if entry[2]:
                run(entry)
    except KeyboardInterrupt:
        interrupted.set()
        pool.shutdown(wait=False, cancel_futures=True)
        stop_everything(root)
        print("interrupted; every daemon was stopped", flush=True)
        os._exit(130)  # worker threads may still wait on sockets that are gone
    stop_everything(root)
    # Once more at the end, for of a long run CI shows the end alone.
    for line in failures if counts["passed"] else []:
        print(line)
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    return 1 if counts["failed"] or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
