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

  /// LayerCAM at the features: the gradient of the score within the region is the second weight there, else 0.
  torch::Tensor layer_cam(const torch::Tensor& x, int64_t index) const {
    const torch::Tensor region = scores(x).argmax(1, true).eq(index).to(torch::kFloat);
    return (second[index].relu().view({1, 2, 1, 1}) * region * features(x)).sum(1).relu();
  }

  /// Grad-CAM there: the mean of the same over all places.
  torch::Tensor grad_cam(const torch::Tensor& x, int64_t index) const {
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

/// An encoder that runs on either picture; the scores are products of what it sees in them.
struct Siamese {
  torch::Tensor weight = torch::tensor({{1.f, -1.f, 2.f}, {-1.f, 3.f, 1.f}});

  torch::jit::Module script() const {
    torch::jit::Module made = module_of("Siamese");
    made.register_module("features", convolution(weight.view({2, 3, 1, 1})));
    made.define(
        "def forward(self, a, b):\n"
        "  first = self.features.forward(a)\n"
        "  return torch.mean(first, [2, 3]) * torch.mean(self.features.forward(b), [2, 3])\n");
    return made;
  }

  torch::Tensor features(const torch::Tensor& x) const { return torch::einsum("kc,nchw->nkhw", {weight, x}); }

  /// Grad-CAM at the call on `one` of two pictures: the gradient is the mean of what is seen in the other.
  torch::Tensor map(const torch::Tensor& one, const torch::Tensor& other, int64_t index) const {
    const torch::Tensor share = features(other).mean({2, 3}).select(1, index) / (one.size(2) * one.size(3));
    return (share.view({-1, 1, 1}) * features(one).select(1, index)).relu();
  }
};

}  // namespace

TEST_CASE("frames that a model folds into its batch have a map each, drawn and told as one video", "[frames]") {
  const Folder folder;
  torch::manual_seed(8);
  const torch::Tensor weight = torch::randn({4, 3}), video = torch::rand({2, 5, 3, 6, 4});
  torch::jit::Module net = module_of("Frames");
  net.register_module("features", convolution(weight.view({4, 3, 1, 1})));
  net.define(
      "def forward(self, x):\n"
      "  features = self.features.forward(torch.flatten(x, 0, 1))\n"
      "  each = torch.mean(features, [2, 3]).view(x.size(0), x.size(1), 4)\n"
      "  later = torch.arange(1, 1 + x.size(1)).view(1, x.size(1), 1)\n"
      "  return torch.sum(later * each, 1)[:, 0:3]\n");
  // Grad-CAM: of frame t the score has t + 1 times the mean of the channel that is its class.
  const auto wanted = [&](const torch::Tensor& one) {
    const torch::Tensor channel = torch::einsum("c,tchw->thw", {weight[1], one});
    return ((torch::arange(1, 6).view({5, 1, 1}) / 24.) * channel).relu().unsqueeze(0);
  };
  Options options;
  options.targets = {"1"};
  for (const bool named : {true, false}) {  // `explained` names the layer
    INFO("a layer is named: " << named);
    const std::string path = folder / "in.npy";
    write_whole(path, npy_bytes(video));
    if (named) options.layers = {"features"};
    options.out = folder / "out/";
    options.raw = folder / "raw/";
    Explainer explainer(net, options, Labels(), {});
    std::vector<Result> results = explainer.explain(read_input(path, Preparation()));
    REQUIRE(results.size() == 2);
    Outputs outputs(options, {path}, {});
    for (int64_t i = 0; i < 2; ++i) {
      Result& result = results[static_cast<size_t>(i)];
      write(result, 0, outputs);
      REQUIRE(result.records.size() == 1);
      const Record& record = result.records[0];
      CHECK(record.index == std::to_string(i));
      CHECK(record.layer == "features");
      CHECK(record.peak.size() == 3);
      CHECK(record.score == Approx(torch::einsum("t,tchw->chw", {torch::arange(1, 6).to(torch::kFloat), video[i]})
                                       .mul(weight[1].view({3, 1, 1}))
                                       .sum()
                                       .item<double>() /
                                   24));
      CHECK(at::allclose(read_npy(record.map), wanted(video[i]), 1e-4, 1e-6));
    }
    options.layers.clear();
  }
  // [1, C, T, H, W] too; and a method that would run the model on other frames says so.
  torch::jit::Module channels_first = module_of("ChannelsFirst");
  channels_first.register_module("video", net);
  channels_first.define("def forward(self, x):\n  return self.video.forward(x.transpose(1, 2))\n");
  write_whole(folder / "in.npy", npy_bytes(video.slice(0, 0, 1).transpose(1, 2).contiguous()));
  options.methods = {"grad-cam", "score-cam"};
  options.layers = {"video.features"};
  Explainer explainer(channels_first, options, Labels(), {});
  std::vector<Result> results = explainer.explain(read_input(folder / "in.npy", Preparation()));
  REQUIRE(results.at(0).records.size() == 1);
  Outputs outputs(options, {folder / "in.npy"}, {});
  write(results[0], 0, outputs);
  CHECK(at::allclose(read_npy(results[0].records[0].map), wanted(video[0]), 1e-4, 1e-6));
  REQUIRE(results[0].failures.size() == 1);
  CHECK_THAT(results[0].failures[0],
             ContainsSubstring("score-cam at video.features: it runs the model on other frames"));
  // Frames in another order are not taken for those that they stand at.
  torch::jit::Module backwards = module_of("Backwards");
  backwards.register_module("video", net);
  backwards.define("def forward(self, x):\n  return self.video.forward(torch.flip(x, [1]))\n");
  write_whole(folder / "in.npy", npy_bytes(video.slice(0, 0, 1)));
  CHECK_THROWS_WITH(
      Explainer(backwards, options, Labels(), {}).explain(read_input(folder / "in.npy", Preparation())),
      ContainsSubstring("layer \"video.features\": its rows are not the video's 5 frames in their order"));
  // A picture, or frames without their batch, are told what to be.
  write_whole(folder / "in.npy", npy_bytes(video[0]));
  CHECK_THROWS_WITH(Explainer(net, Options(), Labels(), {}).explain(read_input(folder / "in.npy", Preparation())),
                    ContainsSubstring("it takes videos: give a .npy array [1, T, C, H, W]"));
}

