#include "sightglass/trace/interceptor.hpp"

#include <ATen/ThreadLocalState.h>
#include <ATen/autocast_mode.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

/// Writes down the names of what it is told, and runs it.
struct Names : sgd::Listener {
  std::vector<std::string> seen;
  void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override {
    seen.push_back(op.schema().name());
    op.callBoxed(stack);
  }
};

bool key_on() { return c10::impl::tls_is_dispatch_key_included(sgd::intercepted_key); }

using Seen = std::vector<std::string>;

}  // namespace

TEST_CASE("every top-level operation is seen, and none inside of it", "[interceptor]") {
  const Tensor x = torch::randn({1, 2, 8, 8});
  torch::nn::Conv2d conv(2, 3, 3);
  Names names;
  {
    const sgd::Observed scope(names);
    torch::relu(conv->forward(x)).add_(1);
  }
  CHECK(names.seen == Seen{"aten::conv2d", "aten::relu", "aten::add_"});
}

TEST_CASE("results are the same with a listener as without", "[interceptor]") {
  torch::manual_seed(1);
  torch::nn::Conv2d conv(2, 3, 3);
  const Tensor x = torch::randn({1, 2, 8, 8});
  const Tensor plain = torch::log_softmax(conv->forward(x).flatten(1), 1);
  Names names;
  const sgd::Observed scope(names);
  const Tensor listened = torch::log_softmax(conv->forward(x).flatten(1), 1);
  CHECK(torch::equal(plain, listened));
  CHECK(listened.requires_grad());
}

TEST_CASE("a listener may put its own results in place of an operation's", "[interceptor]") {
  struct Zeros : sgd::Listener {
    void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override {
      op.callBoxed(stack);
      if (op.schema().name() == "aten::exp") stack.back() = torch::zeros({2});
    }
  } zeros;
  const Tensor x = torch::ones({2});
  Tensor y;
  {
    const sgd::Observed scope(zeros);
    y = torch::exp(x);
  }
  CHECK(torch::equal(y, torch::zeros({2})));
}

TEST_CASE("a probe inside an operation sees its operations, and the outer listener does not", "[interceptor]") {
  // Exclusion of the key would win over the probe's inclusion, and it would see nothing.
  struct Outer : Names {
    Seen inner;
    void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override {
      Names probe;
      {
        const sgd::Observed scope(probe);
        torch::tanh(torch::ones({2}) * 2);
      }
      inner.insert(inner.end(), probe.seen.begin(), probe.seen.end());
      CHECK_FALSE(key_on());
      Names::operation(op, stack);
    }
  } outer;
  const Tensor x = torch::ones({2});
  {
    const sgd::Observed scope(outer);
    torch::relu(x);
    CHECK(key_on());
    torch::relu(x);
  }
  CHECK(outer.seen == Seen{"aten::relu", "aten::relu"});
  CHECK(outer.inner == Seen{"aten::ones", "aten::mul", "aten::tanh", "aten::ones", "aten::mul", "aten::tanh"});
  CHECK_FALSE(key_on());
}

TEST_CASE("a scope puts back who listened before", "[interceptor]") {
  Names outer, inner;
  const Tensor x = torch::ones({2});
  {
    const sgd::Observed around(outer);
    torch::relu(x);
    {
      const sgd::Observed scope(inner);
      torch::tanh(x);
    }
    torch::exp(x);
  }
  torch::sin(x);
  CHECK(outer.seen == Seen{"aten::relu", "aten::exp"});
  CHECK(inner.seen == Seen{"aten::tanh"});
  CHECK_FALSE(key_on());
  CHECK(sgd::thread_state().listener == nullptr);
}

TEST_CASE("a thread that inherits the key but has no listener simply goes on", "[interceptor]") {
  Names names;
  const sgd::Observed scope(names);
  const at::ThreadLocalState inherited;
  Tensor sum;
  bool on_at_first = false;
  bool on_afterwards = true;
  std::thread([&] {
    const at::ThreadLocalStateGuard guard(inherited);
    on_at_first = key_on();
    sum = torch::ones({2, 2}).matmul(torch::ones({2, 2})).sum();
    on_afterwards = key_on();
  }).join();
  CHECK(on_at_first);
  CHECK_FALSE(on_afterwards);  // the fallback switched it off, at the first operation
  CHECK(sum.item<float>() == 8);
  CHECK(std::find(names.seen.begin(), names.seen.end(), "aten::matmul") == names.seen.end());
}

