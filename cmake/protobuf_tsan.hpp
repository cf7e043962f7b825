// Included before everything else where protobuf is used in a build with ThreadSanitizer. There protobuf's headers give
// every map field one member more, of which the library of the distribution, built without, knows nothing; what one of
// them writes the other then takes for something else, and the program crashes.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#pragma push_macro("__SANITIZE_THREAD__")
#undef __SANITIZE_THREAD__
#include <google/protobuf/map_field.h>
#pragma pop_macro("__SANITIZE_THREAD__")
