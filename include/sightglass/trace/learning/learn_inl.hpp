#pragma once

#include "sightglass/trace/learning/learn.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE GeneratorStates::GeneratorStates(const std::vector<at::Tensor>& inputs) {
  std::vector<c10::Device> devices{c10::Device(c10::kCPU)};
  for (const at::Tensor& input : inputs) {
    const bool known = std::find(devices.begin(), devices.end(), input.device()) != devices.end();
    if (input.is_cuda() && !known) devices.push_back(input.device());
  }
  for (const c10::Device& device : devices) {
    at::Generator generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard<std::mutex> lock(generator.mutex());
    at::Tensor before = generator.get_state();
    saved_.emplace_back(std::move(generator), std::move(before));
  }
}

SIGHTGLASS_INLINE GeneratorStates::~GeneratorStates() {
  for (auto& [generator, before] : saved_) {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(before);
  }
}

SIGHTGLASS_INLINE Trial run_once(Runnable& owner, const std::vector<at::Tensor>& inputs, Guide guide) {
  Trial trial;
  const at::AutoGradMode gradients(owner.announces_calls() && at::GradMode::is_enabled());
  const GeneratorStates generators(inputs);
  const auto detail = owner.wants_recording() ? Recorder::Detail::full : Recorder::Detail::names;
  Recorder recorder(inputs, owner.state(), owner.buffers(), detail, std::move(guide));
  const uint64_t mode = owner.mode();
  const std::unique_ptr<Preserved> preserved = owner.preserve();
  try {
    const Observed scope(recorder);
    std::vector<at::Tensor> values = inputs;
    recorder.mark(owner.id().address, Side::begin, values);
    values = owner.run(inputs);
    recorder.mark(owner.id().address, Side::end, values);
  } catch (const c10::Error& error) {
    trial.failure = one_line(error.what_without_backtrace());
  } catch (const std::exception& error) {
    trial.failure = one_line(error.what());
  }
  trial.is_undone = preserved == nullptr || preserved->put_back();
  const bool needs_anchor = !owner.announces_calls();
  if (trial.failure.empty() && needs_anchor && !recorder.has_anchor())
    trial.failure = "its forward reads none of its parameters";
  if (trial.failure.empty()) {
    trial.signature = recorder.take();
    trial.signature->mode = mode;
    if (owner.announces_calls()) trial.signature->anchor = 0;
    if (owner.wants_recording()) owner.complete(*trial.signature, recorder.recording());
  }
  trial.strays = recorder.survivors();
  return trial;
}

SIGHTGLASS_INLINE Trial run_trial(Runnable& owner, const std::vector<at::Tensor>& inputs, const Guide& guide) {
  Trial trial = run_once(owner, inputs, guide);
  if (trial.is_undone) return trial;
  const Trial again = run_once(owner, inputs, guide);
  trial.strays.insert(trial.strays.end(), again.strays.begin(), again.strays.end());
  TORCH_CHECK(
      again.is_undone, owner.describe(),
      " keeps numbers (a counter, a generator) beside tensors or containers in its members from one call to the "
      "next, so that it cannot be run on trial without changing what the model computes; ",
      owner.remedy());
  return trial;
}

SIGHTGLASS_INLINE Trial learn_announced(Runnable& owner, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> own;
  for (const at::Tensor& input : inputs) own.push_back(input.detach().clone());
  return run_trial(owner, own);
}

SIGHTGLASS_INLINE at::Tensor sample_of(const at::Tensor& tensor, SampleSize size) {
  at::Tensor part = tensor.detach();
  if (part.layout() != at::kStrided) return part.clone();
  if (size != SampleSize::whole && part.dim() > 0 && part.size(0) > 1) part = part.narrow(0, 0, 1);
  if (size == SampleSize::cut && part.dim() >= 4) {
    for (int64_t d = 2; d < part.dim(); ++d) part = part.narrow(d, 0, std::min(Limits::sample, part.size(d)));
  }
  return part.clone();
}

