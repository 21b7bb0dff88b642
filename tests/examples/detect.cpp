#include "explain/detect.hpp"

#include <cmath>

#include "explain/explainer.hpp"
#include "explain/outputs.hpp"
#include "explain/writer.hpp"

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using namespace support;

namespace {

/// Gives `[1, 4 + 2, 64]` as Ultralytics' exports do: at each of 8 x 8 places a box of 8 pixels, and two scores, of
/// which the second is sigmoid(12 r - 10), r being the mean of the place's red. It counts its runs.
torch::jit::Module detector() {
  static int count = 0;
  const std::string number = std::to_string(count++);
  torch::jit::Module features("__torch__.DetectorFeatures" + number);
  features.register_attribute("training", c10::BoolType::get(), false);
  const torch::Tensor red = torch::tensor({1.0 / 64, 0.0, 0.0}, torch::kFloat).view({1, 3, 1, 1});
  features.register_parameter("weight", red.expand({1, 3, 8, 8}).contiguous(), false);
  features.define("def forward(self, x):\n  return torch.conv2d(x, self.weight, None, [8, 8])\n");
  torch::jit::Module made("__torch__.Detector" + number);
  made.register_attribute("training", c10::BoolType::get(), false);
  made.register_module("features", features);
  made.register_buffer("runs", torch::zeros({}));
  made.define(R"(
def forward(self, x):
    self.runs.add_(1)
    seen = self.features.forward(x)
    at = torch.arange(8, dtype=6) * 8 + 4
    across = at.view([1, 8]).expand([8, 8])
    down = at.view([8, 1]).expand([8, 8])
    boxes = torch.stack([across, down, across * 0 + 8, across * 0 + 8])
    scores = torch.sigmoid(torch.cat([seen * 0 - 10, seen * 12 - 10], 1))
    return torch.cat([boxes.unsqueeze(0), scores], 1).flatten(2)
)");
  return made;
}

/// Black, but for two red places: x 40 to 48, y 16 to 24, and, darker, x 8 to 16, y 48 to 56.
torch::Tensor two_things() {
  torch::Tensor array = torch::zeros({1, 3, 64, 64});
  array.slice(2, 16, 24).slice(3, 40, 48).select(1, 0).fill_(1);
  array.slice(2, 48, 56).slice(3, 8, 16).select(1, 0).fill_(0.9);
  return array;
}

std::vector<Result> explained(const torch::Tensor& array, Options options, const Folder& folder) {
  options.out = folder / "out/";
  options.task = "detect";
  options.layers = {"features"};
  const std::string path = folder / "in.npy";
  write_whole(path, npy_bytes(array));
  Outputs outputs(options, {path}, {});
  Explainer explainer(detector(), options, Labels(), {});
  std::vector<Result> results = explainer.explain(read_input(path, Preparation()));
  for (Result& result : results) write(result, 0, outputs);
  return results;
}

}  // namespace

TEST_CASE("each thing that a detector finds has its box, and a map that lies in it", "[detect]") {
  const Folder folder;
  const std::vector<Result> results = explained(two_things(), Options(), folder);
  REQUIRE(results.at(0).records.size() == 2);
  const Record& first = results[0].records[0];
  CHECK(first.target == 1);
  CHECK(first.score == Catch::Approx(1 / (1 + std::exp(-2))).epsilon(1e-4));
  CHECK(first.box == std::vector<double>{40, 16, 48, 24});
  CHECK(first.status == "ok");
  CHECK(first.method == "layer-cam");
  CHECK(first.box_share == Catch::Approx(1.0 / 64));
  CHECK(first.inside == Catch::Approx(9.0 / 16));  // the bilinear enlargement of one place leaves 3/4 in it each way
  CHECK(results[0].records[1].box == std::vector<double>{8, 48, 16, 56});
  CHECK(to_json(first).find("\"box\":[40.0,16.0,48.0,24.0]") != std::string::npos);

  Options sure, other;
  sure.score = 0.8;
  CHECK(explained(two_things(), sure, folder).at(0).records.size() == 1);
  other.targets = {"0"};
  CHECK(explained(two_things(), other, folder).at(0).records.at(0).status == "nothing_found");
}

TEST_CASE("what is found and its maps are of one run", "[detect]") {
  const Folder folder;
  const std::string path = folder / "in.npy";
  write_whole(path, npy_bytes(two_things()));
  const torch::jit::Module script = detector();
  Options options;
  options.task = "detect";
  Explainer explainer(script, options, Labels(), {});
  explainer.explain(read_input(path, Preparation()));  // and its layers are found
  const auto before = script.attr("runs").toTensor().item<double>();
  CHECK(explainer.explain(read_input(path, Preparation())).at(0).records.size() == 2);
  CHECK(script.attr("runs").toTensor().item<double>() - before == 1);
}

TEST_CASE("that nothing is found is a status", "[detect]") {
  const Folder folder;
  const std::vector<Result> results = explained(torch::zeros({2, 3, 64, 64}), Options(), folder);
  REQUIRE(results.size() == 2);
  for (const Result& result : results) {
    CHECK(result.failures.empty());
    CHECK(result.records.at(0).status == "nothing_found");
    CHECK(result.overview == "  nothing found with a score of 0.25 or more");
    CHECK(fs::exists(result.records.at(0).picture));
  }
}

TEST_CASE("a box is moved from the model's input to the picture that it was made of", "[detect]") {
  // A picture of 200 x 100 in an input of 64 x 64, bars of 16 above and below: 3.125 pixels a pixel.
  const Placement letterbox{{0, 16, 64, 32}, {0, 0, 200, 100}, {64, 64}};
  CHECK(box_on_picture({8, 24, 16, 40}, letterbox) == std::vector<double>{25, 25, 50, 75});
  CHECK(box_on_picture({-5, 0, 70, 64}, letterbox) == std::vector<double>{0, 0, 200, 100});
}

TEST_CASE("what Ultralytics writes beside a model is read, and what is no such text says nothing", "[detect]") {
  const FileNotes notes =
      notes_in(R"({"task": "detect", "imgsz": [320, 640], "names": {"0": "cat", "1": "dog"}, "stride": 32})");
  CHECK(notes.has_boxes());
  CHECK(notes.height == 320);
  CHECK(notes.width == 640);
  CHECK(notes.labels == std::vector<std::string>{"cat", "dog"});
  for (const char* text : {"", "no json", "[1, 2]", R"({"task": 3, "imgsz": 320, "names": ["a"]})",
                           R"({"imgsz": [-1, 99999999999], "names": {"1": "b"}})"}) {
    CHECK_FALSE(notes_in(text).has_boxes());
    CHECK(notes_in(text).height == 0);
    CHECK(notes_in(text).labels.empty());
  }
}
