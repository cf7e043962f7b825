# What find_package(troupe) finds: headers, as they are included here, libraries, and how a skillset is built. Installed
# with everything else, or alone: cmake --install BUILD --component sdk.
include(CMakePackageConfigHelpers)

set(package lib/cmake/troupe)
install(TARGETS troupe_concurrency_core EXPORT troupe
  ARCHIVE DESTINATION lib COMPONENT sdk
  FILE_SET HEADERS DESTINATION include/troupe COMPONENT sdk)
install(TARGETS troupe_sdk EXPORT troupe
  ARCHIVE DESTINATION lib COMPONENT sdk
  FILE_SET HEADERS DESTINATION include/troupe COMPONENT sdk
  FILE_SET generated DESTINATION include/troupe COMPONENT sdk)
install(EXPORT troupe NAMESPACE troupe:: FILE troupe-targets.cmake DESTINATION "${package}" COMPONENT sdk)

configure_package_config_file(troupe-config.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/troupe-config.cmake"
  INSTALL_DESTINATION "${package}" PATH_VARS TROUPE_SKILLSET_DIRECTORY)
# Plug-ins fit the very version that they were built with; what they are written against stays within a minor one.
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/troupe-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/troupe-config.cmake" "${CMAKE_CURRENT_BINARY_DIR}/troupe-config-version.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/troupe-skillset.cmake" "${PROJECT_SOURCE_DIR}/cmake/troupe-skillset.map"
  DESTINATION "${package}" COMPONENT sdk)
