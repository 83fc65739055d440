#!/usr/bin/env python3
"""Runs `rollcall bench` and peer.py in turn, A B A B, and prints a Markdown table. Called by run.sh.

A ratio is how many times as fast ours is. Each pair of runs gives one; the table has their median and, in brackets,
the least and the greatest, so that a reader sees what the machine's mood was worth.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

PEER = Path(__file__).with_name("peer.py")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollcall", required=True)
    parser.add_argument("--models", required=True, metavar="DIR")
    parser.add_argument("--photos", required=True, metavar="DIR")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", default="8")
    parser.add_argument("--benches", nargs="+", default=["nets", "photos"], choices=["nets", "photos"])
    args = parser.parse_args()
    files = sorted(str(path) for path in Path(args.photos).iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    if args.pairs < 1 or not files:
        parser.error("the comparison wants at least one pair and a folder with at least one JPEG")
    ours, theirs = [args.rollcall, "bench"], [sys.executable, str(PEER), "--models", args.models]
    pairs = {}
    for number in range(args.pairs):
        for bench in benches(args.benches, files, args.seconds):
            print(f"pair {number + 1} of {args.pairs}: {bench[0]} {' '.join(bench[1 + len(files):])}", file=sys.stderr)
            for a, b in zip(lines(ours + bench), lines(theirs + bench), strict=True):
                if title(a) != title(b):
                    sys.exit(f"the two sides measured different things: {a} and {b}")
                pairs.setdefault(title(a), []).append((a, b))
    print_table(pairs)
    print_circumstances(args, len(files))


def benches(wanted, files, seconds):
    """The arguments of each run, the same for both sides."""
    if "nets" in wanted:
        yield ["nets"]
    if "photos" not in wanted:
        return
    for threads in sorted({1, cores()}):
        for liveness in ([], ["--liveness"]):
            yield ["photos", *files, "--threads", str(threads), "--seconds", seconds, *liveness]


def cores():
    return os.cpu_count() or 1


def lines(command):
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def title(line):
    threads = f"{line['threads']} thread" + ("s" if line["threads"] > 1 else "")
    if line["what"] == "photos":
        return f"photos{', liveness of every face' if line['liveness'] else ''}, {threads}"
    batch, _, height, width = line["shape"]
    return f"{line['what']} {width}×{height}, batch {batch}, {threads}"


def figure(line):
    """What is compared, its unit, and whether more is better."""
    if line["what"] == "photos":
        return line["photos_per_s"], "photos/s", True
    return line["ms_per_item"], "ms an image", False


def print_table(pairs):
    print("| | rollcall | ONNX Runtime + OpenCV | ratio |")
    print("|---|---|---|---|")
    for name, measured in pairs.items():
        ours, theirs = [figure(a)[0] for a, _ in measured], [figure(b)[0] for _, b in measured]
        _, unit, more_is_better = figure(measured[0][0])
        ratios = [a / b if more_is_better else b / a for a, b in zip(ours, theirs)]
        print(
            f"| {name} | {statistics.median(ours):.2f} {unit} | {statistics.median(theirs):.2f} {unit} "
            f"| **{statistics.median(ratios):.2f}×** ({min(ratios):.2f}–{max(ratios):.2f}) |"
        )
    for photos in [measured[0] for name, measured in pairs.items() if name.startswith("photos")][:1]:
        faces = [line["faces_per_s"] / line["photos_per_s"] for line in photos]
        print(f"\nFaces a photo: {faces[0]:.1f} found by rollcall, {faces[1]:.1f} by the other.")


def print_circumstances(args, photos):
    forced = f", ROLLCALL_ISA={os.environ['ROLLCALL_ISA']}" if "ROLLCALL_ISA" in os.environ else ""
    said = subprocess.run([args.rollcall, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(
        f"{processor()}, {cores()} cores, {platform.system()}; {datetime.date.today()}; {said}{forced} and "
        f"ONNX Runtime {version('onnxruntime')}, OpenCV {version('opencv-python-headless')}; {photos} photos, "
        f"median of {args.pairs} pairs in turn, {args.seconds} s a run on photos. `make bench-peer`"
    )


def processor():
    try:
        fields = (line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
        return next(value.strip() for name, value in fields if name.strip() == "model name")
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
