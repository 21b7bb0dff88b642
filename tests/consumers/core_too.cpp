#include <sightglass/sightglass.hpp>

#include "net.hpp"

torch::Tensor captured_elsewhere(Net net, const torch::Tensor& input) {
  sightglass::Capture capture(net->conv);
  net->forward(input);
  return capture.output();
}

torch::Tensor explained_elsewhere(Net net, const torch::Tensor& input) {
  return sightglass::explain(net, input, net->conv, sightglass::GradCam{}, sightglass::Target(1)).map();
}
