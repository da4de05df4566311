"""Prints coverage.py's JSON report by room: `python tests/coverage_by_room.py .coverage.json`."""

import collections
import json
import pathlib
import sys


def main() -> None:
    files = json.loads(pathlib.Path(sys.argv[1]).read_text())["files"]
    rooms: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for path, found in files.items():
        room = "/".join(pathlib.PurePath(path).parts[:2])
        for name in (room, "all"):
            rooms[name][0] += found["summary"]["covered_lines"]
            rooms[name][1] += found["summary"]["num_statements"]
    for room, (covered, lines) in sorted(rooms.items(), key=lambda row: row[1][0] / max(row[1][1], 1)):
        print(f"{100 * covered / max(lines, 1):5.1f}%  {covered:5d} of {lines:5d}  {room}")


if __name__ == "__main__":
    main()
