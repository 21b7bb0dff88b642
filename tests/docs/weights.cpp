#include <sightglass/sightglass.hpp>

#include <filesystem>

#include "support/nets/architectures.hpp"
#include "support/harness/catch.hpp"
#include "scratch.hpp"

namespace sg = sightglass;

TEST_CASE("the weights of docs/weights.md come from Python and go back") {
  const docs::ScratchFolder scratch("weights");
  support::ResNet18 net(8, 300);
  sg::save_state_dict(net, "resnet18.pth");

  sg::load_state_dict(net, "resnet18.pth");  // what torch.save(model.state_dict(), "resnet18.pth") wrote
  sg::LoadReport report =
      sg::load_state_dict(net, "resnet18.pth", sg::LoadOptions().strictness(sg::Strictness::lenient));
  sg::StateDict tensors = sg::read_state_dict("resnet18.pth");  // names and tensors
  sg::save_state_dict(net, "mine.pt");                          // Python: model.load_state_dict(torch.load("mine.pt"))

  CHECK(report.missing.empty());
  CHECK(tensors.size() == 122);
  CHECK(std::filesystem::exists("mine.pt"));
}
