# The C++ Actor Framework. Debian's package brings headers and libraries but no CMake configuration, so that one is
# looked for first and the files themselves second. Defines CAF::core under the name that CAF 0.18 and later export.
#
#   CAF_ROOT       where to look first, such as a build for ThreadSanitizer
#   CAF_VERSION    the version found

find_package(CAF ${CAF_FIND_VERSION} QUIET CONFIG)
if(CAF_FOUND)
  return()
endif()

# A cached library from before CAF_ROOT was set would go on being used.
if(CAF_ROOT AND CAF_CORE_LIBRARY)
  cmake_path(IS_PREFIX CAF_ROOT "${CAF_CORE_LIBRARY}" NORMALIZE found_there)
  if(NOT found_there)
    unset(CAF_CORE_LIBRARY CACHE)
    unset(CAF_INCLUDE_DIR CACHE)
  endif()
endif()

find_path(CAF_INCLUDE_DIR caf/actor_system.hpp)
find_library(CAF_CORE_LIBRARY caf_core)
mark_as_advanced(CAF_INCLUDE_DIR CAF_CORE_LIBRARY)

if(CAF_INCLUDE_DIR)
  file(STRINGS "${CAF_INCLUDE_DIR}/caf/config.hpp" line REGEX "#define CAF_VERSION [0-9]+")
  string(REGEX MATCH "[0-9]+" number "${line}")
  math(EXPR major "${number} / 10000")
  math(EXPR minor "${number} / 100 % 100")
  math(EXPR patch "${number} % 100")
  set(CAF_VERSION "${major}.${minor}.${patch}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CAF REQUIRED_VARS CAF_CORE_LIBRARY CAF_INCLUDE_DIR VERSION_VAR CAF_VERSION)

if(CAF_FOUND AND NOT TARGET CAF::core)
  add_library(CAF::core UNKNOWN IMPORTED)
  set_target_properties(CAF::core PROPERTIES
    IMPORTED_LOCATION "${CAF_CORE_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${CAF_INCLUDE_DIR}")
endif()
