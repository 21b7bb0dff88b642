# Torch's own config looks for its other half, Caffe2, in the system's folders first: with Torch_DIR
# alone, Python's wheel would be mixed with Debian's libtorch-dev.
if(Torch_DIR AND EXISTS "${Torch_DIR}/../Caffe2")
  get_filename_component(Caffe2_DIR "${Torch_DIR}/../Caffe2" ABSOLUTE)
endif()
