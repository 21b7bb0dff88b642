#pragma once

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

// Pictures for `shapes`: objects of known classes at known places, over a textured background with marks that belong to
// no class.
namespace drawing {

/// The classes; an object's `label` is an index in them.
inline const std::vector<std::string>& class_names() {
  static const std::vector<std::string> names{"circle", "square", "triangle", "star",
                                              "cross",  "ring",   "crescent", "heart"};
  return names;
}

/// Something of a class in a picture.
struct Object {
  cv::Mat mask;  // 8-bit, 255 on the object
  cv::Rect box;  // around the object
  int label = 0;
};

/// A picture, and what is in it.
struct Scene {
  cv::Mat picture;  // 8-bit BGR
  std::vector<Object> objects;
};

namespace detail {

using Contour = std::vector<cv::Point2d>;

// `count` points from `first` to `last` radians on a circle around `centre`.
inline Contour arc(cv::Point2d centre, double radius, double first, double last, int count) {
  Contour points;
  for (int i = 0; i < count; ++i) {
    const double angle = first + (last - first) * i / count;
    points.push_back(centre + radius * cv::Point2d(std::cos(angle), std::sin(angle)));
  }
  return points;
}

inline Contour star(int tips, double inner_radius) {
  Contour points;
  for (int i = 0; i < 2 * tips; ++i) {
    const double angle = CV_PI * i / tips;
    points.push_back((i % 2 == 0 ? 1.0 : inner_radius) * cv::Point2d(std::cos(angle), std::sin(angle)));
  }
  return points;
}

inline Contour cross(double half_width) {
  const double w = half_width;
  return {{w, w}, {w, 1}, {-w, 1}, {-w, w}, {-1, w}, {-1, -w}, {-w, -w}, {-w, -1}, {w, -1}, {w, -w}, {1, -w}, {1, w}};
}

inline Contour crescent() {
  Contour points = arc({0, 0}, 1.0, 0.6, 2 * CV_PI - 0.6, 60);
  const Contour hollow = arc({0.5, 0}, 0.65, 2 * CV_PI - 1.05, 1.05, 40);
  points.insert(points.end(), hollow.begin(), hollow.end());
  return points;
}

inline Contour heart() {
  Contour points;
  for (int i = 0; i < 60; ++i) {
    const double t = 2 * CV_PI * i / 60;
    points.emplace_back(std::pow(std::sin(t), 3),
                        -(13 * std::cos(t) - 5 * std::cos(2 * t) - 2 * std::cos(3 * t) - std::cos(4 * t)) / 16);
  }
  return points;
}

// The outlines of a class in the unit circle; a second contour is a hole.
inline std::vector<Contour> contours(int label) {
  constexpr double turn = 2 * CV_PI;
  switch (label) {
    case 0:
      return {arc({0, 0}, 1.0, 0, turn, 60)};
    case 1:
      return {arc({0, 0}, 1.0, 0, turn, 4)};
    case 2:
      return {arc({0, 0}, 1.0, 0, turn, 3)};
    case 3:
      return {star(5, 0.42)};
    case 4:
      return {cross(0.3)};
    case 5:
      return {arc({0, 0}, 1.0, 0, turn, 60), arc({0, 0}, 0.6, 0, turn, 60)};
    case 6:
      return {crescent()};
    default:
      return {heart()};
  }
}

inline cv::Scalar colour(cv::RNG& random) {
  return {random.uniform(0.0, 255.0), random.uniform(0.0, 255.0), random.uniform(0.0, 255.0)};  // in this order: a list
}

inline cv::Point place(cv::RNG& random, const cv::Mat& picture) {
  return {random.uniform(0, picture.cols), random.uniform(0, picture.rows)};
}

// Noise in patches of `patch` pixels, one blending into the next.
inline cv::Mat noise(cv::RNG& random, int side, int patch, double strength) {
  cv::Mat patches(side / patch, side / patch, CV_32FC3);
  random.fill(patches, cv::RNG::NORMAL, 0.0, strength);
  cv::Mat smooth;
  cv::resize(patches, smooth, {side, side}, 0, 0, cv::INTER_CUBIC);
  return smooth;
}

inline cv::Mat background(cv::RNG& random, int side) {
  const double grey = random.uniform(60.0, 195.0);
  cv::Mat picture(side, side, CV_32FC3, cv::Scalar::all(grey));
  picture += noise(random, side, 40, 18) + noise(random, side, 8, 10);
  return picture;
}

inline void draw_blob(cv::RNG& random, cv::Mat& picture) {
  const cv::Point centre = place(random, picture);
  std::vector<cv::Point> outline;
  const int corners = random.uniform(4, 9);
  for (int i = 0; i < corners; ++i) {
    const double angle = 2 * CV_PI * i / corners;
    const double radius = random.uniform(4.0, 12.0);
    outline.emplace_back(centre.x + cvRound(radius * std::cos(angle)), centre.y + cvRound(radius * std::sin(angle)));
  }
  cv::fillPoly(picture, std::vector<std::vector<cv::Point>>{outline}, colour(random));
}

// Lines, dots and blobs: edges and colours as the objects have them, in forms that no class has. `density` is 1 in a
// picture of 224 x 224.
inline void draw_distractors(cv::RNG& random, cv::Mat& picture, double density) {
  const auto count = [&](int low, int high) { return cvRound(density * random.uniform(low, high + 1)); };
  for (int i = count(3, 8); i > 0; --i) {
    const cv::Point from = place(random, picture), to = place(random, picture);
    cv::line(picture, from, to, colour(random), random.uniform(1, 5));
  }
  for (int i = count(8, 24); i > 0; --i) {
    const cv::Point centre = place(random, picture);
    cv::circle(picture, centre, random.uniform(2, 6), colour(random), cv::FILLED);
  }
  for (int i = count(4, 9); i > 0; --i) draw_blob(random, picture);
}

// A place for an object of this radius: anywhere within the picture, but not over its middle where there is room
// beside.
inline cv::Point2d object_centre(cv::RNG& random, int side, double radius) {
  const double edge = radius + 2;
  const auto over_middle = [&](const cv::Point2d& p) {
    return std::max(std::abs(p.x - side / 2.0), std::abs(p.y - side / 2.0)) < edge;
  };
  cv::Point2d centre;
  do {
    centre.x = random.uniform(edge, side - edge);
    centre.y = random.uniform(edge, side - edge);
  } while (side > 4 * edge && over_middle(centre));
  return centre;
}

// How an object lies in its picture.
struct Pose {
  cv::Point2d centre;
  double radius = 0;
  double angle = 0;
};

// The object's mask: its outlines, turned and enlarged.
inline cv::Mat object_mask(int side, int label, const Pose& pose) {
  constexpr int fraction_bits = 4;
  const double cosine = std::cos(pose.angle), sine = std::sin(pose.angle);
  std::vector<std::vector<cv::Point>> outlines;
  for (const Contour& contour : contours(label)) {
    std::vector<cv::Point>& outline = outlines.emplace_back();
    for (const cv::Point2d& p : contour) {
      const cv::Point2d turned(p.x * cosine - p.y * sine, p.x * sine + p.y * cosine);
      outline.emplace_back((pose.centre + pose.radius * turned) * (1 << fraction_bits));
    }
  }
  cv::Mat mask = cv::Mat::zeros(side, side, CV_8UC1);
  cv::fillPoly(mask, outlines, 255, cv::LINE_8, fraction_bits);
  return mask;
}

// A colour that can be told from what the mask covers.
inline cv::Scalar object_colour(cv::RNG& random, const cv::Mat& picture, const cv::Mat& mask) {
  const cv::Scalar behind = cv::mean(picture, mask);
  cv::Scalar chosen;
  do chosen = colour(random);
  while (cv::norm(chosen - behind) < 110);
  return chosen;
}

inline void add_object(cv::RNG& random, cv::Mat& picture, int label, const Pose& pose, Scene& scene) {
  const cv::Mat mask = object_mask(picture.rows, label, pose);
  picture.setTo(object_colour(random, picture, mask), mask);
  scene.objects.push_back({mask, cv::boundingRect(mask), label});
}

// As a camera would see it: a little blurred, with grain.
inline cv::Mat photographed(cv::RNG& random, cv::Mat& picture) {
  cv::GaussianBlur(picture, picture, {3, 3}, 0);
  cv::Mat grain(picture.size(), CV_32FC3);
  random.fill(grain, cv::RNG::NORMAL, 0.0, 8.0);
  picture += grain;
  cv::Mat photo;
  picture.convertTo(photo, CV_8U);
  return photo;
}

// Poses of objects whose boxes do not touch.
inline std::vector<Pose> poses_apart(cv::RNG& random, int side, int count) {
  constexpr double gap = 4;
  std::vector<Pose> poses(static_cast<size_t>(count));
  for (Pose& pose : poses) {
    pose.radius = random.uniform(22.0, 34.0);
    pose.angle = random.uniform(0.0, 2 * CV_PI);
  }
  const auto are_apart = [&] {
    for (size_t i = 0; i < poses.size(); ++i)
      for (size_t j = 0; j < i; ++j) {
        const cv::Point2d between = poses[i].centre - poses[j].centre;
        const double needed = poses[i].radius + poses[j].radius + gap;
        if (std::max(std::abs(between.x), std::abs(between.y)) < needed) return false;
      }
    return true;
  };
  do {
    for (Pose& pose : poses) {
      pose.centre.x = random.uniform(pose.radius + 2, side - pose.radius - 2);
      pose.centre.y = random.uniform(pose.radius + 2, side - pose.radius - 2);
    }
  } while (!are_apart());
  return poses;
}

// Classes in random order.
inline std::vector<int> shuffled_labels(cv::RNG& random) {
  std::vector<int> labels(class_names().size());
  std::iota(labels.begin(), labels.end(), 0);
  for (int i = static_cast<int>(labels.size()) - 1; i > 0; --i)
    std::swap(labels[static_cast<size_t>(i)], labels[static_cast<size_t>(random.uniform(0, i + 1))]);
  return labels;
}

inline cv::Mat crowded_background(cv::RNG& random, int side) {
  cv::Mat picture = background(random, side);
  draw_distractors(random, picture, side * side / (224.0 * 224.0));
  return picture;
}

}  // namespace detail

/// Draws a picture of `side` x `side` pixels with an object of class `label`, 56 to 92 pixels wide before it is turned.
/// In a picture of 224 x 224 it never lies over the middle. The same `random` gives the same picture.
inline Scene draw(cv::RNG& random, int side, int label) {
  cv::Mat picture = detail::crowded_background(random, side);
  detail::Pose pose;
  pose.radius = random.uniform(28.0, 46.0);
  pose.angle = random.uniform(0.0, 2 * CV_PI);
  pose.centre = detail::object_centre(random, side, pose.radius);
  Scene scene;
  detail::add_object(random, picture, label, pose, scene);
  scene.picture = detail::photographed(random, picture);
  return scene;
}

/// Draws two to four objects of different classes, 44 to 68 pixels wide before they are turned, whose boxes do not
/// touch. `side` is 200 pixels at least, else there is no room. The same `random` gives the same picture.
inline Scene draw_several(cv::RNG& random, int side) {
  cv::Mat picture = detail::crowded_background(random, side);
  const std::vector<detail::Pose> poses = detail::poses_apart(random, side, random.uniform(2, 5));
  const std::vector<int> labels = detail::shuffled_labels(random);
  Scene scene;
  for (size_t i = 0; i < poses.size(); ++i) detail::add_object(random, picture, labels[i], poses[i], scene);
  scene.picture = detail::photographed(random, picture);
  return scene;
}

}  // namespace drawing