TEST_CASE("of a layer that runs for each of several inputs, the call that sees the picture is explained", "[calls]") {
  const Folder folder;
  const Siamese net;
  torch::manual_seed(6);
  const torch::Tensor a = torch::rand({1, 3, 6, 8}), b = torch::rand({1, 3, 5, 4});
  write_whole(folder / "first.npy", npy_bytes(a));
  write_whole(folder / "second.npy", npy_bytes(b));
  Options options;
  options.targets = {"1"};
  const auto check = [&](const torch::Tensor& given, const torch::Tensor& wanted, size_t call, const char* warning) {
    const std::vector<Result> results = explained(net.script(), given, options, folder);
    REQUIRE(results.size() == 1);
    REQUIRE(results[0].records.size() == 1);
    const Record& record = results[0].records[0];
    CHECK(at::allclose(read_npy(record.map), wanted, 1e-4, 1e-6));
    CHECK(record.call == call);
    CHECK(record.status == "ok");
    if (warning == nullptr) {
      CHECK(results[0].warnings.empty());
    } else {
      REQUIRE(results[0].warnings.size() == 1);
      CHECK_THAT(results[0].warnings[0], ContainsSubstring(warning));
    }
    return record;
  };
  const char* const chosen = "call 0 is explained, the last that sees the picture; --call N chooses another";
  options.further = {"b=" + (folder / "second.npy")};
  check(a, net.map(a, b, 1), 0, chosen);
  options.call = 0;
  check(a, net.map(a, b, 1), 0, nullptr);
  // What sees the other input is explained there, and drawn over it.
  options.call = 1;
  const Record second = check(a, net.map(b, a, 1), 1, "sees input b, not the picture: the map is of ");
  CHECK(second.image == folder / "second.npy");
  CHECK((second.peak.at(0) < 4 && second.peak.at(1) < 5));
  options.call = 2;
  CHECK_THROWS_WITH(explained(net.script(), a, options, folder),
                    ContainsSubstring("--call 2: layer \"features\" runs 2 times: 0 to 1"));
  // The picture in the second place.
  options.call = std::nullopt;
  options.further = {"a=" + (folder / "first.npy")};
  check(b, net.map(b, a, 1), 1, "call 1 is explained, the last that sees the picture");
  // Several pictures beside one, and one that stands beside several.
  options.further = {"b=" + (folder / "second.npy")};
  const torch::Tensor two = torch::rand({2, 3, 6, 8});
  for (const size_t call : {0U, 1U}) {
    options.call = call;
    const std::vector<Result> results = explained(net.script(), two, options, folder);
    REQUIRE(results.size() == 2);
    for (int64_t i = 0; i < 2; ++i) {
      const torch::Tensor one = two.slice(0, i, i + 1);
      CHECK(at::allclose(read_npy(results[static_cast<size_t>(i)].records.at(0).map),
                         call == 0 ? net.map(one, b, 1) : net.map(b, one, 1), 1e-4, 1e-6));
    }
  }
}

