#include "sightglass/trace/learning/signature_store.hpp"

#include "sightglass/trace/learning/module.hpp"
#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;

namespace {

sgd::ModuleRunnable runnable(const torch::nn::Linear& linear) {
  return {linear.ptr(), "fc", sgd::callable_of<torch::nn::LinearImpl>()};
}

std::shared_ptr<const sgd::Signature> signature_for(const sgd::Runnable& owner) {
  sgd::Signature signature;
  signature.mode = owner.mode();
  return std::make_shared<const sgd::Signature>(std::move(signature));
}

}  // namespace

TEST_CASE("a signature is found again for the same module, by another runnable too", "[signature_store]") {
  torch::nn::Linear fc(2, 2);
  sgd::SignatureStore store;
  const auto owner = runnable(fc);
  CHECK(store.find(owner) == nullptr);
  const auto signature = signature_for(owner);
  store.put(owner, signature);
  CHECK(store.find(owner) == signature);
  CHECK(store.find(runnable(fc)) == signature);
  CHECK(store.find(runnable(torch::nn::Linear(2, 2))) == nullptr);
}

TEST_CASE("training and evaluation have a signature each", "[signature_store]") {
  torch::nn::Linear fc(2, 2);
  sgd::SignatureStore store;
  const auto owner = runnable(fc);
  const auto training = signature_for(owner);
  store.put(owner, training);
  fc->eval();
  CHECK(store.find(owner) == nullptr);
  const auto evaluation = signature_for(owner);
  store.put(owner, evaluation);
  CHECK(store.find(owner) == evaluation);
  fc->train();
  CHECK(store.find(owner) == training);
}

TEST_CASE("a module that is gone leaves nothing for another at its address", "[signature_store]") {
  // Two objects that lived at one address, one after the other.
  struct Placed final : sgd::Runnable {
    explicit Placed(const void* at) : address(at) {}
    sightglass::detail::RunnableId id() const override { return {address}; }
    std::weak_ptr<const void> lifetime() const override { return life; }
    std::string describe() const override { return "an object"; }
    std::vector<torch::Tensor> state() const override { return {}; }
    std::vector<torch::Tensor> buffers() const override { return {}; }
    uint64_t mode() const override { return 1; }
    std::vector<torch::Tensor> run(const std::vector<torch::Tensor>& inputs) override { return inputs; }
    const void* address;
    std::shared_ptr<int> life = std::make_shared<int>();
  };
  const int somewhere = 0;
  sgd::SignatureStore store;
  Placed first(&somewhere);
  const Placed second(&somewhere);
  store.put(first, signature_for(first));
  CHECK(store.find(first) != nullptr);
  CHECK(store.find(second) == nullptr);
  const auto of_second = signature_for(second);
  first.life.reset();
  store.put(second, of_second);
  CHECK(store.find(second) == of_second);
}
