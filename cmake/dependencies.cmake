# LibTorch (required), OpenCV (for pictures), and nlohmann-json (for exported programs).

include(sightglassTorch)
find_package(Torch REQUIRED)
message(STATUS "sightglass: LibTorch ${Torch_VERSION} in ${Torch_DIR}")
if(Torch_VERSION VERSION_LESS 1.13)
  message(FATAL_ERROR "sightglass needs LibTorch 1.13 or later; found ${Torch_VERSION} in ${Torch_DIR}; "
                      "set CMAKE_PREFIX_PATH to another one")
endif()
# We link the imported target `torch`, never ${TORCH_LIBRARIES}: where both are installed, the
# wheel's list names Debian's libc10.

# Core, imgproc and imgcodecs only: dnn brings protobuf, and LibTorch brings its own.
find_package(OpenCV QUIET COMPONENTS core imgproc imgcodecs)
if(OpenCV_FOUND)
  message(STATUS "sightglass: OpenCV ${OpenCV_VERSION} in ${OpenCV_DIR}")
else()
  message(STATUS "sightglass: no OpenCV; sightglass::opencv, its tests and the programs are left out")
endif()

# nlohmann-json, for exported programs (.pt2).
find_package(nlohmann_json QUIET)
if(NOT nlohmann_json_FOUND)
  message(STATUS "sightglass: no nlohmann_json; sightglass::exported, its tests and the programs are left out")
endif()
