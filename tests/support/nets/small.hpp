#pragma once

#include <torch/torch.h>

#include <sightglass/cam/detail/chunks.hpp>
#include <sightglass/cam/explain.hpp>

#include <memory>
#include <vector>

#include "support/harness/catch.hpp"

/// A net of random weights whose map depends on places, and what every method must keep on it.
namespace support {

/// A 3x3 convolution with stride 2, ReLU: `[N, 2, 8, 6]` to `[N, 5, 4, 3]`.
inline torch::nn::Sequential small_features() {
  return torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 5, 3).stride(2).padding(1)),
                               torch::nn::ReLU());
}

/// `features`, then `head`: two linear layers with tanh between them, three classes.
struct SmallNetImpl : torch::nn::Module {
  SmallNetImpl()
      : features(register_module("features", small_features())),
        fc1(register_module("fc1", torch::nn::Linear(60, 6))),
        fc2(register_module("fc2", torch::nn::Linear(6, 3))) {
    const torch::NoGradGuard no_gradients;
    fc1->weight.mul_(4);
    fc2->weight.mul_(4);
    eval();
  }

  torch::Tensor head(const torch::Tensor& a) { return fc2->forward(fc1->forward(a.flatten(1)).tanh()); }
  torch::Tensor forward(const torch::Tensor& x) { return head(features->forward(x)); }

  torch::nn::Sequential features;
  torch::nn::Linear fc1, fc2;
};
TORCH_MODULE(SmallNet);

/// `features`, and a head whose gradient differs from place to place; CAM finds its weights all the same.
struct PooledNetImpl : torch::nn::Module {
  PooledNetImpl()
      : features(register_module("features", small_features())), fc(register_module("fc", torch::nn::Linear(5, 4))) {
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return fc->forward(features->forward(x).tanh().mean(at::IntArrayRef{2, 3}));
  }
  torch::nn::Sequential features;
  torch::nn::Linear fc;
};
TORCH_MODULE(PooledNet);

inline SmallNet small_net() {
  torch::manual_seed(3);
  return SmallNet();
}

inline at::Tensor small_pictures(int64_t count) {
  torch::manual_seed(4);
  return torch::randn({count, 2, 8, 6});
}

template <class Method>
at::Tensor small_map(const Method& method, int64_t images = 2) {
  SmallNet net = small_net();
  return sightglass::explain(net, small_pictures(images), net->features, method, sightglass::Target(1)).map();
}

inline bool near(const at::Tensor& one, const at::Tensor& other) { return torch::allclose(one, other, 1e-4, 1e-6); }

/// The gradient of class `index` at the activations `a`, by autograd alone.
inline at::Tensor gradient_at(SmallNet& net, const at::Tensor& a, int64_t index) {
  const at::Tensor leaf = a.detach().clone().requires_grad_();
  return torch::autograd::grad({net->head(leaf).select(1, index).sum()}, {leaf}).front();
}

/// The map of a batch is that of its images, one by one, each for its class.
template <class Method>
void check_batch_is_its_images(const Method& method) {
  SmallNet net = small_net();
  const at::Tensor x = small_pictures(3);
  const std::vector<int64_t> classes{0, 2, 1};
  const at::Tensor batch = sightglass::explain(net, x, net->features, method, sightglass::Target(classes)).map();
  CHECK(batch.abs().max().item<double>() > 0);
  for (int64_t i = 0; i < 3; ++i) {
    const sightglass::Target target(classes[static_cast<size_t>(i)]);
    CHECK(near(sightglass::explain(net, x.slice(0, i, i + 1), net->features, method, target).map(),
               batch.slice(0, i, i + 1)));
  }
}

/// Maps are in float64 for a float64 model, in float32 for a bfloat16 one, and the same within inference mode.
template <class Method>
void check_precision_and_modes(const Method& method) {
  SmallNet net = small_net();
  const at::Tensor x = small_pictures(2);
  const auto map = [&](at::ScalarType type) {
    net->to(type);
    return sightglass::explain(net, x.to(type), net->features, method, sightglass::Target(1)).map();
  };
  const at::Tensor wanted = map(at::kFloat);
  {
    const c10::InferenceMode inference;
    CHECK(near(map(at::kFloat), wanted));
  }
  const at::Tensor finer = map(at::kDouble);
  CHECK(finer.scalar_type() == at::kDouble);
  CHECK(torch::allclose(finer.to(at::kFloat), wanted, 1e-3, 1e-5));
  CHECK(map(at::kBFloat16).scalar_type() == at::kFloat);
}

/// `max_batch` changes nothing but speed; progress counts to the end, and `false` stops the method with the map so far.
template <class Method>
void check_runs(Method method) {
  const at::Tensor wanted = small_map(method);
  for (const int64_t most : {1, 3, 1000}) {
    method.runs.max_batch = most;
    CHECK(near(small_map(method), wanted));
  }
  int64_t last = 0, of = -1;
  method.runs.progress = [&](int64_t done, int64_t all) {
    CHECK(done > last);
    last = done;
    of = all;
    return true;
  };
  small_map(method);
  CHECK(last == of);
  method.runs.max_batch = 1;
  int calls = 0;
  method.runs.progress = [&](int64_t, int64_t) { return ++calls < 2; };
  const at::Tensor so_far = small_map(method);
  CHECK(calls == 2);
  CHECK(so_far.sizes() == wanted.sizes());
  CHECK(so_far.isfinite().all().item<bool>());
  CHECK_FALSE(near(so_far, wanted));
}

/// The same map for the same seed, another for another; the global generator stays as it was.
template <class Method>
void check_seed(Method method) {
  const at::Tensor first = small_map(method);
  CHECK(small_map(method).equal(first));
  SmallNet net = small_net();
  const at::Tensor x = small_pictures(1);
  torch::manual_seed(5);
  const at::Tensor untouched = torch::rand({4});
  torch::manual_seed(5);
  (void)sightglass::explain(net, x, net->features, method, sightglass::Target(1));
  CHECK(torch::rand({4}).equal(untouched));
  method.seed += 1000;
  CHECK_FALSE(small_map(method).equal(first));
}

}  // namespace support
