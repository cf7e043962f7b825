#include "apps/troupe/keys.hpp"

#include "actors/gateway/http/api_key.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"

#include <nlohmann/json.hpp>

namespace troupe::cli {

expected<void> new_key(session& with, const new_key_options& options) {
  if (!is_api_key_name(options.name))
    return make_error(status_code::invalid_argument, "'" + options.name + "' can't be the name of a key",
                      "take 1 to 64 letters, digits, and -_.");
  const auto key = make_api_key();
  if (!key)
    return key.error();
  const auto line = to_line({options.name, hash_api_key(*key), options.per_minute, options.concurrent});
  if (with.json)
    with.out.print(nlohmann::ordered_json{{"name", options.name}, {"key", *key}, {"line", line}}.dump() + "\n");
  else
    with.out.print("The key, which is shown this once:\n  " + *key +
                   "\nIts line in the file that the node's setting http.api_keys names:\n  " + line + "\n");
  return {};
}

}  // namespace troupe::cli
