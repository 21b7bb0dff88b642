#include <sightglass/sightglass.hpp>

#include <cstdlib>
#include <iostream>

#include "plugin.hpp"

// In core_too.cpp.
torch::Tensor captured_elsewhere(Net net, const torch::Tensor& input);
torch::Tensor explained_elsewhere(Net net, const torch::Tensor& input);

int main() {
  Net net;
  net->eval();
  const torch::Tensor input = torch::rand({1, 3, 8, 8});
  const torch::Tensor expected = net->conv->forward(input);

  sightglass::Capture outer(net->conv, sightglass::CaptureOptions().keep(sightglass::Keep::all));
  const bool unit = captured_elsewhere(net, input).equal(expected);
  const bool plugin = run_in_plugin(net, input).equal(expected);
  const bool both_seen = outer.calls().size() == 2 && outer.output().equal(expected);
  outer.remove();

  const auto explanation = sightglass::explain(net, input, net->conv, sightglass::GradCam{}, sightglass::Target(1));
  const bool same_map = explanation.map().equal(explained_elsewhere(net, input));

  std::cout << "core " << SIGHTGLASS_VERSION_MAJOR << '.' << SIGHTGLASS_VERSION_MINOR << ": other unit " << unit
            << ", shared library " << plugin << ", both seen " << both_seen << ", same map " << same_map << '\n';
  return unit && plugin && both_seen && same_map ? EXIT_SUCCESS : EXIT_FAILURE;
}
