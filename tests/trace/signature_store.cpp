#include "sightglass/trace/signature_store.hpp"

#include "sightglass/trace/module.hpp"
#include "support/catch.hpp"

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
  sgd::SignatureStore store;
  auto fc = std::make_shared<torch::nn::LinearImpl>(2, 2);
  const sgd::ModuleRunnable owner(fc, "fc", sgd::callable_of<torch::nn::LinearImpl>());
  store.put(owner, signature_for(owner));
  // Another object at the very address.
  torch::nn::LinearImpl* const address = fc.get();
  fc.reset();
  const std::shared_ptr<torch::nn::LinearImpl> other(address, [](torch::nn::LinearImpl*) {});
  CHECK(owner.lifetime().expired());
  CHECK(store.find(owner) == nullptr);
}
