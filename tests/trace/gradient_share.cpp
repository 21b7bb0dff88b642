#include "sightglass/trace/gradient_share.hpp"

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

struct Gradients {
  int calls = 0;
  Tensor input, output;
  sgd::GradientShare::Callback told() {
    return [this](const Tensor& grad_input, const Tensor& grad_output) {
      ++calls;
      input = grad_input;
      output = grad_output;
    };
  }
};

}  // namespace

TEST_CASE("what reads a tensor before and after a layer has no part in its share", "[gradient_share]") {
  const Tensor leaf = torch::ones({2}).requires_grad_();
  Tensor x = leaf * 1;
  const Tensor before = x * 100;
  Gradients gradients;
  sgd::GradientShare share;
  const Tensor given = share.enter(x, gradients.told());
  CHECK(given.is_same(x));
  const Tensor y = given * 2;
  share.leave(y, gradients.told());
  (before + y * 3 + x * 1000).sum().backward();
  CHECK(gradients.calls == 1);
  CHECK(torch::equal(gradients.input, torch::full({2}, 6.0)));
  CHECK(torch::equal(gradients.output, torch::full({2}, 3.0)));
  CHECK(torch::equal(leaf.grad(), torch::full({2}, 1106.0)));
}

TEST_CASE("a call that does not end leaves the graph as it was", "[gradient_share]") {
  const Tensor leaf = torch::ones({2}).requires_grad_();
  const Tensor x = leaf * 1;
  const auto* const node = x.grad_fn().get();
  Gradients gradients;
  {
    sgd::GradientShare share;
    share.enter(x, gradients.told());
    CHECK(x.grad_fn().get() != node);
  }
  CHECK(x.grad_fn().get() == node);
  (x * 2).sum().backward();
  CHECK(gradients.calls == 0);
  CHECK(torch::equal(leaf.grad(), torch::full({2}, 2.0)));
}

TEST_CASE("what the functions hold does not hold itself", "[gradient_share]") {
  c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> weak = [] {
    const Tensor leaf = torch::ones({2}).requires_grad_();
    Tensor x = leaf * 1;
    Gradients gradients;
    sgd::GradientShare share;
    share.enter(x, gradients.told());
    x.relu_();
    share.leave(x, gradients.told());
    return c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>(x.getIntrusivePtr());
  }();
  CHECK(weak.expired());
}
