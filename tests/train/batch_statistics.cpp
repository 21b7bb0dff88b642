#include "sightglass/train/detail/batch_statistics.hpp"

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"

namespace sg = sightglass;
using sg::detail::BatchStatistics;
using sg::detail::Measure;
using torch::Tensor;

namespace {

std::vector<sg::Layer> layers(nets::ConvNet& net) { return {sg::layer(net, "conv1"), sg::layer(net, "fc")}; }

}  // namespace

TEST_CASE("a layer's last call counts, and each of its outputs for itself", "[batch_statistics]") {
  nets::ConvNet net;
  const auto statistics = std::make_shared<BatchStatistics>(layers(net), Measure());
  statistics->note_call(0, {torch::full({1, 2}, 9.F)});
  statistics->note_call(0, {torch::tensor({{1.F, 0.F}, {3.F, 0.F}}), Tensor(), torch::full({3}, 2, torch::kLong)});
  sg::BatchRecord record = statistics->collect(7);
  CHECK(record.batch == 7);
  REQUIRE(record.layers.size() == 3);
  CHECK(record.layers[0].name == "conv1");
  CHECK(record.layers[0][sg::Figure::mean] == 1.F);
  CHECK(record.layers[0][sg::Figure::near_zero] == 0.5F);
  CHECK(record.layers[0][sg::Figure::dead_channels] == 0.5F);
  CHECK(record.layers[0].dead.equal(torch::tensor({false, true})));
  CHECK(record.layers[1].name == "conv1[2]");
  CHECK(record.layers[1][sg::Figure::mean] == 2.F);
  CHECK(record.layers[1][sg::Figure::std] == 0.F);
  CHECK(record.layers[2].name == "fc");
  CHECK_FALSE(record.layers[2][sg::Figure::mean]);
}

TEST_CASE("gradients of the last call are told, those that come after the batch are not", "[batch_statistics]") {
  nets::ConvNet net;
  Measure measure;
  measure.gradients = true;
  auto statistics = std::make_shared<BatchStatistics>(layers(net), measure);
  const Tensor weight = torch::ones({2, 2}).requires_grad_();
  const Tensor first = weight * 2;
  const Tensor last = weight * 3;
  statistics->note_call(1, {first});
  statistics->note_call(1, {last});
  const Tensor loss = (5 * first).sum() + (last * torch::tensor({{0.F, 3.F}, {4.F, 0.F}})).sum();
  loss.backward({}, true);
  sg::BatchRecord record = statistics->collect(0);
  sg::LayerRecord& fc = record.layers[1];
  CHECK(fc[sg::Figure::gradient_mean] == 1.75F);
  CHECK(fc[sg::Figure::gradient_norm] == 5.F);
  CHECK(fc[sg::Figure::gradient_zeros] == 0.5F);
  CHECK(*fc[sg::Figure::gradient_std] == Approx(2.0616).epsilon(1e-3));
  statistics.reset();
  loss.backward();
}

TEST_CASE("channels are where the layer has them", "[batch_statistics]") {
  const torch::nn::Linear linear(2, 3);
  const torch::nn::Conv1d convolution(torch::nn::Conv1dOptions(2, 3, 1));
  CHECK(sg::detail::channel_dim(linear.get(), torch::zeros({4, 5, 3})) == 2);
  CHECK(sg::detail::channel_dim(linear.get(), torch::zeros({4, 3})) == 1);
  CHECK(sg::detail::channel_dim(convolution.get(), torch::zeros({4, 3, 5})) == 1);
  CHECK(sg::detail::channel_dim(nullptr, torch::zeros({4, 3, 5, 5})) == 1);
}

TEST_CASE("values in half precision and of layouts that cannot be seen do no harm", "[batch_statistics]") {
  nets::ConvNet net;
  const auto statistics = std::make_shared<BatchStatistics>(layers(net), Measure());
  statistics->note_call(0, {torch::full({2, 2}, 0.5F).to(torch::kBFloat16)});
  statistics->note_call(1, {torch::eye(3).to_sparse(), torch::empty({0, 3})});
  sg::BatchRecord record = statistics->collect(0);
  REQUIRE(record.layers.size() == 2);
  CHECK(record.layers[0][sg::Figure::mean] == 0.5F);
  CHECK_FALSE(record.layers[1][sg::Figure::mean]);
}
