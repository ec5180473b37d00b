"""Times passes of a net in PyTorch on the CPU, eager, and prints JSON. `bench/step.ts` runs it beside our engine.

    python step.py --net net.json --batch 128 --threads 2 --steps 2

A step is what the engine's is: forward, cross-entropy, backward, SGD with momentum and decay. The input is ready in
memory as f32 (the engine's step converts it from u8 and subtracts the mean as well).
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F
from net import Net, read


def seconds_of(work, repeats):
    """Wall time of each run after one that is not counted (it allocates, and picks kernels)."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return times


def measure(description, layout, batch, steps):
    """Seconds of training steps and of forward passes, both in training mode (with dropout)."""
    net = Net(description).to(memory_format=layout)
    side = description["crop"]
    x = torch.randn(batch, 3, side, side).mul_(60).to(memory_format=layout)
    weights = [parameter for parameter in net.parameters() if parameter.dim() > 1]
    biases = [parameter for parameter in net.parameters() if parameter.dim() == 1]
    groups = [{"params": weights, "weight_decay": 0.0005}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=1e-4, momentum=0.9)
    labels = torch.randint(net.layers[-1].out_features, (batch,))

    def step():
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(x), labels).backward()
        optimizer.step()

    @torch.inference_mode()
    def forward():
        net(x)

    return {"parameters": sum(parameter.numel() for parameter in net.parameters()),
            "step": seconds_of(step, steps), "forward": seconds_of(forward, steps)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    description = read(arguments.net)
    layouts = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
    print(json.dumps({
        "version": torch.__version__,
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "layouts": {
            name: measure(description, layout, arguments.batch, arguments.steps) for name, layout in layouts.items()
        },
    }))


if __name__ == "__main__":
    main()
