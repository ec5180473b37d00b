"""Writes the goldens of crates/conformance: three SGD steps in f64, the truth that our f32 results are held against.

    python bench/peers/pytorch/goldens.py          # needs torch and numpy; takes a minute and 5 GB

`two-towers` and `local` (miniatures) are kept whole. The whole `alexnet` starts from numbers that both sides draw from the same
counter-based stream, and is kept as a norm, a sum and 64 elements of each tensor. Files are in the safetensors format.

The step is `v <- momentum v - decay rate w - rate g ; w <- w + v`, with each layer's multipliers; biases never decay.
"""

import json
import pathlib
import struct

import numpy as np
import philox
import torch
import torch.nn.functional as F
from net import Net, read

GOLDENS = pathlib.Path(__file__).resolve().parents[3] / "crates/conformance/goldens"
SEED = 2012
STEPS = 3
MOMENTUM, DECAY = 0.9, 0.0005
SAMPLES = 64


def start(name, number, layer, shape):
    """Initial values of a parameter. Weights are uniform, of the layer's standard deviation, in the stream of
    (tower, number in the tower); only arithmetic that rounds alike everywhere."""
    if name.endswith("bias"):
        return np.full(shape, layer["learning"]["bias"], np.float32)
    tower, place = number
    unit = philox.units(SEED, philox.WEIGHTS, 0, 1000 * tower + place, int(np.prod(shape)))
    width = np.float32(layer["learning"]["weight_std"]) * np.sqrt(np.float32(12))
    return ((unit - np.float32(0.5)) * width).reshape(shape)


def images(batch, side):
    """Photos `[batch, side, side, 3]` u8 and a mean image `[side, side, 3]`."""
    pixels = philox.draws(SEED, philox.DRAWING, 0, 0, batch * side * side * 3) >> np.uint32(24)
    mean = np.float32(96) + np.float32(64) * philox.units(SEED, philox.DRAWING, 0, 1, side * side * 3)
    return pixels.astype(np.uint8).reshape(batch, side, side, 3), mean.reshape(side, side, 3)


def loss_and_gradients(net, x, labels):
    """Runs both passes; gradients stay in the parameters."""
    net.zero_grad(set_to_none=True)
    loss = F.cross_entropy(net(x), labels)
    loss.backward()
    return loss.item()


@torch.no_grad()
def update(net, velocities, rate):
    """One step of the learning rule."""
    for name, module, layer in net.learned:
        rates = layer["learning"]
        decay = rates.get("decay", DECAY)
        for parameter, own_rate, own_decay in (
            (module.weight, rates.get("weight_rate", 1.0), decay),
            (module.bias, rates.get("bias_rate", 1.0), 0.0),
        ):
            v = velocities.setdefault(parameter, torch.zeros_like(parameter))
            v.mul_(MOMENTUM).sub_(rate * own_rate * (own_decay * parameter + parameter.grad))
            parameter.add_(v)


def three_steps(description, pixels, mean, labels, rate, kind):
    """Losses before each step, and for each parameter its start, first gradient and change after all steps."""
    net = Net(description).to(kind)
    starts = {}
    with torch.no_grad():
        for name, number, layer, parameter, rows in net.parameter_slices():
            starts[name] = start(name, number, layer, tuple(parameter[rows].shape))
            parameter[rows] = torch.from_numpy(starts[name]).to(kind)
    x = torch.from_numpy(pixels.astype(np.float32) - mean).permute(0, 3, 1, 2).contiguous().to(kind)
    labels = torch.tensor(labels)
    losses, velocities, gradients = [], {}, {}
    for step in range(STEPS):
        losses.append(loss_and_gradients(net, x, labels))
        if step == 0:
            for name, _, _, parameter, rows in net.parameter_slices():
                gradients[name] = parameter.grad[rows].to(torch.float64).numpy().copy()
        update(net, velocities, rate)
    changes = {
        name: parameter.detach()[rows].to(torch.float64).numpy() - starts[name]
        for name, _, _, parameter, rows in net.parameter_slices()
    }
    return np.array(losses), starts, gradients, changes


def summary(tensor):
    """Norm, sum and evenly spaced elements, the first and the last among them."""
    flat = tensor.reshape(-1)
    places = np.arange(SAMPLES) * (flat.size - 1) // (SAMPLES - 1)
    return np.concatenate([[np.linalg.norm(flat)], [flat.sum()], flat[places]])


def report(what, truth, single):
    """Prints how far PyTorch's own f32 run is from its f64 run, as |difference| / |truth|."""
    for name, tensor in truth.items():
        print(f"{what} {name}: norm {np.linalg.norm(tensor):.3g}, "
              f"f32 off by {np.linalg.norm(single[name] - tensor) / np.linalg.norm(tensor):.1e}")


def write(path, tensors):
    """A safetensors file: header length, JSON header, tensors one after the other."""
    types = {np.dtype(np.float32): "F32", np.dtype(np.float64): "F64", np.dtype(np.uint8): "U8", np.dtype(np.uint32): "U32"}
    # The widest elements first, so that all stay aligned.
    tensors = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    header, offset = {}, 0
    for name, tensor in tensors:
        header[name] = {"dtype": types[tensor.dtype], "shape": tensor.shape, "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in tensors:
            file.write(np.ascontiguousarray(tensor).tobytes())
    print(f"{path.name}: {path.stat().st_size} bytes")


def golden(name, batch, labels, rate, keep_whole):
    """Writes `<name>.golden` from `<name>.json`."""
    description = read(GOLDENS / f"{name}.json")
    pixels, mean = images(batch, description["crop"])
    single = three_steps(description, pixels, mean, labels, rate, torch.float32)
    losses, starts, gradients, changes = three_steps(description, pixels, mean, labels, rate, torch.float64)
    print(f"{name}: losses {losses}, f32 off by {np.abs(single[0] / losses - 1).max():.1e}")
    report("gradient", gradients, single[2])
    report("change", changes, single[3])
    tensors = {"losses": losses, "labels": np.array(labels, np.uint32), "rate": np.array([rate], np.float32)}
    if keep_whole:
        tensors |= {"pixels": pixels, "mean": mean}
        tensors |= {f"{key}.start": value for key, value in starts.items()}
    for kind, values in (("gradient", gradients), ("change", changes)):
        for key, value in values.items():
            tensors[f"{key}.{kind}"] = value.astype(np.float32) if keep_whole else summary(value)
    write(GOLDENS / f"{name}.golden", tensors)


if __name__ == "__main__":
    philox.check()
    torch.manual_seed(0)
    golden("two-towers", 5, [3, 0, 6, 1, 3], 0.002, keep_whole=True)
    golden("local", 4, [2, 0, 4, 1], 0.002, keep_whole=True)
    golden("alexnet", 2, [417, 42], 0.001, keep_whole=False)
