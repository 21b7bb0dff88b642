#!/usr/bin/env python3
"""small.py EXPLAIN [FOLDER]: exports a dozen small models of PyPI's packages by script and by trace, and compares
Grad-CAM of the program EXPLAIN, at the layer that it takes by itself, with plain PyTorch hooks.

Needs torch, torchvision and timm (`pip install --no-deps torchvision timm`). Weights are random: nothing is downloaded.
Prints a line a file, and `N passed, N failed`."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import torch



def declare_operators():
    """torchvision's compiled operators do not load beside every build of torch. These models need none of them, but
    importing torchvision wants them declared."""
    source = os.path.join(os.path.dirname(importlib.util.find_spec("torchvision").origin), "_meta_registrations.py")
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in sorted(set(re.findall(r"torchvision::(\w+)", open(source).read()) + ["nms"])):
        library.define(f"{name}(Tensor a) -> Tensor")
    return library


operators = declare_operators()  # they are declared as long as this lives
import timm
import torchvision

# Name, how it is made, side of its picture, and how the layer's output is seen as [N, C, H, W] where it is not.
MODELS = [
    ("timm/test_resnet", lambda: timm.create_model("test_resnet"), 96, None),
    ("timm/test_efficientnet", lambda: timm.create_model("test_efficientnet"), 96, None),
    ("timm/test_byobnet", lambda: timm.create_model("test_byobnet"), 96, None),
    ("timm/test_convnext", lambda: timm.create_model("test_convnext"), 96, None),
    ("timm/test_nfnet", lambda: timm.create_model("test_nfnet"), 96, None),
    ("timm/test_vit", lambda: timm.create_model("test_vit", img_size=96), 96, (6, 6)),
    ("timm/test_vit3", lambda: timm.create_model("test_vit3", img_size=96), 96, (6, 6)),
    ("timm/swin", lambda: timm.models.swin_transformer.SwinTransformer(
        img_size=64, patch_size=4, window_size=4, embed_dim=12, depths=(2, 2), num_heads=(2, 2), num_classes=7), 64, "last"),
    ("torchvision/squeezenet1_1", lambda: torchvision.models.squeezenet1_1(num_classes=11), 96, None),
    ("torchvision/shufflenet_v2_x0_5", lambda: torchvision.models.shufflenet_v2_x0_5(num_classes=11), 96, None),
    ("torchvision/mobilenet_v3_small", lambda: torchvision.models.mobilenet_v3_small(num_classes=11), 96, None),
    ("torchvision/mnasnet0_5", lambda: torchvision.models.mnasnet0_5(num_classes=11), 96, None),
    ("torchvision/googlenet", lambda: torchvision.models.googlenet(num_classes=11, aux_logits=False, init_weights=False), 96, None),
]


def uneven(model):
    """New norms and layer scales are constant, which would hide mistakes."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in list(model.parameters()) + list(model.buffers()):
            if tensor.is_floating_point() and tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
                tensor += 0.5 + 0.3 * torch.rand(tensor.shape, generator=generator) if tensor.flatten()[0] == 0 and tensor.dim() > 1 \
                    else 0.2 * torch.rand(tensor.shape, generator=generator)
    return model


def as_maps(tensor, how):
    if how == "last":
        return tensor.movedim(-1, 1) if tensor.dim() == 4 else tensor
    if how is None or tensor.dim() != 3:
        return tensor
    height, width = how
    return tensor[:, tensor.shape[1] - height * width:].transpose(1, 2).unflatten(2, (height, width))


def grad_cam(model, x, layer, target, how):
    kept = []
    handle = dict(model.named_modules())[layer].register_forward_hook(lambda module, inputs, output: kept.append(output))
    score = model(x)[0, target]
    handle.remove()
    (gradient,) = torch.autograd.grad(score, kept[-1])
    activations, gradient = as_maps(kept[-1].detach(), how), as_maps(gradient, how)
    return (gradient.mean((2, 3), keepdim=True) * activations).sum(1).relu()[0]


def explained(program, path, array, work, target):
    command = [program, path, array, "--target", str(target), "--raw", work + "/map.npy", "--out", work + "/map.png", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode != 0:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[0]), np.load(work + "/map.npy")[0]


def check(program, name, make, side, how, kind, work):
    torch.manual_seed(0)
    model = uneven(make().eval())
    x = torch.randn(1, 3, side, side)
    path = os.path.join(work, re.sub(r"\W", "_", name) + "." + kind + ".pt")
    exported = torch.jit.script(model) if kind == "script" else torch.jit.trace(model, x, check_trace=False)
    exported.save(path)
    np.save(work + "/input.npy", x.numpy())
    with torch.no_grad():
        target = int(model(x)[0].argmax())
    record, got = explained(program, path, work + "/input.npy", work, target)
    wanted = grad_cam(model, x, record["layer"], target, how).numpy()
    if got.shape != wanted.shape:
        return record, f"the map is {got.shape}, wanted {wanted.shape}"
    size = np.abs(wanted).max()
    error = np.abs(got - wanted).max() / size if size > 0 else np.abs(got).max()
    return record, None if error < 1e-4 else f"relative error {error:.1e}"


def main():
    program = os.path.abspath(sys.argv[1])
    passed = failed = 0
    with tempfile.TemporaryDirectory() as made:
        work = sys.argv[2] if len(sys.argv) > 2 else made
        for name, make, side, how in MODELS:
            for kind in ("script", "trace"):
                try:
                    record, problem = check(program, name, make, side, how, kind, work)
                    where = f"{record['layer']} {record['status']}"
                except Exception as error:  # the next model is another matter
                    where, problem = "", str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
                passed, failed = passed + (problem is None), failed + (problem is not None)
                print(f"{name:32} {kind:6} {where:32} {'ok' if problem is None else 'FAILED: ' + problem}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
