#pragma once

/// Small networks, written as people write them who never heard of sightglass. Nothing here includes it.

#include <torch/torch.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace nets {

namespace nn = torch::nn;
using torch::Tensor;

inline nn::Conv2dOptions conv3x3(int64_t in, int64_t out, int64_t stride = 1) {
  return nn::Conv2dOptions(in, out, 3).stride(stride).padding(1).bias(false);
}

/// Members that everybody sees; in-place operations right after each layer; `log_softmax` at the end.
struct ConvNetImpl : nn::Module {
  nn::Conv2d conv1{nn::Conv2dOptions(3, 4, 3)};
  nn::Conv2d conv2{nn::Conv2dOptions(4, 6, 3)};
  nn::Linear fc{6, 5};
  ConvNetImpl() {
    register_module("conv1", conv1);
    register_module("conv2", conv2);
    register_module("fc", fc);
  }
  Tensor forward(Tensor x) {
    x = conv1->forward(x).relu_();
    x = conv2->forward(x);
    x.add_(1);
    x = torch::max_pool2d(x, 2).mean({2, 3});
    return torch::log_softmax(fc->forward(x), 1);
  }
};
TORCH_MODULE(ConvNet);

/// The same without any operation in place: its twin, for gradients.
struct OutOfPlaceConvNetImpl : ConvNetImpl {
  Tensor first, second;  ///< what the two convolutions gave
  Tensor forward(Tensor x) {
    first = conv1->forward(x);
    second = conv2->forward(torch::relu(first));
    x = torch::max_pool2d(second + 1, 2).mean({2, 3});
    return torch::log_softmax(fc->forward(x), 1);
  }
};
TORCH_MODULE(OutOfPlaceConvNet);

/// A hand-written residual block: private members, one batch norm a convolution, additions in place.
class BasicBlockImpl : public nn::Module {
 public:
  BasicBlockImpl(int64_t in, int64_t out, int64_t stride = 1)
      : conv1(conv3x3(in, out, stride)), bn1(out), conv2(conv3x3(out, out)), bn2(out) {
    register_module("conv1", conv1);
    register_module("bn1", bn1);
    register_module("conv2", conv2);
    register_module("bn2", bn2);
    if (in != out || stride != 1) {
      shortcut =
          nn::Sequential(nn::Conv2d(nn::Conv2dOptions(in, out, 1).stride(stride).bias(false)), nn::BatchNorm2d(out));
      register_module("shortcut", shortcut);
    }
  }
  Tensor forward(const Tensor& x) {
    Tensor y = bn1(conv1(x)).relu_();
    y = bn2(conv2(y));
    y += shortcut.is_empty() ? x : shortcut->forward(x);
    return torch::relu_(y);
  }

 private:
  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Conv2d conv2;
  nn::BatchNorm2d bn2;
  nn::Sequential shortcut{nullptr};
};
TORCH_MODULE(BasicBlock);

/// Blocks are given to `Sequential` by value, as `Impl`; a dropout, and a `Sequential` that holds only a pooling layer.
class ResNetImpl : public nn::Module {
 public:
  explicit ResNetImpl(int64_t classes = 5)
      : conv1(conv3x3(3, 4)),
        bn1(4),
        layer1(BasicBlockImpl(4, 4), BasicBlockImpl(4, 4)),
        layer2(BasicBlockImpl(4, 8, 2)),
        pool(nn::AdaptiveAvgPool2d(1)),
        dropout(0.5),
        fc(8, classes) {
    register_module("conv1", conv1);
    register_module("bn1", bn1);
    register_module("layer1", layer1);
    register_module("layer2", layer2);
    register_module("pool", pool);
    register_module("dropout", dropout);
    register_module("fc", fc);
  }
  Tensor forward(Tensor x) {
    x = torch::relu(bn1->forward(conv1->forward(x)));
    x = layer2->forward(layer1->forward(x));
    x = pool->forward(x).flatten(1);
    return fc->forward(dropout->forward(x));
  }

 private:
  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Sequential layer1, layer2, pool;
  nn::Dropout dropout;
  nn::Linear fc;
};
TORCH_MODULE(ResNet);

/// Everything in one `Sequential`, parameterless children among them.
inline nn::Sequential plain_sequential() {
  return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(3, 4, 3)), nn::ReLU(nn::ReLUOptions(true)), nn::MaxPool2d(2),
                        nn::Dropout(0.5), nn::Conv2d(nn::Conv2dOptions(4, 6, 3)), nn::ReLU(), nn::AdaptiveAvgPool2d(1),
                        nn::Flatten(), nn::Linear(6, 5));
}

