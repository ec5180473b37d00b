"""How far a linear model on pixels gets on a folder with train/<class>/*.jpg and val/<class>/*.jpg.

Multinomial logistic regression on standardised 64 x 64 RGB centre crops, trained with Adam; prints validation top-1 for
several weight decays, so that the best of them is the figure to beat. Needs numpy and Pillow.

    python datasets/builtin/linear_baseline.py data/builtin
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64
EPOCHS = 30
BATCH = 128
RATE = 3e-4


def load(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pixels [n, SIDE * SIDE * 3] in 0..1, labels [n] and the names of the classes."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    pixels, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).glob("*.jpg")):
            image = Image.open(path).convert("RGB")
            short = min(image.size)
            left, top = (image.width - short) // 2, (image.height - short) // 2
            square = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, (left, top, left + short, top + short))
            pixels.append(np.asarray(square, np.float32).ravel() / 255)
            labels.append(label)
    return np.stack(pixels), np.array(labels), classes


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Softmax of each row."""
    exponentials = np.exp(scores - scores.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def fit(x: np.ndarray, y: np.ndarray, classes: int, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights [inputs, classes] and biases [classes]: Adam with decoupled weight decay, rate falling to zero."""
    rng = np.random.default_rng(0)
    parameters = [np.zeros((x.shape[1], classes), np.float32), np.zeros(classes, np.float32)]
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    steps = EPOCHS * (len(x) // BATCH)
    for step in range(1, steps + 1):
        if step % (len(x) // BATCH) == 1:
            order = rng.permutation(len(x))
        start = (step - 1) % (len(x) // BATCH) * BATCH
        rows = order[start : start + BATCH]
        error = probabilities(x[rows] @ parameters[0] + parameters[1])
        error[np.arange(len(rows)), y[rows]] -= 1
        gradients = [x[rows].T @ error / len(rows), error.mean(0)]
        rate = RATE * (1 - step / steps)
        for i, gradient in enumerate(gradients):
            first[i] += 0.1 * (gradient - first[i])
            second[i] += 0.001 * (gradient**2 - second[i])
            mean, square = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            parameters[i] -= rate * (mean / (np.sqrt(square) + 1e-8) + decay * parameters[i])
    return parameters[0], parameters[1]


def main() -> None:
    """Fits and prints one line for each weight decay."""
    if len(sys.argv) != 2:
        sys.exit("usage: linear_baseline.py FOLDER (with train/ and val/)")
    folder = Path(sys.argv[1])
    x, y, classes = load(folder / "train")
    val_x, val_y, _ = load(folder / "val")
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    x, val_x = (x - mean) / deviation, (val_x - mean) / deviation
    print(f"{len(x)} training and {len(val_x)} validation images of {len(classes)} classes; chance {1 / len(classes):.1%}")
    for decay in (0.0, 1.0, 10.0, 100.0, 1000.0):
        weights, biases = fit(x, y, len(classes), decay)
        top1 = [((pixels @ weights + biases).argmax(1) == labels).mean() for pixels, labels in ((x, y), (val_x, val_y))]
        print(f"weight decay {decay:6g}: top-1 {top1[1]:.1%} on validation, {top1[0]:.1%} on training images")


if __name__ == "__main__":
    main()
