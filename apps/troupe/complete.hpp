#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace troupe::cli {

/// What the shell may offer for the last of `words`, which are those after the program's name, the last one as far as
/// it was typed: subcommands, options, and values where they are known. `model_names` is called only when a model's
/// name is due, with the `--target` among the words or an empty text.
std::vector<std::string> complete(
    const CLI::App& app, const std::vector<std::string>& words,
    const std::function<std::vector<std::string>(const std::string& target)>& model_names);

}  // namespace troupe::cli
