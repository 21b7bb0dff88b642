#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/moduledict.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/hooks/detail/place.hpp"
#include "sightglass/trace/learning/locate.hpp"
#include "sightglass/trace/learning/members.hpp"
#include "sightglass/trace/learning/module.hpp"
#include "sightglass/trace/nearest.hpp"

/// From a module's path to the runnable along which it is followed.
namespace sightglass::detail {

bool is_list(const torch::nn::Module& module);

std::string type_name(const torch::nn::Module& module);

/// A module on the way from the root to a layer.
struct OnPath {
  std::shared_ptr<torch::nn::Module> module;
  std::string path;
  size_t index = 0;  ///< its number among its parent's children
};

/// The model itself is called by its type.
std::string name_of(const OnPath& step);

/// The modules from the root (first) to the one called `name` (last).
std::vector<OnPath> path_to(const std::shared_ptr<torch::nn::Module>& root, const std::string& name);

/// How the last module of a path is called: through the `Sequential` around it, or by its type.
Callable callable_at(const std::vector<OnPath>& path, size_t at);

/// The type as a program can write it.
std::string type_to_write(const torch::nn::Module& module);

/// Says what has to be known of a type before it can be called; `what` is of this type: "its", or that of a block.
void refuse_type(const torch::nn::Module& module, const std::string& what, Place& place);

/// The child of the block `path[at]` through which the path goes on; lists are looked through.
const OnPath& child_on(const std::vector<OnPath>& path, size_t at);

/// The direct children of a block; elements of lists count as such.
void add_children(const torch::nn::Module& parent, const std::string& prefix, std::vector<Child>& into);

/// Finds the places of a model's layers; what they share is found once for all of them.
class PlaceFinder {
 public:
  /// Of a module that is known by itself, without a model around it.
  PlaceFinder() = default;
  explicit PlaceFinder(std::shared_ptr<torch::nn::Module> root) : root_(std::move(root)) {}

  /// The place of the last module of a path.
  Place find(const std::vector<OnPath>& path);

 private:
  using Named = torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>::Item;

  /// Another layer of the same type with the same parameter, in whose place the operations of this one could be taken.
  std::optional<std::string> tied_to(const std::vector<OnPath>& path);

  /// Notes whose each parameter is, once.
  void find_readers();

  /// A layer without parameters is found inside of a `Sequential` that has some, or of the block around it.
  void seek_around(const std::vector<OnPath>& path, Place& place);

  /// One block serves all of its children.
  template <class Make>
  std::shared_ptr<Runnable> block_of(const OnPath& around, const Make& make) {
    std::shared_ptr<Runnable>& block = blocks_[around.module.get()];
    if (block == nullptr) block = make();
    return block;
  }

  std::shared_ptr<torch::nn::Module> root_;                      // null where its parameters have been noted
  std::unordered_map<const void*, std::vector<Named>> readers_;  // whose a parameter is
  std::unordered_map<const void*, std::shared_ptr<Runnable>> blocks_;
};

/// The places of all modules inside of `root`, in the order of registration.
std::vector<Place> all_places(const std::shared_ptr<torch::nn::Module>& root);

Place place_by_name(const std::shared_ptr<torch::nn::Module>& root, const std::string& name);

/// Of a module without a model around it; throws for a null pointer.
Place place_of_module(const std::shared_ptr<torch::nn::Module>& module);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/hooks/detail/find_place_inl.hpp"
#endif