SIGHTGLASS_INLINE Guide guide_along(const History& history, uint64_t anchor_event, std::vector<const void*> inputs) {
  std::vector<uint64_t> starts;  // events that may be the trial's first operation
  for (uint64_t event = anchor_event + 1; event-- > 0 && history.holds(event);) starts.push_back(event);
  uint64_t step = 0;
  return [&history, inputs = std::move(inputs), starts, step](const c10::FunctionSchema* schema,
                                                              const std::vector<std::optional<size_t>>& given) mutable {
    const auto is_wrong = [&](uint64_t start) {
      const uint64_t event = start + step;
      if (event >= history.count()) return false;
      if (history[event].schema != schema) return true;
      const auto& seen = history[event].arguments;
      for (size_t i = 0; i < given.size(); ++i) {
        if (given[i] && (i >= seen.size() || seen[i].impl() != inputs[*given[i]])) return true;
      }
      return false;
    };
    starts.erase(std::remove_if(starts.begin(), starts.end(), is_wrong), starts.end());
    ++step;
    return !starts.empty();
  };
}

SIGHTGLASS_INLINE StateRefs state_refs(const Runnable& owner) {
  StateRefs refs;
  for (const at::Tensor& tensor : owner.state()) refs.emplace_back(tensor);
  return refs;
}

SIGHTGLASS_INLINE bool reads_the_same(const StateRead& read, const std::vector<const void*>& given,
                                      const StateRefs& state) {
  return read.argument < given.size() && read.state < state.size() && given[read.argument] == state[read.state].impl();
}

SIGHTGLASS_INLINE bool agrees(const Signature& signature, const History& history, uint64_t anchor_event,
                              const std::vector<at::Tensor>& inputs, const StateRefs& state) {
  if (anchor_event < signature.anchor || !history.holds(anchor_event - signature.anchor)) return false;
  const uint64_t first = anchor_event - signature.anchor;
  const uint64_t seen = history.count() - first;
  if (seen > signature.steps.size()) return false;
  for (uint64_t step = 0; step < seen; ++step) {
    if (history[first + step].schema != signature.steps[step]) return false;
  }
  for (const StateRead& read : signature.state_reads) {
    if (read.step < seen && !reads_the_same(read, history[first + read.step].given, state)) return false;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::optional<Read>& read = signature.inputs[i];
    if (!read || read->step >= seen) continue;
    const auto& arguments = history[first + read->step].arguments;
    if (read->argument >= arguments.size() || arguments[read->argument].impl() != inputs[i].unsafeGetTensorImpl())
      return false;
  }
  return true;
}

SIGHTGLASS_INLINE at::Tensor before_reshaping(at::Tensor tensor, const History& history, uint64_t event) {
  static const std::set<std::string> reshapings{
      "aten::view",       "aten::reshape",   "aten::permute", "aten::transpose", "aten::flatten",
      "aten::contiguous", "aten::unflatten", "aten::squeeze", "aten::unsqueeze", "aten::t"};
  while (event-- > 0 && history.holds(event)) {
    const Event& earlier = history[event];
    const bool made_here = !earlier.results.empty() && earlier.results.front().impl() == tensor.unsafeGetTensorImpl();
    if (!made_here) continue;
    if (reshapings.count(earlier.schema->name()) == 0 || earlier.arguments.empty()) break;
    at::Tensor from = earlier.arguments.front().unchanged();
    if (!from.defined()) break;
    tensor = std::move(from);
  }
  return tensor;
}

