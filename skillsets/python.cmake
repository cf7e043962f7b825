# The packages in Python, as pip installs them, in the build folder's python/: their tests and the end-to-end tests have
# that in their path, in the environment that tools/setup --python made.

set(packages sdk/python file_type)
set(python_folder "${PROJECT_BINARY_DIR}/python")
set(stamp "${CMAKE_CURRENT_BINARY_DIR}/python.stamp")

set(sources "${PROJECT_SOURCE_DIR}/proto/troupe/host/v1/host.proto")
foreach(package IN LISTS packages)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${package}/*.py"
    "${CMAKE_CURRENT_SOURCE_DIR}/${package}/pyproject.toml")
  list(APPEND sources ${found})
endforeach()
list(TRANSFORM packages PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" OUTPUT_VARIABLE folders)

add_custom_command(
  OUTPUT "${stamp}"
  COMMAND "${CMAKE_COMMAND}" -E rm -rf "${python_folder}"
  COMMAND "${CMAKE_COMMAND}" -E env PYTHONDONTWRITEBYTECODE=1
    "${TROUPE_TEST_PYTHON}" -m pip --quiet --disable-pip-version-check install --no-index --no-deps --no-build-isolation
    --no-compile --target "${python_folder}" ${folders}
  COMMAND "${CMAKE_COMMAND}" -E touch "${stamp}"
  DEPENDS ${sources}
  COMMENT "Installing the Python packages"
  VERBATIM)
add_custom_target(python_packages ALL DEPENDS "${stamp}")

# troupe_python_test(python_sdk sdk/python): the package's tests by pytest.
function(troupe_python_test name package)
  add_test(NAME ${name}
    COMMAND "${TROUPE_TEST_PYTHON}" -P -m pytest -q -p no:cacheprovider tests
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/${package}")
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300
    ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1;PYTHONPATH=${python_folder}")
endfunction()

troupe_python_test(python_sdk sdk/python)
troupe_python_test(python_file_type file_type)
