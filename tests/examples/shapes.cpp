#include "shapes/detector.hpp"
#include "shapes/segmenter.hpp"

#include <set>

#include "explain/detect.hpp"
#include "explain/segment.hpp"
#include "support/model_file.hpp"

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using namespace support;

namespace {

std::vector<drawing::Scene> three_scenes() {
  cv::RNG random(3);
  return draw_scenes_of_several(random, 3);
}

/// A detector with norms and boxes of its own, as after a training.
DetectorNet some_detector() {
  torch::manual_seed(1);
  DetectorNet net(static_cast<int64_t>(drawing::class_names().size()));
  const torch::NoGradGuard no_gradients;
  net->train();
  net->forward(ExplainedDetector::input(three_scenes()));
  net->eval();
  return net;
}

torch::Tensor boxes_of(const drawing::Scene& scene) {
  std::vector<torch::Tensor> boxes;
  for (const drawing::Object& object : scene.objects)
    boxes.push_back(torch::tensor({object.box.x + object.box.width / 2.0, object.box.y + object.box.height / 2.0,
                                   1.0 * object.box.width, 1.0 * object.box.height}));
  return torch::stack(boxes);
}

}  // namespace

TEST_CASE("objects of one scene are of different classes, and their boxes do not touch", "[shapes]") {
  cv::RNG random(1), again(1);
  std::set<size_t> counts;
  for (int i = 0; i < 40; ++i) {
    const drawing::Scene scene = drawing::draw_several(random, scene_side);
    counts.insert(scene.objects.size());
    std::set<int> labels;
    for (const drawing::Object& object : scene.objects) {
      labels.insert(object.label);
      CHECK(cv::countNonZero(object.mask) == cv::countNonZero(object.mask(object.box)));
      CHECK(cv::countNonZero(object.mask) > 300);
      for (const drawing::Object& other : scene.objects) CHECK((&object == &other || (object.box & other.box).empty()));
    }
    CHECK(labels.size() == scene.objects.size());
    CHECK(cv::norm(scene.picture, drawing::draw_several(again, scene_side).picture, cv::NORM_INF) == 0);
  }
  CHECK(counts == std::set<size_t>{2, 3, 4});
}

TEST_CASE("boxes are turned and mirrored as the pictures are", "[shapes]") {
  const drawing::Scene scene = three_scenes().front();
  const drawing::Object& object = scene.objects.front();
  const torch::Tensor mask =
      torch::from_blob(object.mask.data, {scene_side, scene_side}, torch::kByte).gt(0).to(torch::kFloat);
  for (int way = 0; way < 8; ++way) {
    CAPTURE(way);
    const torch::Tensor box = mirrored_boxes(boxes_of(scene), way, scene_side)[0], turned = mirrored(mask, way);
    const auto edge = [&](int64_t axis, double sign) { return (box[axis] + sign * box[axis + 2] / 2).item<int64_t>(); };
    CHECK(turned.slice(0, edge(1, -1), edge(1, 1)).slice(1, edge(0, -1), edge(0, 1)).sum().item<double>() ==
          turned.sum().item<double>());
    CHECK(turned.slice(0, edge(1, -1) + 1).sum().item<double>() < turned.sum().item<double>());
    CHECK(turned.slice(1, 0, edge(0, 1) - 1).sum().item<double>() < turned.sum().item<double>());
  }
}

TEST_CASE("the overlap of boxes is theirs over their union, and the gap what is left of the box around", "[shapes]") {
  // Of 4 x 4 about (2, 2) and (4, 2): they share 2 x 4, cover 6 x 4.
  const Overlap beside(torch::tensor({2., 2., 4., 4.}), torch::tensor({4., 2., 4., 4.}));
  CHECK(beside.iou.item<double>() == Approx(8.0 / 24));
  CHECK(beside.gap.item<double>() == Approx(0).margin(1e-12));
  const Overlap apart(torch::tensor({1., 1., 2., 2.}), torch::tensor({5., 5., 2., 2.}));
  CHECK(apart.iou.item<double>() == 0);
  CHECK(apart.gap.item<double>() == Approx((36.0 - 8) / 36));
}

