# How every target of the project is built, and the three functions that the rooms are declared with.

option(BUILD_TESTING "Build the tests" ON)
set(TROUPE_SANITIZE "" CACHE STRING "Sanitizers to build with, as in -fsanitize=…")
option(TROUPE_WERROR "Treat warnings as errors" OFF)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# The build tree has the shape of the installed one, so that a program finds its skillsets the same way in both.
include(GNUInstallDirs)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(TROUPE_SKILLSET_DIRECTORY "lib/troupe/skillsets")

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE}")
endif()

# What is installed: the programs and their skillsets, without tests and benchmarks.
add_custom_target(programs)

add_library(troupe_options INTERFACE)
target_include_directories(troupe_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(troupe_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # Sees overlaps in std::string's operator+ that aren't there, https://gcc.gnu.org/PR105651, and takes the members of a
  # std::variant that isn't in that state for uninitialised, https://gcc.gnu.org/PR105562.
  target_compile_options(troupe_options INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()
if(TROUPE_WERROR)
  target_compile_options(troupe_options INTERFACE -Werror)
endif()
if(TROUPE_SANITIZE)
  # CAF 0.17 calls through references made from null pointers in its own headers, hence no-sanitize=null.
  add_compile_options(-fsanitize=${TROUPE_SANITIZE} -fno-sanitize=null -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  # gcc's manual: with a sanitizer, expect false positives of the one; the other takes the frame of a
  # coroutine for memory of another allocator.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)
  add_link_options(-fsanitize=${TROUPE_SANITIZE})
endif()
if(TROUPE_SANITIZE STREQUAL "thread")
  # It does not understand the fences that Asio puts around handlers, and g++ says so; Asio's locks order them anyway.
  add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
  # Those of Asio's strands and signals can't be switched off.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
endif()

# troupe_library(concurrency SOURCES a.cpp … DEPENDS …): a static library troupe_concurrency. Headers stand beside
# their sources and need no mention, but for the PUBLIC_HEADERS of what is installed.
function(troupe_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC_HEADERS;DEPENDS" ${ARGN})
  add_library(troupe_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(troupe_${name} PUBLIC $<BUILD_INTERFACE:troupe_options> Threads::Threads ${ARG_DEPENDS})
  if(ARG_PUBLIC_HEADERS)
    target_sources(troupe_${name} PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}" FILES ${ARG_PUBLIC_HEADERS})
  endif()
endfunction()

# troupe_test(concurrency SOURCES a.test.cpp … DEPENDS …): one GoogleTest program, each test of it known to ctest. None may
# take longer than TIMEOUT seconds, or 120.
function(troupe_test name)
  if(NOT BUILD_TESTING)
    return()
  endif()
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPENDS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE troupe_options ${ARG_DEPENDS} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name}_test TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS unit)
endfunction()

# troupe_skillset(text_embedding SOURCES … DEPENDS … RUNTIME openvino): a skillset's shared object, where troupe-node looks
# for it, and the folder with the libraries of its engine.
include(troupe-skillset)
function(troupe_skillset name)
  cmake_parse_arguments(ARG "" "RUNTIME" "SOURCES;DEPENDS" ${ARGN})
  troupe_add_skillset(${name} SOURCES ${ARG_SOURCES} LINK troupe_options ${ARG_DEPENDS})
  set_target_properties(${name} PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/${TROUPE_SKILLSET_DIRECTORY}"
    INSTALL_RPATH "$ORIGIN/../${ARG_RUNTIME}")
  add_dependencies(programs ${name})
  install(TARGETS ${name} LIBRARY DESTINATION "${TROUPE_SKILLSET_DIRECTORY}")
endfunction()
