#include "support/figures.hpp"

#include "support/harness/catch.hpp"

using support::figures_of;
using support::ModelEnd;
using support::Task;

namespace {

/// The probabilities of one picture's outputs; none for no probabilities.
std::vector<double> shares(const std::vector<double>& outputs, Task task, ModelEnd end = ModelEnd::unknown) {
  const torch::Tensor row = torch::tensor(outputs, torch::kDouble).unsqueeze(0);
  const support::Figures figures = figures_of(row, task, end);
  CHECK(at::equal(figures.scores, row));
  std::vector<double> all;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (const auto one = support::probability_of(figures, 0, static_cast<int64_t>(i))) all.push_back(*one);
  return all;
}

torch::jit::Module ending(const std::string& body) {
  static int count = 0;
  torch::jit::Module model("__torch__.Ending" + std::to_string(count++));
  model.register_attribute("training", c10::BoolType::get(), false);
  model.register_attribute("end", c10::StringType::get(), "sigmoid");
  model.register_parameter("weight", torch::ones({2, 3}), false);
  model.define("def forward(self, x):\n  y = torch.linear(x, self.weight)\n  " + body + "\n");
  return model;
}

}  // namespace

TEST_CASE("outputs that are probabilities are shown as they are, whatever the task", "[figures]") {
  const std::vector<double> given{0.7, 0.2, 0.1};
  CHECK(shares(given, Task::unknown) == given);
  CHECK(shares(given, Task::classify) == given);
  const std::vector<double> logs = shares({-0.693147180559945, -1.386294361119891, -1.386294361119891}, Task::unknown);
  REQUIRE(logs.size() == 3);  // ln 1/2, ln 1/4, ln 1/4
  CHECK(logs[0] == Approx(0.5));
  CHECK(logs[2] == Approx(0.25));
}

TEST_CASE("no probability is made up of scores whose task is unknown", "[figures]") {
  CHECK(shares({8.5, 2.0, -1.0}, Task::unknown).empty());
  CHECK(shares({0.86, 0.72, 0.18}, Task::unknown).empty());  // several labels, or coordinates
  CHECK(shares({0.46}, Task::unknown).empty());
  CHECK(shares({1.0}, Task::unknown).empty());  // one output sums to one by itself
  CHECK(shares({8.5, 2.0}, Task::regress).empty());
  CHECK(shares({0.7, 0.3}, Task::regress).empty());
}

TEST_CASE("a task that is told makes probabilities of scores", "[figures]") {
  const std::vector<double> classes = shares({std::log(3.0), 0.0}, Task::classify);
  REQUIRE(classes.size() == 2);
  CHECK(classes[0] == Approx(0.75));
  CHECK(classes[1] == Approx(0.25));
  const std::vector<double> labels = shares({std::log(3.0), 0.0}, Task::multi_label);
  REQUIRE(labels.size() == 2);
  CHECK(labels[0] == Approx(0.75));
  CHECK(labels[1] == Approx(0.5));
  CHECK(shares({-std::log(3.0)}, Task::binary).at(0) == Approx(0.25));
  CHECK_THROWS_WITH(shares({1.0, 2.0}, Task::binary), ContainsSubstring("2 outputs, expected one"));
  CHECK_THROWS_WITH(shares({1.0}, Task::classify), ContainsSubstring("one output, expected several"));
}

TEST_CASE("whether numbers in 0 to 1 are probabilities or logits, the end of the model tells", "[figures]") {
  CHECK(shares({0.46}, Task::binary, ModelEnd::sigmoid).at(0) == 0.46);
  CHECK(shares({0.0}, Task::binary, ModelEnd::linear).at(0) == 0.5);
  CHECK(shares({0.86, 0.72}, Task::multi_label, ModelEnd::sigmoid) == std::vector<double>{0.86, 0.72});
  CHECK(shares({0.86, 0.72}, Task::classify, ModelEnd::sigmoid) == std::vector<double>{0.86, 0.72});
  const support::Figures untellable = figures_of(torch::full({1, 1}, 0.46), Task::binary, ModelEnd::unknown);
  CHECK_FALSE(untellable.probabilities.defined());
  CHECK(untellable.doubt.find("probabilities or logits") != std::string::npos);
}

TEST_CASE("rows of half precision sum to one as far as their type tells", "[figures]") {
  const torch::Tensor rows = torch::rand({4, 1000}).mul(3).softmax(1).to(torch::kHalf);
  CHECK(figures_of(rows, Task::unknown, ModelEnd::unknown).probabilities.defined());
  CHECK_FALSE(figures_of(rows.to(torch::kFloat) * 0.99, Task::unknown, ModelEnd::unknown).probabilities.defined());
  const torch::Tensor one_is_none = torch::tensor({{0.5, 0.5}, {0.5, 0.6}});
  CHECK_FALSE(figures_of(one_is_none, Task::unknown, ModelEnd::unknown).probabilities.defined());
}

TEST_CASE("the end of a model is read through what keeps its numbers", "[model_end]") {
  CHECK(support::end_of(ending("return torch.sigmoid(y)")) == ModelEnd::sigmoid);
  CHECK(support::end_of(ending("return torch.sigmoid(y).squeeze(1)")) == ModelEnd::sigmoid);
  CHECK(support::end_of(ending("return y")) == ModelEnd::linear);
  CHECK(support::end_of(ending("return y.view([-1, 2]) * 2.5")) == ModelEnd::linear);
  CHECK(support::end_of(ending("return torch.clamp(y, 0., 1.)")) == ModelEnd::unknown);
  CHECK(support::end_of(ending("return torch.sigmoid(y) + torch.sigmoid(y)")) == ModelEnd::unknown);
  // Where an attribute decides, a frozen copy knows.
  CHECK(support::end_of(ending("if self.end == 'sigmoid':\n    y = torch.sigmoid(y)\n  return y")) ==
        ModelEnd::sigmoid);
}

TEST_CASE("a task that there is not is an error that lists those that there are", "[figures]") {
  CHECK(support::task_called("") == Task::unknown);
  CHECK_THROWS_WITH(support::task_called("clasify"), ContainsSubstring("classify, multi-label, binary, regress"));
  CHECK_THROWS_WITH(support::task_called("segment"), ContainsSubstring("Target::segmentation"));
}
