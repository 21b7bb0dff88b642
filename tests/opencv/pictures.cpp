// CAM and Grad-CAM on photographs: the pointing game of ../shared/data, as its reference_pointing.py plays it.

#include <sightglass/sightglass.hpp>
#include <sightglass/opencv.hpp>

#include <ATen/Parallel.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

namespace {

std::string data_dir() { return support::shared_dir() + "/data"; }
bool data_is_there() { return std::ifstream(data_dir() + "/boxes.csv").good(); }
const std::string no_data = "no photographs or models in ";

/// Real networks: two threads pay off.
class TwoThreads {
 public:
  TwoThreads() { at::set_num_threads(2); }
  TwoThreads(const TwoThreads&) = delete;
  TwoThreads& operator=(const TwoThreads&) = delete;
  ~TwoThreads() { at::set_num_threads(before_); }

 private:
  int before_ = at::get_num_threads();
};

/// A row of a table: column -> text.
using Row = std::map<std::string, std::string>;

std::vector<Row> read_table(const std::string& name) {
  const auto cells = [](const std::string& line) {
    std::vector<std::string> all;
    std::stringstream stream(line);
    for (std::string cell; std::getline(stream, cell, ',');) {
      while (!cell.empty() && cell.back() == '\r') cell.pop_back();
      all.push_back(cell);
    }
    return all;
  };
  std::ifstream file(data_dir() + "/" + name);
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> columns = cells(line);
  std::vector<Row> rows;
  while (std::getline(file, line)) {
    const std::vector<std::string> values = cells(line);
    TORCH_CHECK(values.size() == columns.size(), name, ": cannot read the line ", line);
    Row row;
    for (size_t i = 0; i < columns.size(); ++i) row[columns[i]] = values[i];
    rows.push_back(row);
  }
  return rows;
}

struct Box {
  explicit Box(const Row& row)
      : x0(number(row, "x0")), y0(number(row, "y0")), x1(number(row, "x1")), y1(number(row, "y1")) {}
  static int64_t number(const Row& row, const char* column) { return std::stoll(row.at(column)); }
  bool contains(std::pair<int64_t, int64_t> point) const {
    return point.first >= x0 && point.first < x1 && point.second >= y0 && point.second < y1;
  }
  /// The share of the positive part of an enlarged map, `[h, w]`, that lies in the box.
  double mass(const at::Tensor& map) const {
    const at::Tensor positive = map.clamp_min(0);
    const auto sum = positive.sum().item<double>();
    return sum > 0 ? positive.slice(0, y0, y1).slice(1, x0, x1).sum().item<double>() / sum : 0;
  }
  int64_t x0, y0, x1, y1;
};

/// Pictures of one folder, brought to one size.
struct Batch {
  at::Tensor input;
  std::vector<cv::Size> sizes;  ///< of the stored files
};

Batch load(const std::string& folder, const std::vector<Row>& rows, int64_t side) {
  Batch batch;
  std::vector<at::Tensor> inputs;
  for (const Row& row : rows) {
    const cv::Mat picture = sg::read_image(data_dir() + "/" + folder + "/" + row.at("file"));
    batch.sizes.push_back(picture.size());
    inputs.push_back(sg::to_tensor(picture, sg::imagenet(side)));
  }
  batch.input = torch::cat(inputs);
  return batch;
}

std::vector<std::vector<Row>> in_parts(const std::vector<Row>& rows, size_t length) {
  std::vector<std::vector<Row>> parts;
  for (size_t from = 0; from < rows.size(); from += length) {
    const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(from);
    parts.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(std::min(length, rows.size() - from)));
  }
  return parts;
}

