#include "actors/serving/settings_reader.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

namespace troupe {

/// What the readers of one file share.
struct settings_reader::document {
  document(std::string called, toml::table from) : name(std::move(called)), root(std::move(from)) {}

  std::string name;
  toml::table root;
  std::optional<error> first_error;
  // For each table that was asked for, the keys that were.
  std::vector<std::pair<const toml::table*, std::set<std::string, std::less<>>>> asked;

  void reject(const toml::source_region& at, const std::string& key, const std::string& what,
              const std::string& remedy) {
    if (first_error)
      return;
    auto place = at.path ? *at.path : name;
    if (at.begin.line > 0)
      place += ":" + std::to_string(at.begin.line);
    first_error = make_error(status_code::invalid_argument, place + ": '" + key + "' " + what, remedy);
  }
};

struct settings_reader::node {
  std::shared_ptr<document> doc;
  const toml::table* table = nullptr;  // null: the table is absent
  std::string prefix;                  // such as `limits.`
  std::size_t asked = 0;               // index into doc->asked
};

namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words)
    text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string shown(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

/// Microseconds in a unit of time; 0 for what is none.
double microseconds_in(std::string_view unit) {
  return unit == "us" ? 1 : unit == "ms" ? 1e3 : unit == "s" ? 1e6 : unit == "m" ? 60e6 : unit == "h" ? 3600e6 : 0;
}

std::optional<std::chrono::microseconds> parse_duration(std::string_view text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto factor = microseconds_in({end, static_cast<std::size_t>(text.data() + text.size() - end)});
  const double us = value * factor;
  if (failed != std::errc{} || factor == 0 || !(us >= 0 && us <= 86'400e6))
    return std::nullopt;
  return std::chrono::microseconds{std::llround(us)};
}

}  // namespace

settings_reader::settings_reader(std::unique_ptr<node> at) : node_(std::move(at)) {
  node_->asked = node_->doc->asked.size();
  node_->doc->asked.emplace_back(node_->table, std::set<std::string, std::less<>>{});
}

settings_reader::settings_reader(settings_reader&&) noexcept = default;
settings_reader& settings_reader::operator=(settings_reader&&) noexcept = default;
settings_reader::~settings_reader() = default;

static expected<std::string> content_of(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  std::ostringstream text;
  // Of an empty file, inserting nothing counts as a failure.
  const bool empty = in.peek() == std::ifstream::traits_type::eof();
  if (empty ? !in.eof() : !(text << in.rdbuf()))
    return make_error(status_code::not_found, "cannot read '" + file.string() + "'", "check the path and its rights");
  return text.str();
}

static expected<toml::table> parse_table(std::string_view text, const std::string& name) {
  try {
    return toml::parse(text, name);
  } catch (const toml::parse_error& e) {
    const auto& at = e.source().begin;
    return make_error(
        status_code::invalid_argument,
        name + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " + std::string{e.description()});
  }
}

/// Lays `over` on top of `under`: tables into each other, everything else in place of what was there. Moved, because a
/// copy doesn't know where it was read.
static void lay_over(toml::table& under, toml::table&& over) {
  for (auto&& [key, value] : over) {
    auto* const there = under.get_as<toml::table>(key.str());
    if (there && value.is_table())
      lay_over(*there, std::move(*value.as_table()));
    else
      under.insert_or_assign(key, std::move(value));
  }
}

expected<settings_reader> settings_reader::read_file(const std::filesystem::path& file) {
  return read_file(file, {}, {});
}

expected<settings_reader> settings_reader::read_file(const std::filesystem::path& file, std::string_view over,
                                                     const std::string& over_name) {
  const auto text = content_of(file);
  if (!text)
    return text.error();
  auto table = parse_table(*text, file.string());
  if (!table)
    return table.error();
  auto on_top = parse_table(over, over_name);
  if (!on_top)
    return on_top.error();
  lay_over(*table, *std::move(on_top));
  return of(std::make_shared<document>(file.string(), *std::move(table)));
}

expected<settings_reader> settings_reader::parse(std::string_view text, const std::string& name) {
  auto table = parse_table(text, name);
  if (!table)
    return table.error();
  return of(std::make_shared<document>(name, *std::move(table)));
}

settings_reader settings_reader::of(std::shared_ptr<document> doc) {
  auto at = std::make_unique<node>();
  at->table = &doc->root;
  at->doc = std::move(doc);
  return settings_reader{std::move(at)};
}

/// Looks `key` up and remembers that it was asked for.
static const toml::node* ask(const toml::table* table, std::set<std::string, std::less<>>& asked,
                             std::string_view key) {
  asked.emplace(key);
  return table ? table->get(key) : nullptr;
}

std::optional<std::string> settings_reader::text(std::string_view key) {
  const auto* value = ask(node_->table, node_->doc->asked[node_->asked].second, key);
  if (!value)
    return std::nullopt;
  if (const auto* string = value->as_string())
    return string->get();
  reject(key, "must be text in quotes");
  return std::nullopt;
}

std::optional<std::vector<std::string>> settings_reader::texts(std::string_view key) {
  const auto* value = ask(node_->table, node_->doc->asked[node_->asked].second, key);
  if (!value)
    return std::nullopt;
  const auto* array = value->as_array();
  std::vector<std::string> result;
  for (std::size_t i = 0; array && i != array->size(); ++i)
    if (const auto* string = (*array)[i].as_string())
      result.push_back(string->get());
  if (array && result.size() == array->size())
    return result;
  reject(key, "must be an array of texts in quotes");
  return std::nullopt;
}

std::optional<std::string> settings_reader::choice(std::string_view key, const std::vector<std::string>& choices) {
  auto value = text(key);
  if (value && std::find(choices.begin(), choices.end(), *value) == choices.end()) {
    reject(key, "is '" + *value + "'", "it may be one of: " + joined(choices));
    return std::nullopt;
  }
  return value;
}

std::optional<std::int64_t> settings_reader::integer(std::string_view key, std::int64_t least, std::int64_t most) {
  const auto* value = ask(node_->table, node_->doc->asked[node_->asked].second, key);
  if (!value)
    return std::nullopt;
  const auto* number = value->as_integer();
  if (number && number->get() >= least && number->get() <= most)
    return number->get();
  reject(key, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
  return std::nullopt;
}

std::optional<double> settings_reader::number(std::string_view key, double least, double most) {
  const auto* value = ask(node_->table, node_->doc->asked[node_->asked].second, key);
  if (!value)
    return std::nullopt;
  const auto number = value->is_number() ? value->value<double>() : std::nullopt;
  if (number && *number >= least && *number <= most)
    return number;
  reject(key, "must be a number from " + shown(least) + " to " + shown(most));
  return std::nullopt;
}

std::optional<bool> settings_reader::flag(std::string_view key) {
  const auto* value = ask(node_->table, node_->doc->asked[node_->asked].second, key);
  if (!value)
    return std::nullopt;
  if (const auto* boolean = value->as_boolean())
    return boolean->get();
  reject(key, "must be true or false");
  return std::nullopt;
}

std::optional<std::chrono::microseconds> settings_reader::duration(std::string_view key) {
  const auto value = text(key);
  if (!value)
    return std::nullopt;
  if (const auto parsed = parse_duration(*value))
    return parsed;
  reject(key, "is '" + *value + "', which is no duration",
         "write a number and a unit: 500us, 250ms, 10s, 2m, at most 24h");
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> settings_reader::milliseconds(std::string_view key) {
  const auto exact = duration(key);
  return exact ? std::optional{std::chrono::ceil<std::chrono::milliseconds>(*exact)} : std::nullopt;
}

settings_reader settings_reader::table(std::string_view key) {
  const auto* value = ask(node_->table, node_->doc->asked[node_->asked].second, key);
  auto at = std::make_unique<node>();
  at->doc = node_->doc;
  at->prefix = node_->prefix + std::string{key} + ".";
  if (value) {
    at->table = value->as_table();
    if (!at->table)
      reject(key, "must be a table");
  }
  return settings_reader{std::move(at)};
}

void settings_reader::skip(std::string_view key) {
  ask(node_->table, node_->doc->asked[node_->asked].second, key);
}

std::vector<std::string> settings_reader::keys() const {
  std::vector<std::pair<std::uint32_t, std::string>> found;
  if (node_->table)
    for (const auto& [key, value] : *node_->table)
      found.emplace_back(value.source().begin.line, std::string{key.str()});
  std::sort(found.begin(), found.end());
  std::vector<std::string> result;
  for (auto& [line, key] : found)
    result.push_back(std::move(key));
  return result;
}

bool settings_reader::contains(std::string_view key) const {
  return node_->table && node_->table->contains(key);
}

void settings_reader::reject(std::string_view key, const std::string& what, const std::string& remedy) {
  const auto* value = node_->table ? node_->table->get(key) : nullptr;
  const auto at = value ? value->source() : node_->table ? node_->table->source() : toml::source_region{};
  node_->doc->reject(at, node_->prefix + std::string{key}, what, remedy);
}

expected<void> settings_reader::finish() {
  auto& doc = *node_->doc;
  for (const auto& [table, asked] : doc.asked) {
    if (!table)
      continue;
    for (const auto& [key, value] : *table)
      if (!asked.count(key.str()))
        doc.reject(value.source(), std::string{key.str()}, "is not a known key",
                   "known here: " + joined({asked.begin(), asked.end()}));
  }
  if (doc.first_error)
    return *doc.first_error;
  return {};
}

}  // namespace troupe
