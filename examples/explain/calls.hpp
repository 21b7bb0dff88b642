#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <sightglass/sightglass.hpp>

#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "options.hpp"
#include "segment.hpp"
#include "support/detector_file.hpp"
#include "support/errors.hpp"
#include "support/figures.hpp"
#include "support/files.hpp"
#include "support/first_convolution.hpp"
#include "support/inputs.hpp"
#include "support/model_inputs.hpp"
#include "support/npy.hpp"
#include "support/preparation.hpp"

namespace support {

/// Reads an input of the model beside the picture: an array as it is, a picture prepared as the pictures are.
class FurtherInput {
 public:
  FurtherInput(const torch::jit::Module& script, const Options& options, const FileNotes& notes)
      : wanted_(options.pictures.preparation(first_convolution(script), preparation_in(script, notes).wanted)),
        image_(options.pictures.image()) {}

  Input operator()(const std::string& file) const {
    return extension_of(file) == ".npy" ? detail::input_of(file, read_npy(file)) : read_input(file, wanted_, image_);
  }

 private:
  Preparation wanted_;
  sightglass::ImageOptions image_;
};

/// What the command line gives the model.
inline ModelInputs inputs_of(const torch::jit::Module& script, const Options& options, const FurtherInput& read,
                             const FileNotes& notes) {
  const auto read_one = [&](const std::string& file) { return read(file).batch; };
  return {script, options.model, options.further, read_one, notes.picture};
}

/// The model as the command line asks for it: a function of the picture that gives the output to explain.
inline sightglass::Model model_of(const ModelInputs& inputs, const std::string& output) {
  return output.empty() ? inputs.model() : inputs.model().output(output);
}

/// Of a layer, whether each of its calls in a run depends on what the model is given; empty where it cannot be
/// followed.
using Calls = std::vector<bool>;

namespace detail {

/// Of each layer, of each of its calls, what it gave.
inline std::vector<std::vector<sightglass::Capture::Call>> calls_of(const sightglass::Model& model,
                                                                    const std::vector<sightglass::Layer>& layers,
                                                                    const torch::Tensor& batch) {
  sightglass::Captures captures(layers, sightglass::CaptureOptions().keep(sightglass::Keep::all));
  const torch::NoGradGuard no_gradients;
  model.forward(batch);
  std::vector<std::vector<sightglass::Capture::Call>> all;
  for (sightglass::Capture& capture : captures) {
    all.emplace_back();
    try {
      all.back() = capture.calls();
    } catch (const c10::Error&) {  // whoever explains it says why
      continue;
    }
  }
  return all;
}

inline bool gave_the_same(const sightglass::Capture::Call& one, const sightglass::Capture::Call& other) {
  const auto same = [](const torch::Tensor& a, const torch::Tensor& b) {
    return a.defined() == b.defined() && (!a.defined() || (a.scalar_type() == b.scalar_type() && at::equal(a, b)));
  };
  return std::equal(one.outputs.begin(), one.outputs.end(), other.outputs.begin(), other.outputs.end(), same);
}

inline bool any(const Calls& calls) { return std::find(calls.begin(), calls.end(), true) != calls.end(); }

}  // namespace detail

/// Which calls of layers see `batch`, what the model is given: found by giving it something else.
inline std::vector<Calls> calls_that_see(const sightglass::Model& model, const std::vector<sightglass::Layer>& layers,
                                         const torch::Tensor& batch) {
  const at::Generator own = at::make_generator<at::CPUGeneratorImpl>(17);
  const torch::Tensor noise = at::rand(batch.sizes(), own, at::TensorOptions(at::kFloat)).to(batch.options());
  const auto given = detail::calls_of(model, layers, batch), changed = detail::calls_of(model, layers, batch + noise);
  std::vector<Calls> all;
  for (size_t i = 0; i < layers.size(); ++i) {
    all.emplace_back(given[i].size(), true);  // where their number depends on it, all do
    if (given[i].size() != changed[i].size()) continue;
    for (size_t call = 0; call < given[i].size(); ++call)
      all[i][call] = !detail::gave_the_same(given[i][call], changed[i][call]);
  }
  return all;
}

/// Where a model of several inputs is explained unless told otherwise: `suggested`, or, where that does not see the
/// picture, the last map that does.
inline sightglass::Suggestion suggested_seeing(const sightglass::Model& model, const torch::Tensor& picture,
                                               Task task) {
  sightglass::Suggestion suggestion = suggested(model, picture, task);
  if (detail::any(calls_that_see(model, {model.layer(suggestion.layer)}, picture).front())) return suggestion;
  std::vector<sightglass::Layer> maps;
  for (const sightglass::LayerInfo& layer : sightglass::layers(model, picture)) {
    const size_t dims = layer.maps.empty() ? layer.shape.size() : layer.maps.size();
    if (layer.is_spatial() && static_cast<int64_t>(dims) == picture.dim()) maps.push_back(model.layer(layer.name));
  }
  const std::vector<Calls> seeing = calls_that_see(model, maps, picture);
  const auto last = std::find_if(seeing.rbegin(), seeing.rend(), detail::any);
  if (last == seeing.rend()) return suggestion;
  const auto number = static_cast<size_t>(seeing.rend() - last) - 1;
  return {maps[number].name(), "the last map that sees the picture", ""};
}

/// Which call is explained of layers that run several times, and which input of the model it sees.
class CallChoice {
 public:
  CallChoice(const torch::jit::Module& script, const Options& options, const FileNotes& notes)
      : read_(script, options, notes),
        inputs_(inputs_of(script, options, read_, notes)),
        output_(options.output),
        asked_(options.call) {}

