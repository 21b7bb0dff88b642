# LibTorch (required) and OpenCV (for pictures).
#
# We link the imported target `torch`, never ${TORCH_LIBRARIES}: where Debian's libtorch-dev and
# Python's wheel are both there, the wheel's TorchConfig.cmake puts Debian's libc10 into that list.
find_package(Torch REQUIRED)
message(STATUS "sightglass: LibTorch ${Torch_VERSION} in ${Torch_DIR}")

# Core, imgproc and imgcodecs only: dnn brings protobuf, and LibTorch brings its own.
find_package(OpenCV QUIET COMPONENTS core imgproc imgcodecs)
if(OpenCV_FOUND)
  message(STATUS "sightglass: OpenCV ${OpenCV_VERSION} in ${OpenCV_DIR}")
else()
  message(STATUS "sightglass: no OpenCV; sightglass::opencv, its tests and the programs are left out")
endif()