/// The class of the row; for a pet the best scoring class among cats or dogs.
std::vector<int64_t> targets_of(const std::vector<Row>& rows, const at::Tensor& scores) {
  std::vector<int64_t> targets;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    if (row.count("class_index") > 0) {
      targets.push_back(std::stoll(row.at("class_index")));
    } else {
      const auto [first, last] = row.at("is_cat") == "1" ? std::make_pair(281, 286) : std::make_pair(151, 269);
      targets.push_back(first + scores[static_cast<int64_t>(i)].slice(0, first, last).argmax().item<int64_t>());
    }
  }
  return targets;
}

struct Count {
  int hits = 0;
  double mass = 0;
  void add(const sg::Explanation& explained, int64_t image, const Box& box, cv::Size size) {
    const at::Tensor map = explained.map(image);
    const bool flat = map.max().item<float>() <= 0 && map.min().item<float>() >= 0;
    if (flat) return;
    hits += box.contains(explained.peak(image, size.height, size.width)) ? 1 : 0;
    mass += box.mass(explained.resized(size.height, size.width)[image]);
  }
};

struct Counts {
  Count cam;
  Count grad_cam;
};

Counts play(const torch::jit::Module& model, const std::string& folder, const std::vector<Row>& rows, int64_t side) {
  Counts counts;
  for (const auto& part : in_parts(rows, 8)) {
    const Batch batch = load(folder, part, side);
    const sg::Pass pass(model, batch.input, {sg::layer(model, "features")});
    const sg::Target target(targets_of(part, pass.output()));
    const auto cam = pass.explain(0, sg::Cam{}, target);
    const auto grad_cam = pass.explain(0, sg::GradCam{}, target);
    for (size_t i = 0; i < part.size(); ++i) {
      counts.cam.add(cam, static_cast<int64_t>(i), Box(part[i]), batch.sizes[i]);
      counts.grad_cam.add(grad_cam, static_cast<int64_t>(i), Box(part[i]), batch.sizes[i]);
    }
  }
  return counts;
}

/// A row of the table in the data's README.
struct Reference {
  std::string folder;
  std::string table;
  int hits;  ///< of CAM and of Grad-CAM alike
  double cam_mass;
  double grad_cam_mass;
};

void check_pointing(const std::string& name, const std::vector<Reference>& references) {
  const TwoThreads threads;
  const torch::jit::Module model = torch::jit::load(data_dir() + "/models/" + name + ".pt");
  for (const Reference& wanted : references) {
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<Row> rows = read_table(wanted.table);
    const Counts counts = play(model, wanted.folder, rows, 225);
    const auto number = static_cast<double>(rows.size());
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    std::cout << "measured: " << name << ", " << wanted.folder << " at 225 x 225: CAM " << counts.cam.hits
              << ", Grad-CAM " << counts.grad_cam.hits << " of " << rows.size() << " (reference " << wanted.hits
              << "), mass " << counts.cam.mass / number << " and " << counts.grad_cam.mass / number << " (reference "
              << wanted.cam_mass << " and " << wanted.grad_cam_mass << "), " << seconds.count() << " s" << std::endl;
    CHECK(std::abs(counts.cam.hits - wanted.hits) <= 1);
    CHECK(std::abs(counts.grad_cam.hits - wanted.hits) <= 1);
    CHECK_THAT(counts.cam.mass / number, WithinAbs(wanted.cam_mass, .005));
    CHECK_THAT(counts.grad_cam.mass / number, WithinAbs(wanted.grad_cam_mass, .005));
  }
}

}  // namespace

TEST_CASE("the pointing game of MobileNetV2 comes out as the references say") {
  if (!data_is_there()) SKIPPED(no_data + data_dir());
  check_pointing("mobilenet_v2", {{"images", "boxes.csv", 46, .709, .708},
                                  {"collages", "collages.csv", 26, .789, .782},
                                  {"pets", "pets_boxes.csv", 48, .869, .867}});
}

