#pragma once

#include "actors/concurrency/error.hpp"

#include <concepts>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

namespace troupe {

namespace detail {

template <class Returned>
struct outcome {
  using type = Returned;
};
template <class T>
struct outcome<expected<T>> {
  using type = T;
};

}  // namespace detail

/// The value of a function that returns a `T` or an `expected<T>`: `T`.
template <class Returned>
using outcome_t = typename detail::outcome<Returned>::type;

/// What is being thrown, as an error; to be called while it is handled. INTERNAL with what an exception says.
inline error error_from_exception() {
  try {
    throw;
  } catch (const std::exception& e) {
    return make_error(status_code::internal, e.what());
  } catch (...) {
    return make_error(status_code::internal, "something was thrown that is no exception");
  }
}

/// Calls somebody's function and gives what it comes to. Whatever it throws goes no further: `error_from_exception()`.
template <class Function, class... Arguments>
auto contained(Function&& function, Arguments&&... arguments)
    -> expected<outcome_t<std::invoke_result_t<Function, Arguments...>>> {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Function, Arguments...>>) {
      std::invoke(std::forward<Function>(function), std::forward<Arguments>(arguments)...);
      return {};
    } else {
      return std::invoke(std::forward<Function>(function), std::forward<Arguments>(arguments)...);
    }
  } catch (...) {
    return error_from_exception();
  }
}

}  // namespace troupe
