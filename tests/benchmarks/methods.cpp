// What methods cost, as ratios to the plain forward pass of the same run: benchmark_methods [quick].
//
// Medians of interleaved runs. With `quick`, Score-CAM, which takes minutes, is left out.

#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "sightglass/sightglass.hpp"
#include "support/architectures.hpp"
#include "support/scripted.hpp"
#include "support/timing.hpp"

namespace sg = sightglass;

namespace {

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

void row(const Subject& net, const std::string& what, int64_t batch, int runs,
         const std::function<void(const torch::Tensor&)>& run) {
  const torch::Tensor input = torch::randn({batch, 3, 224, 224});
  const support::Ratio ratio = support::compare(
      runs, [&] { net.plain(input); }, [&] { run(input); });
  std::printf("%-12s %5lld  %-34s %9.1f %9.1f %9.3f\n", net.name.c_str(), static_cast<long long>(batch), what.c_str(),
              1e3 * ratio.plain, 1e3 * ratio.explained, ratio.value());
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

template <class Method>
std::function<void(const torch::Tensor&)> by(const Subject& net, const sg::Layer& layer, Method method) {
  return [&net, layer, method](const torch::Tensor& input) {
    sg::explain(net.model, input, layer, method, sg::Target(0)).map();
  };
}

void gradient_methods(const Subject& net) {
  for (const int64_t batch : {1, 16}) {
    const int runs = batch == 1 ? 31 : 7;
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
}

/// Grad-CAM on a model that is explained many times.
void explained_many_times(const Subject& net, const std::string& what) {
  for (const int64_t batch : {1, 16}) {
    row(net, what, batch, batch == 1 ? 31 : 7, by(net, net.last, sg::GradCam{}));
  }
}

template <class Net>
void network(const std::string& name, Net net, const sg::Layer& last, const std::string& last_name) {
  const Subject plain = subject(name, net, last);
  gradient_methods(plain);
  explained_many_times(optimised(plain), "Grad-CAM, optimised");
  explained_many_times(optimised(script_subject(name, net, last_name)), "Grad-CAM, optimised TorchScript");
}

void methods_that_run_often(const Subject& net, const std::string& form) {
  row(net, "Score-CAM, 32 channels" + form, 1, 3, by(net, net.last, sg::FastScoreCam{}));
  row(net, "Score-CAM, 512 channels" + form, 1, 1, by(net, net.last, sg::ScoreCam{}));
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  torch::manual_seed(0);
  at::set_num_threads(2);
  std::printf("224 x 224, 2 threads, LibTorch %s\n", TORCH_VERSION);
  std::printf("%-12s %5s  %-34s %9s %9s %9s\n", "network", "batch", "method", "plain ms", "ms", "ratio");

  support::ResNet18 resnet18;
  network("ResNet-18", resnet18, sg::Layer(resnet18->layer4), "layer4");
  const Subject small = subject("ResNet-18", resnet18, sg::Layer(resnet18->layer4));
  row(small, "Grad-CAM at layer2", 1, 31, by(small, sg::Layer(resnet18->layer2), sg::GradCam{}));
  row(small, "FullGrad", 1, 11, by(small, small.last, sg::FullGrad{}));
  row(small, "Ablation-CAM, 512 channels", 1, 31, by(small, small.last, sg::AblationCam{}));
  row(small, "ReciproCAM", 1, 31, by(small, small.last, sg::ReciproCam{}));
  row(small, "a hook that captures one layer", 1, 61, [&](const torch::Tensor& input) {
    const sg::Capture captured(resnet18->layer4);
    small.plain(input);
    captured.output();
  });
  if (!quick) {
    methods_that_run_often(small, "");
    methods_that_run_often(optimised(script_subject("ResNet-18", resnet18, "layer4")), ", optimised");
  }
  support::ResNet50 resnet50;
  network("ResNet-50", resnet50, sg::Layer(resnet50->layer4), "layer4");
  support::MobileNetV2 mobilenet;
  network("MobileNetV2", mobilenet, sg::Layer(mobilenet->features), "features");
}
