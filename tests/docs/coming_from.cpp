#include <sightglass/opencv.hpp>
#include <sightglass/sightglass.hpp>

#include "support/nets/architectures.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;

TEST_CASE("the chapter's class activation map in docs/coming-from.md is CAM") {
  support::ResNet18 net(8, 2);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 64, 64});

  sg::Capture hook(net->layer4);
  torch::Tensor output = net->forward(input);
  torch::Tensor act = hook.output()[0];                                          // [C, h, w]
  torch::Tensor cam_map = torch::einsum("ck,kij->cij", {net->fc->weight, act});  // [classes, h, w]

  const torch::Tensor ours = sg::explain(net, input, net->layer4, sg::Cam{}, 1).map(0);
  CHECK(ours.allclose(cam_map[1], 1e-4, 1e-5));
}

TEST_CASE("the calls of pytorch-grad-cam and captum in docs/coming-from.md have their like here") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input_tensor = torch::randn({1, 3, 64, 64});
  const cv::Mat rgb_img(120, 160, CV_8UC3, cv::Scalar(30, 120, 210));

  // cam = GradCAM(model=model, target_layers=[model.layer4[-1]])
  // grayscale_cam = cam(input_tensor=input_tensor, targets=[ClassifierOutputTarget(281)])[0, :]
  // visualization = show_cam_on_image(rgb_img, grayscale_cam, use_rgb=True)
  sg::Explanation cam = sg::explain(net, input_tensor, "layer4.1", sg::GradCam{}, 281);
  torch::Tensor grayscale_cam = cam.resized(64, 64)[0];
  cv::Mat visualization = sg::overlay(rgb_img, cam.map(0), sg::OverlayOptions().colour_map(sg::ColourMap::jet));

  CHECK(grayscale_cam.sizes() == at::IntArrayRef({64, 64}));
  CHECK(visualization.size() == rgb_img.size());

  // LayerGradCam(model, model.layer4).attribute(input, target=281)
  // IntegratedGradients(model).attribute(input, target=281)
  torch::Tensor layer = sg::explain(net, input_tensor, net->layer4, sg::GradCam{}, 281).map();
  torch::Tensor pixels = sg::explain(net, input_tensor, net->layer4, sg::IntegratedGradients{}, 281).map();

  CHECK(layer.sizes() == at::IntArrayRef({1, 2, 2}));
  CHECK(pixels.sizes() == at::IntArrayRef({1, 64, 64}));
}
