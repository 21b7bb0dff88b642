#include "sightglass/trace/structure.hpp"

#include <torch/torch.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

struct NoTensors {};

}  // namespace

TEST_CASE("a tensor in lists, tuples and dictionaries has a path", "[structure]") {
  const Tensor a = torch::ones({1}), b = torch::ones({2}), c = torch::ones({3});
  CHECK(sgd::paths_in(a).empty());
  CHECK(sgd::paths_in(sgd::to_value(std::vector<Tensor>{a, b})) == std::vector<std::string>{"0", "1"});
  const auto nested = sgd::to_value(std::map<std::string, std::vector<Tensor>>{{"boxes", {a, b}}, {"scores", {c}}});
  CHECK(sgd::paths_in(nested) == std::vector<std::string>{"boxes.0", "boxes.1", "scores.0"});
  CHECK(sgd::pick_tensor(nested, "boxes.1").is_same(b));
  CHECK(sgd::pick_tensor(nested, "2").is_same(c));
  CHECK_THROWS_WITH(sgd::pick_tensor(nested, "masks"), ContainsSubstring("\"boxes.0\", \"boxes.1\", \"scores.0\""));
  CHECK_THROWS_WITH(sgd::pick_tensor(nested, "3"), ContainsSubstring("no such tensor"));
}

TEST_CASE("the first floating-point tensor is looked at by default", "[structure]") {
  const Tensor number = torch::ones({1}, torch::kLong), score = torch::ones({1});
  CHECK(sgd::pick_tensor(score).is_same(score));
  CHECK(sgd::pick_tensor(score, "0").is_same(score));
  CHECK(sgd::pick_tensor(sgd::to_value(std::make_tuple(number, score))).is_same(score));
  CHECK_THROWS_WITH(sgd::pick_tensor(sgd::to_value(std::vector<Tensor>{number})),
                    ContainsSubstring("no floating-point tensor"));
  CHECK_THROWS_WITH(sgd::pick_tensor(c10::IValue(3)), ContainsSubstring("no tensor"));
  CHECK_THROWS_WITH(sgd::pick_tensor(score, "out"), ContainsSubstring("\"out\""));
}

TEST_CASE("C++ values of that kind have a value form, others have none", "[structure]") {
  CHECK(sgd::has_value_form<std::tuple<Tensor, std::vector<Tensor>>>::value);
  CHECK(sgd::has_value_form<c10::optional<Tensor>>::value);
  CHECK(sgd::has_value_form<c10::Dict<std::string, Tensor>>::value);
  CHECK_FALSE(sgd::has_value_form<NoTensors>::value);
  const Tensor a = torch::ones({1}), b = torch::ones({2});
  torch::OrderedDict<std::string, Tensor> ordered;
  ordered.insert("z", a);
  ordered.insert("a", b);
  CHECK(sgd::paths_in(sgd::to_value(ordered)) == std::vector<std::string>{"z", "a"});
  CHECK(sgd::to_value(c10::optional<Tensor>()).isNone());
  CHECK(sgd::pick_tensor(sgd::to_value(std::make_pair(a, b)), "1").is_same(b));
}

TEST_CASE("what is undefined in a tuple is passed over", "[structure]") {
  const Tensor a = torch::ones({1});
  const c10::IValue with_none = c10::ivalue::Tuple::create({c10::IValue(Tensor()), c10::IValue(a)});
  CHECK(sgd::paths_in(with_none) == std::vector<std::string>{"1"});
  CHECK(sgd::pick_tensor(with_none).is_same(a));
  CHECK_THROWS_WITH(sgd::pick_tensor(with_none, "2"), ContainsSubstring("\"1\""));
}

TEST_CASE("the elements of a NamedTuple are called by its names", "[structure]") {
  const auto type =
      c10::TupleType::createNamed(c10::QualifiedName("__torch__.Scores"), std::vector<std::string>{"logits", "boxes"},
                                  std::vector<c10::TypePtr>{c10::TensorType::get(), c10::TensorType::get()});
  const c10::IValue named = c10::ivalue::Tuple::createNamed({torch::ones({1}), torch::zeros({1})}, type);
  CHECK(sgd::paths_in(named) == std::vector<std::string>{"logits", "boxes"});
  CHECK(sgd::pick_tensor(named, "boxes").item<float>() == 0);
}

TEST_CASE("tensors in a dictionary are visited and replaced in the order of insertion, the dictionary itself stays",
          "[structure]") {
  c10::Dict<std::string, Tensor> dict;
  dict.insert("b", torch::ones({1}));
  dict.insert("a", torch::zeros({1}));
  c10::IValue value = dict;
  std::vector<float> seen;
  sgd::for_each_tensor(value, [&](const Tensor& tensor) { seen.push_back(tensor.item<float>()); });
  CHECK(seen == std::vector<float>{1, 0});
  sgd::change_tensors(value, [](const Tensor& tensor) { return tensor + 5; });
  CHECK(sgd::pick_tensor(value, "b").item<float>() == 6);
  CHECK(dict.at("b").item<float>() == 1);
}

TEST_CASE("an output is called by its path, or by its number among all, also where the last have no path",
          "[structure]") {
  const std::vector<std::string> paths{"out", "aux.0"};
  CHECK(sightglass::detail::index_of_output("it", paths, 4, "aux.0") == 1);
  CHECK(sightglass::detail::index_of_output("it", paths, 4, "1") == 1);
  CHECK(sightglass::detail::index_of_output("it", paths, 4, "3") == 3);
  CHECK_THROWS_WITH(sightglass::detail::index_of_output("it", paths, 4, "4"),
                    ContainsSubstring("it: it has no output \"4\"; it gives \"out\", \"aux.0\", \"2\", \"3\""));
}