TEST_CASE("a detector's boxes are about its places, in pixels", "[shapes]") {
  torch::Tensor raw = torch::zeros({1, 4 + 2, 3, 5});
  raw[0][0][2][4] = 0.25;           // a quarter of a place to the right
  raw[0][3][2][4] = std::log(0.5);  // half as high as usual
  raw[0][5][2][4] = 2;
  const torch::Tensor box = DetectorNetImpl::decoded(raw)[0].select(1, 14);
  CHECK(at::allclose(
      box, torch::tensor({16 * 4.75, 16 * 2.5, 48.0, 24.0, 0.5, 1 / (1 + std::exp(-2.0))}).to(torch::kFloat)));
}

TEST_CASE("explain reads the detector that shapes writes without options", "[shapes]") {
  const Folder folder;
  DetectorNet net = some_detector();
  const std::string path = folder / "shapes.pt";
  to_torchscript(net).save(path, {{"config.txt", detector_config()}});
  const ModelFile file = read_model(path);
  const torch::jit::Module& script = file.module;
  const FileNotes notes = notes_in(file);
  CHECK(notes.labels == drawing::class_names());
  const auto detector = Detector::of(script, sightglass::Model(script), notes, Task::unknown, 0.0);
  REQUIRE(detector);
  const Preparation wanted = preparation_in(script, notes).wanted;
  CHECK(wanted.height == scene_side);
  CHECK(wanted.mean == std::vector<double>{0});

  const torch::Tensor input = prepared(three_scenes().front().picture, wanted);
  CHECK(at::allclose(input, ExplainedDetector::input({three_scenes().front()}), 0, 1e-6));
  const std::vector<sightglass::Layer> levels = detector->levels(input);
  REQUIRE(levels.size() == 1);  // of as many places as there are boxes
  CHECK(levels.front().name() == "model.14");

  const torch::Tensor output = net->forward(input);
  CHECK(output.sizes().vec() == std::vector<int64_t>{1, 4 + 8, 14 * 14});
  const auto own =
      sightglass::detections(output, sightglass::BoxLayout::class_columns, 0, sightglass::DetectionOptions().score(0));
  const std::vector<sightglass::Detection> read =
      detector->found_in(torch::jit::Module(script).forward({input}).toTensor());
  REQUIRE(read.size() == own.size());
  for (size_t i = 0; i < 5; ++i) {
    CHECK(read[i].label == own[i].label);
    CHECK(read[i].box == own[i].box);
  }
}

TEST_CASE("explain reads the segmenter that shapes writes, and where its encoder ends", "[shapes]") {
  torch::manual_seed(1);
  SegmenterNet net(static_cast<int64_t>(segmenter_classes().size()));
  net->eval();
  torch::jit::Module script = to_torchscript(net);
  const torch::Tensor input = ExplainedSegmenter::input(three_scenes());
  const torch::Tensor output = script.forward({input}).toTensor();
  CHECK(at::equal(output, net->forward(input)));
  CHECK(output.sizes().vec() == std::vector<int64_t>{3, 1 + 8, scene_side, scene_side});
  CHECK(is_segmentation(output, input));
  CHECK(suggested(sightglass::Model(script), input, Task::unknown).layer == "encoder3");
}

TEST_CASE("an even map has in each box the box's share of the picture", "[shapes]") {
  const drawing::Scene scene = three_scenes().front();
  const auto of_map = [&](const torch::Tensor& map) {
    const sightglass::Explanation explanation(map.unsqueeze(0), torch::zeros({1}), torch::zeros({1}, torch::kLong),
                                              {scene_side, scene_side});
    return shares_of_map(explanation, scene, 1);
  };
  const auto share = [&](size_t i) { return scene.objects[i].box.area() / double{scene_side * scene_side}; };
  double others = 0;
  for (size_t i = 0; i < scene.objects.size(); ++i) others += i == 1 ? 0 : share(i);
  const BoxShares even = of_map(torch::ones({14, 14}));
  CHECK(even.own == Approx(share(1)));
  CHECK(even.others == Approx(others));
  CHECK(shares_of_picture(scene, 1).own == Approx(share(1)));
  CHECK(shares_of_picture(scene, 1).others == Approx(others));
  torch::Tensor inside = torch::full({scene_side, scene_side}, -1.0);
  const cv::Rect& box = scene.objects[1].box;
  inside.slice(0, box.y, box.y + box.height).slice(1, box.x, box.x + box.width).fill_(2);
  CHECK(of_map(inside).own == Approx(1));
  CHECK(of_map(inside).others == 0);
  CHECK(of_map(-torch::ones({14, 14})).own == 0);
}