/// Attention with `chunk`, `view` and `permute` between its layers.
struct AttentionImpl : nn::Module {
  int64_t heads;
  nn::Linear qkv, proj;
  AttentionImpl(int64_t width, int64_t heads_) : heads(heads_), qkv(width, 3 * width), proj(width, width) {
    register_module("qkv", qkv);
    register_module("proj", proj);
  }
  Tensor forward(Tensor x) {
    const int64_t n = x.size(0), t = x.size(1), w = x.size(2);
    const auto split = [&](const Tensor& y) { return y.view({n, t, heads, w / heads}).permute({0, 2, 1, 3}); };
    const auto parts = qkv->forward(x).chunk(3, -1);
    const Tensor weights = torch::softmax(torch::matmul(split(parts[0]), split(parts[1]).transpose(-2, -1)), -1);
    x = torch::matmul(weights, split(parts[2])).permute({0, 2, 1, 3}).reshape({n, t, w});
    return proj->forward(x);
  }
};
TORCH_MODULE(Attention);

struct FeedForwardImpl : nn::Module {
  nn::Sequential net;
  explicit FeedForwardImpl(int64_t width)
      : net(nn::Linear(width, 2 * width), nn::GELU(), nn::Linear(2 * width, width)) {
    register_module("net", net);
  }
  Tensor forward(Tensor x) { return net->forward(x); }
};
TORCH_MODULE(FeedForward);

/// `ModuleList` of `ModuleList`, called by `as<Attention>()`; a name with a space.
struct TransformerImpl : nn::Module {
  nn::Linear embedding{6, 8};
  nn::ModuleList blocks;
  nn::LayerNorm norm{nn::LayerNormOptions({8})};
  TransformerImpl() {
    for (int i = 0; i < 2; ++i) blocks->push_back(nn::ModuleList(Attention(8, 2), FeedForward(8)));
    register_module("embedding", embedding);
    register_module("Layers", blocks);
    register_module("Layer Normalization", norm);
  }
  Tensor forward(Tensor x) {
    x = embedding->forward(x);
    for (const auto& block : *blocks) {
      auto& parts = *block->as<nn::ModuleList>();
      x = parts[0]->as<Attention>()->forward(x) + x;
      x = parts[1]->as<FeedForward>()->forward(x) + x;
    }
    return norm->forward(x).mean(1);
  }
};
TORCH_MODULE(Transformer);

struct BottleneckImpl : nn::Module {
  nn::Conv2d reduce, expand;
  BottleneckImpl(int64_t width, int64_t inner)
      : reduce(nn::Conv2dOptions(width, inner, 1)), expand(nn::Conv2dOptions(inner, width, 1)) {
    register_module("reduce", reduce);
    register_module("expand", expand);
  }
  Tensor forward(Tensor x) { return torch::relu(expand->forward(torch::relu(reduce->forward(x))) + x); }
};
TORCH_MODULE(Bottleneck);

/// `std::vector` of blocks, registered one by one.
class BottleneckNetImpl : public nn::Module {
 public:
  BottleneckNetImpl() {
    for (int i = 0; i < 3; ++i) {
      blocks.emplace_back(4, 2);
      register_module("bottleneck_" + std::to_string(i), blocks.back());
    }
  }
  Tensor forward(Tensor x) {
    for (auto& block : blocks) x = block->forward(x);
    return x;
  }

 private:
  std::vector<Bottleneck> blocks;
};
TORCH_MODULE(BottleneckNet);

/// `Sequential`s that hold only `Identity`, or only a pooling layer.
struct IdleNetImpl : nn::Module {
  nn::Conv2d conv{nn::Conv2dOptions(3, 4, 3)};
  nn::Sequential shortcut{nn::Identity()};
  nn::Sequential pool{nn::MaxPool2d(2)};
  nn::Sequential head{nn::Identity(), nn::Flatten(), nn::Linear(4 * 3 * 3, 5)};
  IdleNetImpl() {
    register_module("conv", conv);
    register_module("shortcut", shortcut);
    register_module("pool", pool);
    register_module("head", head);
  }
  Tensor forward(Tensor x) {
    x = conv->forward(x);
    return head->forward(pool->forward(torch::relu(x) + shortcut->forward(x)));
  }
};
TORCH_MODULE(IdleNet);

/// A U-Net built by recursion: each block lies in the `Sequential` of the one around it.
class NestedBlockImpl : public nn::Module {
 public:
  explicit NestedBlockImpl(int depth) {
    model->push_back(nn::Conv2d(nn::Conv2dOptions(4, 4, 4).stride(2).padding(1)));
    model->push_back(nn::ReLU(nn::ReLUOptions(true)));
    if (depth > 0) {
      model->push_back(std::make_shared<NestedBlockImpl>(depth - 1));
      model->push_back(nn::ConvTranspose2d(nn::ConvTranspose2dOptions(8, 4, 4).stride(2).padding(1)));
    } else {
      model->push_back(nn::ConvTranspose2d(nn::ConvTranspose2dOptions(4, 4, 4).stride(2).padding(1)));
    }
    register_module("model", model);
  }
  Tensor forward(const Tensor& x) { return torch::cat({x, model->forward(x)}, 1); }

