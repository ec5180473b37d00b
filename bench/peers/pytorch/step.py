"""Times training steps and forward passes of nets in PyTorch on the CPU, one line of JSON for each that it reads.
`bench/step.ts` and `bench/forward.ts` ask it beside our engine.

    python step.py THREADS

A request names `net` (the file of a description), `pass` (`step` or `forward`), `layout`, `compiled`, `batch`, `repeats`.
A step is what the engine's is: forward, cross-entropy, backward, SGD with momentum and decay; a forward pass is that of
predictions, without dropout. The input is ready in memory as f32 (the engine's work begins with u8 photos).
"""

import json
import sys
import time

import torch
import torch._inductor.config
import torch.nn.functional as F
from net import Net, read

LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def training(net, x, compiled):
    """One step."""
    weights = [parameter for parameter in net.parameters() if parameter.dim() > 1]
    biases = [parameter for parameter in net.parameters() if parameter.dim() == 1]
    groups = [{"params": weights, "weight_decay": 0.0005}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=1e-4, momentum=0.9, fused=True)
    labels = torch.randint(net.layers[-1].out_features, (len(x),))

    def loss():
        return F.cross_entropy(net(x), labels)

    if compiled:
        loss = torch.compile(loss)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


def predicting(net, x, compiled):
    """One forward pass."""
    net.eval()
    if compiled:
        # Weights are constants: they are packed once.
        torch._inductor.config.freezing = True
        net = torch.compile(net)

    @torch.inference_mode()
    def forward():
        net(x).softmax(1)

    return forward


def prepare(work, description, layout, batch, compiled):
    net = Net(description).to(memory_format=LAYOUTS[layout])
    side = description["crop"]
    x = torch.randn(batch, 3, side, side).mul_(60).to(memory_format=LAYOUTS[layout])
    return (training if work == "step" else predicting)(net, x, compiled)


def seconds_of(work, repeats):
    """Wall time of each run after one that is not counted (it allocates, compiles, and picks kernels)."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return times


def main(threads):
    torch.manual_seed(0)
    torch.set_num_threads(int(threads))
    print(json.dumps({"version": torch.__version__, "instruction_set": torch.backends.cpu.get_cpu_capability()}), flush=True)
    prepared = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = tuple(request[name] for name in ("pass", "net", "layout", "batch", "compiled"))
        try:
            if key not in prepared:
                prepared[key] = prepare(key[0], read(key[1]), *key[2:])
            answer = {"seconds": seconds_of(prepared[key], request["repeats"])}
        except Exception as error:  # One variant that cannot be had (a compiler is missing) leaves the others.
            answer = {"error": f"{type(error).__name__}: {error}".split("\n")[0]}
        print(json.dumps(answer), flush=True)


main(*sys.argv[1:])
