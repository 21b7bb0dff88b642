#include <sightglass/opencv.hpp>

cv::Mat overlaid(const cv::Mat& photo) { return sightglass::overlay(photo, torch::eye(4)); }
