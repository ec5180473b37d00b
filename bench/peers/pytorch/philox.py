"""The counter-based random numbers of crates/random, bit for bit (Philox4x32-10, Salmon et al., SC 2011)."""

import numpy as np

WEIGHTS, DRAWING = 1, 6  # the numbers of `Purpose`


def draws(seed, purpose, time, index, count):
    """The first `count` 32-bit numbers of `Stream::new(seed, purpose, time, index)`."""
    blocks = -(-count // 4)
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    purpose_time = (purpose << 56) | time
    counter = [np.arange(blocks, dtype=np.uint64)]
    counter += [np.full(blocks, x, np.uint64) for x in (index, purpose_time & 0xFFFFFFFF, purpose_time >> 32)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a = counter[0] * np.uint64(0xD2511F53)
        b = counter[2] * np.uint64(0xCD9E8D57)
        counter = [
            (b >> shift) ^ counter[1] ^ np.uint64(key[0]),
            b & low,
            (a >> shift) ^ counter[3] ^ np.uint64(key[1]),
            a & low,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(counter, axis=1).astype(np.uint32).reshape(-1)[:count]


def units(seed, purpose, time, index, count):
    """The same as f32 numbers in `[0, 1)`, `unit` of each."""
    return (draws(seed, purpose, time, index, count) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def check():
    """Known answers of the Random123 distribution, as in crates/random."""
    assert [hex(x) for x in draws(0, 0, 0, 0, 4)] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
