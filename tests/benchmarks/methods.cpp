// What methods cost, as ratios to the plain forward pass of the same run: benchmark_methods [--cuda] [TEXT...].
//
// Medians of interleaved runs; the ratio is the median of neighbouring runs' ratios. Only rows whose network and method
// hold one of the texts are measured: `benchmark_methods MobileNetV2 Score-CAM`. On a GPU each run ends when the GPU
// has ended.

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "sightglass/sightglass.hpp"
#include "support/nets/architectures.hpp"
#include "support/nets/scripted.hpp"
#include "support/harness/timing.hpp"

namespace sg = sightglass;

namespace {

/// Where networks run; the CPU unless told otherwise.
torch::Device device = torch::kCPU;

void wait_for_device() {
  if (device.is_cuda()) torch::cuda::synchronize();
}

/// A network in evaluation mode, and its plain forward pass.
struct Subject {
  std::string name;
  sg::Model model;
  sg::Layer last;
  std::function<void(const torch::Tensor&)> plain;
};

template <class Net>
Subject subject(const std::string& name, Net net, const sg::Layer& last) {
  net->eval();
  return {name, sg::Model(net), last, [net](const torch::Tensor& input) mutable {
            const torch::NoGradGuard no_gradients;
            net->forward(input);
          }};
}

/// What rows to measure; all when empty.
std::vector<std::string> wanted;

bool is_wanted(const std::string& row) {
  return wanted.empty() || std::any_of(wanted.begin(), wanted.end(),
                                       [&](const std::string& text) { return row.find(text) != std::string::npos; });
}

void row(const Subject& net, const std::string& what, int64_t batch, int runs,
         const std::function<void(const torch::Tensor&)>& run) {
  if (!is_wanted(net.name + " " + what)) return;
  const torch::Tensor input = torch::randn({batch, 3, 224, 224}).to(device);
  const support::Ratio ratio = support::compare(
      runs,
      [&] {
        net.plain(input);
        wait_for_device();
      },
      [&] {
        run(input);
        wait_for_device();
      });
  std::printf("%-12s %5lld  %-34s %9.1f %9.1f %9.3f\n", net.name.c_str(), static_cast<long long>(batch), what.c_str(),
              1e3 * ratio.plain, 1e3 * ratio.explained, ratio.paired);
  std::fflush(stdout);
}

/// The same network as a TorchScript file would give it.
template <class Net>
Subject script_subject(const std::string& name, Net net, const std::string& last) {
  net->eval();
  torch::jit::Module script = support::scripted(*net);
  return {name, sg::Model(script), sg::layer(script, last), [script](const torch::Tensor& input) mutable {
            const torch::NoGradGuard no_gradients;
            script.forward({input});
          }};
}

Subject optimised(Subject net) {
  net.model = net.model.optimised();
  return net;
}

/// The same, whose plain pass is the fastest form that LibTorch itself makes of the file.
template <class Net>
Subject beside_libtorch(const std::string& name, Net net, const std::string& last) {
  Subject subject = optimised(script_subject(name, net, last));
  torch::jit::Module script = support::scripted(*net);
  script.eval();
  subject.plain = [fastest = torch::jit::optimize_for_inference(script)](const torch::Tensor& input) mutable {
    const torch::NoGradGuard no_gradients;
    fastest.forward({input});
  };
  return subject;
}

template <class Method>
std::function<void(const torch::Tensor&)> by(const Subject& net, const sg::Layer& layer, Method method) {
  return [&net, layer, method](const torch::Tensor& input) {
    sg::explain(net.model, input, layer, method, sg::Target(0)).map();
  };
}

int runs_for(int64_t batch) { return batch == 1 ? 61 : 9; }

void gradient_methods(const Subject& net, int64_t batch) {
  const int runs = runs_for(batch);
  row(net, "Grad-CAM", batch, runs, by(net, net.last, sg::GradCam{}));
  row(net, "Grad-CAM++", batch, runs, by(net, net.last, sg::GradCamPlusPlus{}));
  row(net, "LayerCAM", batch, runs, by(net, net.last, sg::LayerCam{}));
  row(net, "HiResCAM", batch, runs, by(net, net.last, sg::HiResCam{}));
  row(net, "XGrad-CAM", batch, runs, by(net, net.last, sg::XGradCam{}));
  row(net, "Eigen-CAM", batch, runs, by(net, net.last, sg::EigenCam{}));
  row(net, "all gradient methods together", batch, runs, [&net](const torch::Tensor& input) {
    const sg::Pass pass(net.model, input, {net.last});
    const sg::Target target(0);
    pass.explain(0, sg::GradCam{}, target);
    pass.explain(0, sg::HiResCam{}, target);
    pass.explain(0, sg::GradCamElementWise{}, target);
    pass.explain(0, sg::GradCamPlusPlus{}, target);
    pass.explain(0, sg::XGradCam{}, target);
    pass.explain(0, sg::LayerCam{}, target);
    pass.explain(0, sg::EigenGradCam{}, target);
    pass.explain(0, sg::ShapleyCam{}, target);
  });
}

/// A network as it is, and as a model that is explained many times.
struct Network {
  Subject plain;
  Subject optimised;
  Subject optimised_script;
  Subject beside_libtorch;

