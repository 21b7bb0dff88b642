#include <sightglass/exported.hpp>
#include <sightglass/sightglass.hpp>
#include <torch/torch.h>

#include "scratch.hpp"
#include "support/data/programs.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;

namespace {

/// layer4 gives [N, 512, 7, 7], as ResNet-18's; a linear layer over its means gives 300 classes.
void write_program(const std::string& path) {
  using support::node;
  using support::tensor;
  torch::manual_seed(0);
  support::ProgramFile file;
  file.x_sizes = support::sizes({1, 3, 224, 224});
  file.parameters = {{"layer4.weight", at::randn({512, 3, 1, 1})}, {"fc.weight", at::randn({300, 512})}};
  file.nodes = {
      node("aten.conv2d.default",
           {{"input", tensor("x")}, {"weight", tensor("p_layer4.weight")}, {"stride", {{"as_ints", {32, 32}}}}},
           {tensor("conv")}, "layer4"),
      node("aten.mean.dim", {{"self", tensor("conv")}, {"dim", {{"as_ints", {2, 3}}}}}, {tensor("mean")}),
      node("aten.linear.default", {{"input", tensor("mean")}, {"weight", tensor("p_fc.weight")}}, {tensor("linear")},
           "fc")};
  file.outputs = {tensor("linear")};
  support::write_bytes(path, file.bytes());
}

}  // namespace

TEST_CASE("the program of docs/exported-programs.md runs, is watched and is explained") {
  const docs::ScratchFolder scratch("exported_programs");
  write_program("resnet18.pt2");
  const torch::Tensor input = torch::rand({1, 3, 224, 224});

  auto program = sg::ExportedProgram::load("resnet18.pt2");  // #include <sightglass/exported.hpp>
  torch::Tensor scores = program.forward({input}).toTensor();

  sg::Capture stored(sg::layer(program, "layer4"));
  program.forward({input});
  stored.output();  // [1, 512, 7, 7]

  auto cat = sg::explain(program, input, "layer4", sg::GradCam{}, sg::Target(281));

  CHECK(stored.output().sizes().vec() == std::vector<int64_t>{1, 512, 7, 7});
  CHECK(cat.scores()[0].item<float>() == scores[0][281].item<float>());
}
