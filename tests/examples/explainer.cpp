#include "explain/explainer.hpp"
#include "explain/outputs.hpp"
#include "explain/writer.hpp"

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using namespace support;

namespace {

torch::jit::Module module_of(const std::string& name) {
  static int count = 0;
  torch::jit::Module made("__torch__." + name + std::to_string(count++));
  made.register_attribute("training", c10::BoolType::get(), false);
  return made;
}

torch::jit::Module convolution(const torch::Tensor& weight) {
  torch::jit::Module made = module_of("Convolution");
  made.register_parameter("weight", weight, false);
  made.define("def forward(self, x):\n  return torch.conv2d(x, self.weight)\n");
  return made;
}

/// Two convolutions of one pixel, a score for each of three classes and place.
struct Segmenter {
  torch::Tensor first = torch::tensor({{1.f, 0.f, 2.f}, {-1.f, 1.f, 0.f}});
  torch::Tensor second = torch::tensor({{0.f, 0.f}, {1.f, -2.f}, {-1.f, 3.f}});

  torch::jit::Module script() const {
    torch::jit::Module made = module_of("Segmenter");
    made.register_module("features", convolution(first.view({2, 3, 1, 1})));
    made.register_module("head", convolution(second.view({3, 2, 1, 1})));
    made.define("def forward(self, x):\n  return {\"out\": self.head.forward(self.features.forward(x))}\n");
    return made;
  }

  torch::Tensor features(const torch::Tensor& x) const { return torch::einsum("kc,nchw->nkhw", {first, x}); }
  torch::Tensor scores(const torch::Tensor& x) const { return torch::einsum("kc,nchw->nkhw", {second, features(x)}); }

  /// Grad-CAM at the features: the gradient of the score within the region is the second weight there, else 0.
  torch::Tensor map(const torch::Tensor& x, int64_t index) const {
    const torch::Tensor share = scores(x).argmax(1).eq(index).to(torch::kFloat).mean();
    return (second[index].view({1, 2, 1, 1}) * share * features(x)).sum(1).relu();
  }
};

std::vector<Result> explained(const torch::jit::Module& script, const torch::Tensor& array, Options options,
                              const Folder& folder) {
  options.out = folder / "out/";
  options.raw = folder / "raw/";
  options.layers = {"features"};
  const std::string path = folder / "in.npy";
  write_whole(path, npy_bytes(array));
  Outputs outputs(options, {path}, {});
  Explainer explainer(script, options, Labels(), {});
  std::vector<Result> results = explainer.explain(read_input(path, Preparation()));
  for (Result& result : results) write(result, 0, outputs);
  return results;
}

}  // namespace

TEST_CASE("a segmenter is explained for the class of most pixels, and for the one that is named", "[explainer]") {
  const Folder folder;
  const Segmenter net;
  torch::manual_seed(5);
  const torch::Tensor x = torch::randn({1, 3, 6, 8});
  torch::Tensor sizes = torch::bincount(net.scores(x).argmax(1).flatten(), {}, 3);
  sizes[0] = 0;
  const auto largest = sizes.argmax().item<int64_t>();

  const std::vector<Result> results = explained(net.script(), x, Options(), folder);
  REQUIRE(results.size() == 1);
  REQUIRE(results[0].records.size() == 1);
  const Record& record = results[0].records[0];
  CHECK(record.target == largest);
  CHECK(record.pixels == sizes[largest].item<int64_t>());
  CHECK(at::allclose(read_npy(record.map), net.map(x, largest), 1e-4, 1e-6));
  CHECK(to_json(record).find("\"pixels\":" + std::to_string(*record.pixels)) != std::string::npos);

  Options other;
  const int64_t index = 3 - largest;
  other.targets = {std::to_string(index)};
  const std::vector<Result> second = explained(net.script(), x, other, folder);
  CHECK(at::allclose(read_npy(second.at(0).records.at(0).map), net.map(x, index), 1e-4, 1e-6));
}

TEST_CASE("a segmenter is explained at its features, not at its class scores", "[explainer]") {
  const sightglass::Model model = sightglass::Model(Segmenter().script());
  CHECK(suggested(model, torch::ones({1, 3, 6, 8}), Task::unknown).layer == "features");
}

TEST_CASE("of several pictures each is segmented by itself, and one that has no such region is told", "[explainer]") {
  const Folder folder;
  const Segmenter net;
  torch::manual_seed(6);
  torch::Tensor x = torch::randn({2, 3, 6, 8});
  x[1].fill_(-1);  // features -3 and 0: classes 0, -3 and 3
  Options options;
  options.targets = {"1"};
  const std::vector<Result> results = explained(net.script(), x, options, folder);
  REQUIRE(results.size() == 2);
  CHECK(at::allclose(read_npy(results[0].records.at(0).map), net.map(x.slice(0, 0, 1), 1), 1e-4, 1e-6));
  CHECK(results[1].records.empty());
  CHECK_THAT(results[1].failures.at(0), ContainsSubstring("number 1: target 1: no place is predicted"));
}

TEST_CASE("a layer that runs for each of two inputs is warned of", "[explainer]") {
  const Folder folder;
  torch::jit::Module siamese = module_of("Siamese");
  siamese.register_module("features", convolution(torch::ones({2, 3, 1, 1})));
  siamese.define(
      "def forward(self, a, b):\n"
      "  return (self.features.forward(a) - self.features.forward(b)).mean([2, 3])\n");
  const torch::Tensor x = torch::ones({1, 3, 4, 4});
  write_whole(folder / "b.npy", npy_bytes(2 * x));
  Options options;
  options.further = {"b=" + (folder / "b.npy")};
  const std::vector<Result> results = explained(siamese, x, options, folder);
  REQUIRE(results.at(0).warnings.size() == 1);
  CHECK_THAT(results[0].warnings[0], ContainsSubstring("layer \"features\" runs 2 times"));
}

TEST_CASE("a task that the output is not of is told", "[explainer]") {
  const Folder folder;
  Options segment, classify;
  segment.task = "segment";
  classify.task = "classify";
  torch::jit::Module scores = module_of("Scores");
  scores.register_module("features", convolution(torch::ones({2, 3, 1, 1})));
  scores.define("def forward(self, x):\n  return self.features.forward(x).mean([2, 3])\n");
  const torch::Tensor x = torch::ones({1, 3, 4, 4});
  CHECK_THROWS_WITH(explained(scores, x, segment, folder), ContainsSubstring("the model gives [1, 2], expected"));
  CHECK_THROWS_WITH(explained(Segmenter().script(), x, classify, folder), ContainsSubstring("are --task segment"));
}