TEST_CASE("another input may be a picture, prepared as the pictures are", "[calls]") {
  const Folder folder;
  torch::jit::Module net = module_of("Pair");
  net.register_module("features", convolution(torch::ones({4, 3, 1, 1})));
  net.define(
      "def forward(self, a, b):\n"
      "  return (torch.mean(self.features.forward(a), [2, 3]) * torch.mean(self.features.forward(b), [2, 3]))[:, "
      "0:2]\n");
  const std::string one = folder / "one.png", two = folder / "two.png";
  cv::imwrite(one, cv::Mat(20, 30, CV_8UC3, cv::Scalar::all(255)));
  cv::imwrite(two, cv::Mat(40, 10, CV_8UC3, cv::Scalar::all(51)));
  Options options;
  options.pictures.mean = {0};
  options.pictures.std = {1};
  options.pictures.size = "8";
  options.layers = {"features"};
  options.further = {"b=" + two};
  const Preparation wanted = options.pictures.preparation({2, 3}, {});
  for (const size_t call : {0U, 1U}) {
    options.call = call;
    const Result result = Explainer(net, options, Labels(), {}).explain(read_input(one, wanted)).at(0);
    const Record& record = result.records.at(0);
    CHECK(record.score == Approx(3 * 3 * .2));  // white and a fifth of it, three channels each
    CHECK(record.image == (call == 0 ? one : two));
    const cv::Mat drawn = cv::imdecode(std::vector<uchar>(result.picture.begin(), result.picture.end()), 1);
    CHECK(drawn.size() == (call == 0 ? cv::Size(30, 20) : cv::Size(10, 40)));
  }
}

TEST_CASE("of two branches the one that sees the picture is suggested, and none is taken for the other", "[calls]") {
  const Folder folder;
  torch::manual_seed(7);
  const torch::Tensor picture = torch::rand({1, 3, 6, 6}), other = torch::rand({1, 3, 4, 4});
  torch::jit::Module net = module_of("Branches");
  net.register_module("one", convolution(torch::rand({4, 3, 1, 1})));
  net.register_module("two", convolution(torch::rand({4, 3, 1, 1})));
  net.define(
      "def forward(self, image, other):\n"
      "  both = torch.mean(self.one.forward(image), [2, 3]) + torch.mean(self.two.forward(other), [2, 3])\n"
      "  return both[:, 0:3]\n");
  write_whole(folder / "other.npy", npy_bytes(other));
  write_whole(folder / "in.npy", npy_bytes(picture));
  Options options;
  options.further = {"other=" + (folder / "other.npy")};
  const auto explain = [&] {
    return Explainer(net, options, Labels(), {}).explain(read_input(folder / "in.npy", Preparation())).at(0);
  };
  CHECK(explain().records.at(0).layer == "one");
  options.layers = {"two"};
  const Result second = explain();
  CHECK(second.records.at(0).image == folder / "other.npy");
  REQUIRE(second.warnings.size() == 1);
  CHECK_THAT(second.warnings[0], ContainsSubstring("layer \"two\" sees input other, not the picture"));
  options.layers = {"one", "two"};
  CHECK_THROWS_WITH(explain(), ContainsSubstring("--layer: \"two\" sees input other, a layer before it the picture"));
}

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
  CHECK(at::allclose(read_npy(record.map), net.layer_cam(x, largest), 1e-4, 1e-6));
  CHECK(to_json(record).find("\"pixels\":" + std::to_string(*record.pixels)) != std::string::npos);

  Options other;
  const int64_t index = 3 - largest;
  other.targets = {std::to_string(index)};
  const std::vector<Result> second = explained(net.script(), x, other, folder);
  CHECK(second.at(0).records.at(0).method == "layer-cam");
  CHECK(at::allclose(read_npy(second.at(0).records.at(0).map), net.layer_cam(x, index), 1e-4, 1e-6));
  other.methods = {"grad-cam"};
  const std::vector<Result> third = explained(net.script(), x, other, folder);
  CHECK(at::allclose(read_npy(third.at(0).records.at(0).map), net.grad_cam(x, index), 1e-4, 1e-6));
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
  CHECK(at::allclose(read_npy(results[0].records.at(0).map), net.layer_cam(x.slice(0, 0, 1), 1), 1e-4, 1e-6));
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
