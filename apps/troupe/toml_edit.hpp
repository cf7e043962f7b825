#pragma once

#include <string>
#include <string_view>

namespace troupe::cli {

/// The text of a TOML file with one value replaced, or put in where it wasn't; everything else stays as it is, comments
/// included. `key` is bare, such as `instances`, or in a table of the file's top level, such as `batching.max_batch`;
/// `value` is as TOML has it. What is written in another way, such as with dotted or quoted keys, is not found, and the
/// key is put in beside it.
std::string set_toml_value(std::string_view text, std::string_view key, std::string_view value);

}  // namespace troupe::cli
