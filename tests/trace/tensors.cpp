#include "sightglass/trace/tensors.hpp"

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

/// Calls `with(op, stack)` with the arguments and then with the results of each operation that `run` performs.
template <class Before, class After>
struct Spy : sgd::Listener {
  Before before;
  After after;
  Spy(Before b, After a) : before(std::move(b)), after(std::move(a)) {}
  void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override {
    before(op, stack);
    op.callBoxed(stack);
    after(op, stack);
  }
};

}  // namespace

TEST_CASE("tensors in lists, optionals and tuples are visited in order, undefined ones left out", "[tensors]") {
  const Tensor a = torch::ones({1}), b = torch::ones({2}), c = torch::ones({3});
  const auto list = c10::IValue(std::vector<Tensor>{b, c});
  const auto value = c10::IValue(
      c10::ivalue::Tuple::create({c10::IValue(a), c10::IValue(1.5), list, c10::IValue(Tensor()), c10::IValue()}));
  std::vector<int64_t> sizes;
  sgd::for_each_tensor(value, [&](const Tensor& tensor) { sizes.push_back(tensor.numel()); });
  CHECK(sizes == std::vector<int64_t>{1, 2, 3});

  const std::vector<c10::IValue> several{value, c10::IValue(b)};
  const auto flat = sgd::flat_tensors(several);
  REQUIRE(flat.size() == 4);
  CHECK(flat[3].is_same(b));
}

TEST_CASE("changing tensors changes a copy of the list, never the caller's", "[tensors]") {
  const Tensor a = torch::ones({1}), b = torch::ones({2});
  c10::List<Tensor> callers;
  callers.push_back(a);
  callers.push_back(b);
  c10::IValue value(callers);
  sgd::change_tensors(value, [&](const Tensor& tensor) { return tensor.is_same(b) ? a : tensor; });
  CHECK(callers.get(1).is_same(b));
  CHECK(value.toTensorVector()[0].is_same(a));
  CHECK(value.toTensorVector()[1].is_same(a));

  c10::IValue tuple(c10::ivalue::Tuple::create({c10::IValue(a), c10::IValue(3)}));
  sgd::change_tensors(tuple, [&](const Tensor&) { return b; });
  CHECK(tuple.toTupleRef().elements()[0].toTensor().is_same(b));
  CHECK(tuple.toTupleRef().elements()[1].toInt() == 3);

  c10::IValue numbers(std::vector<int64_t>{1, 2});
  sgd::change_tensors(numbers, [&](const Tensor&) { return b; });
  CHECK(numbers.toIntVector() == std::vector<int64_t>{1, 2});
}

TEST_CASE("arguments and results are the top of the stack", "[tensors]") {
  const Tensor a = torch::ones({2}), b = torch::full({2}, 3.);
  std::vector<std::string> told;
  Spy spy(
      [&](const auto& op, const auto& stack) {
        const auto given = sgd::arguments(op, stack);
        told.push_back(op.schema().name());
        CHECK(given.size() == op.schema().arguments().size());
        CHECK(given[0].toTensor().is_same(a));
      },
      [&](const auto& op, const auto& stack) {
        REQUIRE(sgd::results(op, stack).size() == 1);
        CHECK(sgd::results(op, stack)[0].isTensor());
      });
  {
    const sgd::Observed scope(spy);
    torch::add(a, b);
    a.mul_(b);
  }
  CHECK(told == std::vector<std::string>{"aten::add", "aten::mul_"});
}

TEST_CASE("what an operation writes is read off its schema", "[tensors]") {
  Tensor a = torch::ones({2});
  const Tensor b = torch::ones({2});
  Tensor out = torch::empty({2});
  std::vector<const void*> written;
  Spy spy(
      [&](const auto& op, const auto& stack) {
        sgd::for_each_written(op, stack, [&](const Tensor& t) { written.push_back(t.unsafeGetTensorImpl()); });
      },
      [](const auto&, const auto&) {});
  {
    const sgd::Observed scope(spy);
    torch::add(a, b);
    a.add_(b);
    torch::add_out(out, a, b);
  }
  CHECK(written == std::vector<const void*>{a.unsafeGetTensorImpl(), out.unsafeGetTensorImpl()});
}

TEST_CASE("versions count writes, and are 0 for inference tensors", "[tensors]") {
  Tensor x = torch::ones({2});
  const uint32_t before = sgd::version_of(x);
  x.add_(1);
  CHECK(sgd::version_of(x) == before + 1);
  const c10::InferenceMode guard;
  Tensor y = torch::ones({2});
  y.add_(1);
  CHECK(sgd::version_of(y) == 0);
}

TEST_CASE("views share their memory, copies do not, sparse tensors have none", "[tensors]") {
  const Tensor x = torch::ones({2, 2});
  CHECK(sgd::storage_of(x) == sgd::storage_of(x.view({4})));
  CHECK(sgd::storage_of(x) == sgd::storage_of(x.detach()));
  CHECK(sgd::storage_of(x) != sgd::storage_of(x.clone()));
  CHECK(sgd::storage_of(x.to_sparse()) == nullptr);
}
