// Programs that Python exports now, against what Python gives: see fresh.py beside this file.

#include <sightglass/exported.hpp>
#include <sightglass/sightglass.hpp>
#include <torch/torch.h>

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/data/torch_files.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;

namespace {

double error_of(const at::Tensor& got, const at::Tensor& wanted) {
  TORCH_CHECK(got.sizes() == wanted.sizes(), "sizes differ: ", got.sizes(), " and ", wanted.sizes());
  const at::Tensor exact = wanted.to(at::kDouble);
  const double difference = exact.numel() == 0 ? 0 : (got.to(at::kDouble) - exact).abs().max().item<double>();
  const double scale = exact.numel() == 0 ? 0 : exact.abs().max().item<double>();
  return difference == 0 ? 0 : difference / scale;
}

std::vector<at::Tensor> flat(const c10::IValue& value) { return sg::detail::flat_tensors({value}); }

/// The facts under `kind.`, in order.
std::vector<std::pair<std::string, at::Tensor>> facts_of(const sg::StateDict& facts, const std::string& kind) {
  std::vector<std::pair<std::string, at::Tensor>> found;
  for (const auto& item : facts) {
    if (item.key().rfind(kind + ".", 0) == 0) found.emplace_back(item.key().substr(kind.size() + 1), item.value());
  }
  return found;
}

class Fresh {
 public:
  Fresh(const std::string& folder, std::string name)
      : name_(std::move(name)),
        program_(sg::ExportedProgram::load(folder + "/" + name_ + ".pt2")),
        facts_(sg::read_state_dict(folder + "/" + name_ + ".facts")) {}

  void check() {
    INFO(name_);
    const double tolerance = name_.rfind("half", 0) == 0 ? 2e-2 : 1e-5;  // bfloat16 has three digits
    const sg::StateDict before = copied();
    const double outputs = compare_outputs();
    CHECK(outputs < tolerance);
    restore(before);
    const double layers = compare_layers();
    CHECK(layers < tolerance);
    restore(before);
    const double gradients = compare_gradients();
    CHECK(gradients < 10 * tolerance);
    restore(before);
    const double weights = compare_training();
    CHECK(weights < 10 * tolerance);
    std::cout << "measured: " << name_ << ": worst relative error outputs " << outputs << ", layers " << layers
              << ", gradients " << gradients << ", weights after ten steps " << weights << std::endl;
  }

 private:
  c10::IValue forward() {
    std::vector<c10::IValue> given;
    for (const auto& fact : facts_of(facts_, "in")) given.emplace_back(fact.second);
    if (name_.rfind("two_inputs", 0) != 0) return program_.forward(given);
    c10::Dict<std::string, at::Tensor> pictures;
    pictures.insert("left", given.at(0).toTensor());
    pictures.insert("right", given.at(1).toTensor());
    return program_.forward({pictures}, {{"table", given.at(2)}});
  }

  at::Tensor loss() {
    at::Tensor sum;
    for (const at::Tensor& output : flat(forward())) {
      const at::Tensor factors = at::linspace(-1, 1, output.numel(), output.options()).view(output.sizes());
      const at::Tensor part = (output * factors).sum();
      sum = sum.defined() ? sum + part : part;
    }
    return sum;
  }

  double compare_outputs() {
    const std::vector<at::Tensor> got = flat(forward());
    const auto wanted = facts_of(facts_, "out");
    REQUIRE(got.size() == wanted.size());
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, error_of(got[i], wanted[i].second));
    return worst;
  }

  double compare_layers() {
    double worst = 0;
    size_t compared = 0;
    for (const auto& [layer, wanted] : facts_of(facts_, "layer")) {
      const auto& layers = program_.layers();
      if (std::find(layers.begin(), layers.end(), layer) == layers.end()) continue;  // runs inside of a branch
      const sg::StateDict before = copied();
      const sg::Capture capture(sg::layer(program_, layer));
      forward();
      restore(before);
      INFO(layer);
      worst = std::max(worst, error_of(capture.output(), wanted));
      ++compared;
    }
    CHECK(compared > 0);
    return worst;
  }

  double compare_gradients() {
    loss().backward();
    double worst = 0;
    for (const auto& [name, wanted] : facts_of(facts_, "grad")) {
      INFO(name);
      const at::Tensor& parameter = program_.named_parameters()[name];
      REQUIRE(parameter.grad().defined());
      worst = std::max(worst, error_of(parameter.grad(), wanted));
    }
    return worst;
  }

  double compare_training() {
    std::vector<at::Tensor> parameters;
    for (const auto& item : program_.named_parameters()) {
      const bool seen = std::any_of(parameters.begin(), parameters.end(),
                                    [&](const at::Tensor& other) { return other.is_same(item.value()); });
      if (!seen) parameters.push_back(item.value());
    }
    torch::optim::SGD optimiser(parameters, torch::optim::SGDOptions(1e-3).momentum(0.9));
    for (int step = 0; step < 10; ++step) {
      optimiser.zero_grad();
      loss().backward();
      optimiser.step();
    }
    const sg::StateDict state = program_.state_dict();
    double worst = 0;
    for (const auto& [name, wanted] : facts_of(facts_, "after")) {
      INFO(name);
      if (const at::Tensor* const got = state.find(name)) worst = std::max(worst, error_of(*got, wanted));
    }
    return worst;
  }

  sg::StateDict copied() const {
    sg::StateDict copies;
    for (const auto& item : program_.state_dict()) copies.insert(item.key(), item.value().detach().clone());
    return copies;
  }

  void restore(const sg::StateDict& before) { sg::load_state_dict(program_, before); }

  std::string name_;
  sg::ExportedProgram program_;
  sg::StateDict facts_;
};

}  // namespace

TEST_CASE("programs that Python exports now give what Python gives, in each layer and after training") {
  const char* const chosen = std::getenv("SIGHTGLASS_PYTHON");
  const support::Folder folder;
  const std::string command =
      std::string(chosen == nullptr ? "python3" : chosen) + " '" SIGHTGLASS_FRESH_PY "' '" + (folder / "fresh") + "'";
  const int status = std::system(command.c_str());
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127)
    SKIPPED("no Python with torch; SIGHTGLASS_PYTHON names one");
  REQUIRE(WEXITSTATUS(status) == 0);
  size_t programs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "fresh")) {
    if (entry.path().extension() != ".pt2") continue;
    Fresh(folder / "fresh", entry.path().stem().string()).check();
    ++programs;
  }
  CHECK(programs >= 6);
}
