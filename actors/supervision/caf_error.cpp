#include "actors/supervision/caf_error.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>

namespace troupe {

/// The errors that an aggregate is made of; within one process.
struct error_parts {
  std::vector<error> all;
};

}  // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::error_parts)

namespace troupe {
namespace {

constexpr auto error_category = caf::atom("troupe");
constexpr auto shutdown_category = caf::atom("trpStop");

bool is_ours(const caf::error& e) {
  return e && (e.category() == error_category || e.category() == shutdown_category) &&
         e.context().match_elements<std::string, std::string, std::string, bool, error_parts>();
}

}  // namespace

caf::error to_caf(const error& e) {
  return caf::error{static_cast<std::uint8_t>(e.code), error_category,
                    caf::make_message(e.cause, e.remedy, std::string{}, e.cancellation, error_parts{e.parts})};
}

error from_caf(const caf::error& e) {
  if (is_ours(e))
    return {static_cast<status_code>(e.code()), e.context().get_as<std::string>(0), e.context().get_as<std::string>(1),
            e.context().get_as<bool>(3), e.context().get_as<error_parts>(4).all};
  if (!e)
    return make_error(status_code::ok, "normal exit");
  return make_error(e == caf::exit_reason::user_shutdown ? status_code::unavailable : status_code::internal,
                    caf::to_string(e));
}

caf::error shutdown_because(const error& why, const std::string& child) {
  // A code of zero would make the error none at all.
  const auto code = why.code == status_code::ok ? status_code::unknown : why.code;
  return caf::error{static_cast<std::uint8_t>(code), shutdown_category,
                    caf::make_message(why.cause, why.remedy, child, why.cancellation, error_parts{why.parts})};
}

bool is_shutdown(const caf::error& reason) {
  return !reason || reason == caf::exit_reason::normal || reason == caf::exit_reason::user_shutdown ||
         reason.category() == shutdown_category;
}

caf::error or_ended(const caf::error& reason) {
  if (is_ours(reason) || !is_shutdown(reason))
    return reason;
  return to_caf(make_error(status_code::internal, "the child ended although it should run"));
}

std::string failed_child(const caf::error& reason) {
  return is_ours(reason) ? reason.context().get_as<std::string>(2) : std::string{};
}

}  // namespace troupe