 private:
  nn::Sequential model;
};
TORCH_MODULE(NestedBlock);

struct DownImpl : nn::Module {
  nn::Sequential net;
  DownImpl(int64_t in, int64_t out)
      : net(nn::MaxPool2d(2), nn::Conv2d(conv3x3(in, out)), nn::BatchNorm2d(out), nn::ReLU()) {
    register_module("net", net);
  }
  Tensor forward(Tensor x) { return net->forward(x); }
};
TORCH_MODULE(Down);

/// Two tensors go in: what comes from below, and the skip connection.
struct UpImpl : nn::Module {
  nn::ConvTranspose2d up;
  nn::Conv2d conv;
  UpImpl(int64_t in, int64_t out) : up(nn::ConvTranspose2dOptions(in, out, 2).stride(2)), conv(conv3x3(2 * out, out)) {
    register_module("up", up);
    register_module("conv", conv);
  }
  Tensor forward(Tensor x, Tensor skip) { return torch::relu(conv->forward(torch::cat({skip, up->forward(x)}, 1))); }
};
TORCH_MODULE(Up);

struct UNetImpl : nn::Module {
  nn::Conv2d in{conv3x3(3, 4)};
  Down down1{4, 8}, down2{8, 16};
  Up up1{16, 8}, up2{8, 4};
  UNetImpl() {
    register_module("in", in);
    register_module("down1", down1);
    register_module("down2", down2);
    register_module("up1", up1);
    register_module("up2", up2);
  }
  Tensor forward(Tensor x) {
    const Tensor a = in->forward(x);
    const Tensor b = down1->forward(a);
    return up2->forward(up1->forward(down2->forward(b), b), a);
  }
};
TORCH_MODULE(UNet);

/// Stochastic depth: leaves its block out at random in training, and its own share of it in evaluation.
struct DropPathImpl : nn::Module {
  nn::Conv2d conv{conv3x3(4, 4)};
  double rate;
  explicit DropPathImpl(double rate_) : rate(rate_) { register_module("conv", conv); }
  Tensor forward(Tensor x) {
    if (is_training() && torch::rand({1}).item<double>() < rate) return x;
    return x + conv->forward(x);
  }
};
TORCH_MODULE(DropPath);

/// Returns its very input in evaluation.
struct NoiseImpl : nn::Module {
  Tensor forward(Tensor x) { return is_training() ? x + torch::randn_like(x) : x; }
};
TORCH_MODULE(Noise);

struct DropNetImpl : nn::Module {
  nn::Conv2d conv{conv3x3(3, 4)};
  DropPath drop{0.5};
  nn::Sequential tail{Noise(), nn::Conv2d(conv3x3(4, 4))};
  DropNetImpl() {
    register_module("conv", conv);
    register_module("drop", drop);
    register_module("tail", tail);
  }
  Tensor forward(Tensor x) { return tail->forward(drop->forward(conv->forward(x))); }
};
TORCH_MODULE(DropNet);

/// A block that returns a tuple: pooled values and where they came from.
struct EncoderImpl : nn::Module {
  nn::Conv2d conv{conv3x3(3, 4)};
  nn::MaxPool2d pool{nn::MaxPool2dOptions(2)};
  EncoderImpl() {
    register_module("conv", conv);
    register_module("pool", pool);
  }
  std::tuple<Tensor, Tensor> forward(Tensor x) { return pool->forward_with_indices(torch::relu(conv->forward(x))); }
};
TORCH_MODULE(Encoder);

struct AutoencoderImpl : nn::Module {
  Encoder encoder;
  nn::MaxUnpool2d unpool{nn::MaxUnpool2dOptions(2)};
  nn::Conv2d conv{conv3x3(4, 3)};
  AutoencoderImpl() {
    register_module("encoder", encoder);
    register_module("unpool", unpool);
    register_module("conv", conv);
  }
  Tensor forward(Tensor x) {
    auto [pooled, where] = encoder->forward(x);
    return conv->forward(unpool->forward(pooled, where));
  }
};
TORCH_MODULE(Autoencoder);

