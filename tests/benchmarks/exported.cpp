// An exported program beside the same network as TorchScript: benchmark_exported MODEL.pt2 MODEL.pt LAYER [SIDE].
//
// Medians of interleaved runs on pictures of SIDE x SIDE (224): time to load, memory that loading takes, the plain
// forward pass, and Grad-CAM at LAYER, as it is and optimised, beside LibTorch's own fastest pass of the TorchScript
// file (frozen, optimize_for_inference).

#include <sightglass/exported.hpp>
#include <sightglass/sightglass.hpp>
#include <sys/wait.h>
#include <torch/script.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <utility>

#include "support/harness/timing.hpp"

namespace sg = sightglass;

namespace {

/// Megabytes of this process that lie in memory.
double resident() {
  std::ifstream stream("/proc/self/statm");
  double all = 0, here = 0;
  stream >> all >> here;
  return here * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

void row(const char* what, const support::Ratio& ratio, const char* to) {
  std::printf("%-44s %9.1f %9.1f %9.3f  to %s\n", what, 1e3 * ratio.plain, 1e3 * ratio.explained, ratio.paired, to);
  std::fflush(stdout);
}

/// In a process of its own, so that neither finds what the other has left.
template <class Load>
void memory(const char* what, const Load& load) {
  std::fflush(stdout);
  if (const pid_t child = ::fork(); child != 0) {
    ::waitpid(child, nullptr, 0);
    return;
  }
  const double before = resident();
  const auto loaded = load();
  std::printf("%-44s %9.0f MB\n", what, resident() - before);
  std::fflush(stdout);
  ::_exit(0);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) return std::fprintf(stderr, "benchmark_exported MODEL.pt2 MODEL.pt LAYER [SIDE]\n"), 2;
  const std::string exported = arguments[1], scripted = arguments[2], layer = arguments[3];
  const int64_t side = count > 4 ? std::stoll(arguments[4]) : 224;
  const auto load_exported = [&] { return sg::ExportedProgram::load(exported); };
  const auto load_scripted = [&] { return torch::jit::load(scripted); };
  memory("memory of the program", load_exported);
  memory("memory of TorchScript", load_scripted);
  row("load the program",
      support::compare(
          7, [&] { load_scripted(); }, [&] { load_exported(); }),
      "TorchScript");

  sg::ExportedProgram program = load_exported();
  torch::jit::Module script = load_scripted();
  script.eval();
  torch::jit::Module fastest = torch::jit::optimize_for_inference(script);
  for (const int64_t batch : {1, 16}) {
    const torch::Tensor input = torch::randn({batch, 3, side, side});
    const auto run = [&](torch::jit::Module& model) {
      const torch::NoGradGuard no_gradients;
      model.forward({input});
    };
    const auto plain = [&] { run(script); };
    const auto best = [&] { run(fastest); };
    const auto explained = [&](const sg::Model& model) {
      return [&, model] { sg::explain(model, input, layer, sg::GradCam{}); };
    };
    const int runs = batch == 1 ? 31 : 7;
    std::printf("batch %lld\n", static_cast<long long>(batch));
    row("  forward", support::compare(runs, plain, [&] { run(program); }), "TorchScript's");
    row("  Grad-CAM", support::compare(runs, plain, explained(program)), "TorchScript's forward");
    row("  Grad-CAM, optimised", support::compare(runs, best, explained(sg::Model(program).optimised())),
        "optimize_for_inference's forward");
    row("  the same of TorchScript", support::compare(runs, best, explained(sg::Model(script).optimised())),
        "optimize_for_inference's forward");
  }
}