  const ModelInputs& inputs() const { return inputs_; }

  /// The layers at the call that is asked for, or at the last that sees the pictures; of one input, as they are.
  /// Throws `UsageError` where a layer has no such call, and for layers that see different inputs.
  std::vector<sightglass::Layer> choose(const sightglass::Model& model, const std::vector<sightglass::Layer>& given,
                                        const torch::Tensor& pictures) {
    std::vector<sightglass::Layer> layers = given;
    if (chosen_ || (!asked_ && inputs_.others().empty())) return layers;
    const std::vector<Calls> seeing = calls_that_see(model, layers, pictures);
    std::optional<std::string> seen;
    for (size_t i = 0; i < layers.size(); ++i) {
      if (seeing[i].empty()) continue;  // the pass says why
      const size_t call = call_of(layers[i], seeing[i]);
      layers[i] = layers[i].call(call);
      const std::string input = seeing[i][call] ? "" : other_input_of(layers[i], call, pictures);
      if (seen && *seen != input)
        throw UsageError("--layer: \"" + layers[i].name() + "\" sees " + called(input) + ", a layer before it " +
                         called(*seen) + "; name layers of one input at a time");
      seen = input;
    }
    seen_ = seen.value_or("");
    chosen_ = true;
    return layers;
  }

  /// Whether the layers see another input than the pictures.
  bool sees_another() const { return !seen_.empty(); }

  /// That input, for so many pictures.
  /// Throws `UsageError` where it can be drawn as nothing.
  Input input_seen(const torch::Tensor& pictures) const {
    Input input = read_(inputs_.file(seen_));
    if (input.batch.dim() < 3 || input.batch.dim() > 5)
      throw UsageError(c10::str("--layer: what it names sees input ", seen_, " ", input.batch.sizes(),
                                " alone, which is no picture, series or volume; name a layer that sees the picture"));
    input.batch = detail::for_rows(input.batch, pictures);
    const auto rows = static_cast<size_t>(input.batch.size(0));
    if (input.photos.size() == 1) {
      input.photos.resize(rows, input.photos.front());
      input.places.resize(rows, input.places.front());
    }
    return input;
  }

  /// The model as a function of that input, beside these pictures.
  sightglass::Model model_beside(const torch::Tensor& pictures) const {
    return model_of(inputs_.looking_at(seen_, pictures), output_);
  }

  /// What was chosen that nobody asked for, a line each; once.
  std::vector<std::string> told_of(const sightglass::Pass& pass) {
    std::vector<std::string> lines;
    if (std::exchange(told_, true)) return lines;
    for (size_t i = 0; i < pass.size(); ++i) {
      const std::string& name = pass.layer_name(i);
      if (pass.calls(i) > 1) calls_[name] = pass.call(i);
      if (pass.calls(i) < 2 || asked_) continue;
      const bool last = inputs_.others().empty() || sees_another();
      lines.push_back("layer \"" + name + "\" runs " + in_numbers(pass.calls(i)) + "; call " +
                      std::to_string(pass.call(i)) + " is explained, the last" +
                      (last ? "" : " that sees the picture") + "; --call N chooses another");
    }
    if (sees_another())
      lines.push_back("layer \"" + pass.layer_name(0) + "\"" +
                      (pass.calls(0) > 1 ? " at call " + std::to_string(pass.call(0)) : "") + " sees input " + seen_ +
                      ", not the picture: the map is of " + inputs_.file(seen_) + ", and drawn over it");
    return lines;
  }

  /// Which call of a layer was explained; none where it runs once.
  std::optional<size_t> of(const std::string& layer) const {
    const auto call = calls_.find(layer);
    return call == calls_.end() ? std::nullopt : std::optional<size_t>(call->second);
  }

 private:
  size_t call_of(const sightglass::Layer& layer, const Calls& seeing) const {
    const auto past_last = static_cast<size_t>(seeing.rend() - std::find(seeing.rbegin(), seeing.rend(), true));
    const size_t call = asked_.value_or((past_last > 0 ? past_last : seeing.size()) - 1);
    if (call < seeing.size()) return call;
    throw UsageError("--call " + std::to_string(call) + ": layer \"" + layer.name() + "\" runs " +
                     (seeing.size() == 1 ? "once: 0" : in_numbers(seeing.size())));
  }

  /// Which input beside the picture a call sees; empty for none.
  std::string other_input_of(const sightglass::Layer& layer, size_t call, const torch::Tensor& pictures) const {
    for (const auto& [name, array] : inputs_.others()) {
      const sightglass::Model turned = model_of(inputs_.looking_at(name, pictures), output_);
      const Calls calls = calls_that_see(turned, {layer}, detail::for_rows(array, pictures)).front();
      if (call < calls.size() && calls[call]) return name;
    }
    return "";
  }

  static std::string called(const std::string& input) { return input.empty() ? "the picture" : "input " + input; }

  static std::string in_numbers(size_t calls) {
    return std::to_string(calls) + " times: 0 to " + std::to_string(calls - 1);
  }

  FurtherInput read_;
  ModelInputs inputs_;
  std::string output_;
  std::optional<size_t> asked_;  // the call that the command line names
  bool chosen_ = false;
  bool told_ = false;
  std::string seen_;                     // the name of the input that the layers see; empty: the picture
  std::map<std::string, size_t> calls_;  // of layers that run several times
};

}  // namespace support