/// Tuples out of LibTorch's own layers.
struct RecurrentImpl : nn::Module {
  nn::LSTM lstm{nn::LSTMOptions(6, 4).batch_first(true)};
  nn::GRU gru{nn::GRUOptions(4, 4).batch_first(true)};
  nn::MultiheadAttention attention{nn::MultiheadAttentionOptions(4, 2)};
  nn::Linear fc{4, 3};
  RecurrentImpl() {
    register_module("lstm", lstm);
    register_module("gru", gru);
    register_module("attention", attention);
    register_module("fc", fc);
  }
  Tensor forward(Tensor x) {
    x = std::get<0>(gru->forward(std::get<0>(lstm->forward(x)))).transpose(0, 1);
    x = std::get<0>(attention->forward(x, x, x));
    return fc->forward(x[-1]);
  }
};
TORCH_MODULE(Recurrent);

/// A class derived from `Sequential`, with a `forward` of its own.
struct ResidualSequenceImpl : nn::SequentialImpl {
  using nn::SequentialImpl::SequentialImpl;
  Tensor forward(Tensor x) { return x + nn::SequentialImpl::forward(x); }
};
TORCH_MODULE(ResidualSequence);

struct ResidualNetImpl : nn::Module {
  nn::Conv2d conv{conv3x3(3, 4)};
  ResidualSequence residual{nn::Conv2d(conv3x3(4, 4)), nn::ReLU(), nn::Conv2d(conv3x3(4, 4))};
  ResidualNetImpl() {
    register_module("conv", conv);
    register_module("residual", residual);
  }
  Tensor forward(Tensor x) { return residual->forward(conv->forward(x)); }
};
TORCH_MODULE(ResidualNet);

/// One convolution, called twice.
struct TwiceImpl : nn::Module {
  nn::Conv2d conv{conv3x3(4, 4)};
  TwiceImpl() { register_module("conv", conv); }
  Tensor forward(Tensor x) { return conv->forward(torch::relu(conv->forward(x))); }
};
TORCH_MODULE(Twice);

/// Multiplies with a weight that is another layer's.
struct TiedImpl : nn::Module {
  Tensor weight;
  explicit TiedImpl(const Tensor& other) : weight(register_parameter("weight", other)) {}
  Tensor forward(Tensor x) { return torch::matmul(x, weight); }
};
TORCH_MODULE(Tied);

/// One layer under two names, and another one whose weight is tied to it.
struct SharedImpl : nn::Module {
  nn::Linear first{4, 4};
  nn::Linear second{first};
  Tied tied{first->weight};
  SharedImpl() {
    register_module("first", first);
    register_module("second", second);
    register_module("tied", tied);
  }
  Tensor forward(Tensor x) { return tied->forward(torch::relu(second->forward(torch::tanh(first->forward(x))))); }
};
TORCH_MODULE(Shared);

/// Which operations run depends on the data.
struct GateImpl : nn::Module {
  nn::Linear fc{4, 4};
  GateImpl() { register_module("fc", fc); }
  Tensor forward(Tensor x) {
    x = fc->forward(x);
    return x.sum().item<float>() > 0 ? torch::relu(x) * 2 : torch::tanh(x) - 1;
  }
};
TORCH_MODULE(Gate);

struct GatedNetImpl : nn::Module {
  Gate gate;
  nn::Linear head{4, 2};
  GatedNetImpl() {
    register_module("gate", gate);
    register_module("head", head);
    torch::NoGradGuard no_gradients;
    gate->fc->weight.copy_(torch::eye(4));
    gate->fc->bias.zero_();
  }
  Tensor forward(Tensor x) { return head->forward(gate->forward(x)); }
};
TORCH_MODULE(GatedNet);

/// Counts the calls of its `forward`, trial runs included: behind a pointer, where these are not undone.
struct CountedImpl : nn::Module {
  struct Notes {
    int calls = 0;
    std::vector<std::vector<int64_t>> sizes;
  };
  nn::Conv2d conv{conv3x3(4, 4)};
  std::shared_ptr<Notes> notes = std::make_shared<Notes>();
  int& calls = notes->calls;
  std::vector<std::vector<int64_t>>& sizes = notes->sizes;  ///< of the inputs
  CountedImpl() { register_module("conv", conv); }
  Tensor forward(Tensor x) {
    ++calls;
    sizes.push_back(x.sizes().vec());
    return torch::relu(conv->forward(x));
  }
};
TORCH_MODULE(Counted);

/// Throws in the middle of `forward` when it is told to.
struct FragileImpl : nn::Module {
  nn::Linear first{4, 4}, second{4, 4};
  bool broken = false;
  FragileImpl() {
    register_module("first", first);
    register_module("second", second);
  }
  Tensor forward(Tensor x) {
    x = torch::relu(first->forward(x));
    if (broken) throw std::runtime_error("the model is broken");
    return second->forward(x);
  }
};
TORCH_MODULE(Fragile);

}  // namespace nets
