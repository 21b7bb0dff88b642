#include "explain/detect.hpp"

#include <array>
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

torch::jit::Module module_of(const std::string& name, const std::string& forward) {
  static int count = 0;
  torch::jit::Module made("__torch__." + name + std::to_string(count++));
  made.register_attribute("training", c10::BoolType::get(), false);
  if (!forward.empty()) made.define(forward);
  return made;
}

/// A list of blocks, as Ultralytics' are: maps of 8 x 8, 4 x 4 and 2 x 2 places for an input of 64 x 64, and a head.
/// @param head makes a table of boxes of `x`, `[1, 3, 84]`
torch::jit::Module blocks(const std::string& head) {
  torch::jit::Module list = module_of("Blocks", "");
  list.register_module("0", module_of("Block", "def forward(self, x):\n  return torch.avg_pool2d(x, [8, 8])\n"));
  for (const char* name : {"1", "2"})
    list.register_module(name, module_of("Block", "def forward(self, x):\n  return torch.avg_pool2d(x, [2, 2])\n"));
  list.register_module("3", module_of("Head", "def forward(self, x):\n  return " + head + "\n"));
  list.define(R"(
def forward(self, x):
    a = getattr(self, "0").forward(x)
    b = getattr(self, "1").forward(a)
    c = getattr(self, "2").forward(b)
    return getattr(self, "3").forward(torch.cat([a.flatten(2), b.flatten(2), c.flatten(2)], 2))
)");
  return list;
}

torch::jit::Module within(const torch::jit::Module& inner) {
  torch::jit::Module outer = module_of("Outer", "");
  outer.register_module("model", inner);
  outer.define("def forward(self, x):\n  return self.model.forward(x)\n");
  return outer;
}

Detector detector_of(const torch::jit::Module& script, const FileNotes& notes) {
  return Detector::of(script, sightglass::Model(script), notes, Task::detect, 0.25).value();
}

FileNotes notes_of_classes(std::vector<std::string> labels) {
  FileNotes notes;
  notes.task = "detect";
  notes.labels = std::move(labels);
  return notes;
}

