# Installs what of OpenVINO a node needs, where the skillset's run path points: the library, the plug-ins of the devices,
# the two readers of model files, and oneTBB. All of them look for each other beside themselves.
get_target_property(library openvino::runtime IMPORTED_LOCATION_RELEASE)
get_filename_component(folder "${library}" DIRECTORY)

set(wanted libopenvino.so.* libopenvino_ir_frontend.so.* libopenvino_onnx_frontend.so.* libtbb.so.* libtbbmalloc.so.*)
set(devices libopenvino_intel_cpu_plugin.so)
set(files)
foreach(pattern IN LISTS wanted devices)
  file(GLOB found LIST_DIRECTORIES false "${folder}/${pattern}")
  if(NOT found)
    message(FATAL_ERROR "OpenVINO in ${folder} has no ${pattern}")
  endif()
  list(APPEND files ${found})
endforeach()
install(PROGRAMS ${files} DESTINATION lib/troupe/openvino)
