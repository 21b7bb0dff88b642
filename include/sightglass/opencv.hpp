#pragma once

/// sightglass with pictures: the core, and what draws it with OpenCV's core, imgproc and imgcodecs.

#include "sightglass/sightglass.hpp"

#include "sightglass/opencv/image.hpp"
#include "sightglass/opencv/preprocessing.hpp"
#include "sightglass/opencv/colour_map.hpp"
#include "sightglass/opencv/overlay.hpp"
#include "sightglass/opencv/axis.hpp"
#include "sightglass/opencv/colour_bar.hpp"
#include "sightglass/opencv/grid.hpp"
#include "sightglass/opencv/concepts.hpp"
#include "sightglass/opencv/chart.hpp"
#include "sightglass/opencv/heat_map.hpp"
#include "sightglass/opencv/dashboard.hpp"