TEST_CASE("another thread is not listened to", "[interceptor]") {
  Names names;
  const sgd::Observed scope(names);
  std::thread([] { torch::relu(torch::ones({2})); }).join();
  CHECK(names.seen.empty());
}

TEST_CASE("a key that a scope's end put back without a listener switches itself off", "[interceptor]") {
  const Tensor x = torch::ones({2});
  Names names;
  SECTION("inference mode") {
    sgd::listen(&names);
    {
      const c10::InferenceMode guard;
      sgd::listen(nullptr);
      CHECK_FALSE(key_on());
    }
  }
  SECTION("a thread's state that was set and put back") {
    sgd::listen(&names);
    {
      const at::ThreadLocalState state;
      const at::ThreadLocalStateGuard guard(state);
      sgd::listen(nullptr);
    }
  }
  CHECK(key_on());  // the trap
  CHECK(torch::equal(torch::relu(x), x));
  CHECK_FALSE(key_on());
  CHECK(names.seen.empty());
}

TEST_CASE("an exception of an operation or of a listener leaves the thread as it was", "[interceptor]") {
  struct Angry : Names {
    bool angry = true;
    void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override {
      if (angry) throw std::runtime_error("not today");
      Names::operation(op, stack);
    }
  } angry;
  const Tensor x = torch::ones({2});
  {
    const sgd::Observed scope(angry);
    CHECK_THROWS_WITH(torch::relu(x), ContainsSubstring("not today"));
    CHECK(key_on());
    CHECK_FALSE(sgd::thread_state().inside);
    angry.angry = false;
    CHECK_THROWS_AS(torch::matmul(x, torch::ones({3})), c10::Error);
    CHECK(key_on());
    angry.seen.clear();
    torch::relu(x);
  }
  CHECK(angry.seen == Seen{"aten::relu"});
  CHECK_FALSE(key_on());
}

TEST_CASE("a listener that leaves while it is told of an operation leaves the key off", "[interceptor]") {
  struct Leaving : Names {
    void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override {
      sgd::listen(nullptr);
      Names::operation(op, stack);
    }
  } leaving;
  const Tensor x = torch::ones({2});
  sgd::listen(&leaving);
  torch::relu(x);
  CHECK_FALSE(key_on());
  torch::relu(x);
  CHECK(leaving.seen == Seen{"aten::relu"});
}

TEST_CASE("backward nodes are noticed on the thread that runs them", "[interceptor]") {
  struct Depths : Names {
    int in_backward = 0;
    void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override {
      in_backward += sgd::in_backward() ? 1 : 0;
      Names::operation(op, stack);
    }
  } depths;
  const sgd::BackwardObserver observer;
  const Tensor x = torch::ones({3}).requires_grad_();
  {
    const sgd::Observed scope(depths);
    const Tensor y = torch::tanh(x).pow(2).sum();
    CHECK(depths.in_backward == 0);
    y.backward();
  }
  CHECK(depths.in_backward > 0);
  CHECK_FALSE(sgd::in_backward());
}

TEST_CASE("the depth of backward nodes is right after a backward pass that throws", "[interceptor]") {
  struct Throwing : torch::autograd::Function<Throwing> {
    static Tensor forward(torch::autograd::AutogradContext*, const Tensor& x) { return x * 2; }
    static torch::autograd::tensor_list backward(torch::autograd::AutogradContext*, torch::autograd::tensor_list) {
      throw std::runtime_error("backward is broken");
    }
  };
  const sgd::BackwardObserver observer;
  const Tensor x = torch::ones({3}).requires_grad_();
  CHECK_THROWS_WITH(Throwing::apply(x).sum().backward(), ContainsSubstring("backward is broken"));
  CHECK(sgd::thread_state().backward_depth == 0);
}

// Runs alone, in a process of its own: see the next test.
TEST_CASE("foreign fallback", "[.][foreign_fallback]") {
  torch::Library foreign(torch::Library::IMPL, "_", sgd::intercepted_key, __FILE__, __LINE__);
  foreign.fallback(torch::CppFunction::makeFallthrough());
  CHECK_THROWS_WITH(sgd::register_fallback(), ContainsSubstring("DeferredInit") &&
                                                  ContainsSubstring("has registered a fallback") &&
                                                  ContainsSubstring("cannot be used together"));
}

TEST_CASE("a fallback that somebody else registered is named in the error", "[interceptor]") {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  CHECK(std::system((self + " '[foreign_fallback]' > /dev/null 2>&1").c_str()) == 0);
}
