// Weights: saves them to a file that Python reads too, and loads what meets into another network.
#include <sightglass/sightglass.hpp>

#include <iostream>

namespace sg = sightglass;
namespace nn = torch::nn;

int main() {
  torch::manual_seed(1);
  nn::Sequential trained({{"conv", nn::Conv2d(3, 8, 3)},
                          {"pool", nn::AdaptiveAvgPool2d(1)},
                          {"flatten", nn::Flatten()},
                          {"fc", nn::Linear(8, 10)}});
  sg::save_state_dict(trained, "trained.pt");  // Python: model.load_state_dict(torch.load("trained.pt"))

  nn::Sequential net({{"conv", nn::Conv2d(3, 8, 3)},
                      {"pool", nn::AdaptiveAvgPool2d(1)},
                      {"flatten", nn::Flatten()},
                      {"head", nn::Linear(8, 2)}});
  // Without options all names must meet; where they do not, an error tells which would.
  const sg::LoadReport report =
      sg::load_state_dict(net, "trained.pt", sg::LoadOptions().strictness(sg::Strictness::lenient));
  for (const std::string& name : report.missing) std::cout << "not in the file: " << name << '\n';
  for (const std::string& name : report.unexpected) std::cout << "not in the network: " << name << '\n';
  std::cout << "conv.weight: mean " << net->named_parameters()["conv.weight"].mean().item<float>() << '\n';
}
