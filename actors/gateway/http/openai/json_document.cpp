#include "actors/gateway/http/openai/json_document.hpp"

#include <utf8cpp/utf8.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace troupe::openai {
namespace {

constexpr std::size_t longest_reason = 300;

/// Builds a document from the parser's events, which is told at once when it is not wanted any more.
class document_builder {
 public:
  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(json::number_integer_t value) { return put(value); }
  bool number_unsigned(json::number_unsigned_t value) { return put(value); }
  bool number_float(json::number_float_t value, const std::string&) { return put(value); }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(json::binary_t&) { return false; }

  bool start_object(std::size_t) { return open(json::object()); }
  bool start_array(std::size_t) { return open(json::array()); }

  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }

  bool end_object() {
    if (const auto* name = twice(members(*open_.back()))) {
      wrong_ = "the body has the member '" + shortened(*name, longest_reason) + "' twice in one object";
      return false;
    }
    open_.pop_back();
    return true;
  }

  bool end_array() {
    open_.pop_back();
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& e) {
    // Behind the library's own number of it. It quotes what it has read, whatever that is.
    const std::string_view text = e.what();
    const auto begin = text.find("] ");
    const auto reason = shortened(text.substr(begin == text.npos ? 0 : begin + 2), longest_reason);
    wrong_ = "the body is no JSON: " + utf8::replace_invalid(reason);
    return false;
  }

  json& document() noexcept { return document_; }
  const std::string& wrong() const noexcept { return wrong_; }

 private:
  using object_members = json::object_t::Container;

  static object_members& members(json& object) { return object.get_ref<json::object_t&>(); }

  static const std::string* twice(const object_members& of) {
    std::vector<const std::string*> names;
    names.reserve(of.size());
    for (const auto& [name, value] : of)
      names.push_back(&name);
    std::sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a < *b; });
    const auto i =
        std::adjacent_find(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a == *b; });
    return i == names.end() ? nullptr : *i;
  }

  bool put(json value) {
    place(std::move(value));
    return true;
  }

  bool open(json container) {
    if (open_.size() == most_levels) {
      wrong_ = "the body is nested more than " + std::to_string(most_levels) + " levels deep";
      return false;
    }
    open_.push_back(&place(std::move(container)));
    return true;
  }

  /// Where it stays for as long as what it is in gets no further member, which is until it is closed.
  json& place(json value) {
    if (open_.empty())
      return document_ = std::move(value);
    auto& parent = *open_.back();
    // Not by the object's own functions, which look for the name among all others each time.
    if (parent.is_object())
      return members(parent).emplace_back(std::move(key_), std::move(value)).second;
    return parent.get_ref<json::array_t&>().emplace_back(std::move(value));
  }

  json document_;
  std::vector<json*> open_;
  std::string key_;
  std::string wrong_;
};

}  // namespace

expected<json> read_document(std::string_view body) {
  if (body.empty())
    return make_error(status_code::invalid_argument, "the request has no body", "send a JSON object");
  document_builder builder;
  if (!json::sax_parse(body, &builder))
    return make_error(status_code::invalid_argument, builder.wrong());
  if (!builder.document().is_object())
    return make_error(status_code::invalid_argument, "the body is no JSON object");
  return std::move(builder.document());
}

std::string write_document(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace troupe::openai
