#pragma once

#include <sightglass/opencv.hpp>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/boxes.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/progress.hpp"

// The pictures that `pets` learns from.
namespace support {

/// A number that depends on all of `numbers`: one seed out of several. The mixing is that of SplitMix64.
inline uint64_t mixed(const std::vector<uint64_t>& numbers) {
  uint64_t state = 0;
  for (const uint64_t number : numbers) {
    state += number + 0x9E3779B97F4A7C15;
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB;
    state ^= state >> 31;
  }
  return state;
}

/// 0 to count - 1 in an order that the seed alone decides, with every standard library.
inline std::vector<size_t> shuffled(size_t count, uint64_t seed) {
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  std::mt19937_64 random(seed);
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return order;
}

/// Calls `work(i)` for all i below `count` in `workers` threads; it must not throw.
inline void in_parallel(size_t count, int workers, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (int worker = 0; worker < workers; ++worker)
    threads.emplace_back([&] {
      for (size_t i = next++; i < count; i = next++) work(i);
    });
  for (std::thread& thread : threads) thread.join();
}

/// One picture to learn from.
struct Item {
  std::string name;
  int64_t label = 0;
  std::function<cv::Mat()> picture;  // 8-bit BGR
  std::optional<sightglass::Box> box;
};

struct PictureSet {
  std::vector<std::string> vocabulary;
  std::vector<Item> items;
  size_t broken = 0;
  double smallest_part = 0.35;  ///< of a picture that still shows what it is of; fastai's `min_scale`
};

/// A folder of pictures named as the Oxford-IIIT Pets are: a capital first letter is a cat. Pictures that cannot be
/// read are named on standard error, counted and left out.
/// Throws `c10::Error` for a folder that is missing, without pictures, or without one of each class.
inline PictureSet pets_in(const std::string& folder, int workers) {
  TORCH_CHECK(fs::is_directory(folder), "folder \"", folder, "\": no such folder");
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && is_picture_name(entry.path())) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  TORCH_CHECK(!paths.empty(), "folder \"", folder, "\": holds no pictures");
  std::vector<std::string> complaints(paths.size());
  const std::function<void(size_t)> check = [&](size_t i) {
    try {
      sightglass::read_image(paths[i].string());
    } catch (const std::exception& error) {
      complaints[i] = one_line(error);
    }
  };
  in_parallel(paths.size(), workers, check);
  PictureSet set{{"dog", "cat"}, {}};
  std::vector<size_t> counts(2);
  for (size_t i = 0; i < paths.size(); ++i) {
    if (!complaints[i].empty()) {
      std::fprintf(stderr, "pets: skipped: %s\n", complaints[i].c_str());
      ++set.broken;
      continue;
    }
    const std::string name = paths[i].filename().string();
    const bool cat = std::isupper(static_cast<unsigned char>(name.front())) != 0;
    ++counts[cat ? 1 : 0];
    set.items.push_back({name, cat ? 1 : 0, [path = paths[i].string()] { return sightglass::read_image(path); }, {}});
  }
  TORCH_CHECK(counts[0] > 1 && counts[1] > 1, "folder \"", folder, "\": holds ", counts[1], " cats and ", counts[0],
              " dogs that can be read, expected two of each; a capital first letter makes a cat");
  return set;
}

/// Pictures as `shapes` draws them, of `size` x `size` pixels.
inline PictureSet drawn_pictures(size_t count, int size, uint64_t seed) {
  PictureSet set{drawing::class_names(), {}};
  set.smallest_part = 0.9;  // the one shape is small, and anywhere
  for (size_t i = 0; i < count; ++i) {
    const int label = static_cast<int>(i % set.vocabulary.size());
    const std::function<drawing::Scene()> draw = [=] {
      cv::RNG random(mixed({seed, i}));
      return drawing::draw(random, size, label);
    };
    const cv::Rect box = draw().objects.front().box;
    set.items.push_back({"shape " + std::to_string(i), label, [draw] { return draw().picture; },
                         sightglass::Box{box.x, box.y, box.x + box.width, box.y + box.height}});
  }
  return set;
}

/// Gives the pictures their boxes: a table with the columns file, x0, y0, x1, y1.
inline void add_boxes(PictureSet& set, const std::string& path) {
  const BoxTable table = read_boxes(path, Classes::ignored);
  for (const std::string& complaint : table.complaints) std::fprintf(stderr, "pets: %s\n", complaint.c_str());
  for (const BoxedObject& object : table.objects)
    for (Item& item : set.items)
      if (item.name == object.file) item.box = object.box;
}

/// The items of a part of a set, by number.
struct Split {
  std::vector<size_t> training, validation;
};

/// Splits into `parts`, class by class so that each has its share, by seed; part number `part` is for validation.
inline Split split(const PictureSet& set, size_t parts, size_t part, uint64_t seed) {
  Split result;
  size_t dealt = 0;
  for (size_t label = 0; label < set.vocabulary.size(); ++label) {
    for (const size_t i : shuffled(set.items.size(), mixed({seed, 1}))) {
      if (static_cast<size_t>(set.items[i].label) != label) continue;
      (dealt++ % parts == part ? result.validation : result.training).push_back(i);
    }
  }
  std::sort(result.validation.begin(), result.validation.end());
  return result;
}

}  // namespace support
