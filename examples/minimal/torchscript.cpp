// TorchScript: a file of Python's, loaded and looked into by the names of its layers.
#include <sightglass/sightglass.hpp>
#include <torch/script.h>

#include <iostream>

namespace sg = sightglass;

/// Stands for Python: torch.jit.script(model.eval()).save(path).
void write_model(const std::string& path) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  torch::jit::Module conv("__torch__.Conv", unit), net("__torch__.Net", unit);
  conv.register_parameter("weight", torch::randn({8, 3, 3, 3}, torch::requires_grad()), /*is_buffer=*/false);
  conv.define("def forward(self, x):\n  return torch.conv2d(x, self.weight)\n");
  net.register_module("conv", conv);
  net.define("def forward(self, x):\n  return torch.relu(self.conv.forward(x)).mean([2, 3])\n");
  net.save(path);
}

int main() {
  torch::manual_seed(1);
  write_model("model.pt");

  torch::jit::Module model = torch::jit::load("model.pt");
  const sg::Capture conv(model, "conv");
  const torch::Tensor scores = model.forward({torch::rand({1, 3, 32, 32})}).toTensor();
  scores[0][2].backward();
  std::cout << "output " << conv.output().sizes() << ", mean " << conv.output().mean().item<float>()
            << ", gradient's sum " << conv.gradient().sum().item<float>() << '\n';
}
