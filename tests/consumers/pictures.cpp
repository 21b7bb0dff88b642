#include <sightglass/opencv.hpp>

#include <cstdlib>
#include <iostream>

cv::Mat overlaid(const cv::Mat& photo);  // pictures_too.cpp

int main() {
  const cv::Mat photo(6, 8, CV_8UC3, cv::Scalar(10, 20, 30));
  const cv::Mat here = sightglass::overlay(photo, torch::eye(4));
  const bool same = here.size() == photo.size() && cv::norm(here, overlaid(photo)) == 0;
  std::cout << "pictures: the same from both units " << same << '\n';
  return same ? EXIT_SUCCESS : EXIT_FAILURE;
}
