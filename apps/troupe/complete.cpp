#include "apps/troupe/complete.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <span>
#include <string_view>

namespace troupe::cli {
namespace {

/// Where in the command line the word stands that is to be completed.
struct position {
  const CLI::App* command = nullptr;    ///< the subcommand so far, or one of that, else the program
  const CLI::Option* option = nullptr;  ///< whose value the word is
  std::string target;                   ///< the value of --target
};

std::vector<const CLI::App*> subcommands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

const CLI::Option* find_option(const position& at, const CLI::App& app, std::string_view word) {
  for (const auto* command : {at.command, &app})
    if (const auto* option = command->get_option_no_throw(std::string{word}))
      return option;
  return nullptr;
}

position locate(const CLI::App& app, std::span<const std::string> before) {
  position at{&app, nullptr, {}};
  for (const auto& word : before) {
    if (at.option) {
      if (at.option->check_name("--target"))
        at.target = word;
      at.option = nullptr;
    } else if (word.starts_with('-')) {
      const auto* option = find_option(at, app, word);
      at.option = option && option->get_items_expected_max() > 0 ? option : nullptr;
    } else {
      for (const auto* command : subcommands(*at.command))
        if (command->check_name(word))
          at.command = command;
    }
  }
  return at;
}

void add_options(const CLI::App& command, std::vector<std::string>& words) {
  for (const auto* option : command.get_options())
    for (const auto& name : option->get_lnames())
      words.push_back("--" + name);
}

bool takes_model(const position& at) {
  if (at.option)
    return at.option->check_name("--model");
  const auto& command = at.command->get_name();
  return command == "infer" || command == "load" || command == "unload" || command == "restart";
}

std::vector<std::string> candidates(const CLI::App& app, const position& at, bool dashed) {
  std::vector<std::string> words;
  if (at.option)
    return words;
  if (dashed) {
    add_options(*at.command, words);
    if (at.command != &app)
      add_options(app, words);
  } else if (at.command->get_name() == "completion") {
    words = {"bash", "zsh", "fish"};
  } else {
    for (const auto* command : subcommands(*at.command))
      words.push_back(command->get_name());
  }
  return words;
}

}  // namespace

std::vector<std::string> complete(const CLI::App& app, const std::vector<std::string>& words,
                                  const std::function<std::vector<std::string>(const std::string&)>& model_names) {
  const std::string last = words.empty() ? "" : words.back();
  const auto at = locate(app, std::span{words}.first(words.empty() ? 0 : words.size() - 1));
  const bool dashed = last.starts_with('-');
  auto found = takes_model(at) && !dashed ? model_names(at.target) : candidates(app, at, dashed);
  std::erase_if(found, [&](const auto& word) { return !word.starts_with(last); });
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace troupe::cli
