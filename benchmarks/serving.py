"""Load on `taglm serve` over the loopback, and what batches of mixed predictors gain.

    python benchmarks/serving.py runs/QED runs/LogP --rows molecules.csv --seconds 120

Starts the service as a process of its own and sends requests from this one, which takes a part of
the same processors. Each of `--clients` sends requests of `--request-rows` rows one after the
other, to the predictors in turn; a 429 is waited out and counted. Then, without HTTP, small
requests for all predictors in one call are timed against one call each.
"""

import argparse
import asyncio
import csv
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil


async def send(
    address: str,
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    clients: int,
    request_rows: int,
    seconds: float,
) -> dict[str, Any]:
    """Send requests for some time.

    Args:
        address: Of the service.
        rows: Predictor -> rows to draw from.
        clients: Requests at a time.
        request_rows: Rows of a request.
        seconds: How long.

    Returns:
        Rows a second, milliseconds of a request (median and 99th percentile), and statuses.
    """
    took: list[float] = []
    statuses: Counter[int] = Counter()
    done = 0
    end = time.perf_counter() + seconds

    async def client(number: int, session: httpx.AsyncClient) -> None:
        nonlocal done
        drawn = random.Random(number)
        names = list(rows)
        turn = number
        while time.perf_counter() < end:
            name = names[turn % len(names)]
            turn += 1
            body = {"rows": drawn.choices(rows[name], k=request_rows)}
            began = time.perf_counter()
            answer = await session.post(f"/v1/predictors/{name}/predict", json=body)
            statuses[answer.status_code] += 1
            if answer.status_code == 429:
                await asyncio.sleep(float(answer.headers["retry-after"]))
                continue
            if answer.status_code == 200:
                took.append(time.perf_counter() - began)
                done += request_rows

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=120) as session:
        began = time.perf_counter()
        await asyncio.gather(*(client(number, session) for number in range(clients)))
        whole = time.perf_counter() - began
    milliseconds = 1000 * np.array(took)
    return {
        "rows_per_second": round(done / whole, 1),
        "requests": len(took),
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 1),
        "p99_ms": round(float(np.percentile(milliseconds, 99)), 1),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
    }


def mixed_ratio(
    predictors: Any, rows: Mapping[str, Sequence[Mapping[str, Any]]], count: int, is_same: bool
) -> dict[str, float]:
    """Compare requests for all predictors in one call with one call each.

    Processor time is compared, since it says the same on a busy machine; on a GPU it says nothing.
    No row is drawn twice, so that nothing is cached from one repeat to the next.

    Args:
        predictors: As `taglm.load_together` gives them.
        rows: Predictor -> rows.
        count: Rows of each request.
        is_same: True: all predictors get the same rows, as for a panel of properties; they need
            the same fields.

    Returns:
        Milliseconds of both ways, medians, and their ratio.
    """
    drawn = random.Random(count)
    one: list[float] = []
    each: list[float] = []
    shared = next(iter(rows.values()))
    order = drawn.sample(range(len(shared)), len(shared))

    def parts() -> list[tuple[str, Any]]:
        read, chosen = [], []
        for name, own in rows.items():
            if not (is_same and chosen):
                chosen = [order.pop() for _ in range(count)]
            columns = {field: [own[i][field] for i in chosen] for field in own[0]}
            read.append((name, predictors.read(name, columns)[0]))
        return read

    needed = 2 * count * (1 if is_same else len(rows))
    for _ in range(min(10, len(order) // needed)):
        together, apart = parts(), parts()
        began = time.process_time()
        predictors.predict_rows(together)
        middle = time.process_time()
        for part in apart:
            predictors.predict_rows([part])
        one.append(middle - began)
        each.append(time.process_time() - middle)
    found = {"one_call_ms": 1000 * float(np.median(one)), "each_ms": 1000 * float(np.median(each))}
    found["ratio"] = found["each_ms"] / found["one_call_ms"]
    return {name: round(value, 2) for name, value in found.items()}


def read_rows(file: Path, fields: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV with the fields of a predictor."""
    with file.open(newline="", encoding="utf-8") as stream:
        return [{field: row[field] for field in fields} for row in csv.DictReader(stream)]


def serve_and_load(arguments: argparse.Namespace) -> dict[str, Any]:
    """Start the service, load it, and stop it under load's last requests."""
    command = [sys.executable, "-m", "taglm_core.cli.main", "serve", *arguments.predictors]
    command += ["--port", str(arguments.port), "--cache", arguments.cache]
    command += ["--max-queue", str(arguments.max_queue)]
    address = f"http://127.0.0.1:{arguments.port}"
    process = subprocess.Popen(command)
    try:
        facts = _wait(address, process)
        rows = {
            entry["name"]: read_rows(arguments.rows, entry["fields"])
            for entry in facts["predictors"]
        }
        sizes = (arguments.clients, arguments.request_rows)
        asyncio.run(send(address, rows, *sizes, min(10.0, arguments.seconds)))  # caches fill
        memory = psutil.Process(process.pid).memory_info
        start = memory().rss
        found = asyncio.run(send(address, rows, *sizes, arguments.seconds))
        found["mb_at_start"], found["mb_at_end"] = (round(m / 1e6) for m in (start, memory().rss))
    finally:
        process.send_signal(signal.SIGTERM)
        found_code = process.wait(90)
    found["exit_code"] = found_code
    return found


def _wait(address: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait until the service answers; return what it says of itself."""
    while process.poll() is None:
        try:
            facts: dict[str, Any] = httpx.get(f"{address}/v1/predictors").json()
            return facts
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit("the service did not start")


def main() -> None:
    """Measure, and print each result as JSON."""
    import taglm
    from taglm_serve.naming import named_folders

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictors", nargs="+", help="folders, as for taglm serve")
    parser.add_argument("--rows", type=Path, required=True, help="CSV with the fields of all")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--request-rows", type=int, default=8)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--cache", default="500MB")
    parser.add_argument("--max-queue", type=int, default=20_000)
    arguments = parser.parse_args()
    if arguments.seconds:
        print(json.dumps({"service": serve_and_load(arguments)}, indent=1), flush=True)
    predictors = taglm.load_together(named_folders(arguments.predictors), cache=arguments.cache)
    rows = {name: read_rows(arguments.rows, own.fields) for name, own in predictors.items()}
    for count in (1, 8):
        for word, is_same in (("other rows", False), ("the same rows", True)):
            found = mixed_ratio(predictors, rows, count, is_same)
            print(json.dumps({f"{count} rows each, {word}": found}), flush=True)


if __name__ == "__main__":
    main()
