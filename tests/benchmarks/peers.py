"""What the Python libraries cost, as ratios to the plain forward pass: peers.py [--cuda] [TEXT...].

The rows of benchmark_methods, on the same machine: pip install torch==2.13.0 torchvision grad-cam==1.5.7 torchcam==0.5.0.
Only rows whose network and method hold one of the texts are measured. A library that is not there is left out. Medians of
interleaved runs; random weights.
"""

import contextlib
import importlib.util
import io
import statistics
import sys
import time

import torch
import torchvision


DEVICE = "cuda" if "--cuda" in sys.argv[1:] else "cpu"


def seconds(run):
    before = time.perf_counter()
    run()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - before


def compare(plain, explained, runs):
    """Both in turn, each first every other time."""
    for _ in range(3 if runs > 5 else 1):
        plain(), explained()
    times = [[], []]
    for turn in range(runs):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            times[which].append(seconds((plain, explained)[which]))
    return [statistics.median(each) for each in times]


@contextlib.contextmanager
def with_grad_cam(name, model, layer):
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with getattr(pytorch_grad_cam, name)(model=model, target_layers=[layer]) as method:

        def run(images):
            with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
                method(input_tensor=images, targets=[ClassifierOutputTarget(0)] * len(images))

        yield run


@contextlib.contextmanager
def with_torchcam(name, model, layer):
    from torchcam import methods

    with getattr(methods, name)(model, layer) as method:
        yield lambda images: method([0] * len(images), model(images))


PEERS = {"pytorch-grad-cam": ("pytorch_grad_cam", with_grad_cam), "torchcam": ("torchcam", with_torchcam)}
GRADIENT_METHODS = {  # ours: pytorch-grad-cam's name, torchcam's name
    "Grad-CAM": ("GradCAM", "GradCAM"),
    "Grad-CAM++": ("GradCAMPlusPlus", "GradCAMpp"),
    "LayerCAM": ("LayerCAM", "LayerCAM"),
    "HiResCAM": ("HiResCAM", None),
    "XGrad-CAM": ("XGradCAM", "XGradCAM"),
    "Eigen-CAM": ("EigenCAM", None),
}


def row(network, model, what, batch, runs, layer, names):
    wanted = [text for text in sys.argv[1:] if text != "--cuda"]
    if wanted and not any(text in f"{network} {what}" for text in wanted):
        return
    images = torch.randn(batch, 3, 224, 224, device=DEVICE)

    def plain():
        with torch.no_grad():
            model(images)

    for (peer, (module, make)), name in zip(PEERS.items(), names):
        if name is None or importlib.util.find_spec(module) is None:
            continue
        with make(name, model, layer) as explain:  # its hooks end with it
            before, after = compare(plain, lambda: explain(images), runs)
        print(f"{network:12} {batch:5}  {what:34} {peer:17} {1e3 * before:9.1f} {1e3 * after:9.1f} {after / before:9.3f}", flush=True)


def main():
    torch.manual_seed(0)
    torch.set_num_threads(2)
    print(f"224 x 224, {'CUDA' if DEVICE == 'cuda' else '2 threads'}, PyTorch {torch.__version__}")
    print(f"{'network':12} {'batch':>5}  {'method':34} {'peer':17} {'plain ms':>9} {'ms':>9} {'ratio':>9}")
    for network, make, last in (
        ("ResNet-18", torchvision.models.resnet18, "layer4"),
        ("ResNet-50", torchvision.models.resnet50, "layer4"),
        ("MobileNetV2", torchvision.models.mobilenet_v2, "features"),
    ):
        model = make(weights=None).eval().to(DEVICE)
        layer = getattr(model, last)
        for batch in (1, 16):
            for what, names in GRADIENT_METHODS.items():
                row(network, model, what, batch, 11 if batch == 1 else 3, layer, names)
        if network == "ResNet-18":
            row(network, model, "Grad-CAM at layer2", 1, 11, model.layer2, ("GradCAM", "GradCAM"))
            row(network, model, "FullGrad", 1, 3, layer, ("FullGrad", None))
            row(network, model, "Ablation-CAM, 512 channels", 1, 1, layer, ("AblationCAM", None))
            row(network, model, "Score-CAM, 512 channels", 1, 1, layer, ("ScoreCAM", "ScoreCAM"))


if __name__ == "__main__":
    main()
