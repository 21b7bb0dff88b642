#include "sightglass/trace/runnable.hpp"

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

TEST_CASE("a message is cut to the one line that says what was wrong", "[runnable]") {
  CHECK(sgd::one_line("mat1 and mat2 do not fit") == "mat1 and mat2 do not fit");
  CHECK(sgd::one_line("first\nsecond") == "first");
  CHECK(sgd::one_line("") == "");
  CHECK(sgd::one_line("The following operation failed.\nTraceback of TorchScript (most recent call last):\n  "
                      "File\nRuntimeError: too big\n") == "RuntimeError: too big");
  CHECK(sgd::one_line(
            "It failed.\nTraceback of TorchScript, serialized code:\n  f(x)\nTraceback of TorchScript, original "
            "code:\n  raise ValueError(\"an Error: this\")\n  ~~~ <--- HERE\nValueError: too small\nHint: "
            "more of it\n  Error: and more\n") == "ValueError: too small");
}

TEST_CASE("announcing tells whoever listens, and nobody where nobody does", "[runnable]") {
  struct Marks : sgd::Listener {
    std::vector<std::pair<const void*, sgd::Side>> seen;
    void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override { op.callBoxed(stack); }
    void mark(const void* place, sgd::Side side, std::vector<Tensor>& values) override {
      seen.emplace_back(place, side);
      values[0] = values[0] + 1;
    }
  } marks;
  const int place = 0;
  std::vector<Tensor> values{torch::zeros({1})};
  sgd::announce(&place, sgd::Side::begin, values);
  CHECK(values[0].item<float>() == 0);
  {
    const sgd::Observed scope(marks);
    sgd::announce(&place, sgd::Side::begin, values);
    sgd::announce(&place, sgd::Side::end, values);
  }
  CHECK(values[0].item<float>() == 2);
  REQUIRE(marks.seen.size() == 2);
  CHECK(marks.seen[0].first == &place);
  CHECK((marks.seen[0].second == sgd::Side::begin));
  CHECK((marks.seen[1].second == sgd::Side::end));
}
