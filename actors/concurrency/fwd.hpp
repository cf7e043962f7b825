#pragma once

#include <cstdint>

namespace troupe {

enum class status_code : std::uint8_t;
struct error;
template <class T>
class expected;
class cancel_scope;
class cancel_token;
template <class T>
class send_half;
template <class T>
class receive_half;

}  // namespace troupe
