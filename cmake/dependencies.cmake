# LibTorch (required) and OpenCV (for pictures).

# Torch's own config looks for its other half, Caffe2, in the system's folders first: with Torch_DIR
# alone, Python's wheel would be mixed with Debian's libtorch-dev.
if(Torch_DIR AND EXISTS "${Torch_DIR}/../Caffe2")
  get_filename_component(Caffe2_DIR "${Torch_DIR}/../Caffe2" ABSOLUTE)
endif()
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
