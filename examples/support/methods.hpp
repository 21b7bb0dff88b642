#pragma once

#include <sightglass/sightglass.hpp>

#include <functional>
#include <string>
#include <vector>

#include "errors.hpp"

namespace support {

/// A method of the library by the word that names it on the command line.
struct Method {
  std::string name;
  std::string summary;
  std::function<sightglass::Explanation(const sightglass::Pass&, size_t layer, const sightglass::Target&)> explain;
};

template <class Kind>
Method method(std::string name, std::string summary) {
  return {std::move(name), std::move(summary),
          [](const sightglass::Pass& pass, size_t layer, const sightglass::Target& target) {
            return pass.explain(layer, Kind{}, target);
          }};
}

/// Grad-CAM of all layers of the pass as one map; it is the same for each of them.
inline Method refine_cam() {
  return {"refine-cam", "grad-cam of all the layers named, multiplied (arXiv 2605.14641)",
          [](const sightglass::Pass& pass, size_t /*layer*/, const sightglass::Target& target) {
            std::vector<sightglass::Explanation> each;
            for (size_t i = 0; i < pass.size(); ++i) each.push_back(pass.explain(i, sightglass::GradCam{}, target));
            return sightglass::fuse(each, sightglass::Fusion::product);
          }};
}

/// By the paper's scores of blocks, where the model has such.
inline Method legrad() {
  return {
      "legrad", "gradients at a vision transformer's attention; the layer gives the patches (Bousselham 2024)",
      [](const sightglass::Pass& pass, size_t layer, const sightglass::Target& target) {
        const sightglass::Cut cut = pass.at(layer, target);
        const sightglass::LeGrad by_blocks{sightglass::attention_blocks(cut.model(), cut.input())};
        sightglass::Explanation explanation = pass.explain(layer, by_blocks, target);
        if (by_blocks.blocks.empty()) {
          TORCH_WARN(
              "legrad: the model is no list of blocks alike with an attention map each: it goes by the model's score "
              "for those of its maps that are of the layer's patches, not by each block's own");
        }
        return explanation;
      }};
}

/// All methods; a new one is a line here.
inline const std::vector<Method>& methods() {
  static const std::vector<Method> all{
      method<sightglass::Cam>("cam", "weights of the last linear layer, after global average pooling (Zhou 2016)"),
      method<sightglass::GradCam>("grad-cam", "weights are the mean gradients; any layer (Selvaraju 2017)"),
      method<sightglass::HiResCam>("hires-cam", "gradient times activation, place by place (Draelos 2020)"),
      method<sightglass::GradCamElementWise>("grad-cam-element-wise", "the same, each channel rectified (Pillai 2021)"),
      method<sightglass::GradCamPlusPlus>("grad-cam++",
                                          "rectified gradients weighted by their powers (Chattopadhay 2018)"),
      method<sightglass::SmoothGradCamPlusPlus>("smooth-grad-cam++",
                                                "grad-cam++ of gradients averaged over noisy inputs (Omeiza 2019)"),
      method<sightglass::XGradCam>("xgrad-cam", "weights are the gradients averaged by activation (Fu 2020)"),
      method<sightglass::LayerCam>("layer-cam", "rectified gradient times activation; shallow layers too (Jiang 2021)"),
      method<sightglass::ScoreCam>("score-cam",
                                   "weights are the scores of inputs masked by channel, no gradients (Wang 2020)"),
      method<sightglass::FastScoreCam>("fast-score-cam", "score-cam of the 32 channels of highest variance (Li 2022)"),
      method<sightglass::SsCam>("ss-cam", "score-cam averaged over noisy masks (Naidu 2020)"),
      method<sightglass::IsCam>("is-cam", "score-cam averaged over weaker masks (Naidu 2020)"),
      method<sightglass::AblationCam>("ablation-cam",
                                      "weights are the falls of the score without a channel (Desai 2020)"),
      method<sightglass::EigenCam>("eigen-cam",
                                   "first principal component of the activations, no class (Muhammad 2020)"),
      method<sightglass::EigenGradCam>("eigengrad-cam",
                                       "first principal component of gradient times activation (pytorch-grad-cam)"),
      method<sightglass::KpcaCam>("kpca-cam", "first kernel principal component, no class; deep layers (Karmani 2024)"),
      method<sightglass::Fem>("fem", "what stands out of each channel, no class (Fuad 2020)"),
      method<sightglass::ShapleyCam>("shapley-cam", "grad-cam with a second-order term (Cai 2025)"),
      method<sightglass::FinerCam<>>("finer-cam",
                                     "grad-cam against the three classes of the nearest scores (Zhang 2025)"),
      refine_cam(),
      method<sightglass::ReciproCam>("recipro-cam", "the score of one place of the layer at a time (Byun 2022)"),
      method<sightglass::FullGrad>("full-grad",
                                   "input and bias gradients of all layers; the layer does not matter (Srinivas 2019)"),
      legrad(),
      method<sightglass::Rise>("rise", "4000 random masks weighted by score; the layer does not matter (Petsiuk 2018)"),
      method<sightglass::Occlusion>(
          "occlusion", "the fall of the score under a grey window; the layer does not matter (Zeiler 2014)"),
      method<sightglass::IntegratedGradients>(
          "integrated-gradients", "input gradients along a line; the layer does not matter (Sundararajan 2017)"),
      method<sightglass::SmoothGrad>("smooth-grad",
                                     "input gradients of noisy inputs; the layer does not matter (Smilkov 2017)"),
      method<sightglass::GuidedBackprop>(
          "guided-backprop", "input gradients rectified at each ReLU; the layer does not matter (Springenberg 2015)"),
      method<sightglass::GuidedGradCam>("guided-grad-cam", "guided-backprop times grad-cam (Selvaraju 2017)"),
      method<sightglass::Saliency>("saliency",
                                   "magnitude of the input gradient; the layer does not matter (Simonyan 2014)"),
      method<sightglass::RandomCam>("random-cam", "random weights, a control"),
  };
  return all;
}

inline std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Method& entry : methods()) names.push_back(entry.name);
  return names;
}

/// Throws `UsageError` for an unknown name, with the nearest.
inline const Method& method_called(const std::string& name) {
  for (const Method& entry : methods())
    if (entry.name == name) return entry;
  throw UsageError("method \"" + name + "\": no such method; nearest: " + sightglass::nearest(name, method_names()) +
                   "; --list-methods lists them all");
}

}  // namespace support
