# `cmake --install`, and what find_package(sightglass) reads.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/sightglass")

install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(TARGETS sightglass EXPORT sightglassTargets)
install(EXPORT sightglassTargets NAMESPACE sightglass:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/sightglassConfig.cmake.in sightglassConfig.cmake
                              INSTALL_DESTINATION "${package_dir}"
                              PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(sightglassConfigVersion.cmake COMPATIBILITY SameMinorVersion
                                 ARCH_INDEPENDENT)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/sightglassConfig.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/sightglassConfigVersion.cmake"
              "${CMAKE_CURRENT_SOURCE_DIR}/cmake/sightglassTorch.cmake"
              "${CMAKE_CURRENT_SOURCE_DIR}/cmake/sightglassCompiled.cmake"
              "${CMAKE_CURRENT_SOURCE_DIR}/cmake/compiled.cpp.in"
        DESTINATION "${package_dir}")