std::vector<std::string> levels_of(const torch::jit::Module& script, const FileNotes& notes) {
  std::vector<std::string> names;
  for (const sightglass::Layer& level : detector_of(script, notes).levels(torch::ones({1, 3, 64, 64})))
    names.push_back(level.name());
  return names;
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

TEST_CASE("a score and a class's number are told from objectness and a class's probability", "[detect]") {
  const Detector one_class = detector_of(detector(), notes_of_classes({"a"}));
  const auto with_objectness = one_class.found_in(
      torch::tensor({{30.f, 40.f, 20.f, 10.f, 0.8f, 0.5f}, {9.f, 9.f, 2.f, 2.f, 0.1f, 1.f}}).repeat({1, 4, 1}));
  REQUIRE(with_objectness.size() == 1);
  CHECK(with_objectness[0].box == std::array<double, 4>{20, 35, 40, 45});
  CHECK(with_objectness[0].score == Catch::Approx(0.4));
  CHECK(with_objectness[0].label == 0);
  const auto suppressed = one_class.found_in(
      torch::tensor({{3.f, 4.f, 20.f, 10.f, 0.8f, 3.f}, {1.f, 2.f, 5.f, 6.f, 0.5f, 0.f}}).unsqueeze(0));
  REQUIRE(suppressed.size() == 2);
  CHECK(suppressed[0].box == std::array<double, 4>{3, 4, 20, 10});
  CHECK(suppressed[0].label == 3);
}

TEST_CASE("masks behind the classes are no classes, in each layout", "[detect]") {
  const Detector two_classes = detector_of(detector(), notes_of_classes({"a", "b"}));
  const torch::Tensor box = torch::tensor({10.f, 10.f, 8.f, 8.f}), classes = torch::tensor({0.5f, 0.9f});
  const torch::Tensor objectness = torch::tensor({0.5f}), masks = torch::full({32}, 7.f);
  const auto check = [&](const torch::Tensor& output, int64_t label, double score) {
    const auto found = two_classes.found_in(output);
    REQUIRE(found.size() == 1);
    CHECK(found[0].label == label);
    CHECK(found[0].score == Catch::Approx(score));
  };
  check(torch::cat({box, objectness, classes, masks}).expand({1, 50, 39}), 1, 0.45);
  check(torch::cat({box, classes, masks}).view({1, 38, 1}).expand({1, 38, 50}), 1, 0.9);
  const torch::Tensor chosen = torch::cat({box, torch::tensor({0.8f, 1.f}), masks}).repeat({1, 50, 1});
  chosen.slice(1, 1).select(2, 4).fill_(0);
  check(chosen, 1, 0.8);
}

TEST_CASE("where a file tells no classes, the masks' prototypes tell which columns are none", "[detect]") {
  torch::jit::Module script = module_of("Masks", "");
  script.register_buffer("table", torch::cat({torch::tensor({10.f, 10.f, 8.f, 8.f, 0.5f, 0.9f}), torch::full({3}, 7.f)})
                                      .view({1, 9, 1})
                                      .repeat({1, 1, 50}));
  script.define("def forward(self, x):\n  return self.table + 0 * x.sum(), torch.ones([1, 3, 16, 16])\n");
  Detector detector = Detector::of(script, sightglass::Model(script).output("0"), {}, Task::detect, 0.25).value();
  detector.look_at(torch::ones({1, 3, 64, 64}));
  const auto found = detector.found_in(script.attr("table").toTensor());
  REQUIRE(found.size() == 1);
  CHECK(found[0].label == 1);
  CHECK(found[0].score == Catch::Approx(0.9));
}

TEST_CASE("boxes with objectness are suppressed as YOLOv5 does it, at less overlap than others", "[detect]") {
  const Detector two_classes = detector_of(detector(), notes_of_classes({"a", "b"}));
  // 30 x 10 pixels each, 10 pixels apart: they share 20 of 40.
  const torch::Tensor boxes = torch::tensor({{15.f, 5.f, 30.f, 10.f}, {25.f, 5.f, 30.f, 10.f}});
  const torch::Tensor classes = torch::tensor({{0.9f, 0.1f}, {0.8f, 0.1f}});
  torch::Tensor table = torch::zeros({1, 40, 7});
  table[0].slice(0, 0, 2) = torch::cat({boxes, torch::ones({2, 1}), classes}, 1);
  CHECK(two_classes.found_in(table).size() == 1);
  torch::Tensor columns = torch::zeros({1, 6, 40});
  columns[0].slice(1, 0, 2) = torch::cat({boxes, classes}, 1).t();
  CHECK(two_classes.found_in(columns).size() == 2);
}

TEST_CASE("a detector is explained at the blocks that its boxes are made of, one box a place or several", "[detect]") {
  const FileNotes notes = notes_of_classes({"a", "b"});
  const std::vector<std::string> all{"model.2", "model.1", "model.0"};
  const auto one_a_place = within(blocks("x.repeat([1, 2, 1])"));
  const auto three_a_place = within(blocks("torch.cat([x, x, x[:, 0:1]], 1).transpose(1, 2).repeat([1, 3, 1])"));
  // Twelve that were chosen from all: as many as three at each place of the smallest map would be.
  const auto twelve = within(blocks("x[:, :, 0:12].transpose(1, 2).repeat([1, 1, 2])"));
  CHECK(levels_of(one_a_place, notes) == all);
  CHECK(levels_of(three_a_place, notes) == all);
  CHECK(levels_of(twelve, notes) == all);
  CHECK(levels_of(within(three_a_place), notes) ==
        std::vector<std::string>{"model.model.2", "model.model.1", "model.model.0"});
}

TEST_CASE("a YOLOv5 file, which does not tell its task, is a detector where it gives boxes", "[detect]") {
  const std::string text = R"({"shape": [1, 3, 64, 64], "stride": 32, "names": ["cat", "dog"]})";
  CHECK(notes_in(text).height == 0);
  const FileNotes notes =
      notes_of(within(blocks("torch.cat([x, x, x[:, 0:1]], 1).transpose(1, 2).repeat([1, 3, 1])")), text);
  CHECK(notes.has_boxes());
  CHECK(notes.height == 64);
  CHECK(notes.width == 64);
  CHECK(notes.labels == std::vector<std::string>{"cat", "dog"});
  const FileNotes classifier = notes_of(within(blocks("x.mean([2])")), text);
  CHECK_FALSE(classifier.has_boxes());
  CHECK(classifier.height == 0);
  CHECK(classifier.labels.size() == 2);
}

TEST_CASE("what Ultralytics writes beside a model is read, and what is no such text says nothing", "[detect]") {
  const FileNotes notes =
      notes_in(R"({"task": "detect", "imgsz": [320, 640], "names": {"0": "cat", "1": "dog"}, "stride": 32})");
  CHECK(notes.has_boxes());
  CHECK(notes.height == 320);
  CHECK(notes.width == 640);
  CHECK(notes.labels == std::vector<std::string>{"cat", "dog"});
  for (const char* text : {"", "no json", "[1, 2]", R"({"task": 3, "imgsz": 320, "names": [1]})",
                           R"({"imgsz": [-1, 99999999999], "names": {"1": "b"}})"}) {
    CHECK_FALSE(notes_in(text).has_boxes());
    CHECK(notes_in(text).height == 0);
    CHECK(notes_in(text).labels.empty());
  }
}
