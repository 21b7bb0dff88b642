#pragma once

/// sightglass: look inside convolutional networks built on LibTorch. This header needs LibTorch only; pictures are in
/// `<sightglass/opencv.hpp>`.

#include "sightglass/version.hpp"

#include "sightglass/trace/interceptor.hpp"
#include "sightglass/trace/tensors.hpp"
#include "sightglass/trace/history.hpp"
#include "sightglass/trace/runnable.hpp"
#include "sightglass/trace/signature.hpp"
#include "sightglass/trace/learn.hpp"
#include "sightglass/trace/signature_store.hpp"
#include "sightglass/trace/subscriber.hpp"
#include "sightglass/trace/follower.hpp"
#include "sightglass/trace/tracker.hpp"
#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/callable.hpp"
#include "sightglass/trace/module.hpp"
#include "sightglass/trace/locate.hpp"
#include "sightglass/trace/script.hpp"

#include "sightglass/hooks/nearest.hpp"
#include "sightglass/hooks/place.hpp"
#include "sightglass/hooks/layer.hpp"
#include "sightglass/hooks/script_layer.hpp"
#include "sightglass/hooks/find_layers.hpp"
#include "sightglass/hooks/watch.hpp"
#include "sightglass/hooks/forward_hook.hpp"
#include "sightglass/hooks/backward_hook.hpp"
#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/many.hpp"
#include "sightglass/hooks/hooked.hpp"
#include "sightglass/hooks/hook_point.hpp"

#include "sightglass/cam/model.hpp"
#include "sightglass/cam/target.hpp"
#include "sightglass/cam/explanation.hpp"
#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/explain.hpp"
#include "sightglass/cam/layers.hpp"
#include "sightglass/cam/methods/cam.hpp"
#include "sightglass/cam/methods/grad_cam.hpp"
