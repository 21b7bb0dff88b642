// What Grad-CAM at the last convolution costs, as ratios to the plain forward pass of the same run.
//
// Time: the median of interleaved runs. Memory: the most that LibTorch's CPU allocator held above what was there
// before. A ratio is judged within one run only; the machine's own speed does not matter.

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "sightglass/sightglass.hpp"
#include "support/nets/architectures.hpp"
#include "support/harness/timing.hpp"

namespace sg = sightglass;

namespace {

/// Counts the bytes in use and their peak; each block carries its size in front.
class CountingAllocator final : public c10::Allocator {
 public:
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  c10::DataPtr allocate(size_t bytes) override { return make(bytes); }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
#else
  c10::DataPtr allocate(size_t bytes) const override { return make(bytes); }
#endif
  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  static size_t used() { return used_; }
  static size_t take_peak() { return peak_.exchange(used_); }

 private:
  static constexpr size_t header = 64;

  static c10::DataPtr make(size_t bytes) {
    char* const block = static_cast<char*>(std::aligned_alloc(header, (bytes / header + 2) * header));
    *reinterpret_cast<size_t*>(block) = bytes;
    used_ += bytes;
    peak_ = std::max<size_t>(peak_, used_);
    char* const data = block + header;
    return {data, data, &release, c10::Device(c10::kCPU)};
  }
  static void release(void* data) {
    if (data == nullptr) return;
    char* const block = static_cast<char*>(data) - header;
    used_ -= *reinterpret_cast<size_t*>(block);
    std::free(block);
  }

  inline static std::atomic<size_t> used_{0};
  inline static std::atomic<size_t> peak_{0};
};

size_t peak_of(const std::function<void()>& run) {
  const size_t before = CountingAllocator::used();
  CountingAllocator::take_peak();
  run();
  return CountingAllocator::take_peak() - before;
}

void measure(const std::string& name, int64_t batch, int runs, const std::function<void()>& plain,
             const std::function<void()>& explained) {
  const support::Ratio ratio = support::compare(runs, plain, explained);
  const double memory = static_cast<double>(peak_of(explained)) / static_cast<double>(peak_of(plain));
  std::printf("%-12s %5lld %12.2f %12.2f %8.3f %8.3f %8.3f\n", name.c_str(), static_cast<long long>(batch),
              1e3 * ratio.plain, 1e3 * ratio.explained, ratio.value(), ratio.paired, memory);
}

template <class Net>
void measure_net(const std::string& name, Net& net, const std::function<sg::Layer(Net&)>& layer) {
  net->eval();
  for (const int64_t batch : {1, 16}) {
    const torch::Tensor input = torch::randn({batch, 3, 224, 224});
    const auto plain = [&] {
      const torch::NoGradGuard no_gradients;
      net->forward(input);
    };
    const auto explained = [&] { sg::explain(net, input, layer(net), sg::GradCam{}, sg::Target(0)).map(); };
    measure(name, batch, batch == 1 ? 41 : 11, plain, explained);
  }
}

}  // namespace

int main() {
  static CountingAllocator allocator;
  c10::SetCPUAllocator(&allocator, 255);
  at::set_num_threads(2);
  std::printf("Grad-CAM at the last convolution, 224 x 224, 2 threads, LibTorch %s\n", TORCH_VERSION);
  std::printf("%-12s %5s %12s %12s %8s %8s %8s\n", "network", "batch", "plain ms", "Grad-CAM ms", "time", "paired",
              "memory");
  support::ResNet18 resnet;
  measure_net<support::ResNet18>("ResNet-18", resnet, [](support::ResNet18& net) { return sg::Layer(net->layer4); });
  support::MobileNetV2 mobilenet;
  measure_net<support::MobileNetV2>("MobileNetV2", mobilenet,
                                    [](support::MobileNetV2& net) { return sg::Layer(net->features); });
}