  template <class Net>
  Network(const std::string& name, Net net, const sg::Layer& last, const std::string& last_name)
      : plain(subject(name, net, last)),
        optimised(::optimised(plain)),
        optimised_script(::optimised(script_subject(name, net, last_name))),
        beside_libtorch(::beside_libtorch(name, net, last_name)) {}

  void measure(int64_t batch) const {
    gradient_methods(plain, batch);
    const int runs = runs_for(batch);
    row(optimised, "Grad-CAM, optimised", batch, runs, by(optimised, optimised.last, sg::GradCam{}));
    row(optimised_script, "Grad-CAM, optimised TorchScript", batch, runs,
        by(optimised_script, optimised_script.last, sg::GradCam{}));
    if (device.is_cpu())
      row(beside_libtorch, "the same to optimize_for_inference", batch, runs,
          by(beside_libtorch, beside_libtorch.last, sg::GradCam{}));
  }
};

void methods_that_run_often(const Subject& net, const std::string& form) {
  row(net, "Score-CAM, 32 channels" + form, 1, 3, by(net, net.last, sg::FastScoreCam{}));
  row(net, "Score-CAM, 512 channels" + form, 1, 1, by(net, net.last, sg::ScoreCam{}));
}

}  // namespace

int main(int argc, char** argv) {
  wanted.assign(argv + 1, argv + argc);
  if (const auto cuda = std::find(wanted.begin(), wanted.end(), "--cuda"); cuda != wanted.end()) {
    wanted.erase(cuda);
    device = torch::kCUDA;
  }
  torch::manual_seed(0);
  at::set_num_threads(2);
  std::printf("224 x 224, %s, LibTorch %s\n", device.is_cuda() ? "CUDA" : "2 threads", TORCH_VERSION);
  std::printf("%-12s %5s  %-34s %9s %9s %9s\n", "network", "batch", "method", "plain ms", "ms", "ratio");

  support::ResNet18 resnet18;
  support::ResNet50 resnet50;
  support::MobileNetV2 mobilenet;
  resnet18->to(device);
  resnet50->to(device);
  mobilenet->to(device);
  const Network small("ResNet-18", resnet18, sg::Layer(resnet18->layer4), "layer4");
  const Network large("ResNet-50", resnet50, sg::Layer(resnet50->layer4), "layer4");
  const Network light("MobileNetV2", mobilenet, sg::Layer(mobilenet->features), "features");
  // Single images first: after large batches the allocator keeps more memory, which speeds single images up.
  for (const Network* net : {&light, &small, &large}) net->measure(1);

  const Subject& plain = small.plain;
  const sg::Layer layer2(resnet18->layer2);
  row(plain, "Grad-CAM at layer2", 1, 61, by(plain, layer2, sg::GradCam{}));
  row(small.optimised, "Grad-CAM at layer2, optimised", 1, 61, by(small.optimised, layer2, sg::GradCam{}));
  row(plain, "FullGrad", 1, 11, by(plain, plain.last, sg::FullGrad{}));
  row(plain, "Ablation-CAM, 512 channels", 1, 61, by(plain, plain.last, sg::AblationCam{}));
  row(plain, "ReciproCAM", 1, 61, by(plain, plain.last, sg::ReciproCam{}));
  row(plain, "a hook that captures one layer", 1, 61, [&](const torch::Tensor& input) {
    const sg::Capture captured(resnet18->layer4);
    plain.plain(input);
    captured.output();
  });
  methods_that_run_often(plain, "");
  methods_that_run_often(small.optimised_script, ", optimised");

  for (const Network* net : {&light, &small, &large}) net->measure(16);
}