TEST_CASE("the pointing game of SqueezeNet comes out as the references say") {
  if (!data_is_there()) SKIPPED(no_data + data_dir());
  check_pointing("squeezenet1_0", {{"images", "boxes.csv", 53, .719, .711},
                                   {"collages", "collages.csv", 25, .888, .854},
                                   {"pets", "pets_boxes.csv", 48, .878, .868}});
}

TEST_CASE("every model explains every photograph") {
  if (!data_is_there()) SKIPPED(no_data + data_dir());
  const TwoThreads threads;
  std::vector<std::pair<std::string, Row>> pictures;
  std::map<std::string, bool> seen;
  for (const auto& [folder, table] : std::vector<std::pair<std::string, std::string>>{{"images", "boxes.csv"},
                                                                                      {"images", "two_objects.csv"},
                                                                                      {"collages", "collages.csv"},
                                                                                      {"pets", "pets_boxes.csv"}}) {
    for (const Row& row : read_table(table)) {
      if (!std::exchange(seen[folder + "/" + row.at("file")], true)) pictures.emplace_back(folder, row);
    }
  }
  REQUIRE(pictures.size() == 53 + 1 + 10 + 48);
  for (const std::string name : {"mobilenet_v2", "squeezenet1_0"}) {
    const torch::jit::Module model = torch::jit::load(data_dir() + "/models/" + name + ".pt");
    std::map<std::string, int> statuses;
    for (size_t from = 0; from < pictures.size(); from += 8) {
      std::vector<at::Tensor> inputs;
      for (size_t i = from; i < std::min(from + 8, pictures.size()); ++i) {
        inputs.push_back(load(pictures[i].first, {pictures[i].second}, 224).input);
      }
      const auto explained = sg::explain(model, torch::cat(inputs), "features", sg::GradCam{});
      CHECK(explained.normalised().isfinite().all().item<bool>());
      for (size_t i = 0; i < inputs.size(); ++i) {
        const sg::Status status = explained.status(static_cast<int64_t>(i));
        INFO(name << ", " << pictures[from + i].second.at("file") << ": " << sg::to_string(status));
        CHECK(status == sg::Status::ok);
        ++statuses[sg::to_string(status)];
      }
    }
    for (const auto& [status, count] : statuses) {
      std::cout << "measured: " << name << ": status " << status << ": " << count << " of " << pictures.size()
                << std::endl;
    }
  }
}

TEST_CASE("in pictures of a cat and a dog each map falls on its own animal") {
  if (!data_is_there()) SKIPPED(no_data + data_dir());
  const TwoThreads threads;
  std::vector<std::pair<std::string, Row>> animals;
  for (const Row& row : read_table("two_objects.csv")) animals.emplace_back("images", row);
  for (const Row& row : read_table("collages.csv")) {
    if (row.at("file") == "collage_cat_dog.jpg") animals.emplace_back("collages", row);
  }
  REQUIRE(animals.size() == 6);
  for (const std::string name : {"mobilenet_v2", "squeezenet1_0"}) {
    const torch::jit::Module model = torch::jit::load(data_dir() + "/models/" + name + ".pt");
    for (const auto& [folder, row] : animals) {
      INFO(name << ", " << row.at("file") << ", " << row.at("class_name"));
      const Batch one = load(folder, {row}, 224);
      const sg::Pass pass(model, one.input, {sg::layer(model, "features")});
      const sg::Target target(std::stoll(row.at("class_index")));
      const Box box(row);
      for (const auto& explained : {pass.explain(0, sg::Cam{}, target), pass.explain(0, sg::GradCam{}, target)}) {
        const cv::Size size = one.sizes.front();
        CHECK(box.contains(explained.peak(0, size.height, size.width)));
        // More of the map lies in the box than its share of the picture.
        const double area = static_cast<double>((box.x1 - box.x0) * (box.y1 - box.y0)) / size.area();
        const double mass = box.mass(explained.resized(size.height, size.width)[0]);
        CHECK(mass > area + .1);
        if (folder == "collages") CHECK(mass > .7);
      }
    }
  }
}
