"""Damages bytes as disks, networks and other people's programs do, from a seed."""

import numpy as np

_ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes of a file: bits, bytes, lengths that are wrong, and parts that are lost, doubled or moved."""
    for _ in range(int(rng.integers(1, 5))):
        data = _changed(bytearray(data), rng)
    return data


def _changed(data: bytearray, rng: np.random.Generator) -> bytes:
    size = len(data)
    if not size:
        return bytes(rng.integers(0, 256, 8, np.uint8))
    # Headers and directories are short, and decide most: half of all changes hit the begin or the end.
    place = int(rng.integers(size))
    near = int(rng.integers(min(size, 600)))
    place = (place, near, size - 1 - near)[int(rng.choice(3, p=(0.5, 0.3, 0.2)))]
    length = int(rng.integers(1, 1 + min(size, (4, 64, 4096)[int(rng.integers(3))])))
    match int(rng.integers(8)):
        case 0:
            data[place] ^= 1 << int(rng.integers(8))
        case 1:
            data[place : place + length] = rng.integers(0, 256, length, np.uint8).tobytes()
        case 2:
            width = int(rng.choice((1, 2, 4, 8)))
            odd = int(rng.integers(len(_ODD)))
            order = ("little", "big")[int(rng.integers(2))]
            data[place : place + width] = (_ODD[odd] % (1 << 8 * width)).to_bytes(width, order)
        case 3:
            del data[place : place + length]
        case 4:
            data[place:place] = data[place : place + length]
        case 5:
            del data[place:]
        case 6:
            other = int(rng.integers(size))
            data[place : place + length] = data[other : other + length]
        case 7:
            data[place : place + length] = bytes(length)
    return bytes(data)
