"""The slope of the power spectrum of photos: about -2 for natural images (Field 1987; Torralba and Oliva 2003).

    python datasets/builtin/spectrum.py FOLDER [COUNT]

The luminance of each photo's centre square, its mean taken off, under a Hann window; power of the Fourier transform,
averaged over photos and over directions; a line is fitted to its logarithm over the logarithm of the frequency, from 1/64 to
1/4 of a cycle a pixel. Needs numpy and Pillow. Works on any photos, so real ones can be held beside ours.
"""
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 192


def power(path):
    """Power at each frequency of the middle SIDE x SIDE pixels, or nothing where the photo is smaller."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64) @ [0.299, 0.587, 0.114]
    top, left = ((size - SIDE) // 2 for size in pixels.shape)
    if top < 0 or left < 0:
        return None
    window = np.hanning(SIDE)
    square = pixels[top : top + SIDE, left : left + SIDE]
    return np.abs(np.fft.fft2((square - square.mean()) * np.outer(window, window))) ** 2


def main(folder, count=200):
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    powers = [found for path in files[:: max(1, len(files) // int(count))] if (found := power(path)) is not None]
    frequency = np.fft.fftfreq(SIDE)
    radius = np.hypot(*np.meshgrid(frequency, frequency)) * SIDE
    ring = np.rint(radius).astype(int).ravel()
    total = np.bincount(ring, weights=np.mean(powers, axis=0).ravel())
    radial = total / np.bincount(ring)
    cycles = np.arange(SIDE // 64, SIDE // 4 + 1)
    slope, _ = np.polyfit(np.log(cycles), np.log(radial[cycles]), 1)
    each = [
        np.polyfit(np.log(cycles), np.log((np.bincount(ring, weights=p.ravel()) / np.bincount(ring))[cycles]), 1)[0]
        for p in powers
    ]
    print(f"{len(powers)} photos: slope {slope:.2f}; of single photos {np.mean(each):.2f} +- {np.std(each):.2f}")


main(*sys.argv[1:])