SIGHTGLASS_INLINE void fitting_first(std::vector<at::Tensor>& tensors) {
  if (tensors.empty()) return;
  const at::Tensor beside = tensors.front();
  const auto rank = [&](const at::Tensor& tensor) {
    if (tensor.is_leaf() && tensor.requires_grad()) return 3;
    if (tensor.scalar_type() != beside.scalar_type() || tensor.device() != beside.device()) return 2;
    return tensor.dim() > 0 && beside.dim() > 0 && tensor.size(0) == beside.size(0) ? 0 : 1;
  };
  std::stable_sort(tensors.begin() + 1, tensors.end(),
                   [&](const at::Tensor& a, const at::Tensor& b) { return rank(a) < rank(b); });
}

SIGHTGLASS_INLINE std::vector<at::Tensor> candidates(const Runnable& owner, const History& history,
                                                     uint64_t anchor_event) {
  std::set<const void*> seen;
  for (const at::Tensor& tensor : owner.state()) seen.insert(tensor.unsafeGetTensorImpl());
  std::vector<at::Tensor> found;
  const auto add = [&](const std::vector<TensorRef>& refs) {
    for (const TensorRef& ref : refs) {
      if (found.size() >= Limits::candidates_seen || !seen.insert(ref.impl()).second) continue;
      if (at::Tensor tensor = ref.unchanged(); tensor.defined()) found.push_back(std::move(tensor));
    }
  };
  if (owner.begins_without_state()) {
    for (const TensorRef& ref : history[anchor_event].arguments) {
      const at::Tensor tensor = ref.unchanged();
      if (!tensor.defined() || seen.count(ref.impl()) != 0) continue;
      at::Tensor computed = before_reshaping(tensor, history, anchor_event);
      if (seen.insert(computed.unsafeGetTensorImpl()).second) found.push_back(std::move(computed));
    }
  }
  for (uint64_t event = anchor_event; event < history.count(); ++event) add(history[event].arguments);
  for (uint64_t event = anchor_event; event-- > 0 && history.holds(event);) {
    add(history[event].results);
    add(history[event].arguments);
  }
  fitting_first(found);
  if (found.size() > Limits::candidates) found.resize(Limits::candidates);
  return found;
}

SIGHTGLASS_INLINE Trial learn(Runnable& owner, const History& history, uint64_t anchor_event,
                              TriedInputs& tried_inputs) {
  Trial found;
  const std::vector<at::Tensor> likely = candidates(owner, history, anchor_event);
  const StateRefs state = state_refs(owner);
  std::vector<SampleSize> sizes{SampleSize::cut, SampleSize::single, SampleSize::whole};
  // A cache for inputs of this size is left as it is.
  if (owner.keeps_tensors()) std::reverse(sizes.begin(), sizes.end());
  const auto attempt = [&](const std::vector<at::Tensor>& inputs) {
    std::vector<const void*> identities;
    for (const at::Tensor& input : inputs) identities.push_back(input.unsafeGetTensorImpl());
    if (!tried_inputs.insert(identities).second) return false;
    std::vector<at::Tensor> tried;
    for (const SampleSize size : sizes) {
      std::vector<at::Tensor> samples;
      for (const at::Tensor& input : inputs) samples.push_back(sample_of(input, size));
      const bool same =
          !tried.empty() && std::equal(samples.begin(), samples.end(), tried.begin(),
                                       [](const at::Tensor& a, const at::Tensor& b) { return a.sizes() == b.sizes(); });
      if (same) continue;
      tried = samples;
      Trial trial = run_trial(owner, samples, guide_along(history, anchor_event, identities));
      found.strays.insert(found.strays.end(), trial.strays.begin(), trial.strays.end());
      found.failure = trial.failure;
      if (trial.signature && agrees(*trial.signature, history, anchor_event, inputs, state)) {
        found.signature = std::move(trial.signature);
        return true;
      }
      if (trial.signature) found.failure = "called alone, it performs other operations than in the model's forward";
    }
    return false;
  };
  for (const size_t count : owner.input_counts()) {
    if (any_choice(likely, count, attempt)) break;
  }
  return found;
}

}  // namespace sightglass::detail
