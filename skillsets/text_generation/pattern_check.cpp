#include "skillsets/text_generation/pattern_check.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace troupe {
namespace {

constexpr std::size_t longest = 1024;
constexpr int deepest = 16;
constexpr int most_repetitions = 1000;

/// Recursive descent over `alternative := (atom quantifier?)*`, `group := alternative ('|' alternative)*`.
class pattern_reader {
 public:
  explicit pattern_reader(std::string_view text) : text_(text) {}

  std::string problem() {
    if (text_.size() > longest)
      return "is longer than " + std::to_string(longest) + " bytes";
    if (text_.size() < 2 || text_.front() != '^' || text_.back() != '$')
      return "is not anchored with ^ and $";
    text_ = text_.substr(1, text_.size() - 2);
    read_sequence(0);
    if (why_.empty() && at_ != text_.size())
      // A bar outside of a group would bind weaker than the anchors do.
      fail(text_[at_] == '|' ? "has | outside of a group" : "has a ) too many");
    return why_;
  }

 private:
  /// What is known of a piece: whether it can be empty, and how often it may be repeated in all.
  struct piece {
    bool empty = true;
    bool endless = false;
    long weight = 0;
  };

  void fail(std::string why) {
    if (why_.empty())
      why_ = std::move(why);
    at_ = text_.size();
  }

  bool more() const { return why_.empty() && at_ < text_.size(); }

  piece read_group(int depth) {
    auto all = read_sequence(depth);
    while (more() && text_[at_] == '|') {
      ++at_;
      const auto next = read_sequence(depth);
      all.empty = all.empty || next.empty;
      all.endless = all.endless || next.endless;
      all.weight += next.weight;
    }
    return all;
  }

  piece read_sequence(int depth) {
    piece all;
    while (more() && text_[at_] != '|' && text_[at_] != ')') {
      const auto next = read_repeated(depth);
      all.empty = all.empty && next.empty;
      all.endless = all.endless || next.endless;
      all.weight += next.weight;
      if (all.weight > most_repetitions)
        fail("repeats more than " + std::to_string(most_repetitions) + " times in all");
    }
    return all;
  }

  piece read_repeated(int depth) {
    auto one = read_atom(depth);
    if (!more() || std::string_view{"?*+{"}.find(text_[at_]) == std::string_view::npos)
      return one;
    const char how = text_[at_++];
    int least = how == '+' ? 1 : 0;
    int most = how == '?' ? 1 : -1;
    if (how == '{' && !read_counts(least, most))
      return {};
    if (one.empty || (one.endless && most != 1))
      fail("repeats what may be empty, or has no end itself");
    if (more() && std::string_view{"?*+{"}.find(text_[at_]) != std::string_view::npos)
      fail("has two quantifiers in a row");
    one.empty = one.empty || least == 0;
    one.endless = one.endless || most < 0;
    one.weight *= std::max({least, most, 1});
    return one;
  }

  /// `{m}`, `{m,}` or `{m,n}`, behind the brace.
  bool read_counts(int& least, int& most) {
    const auto end = text_.find('}', at_);
    const auto counts = text_.substr(at_, end == std::string_view::npos ? 0 : end - at_);
    const auto comma = counts.find(',');
    const bool valid = number(counts.substr(0, comma), least) &&
                       (comma == std::string_view::npos ? (most = least, true)
                        : comma + 1 == counts.size()    ? (most = -1, true)
                                                        : number(counts.substr(comma + 1), most));
    if (!valid || least > most_repetitions || most > most_repetitions || (most >= 0 && most < least) || most == 0)
      return fail("has a { that begins no repetition of up to " + std::to_string(most_repetitions)), false;
    at_ = end + 1;
    return true;
  }

  static bool number(std::string_view text, int& value) {
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    return !text.empty() && parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size() && value >= 0;
  }

  piece read_atom(int depth) {
    const char c = text_[at_++];
    if (c == '(')
      return read_parentheses(depth);
    if (c == '[')
      return read_class();
    if (c == '\\')
      return read_escape();
    if (std::string_view{".^$*+?{}]\""}.find(c) != std::string_view::npos || static_cast<unsigned char>(c) < 0x20 ||
        static_cast<unsigned char>(c) > 0x7E)
      // A dot could be a quote, and end the string.
      fail(std::string{"has '"} + c + "' where a character, class or group is due");
    return {false, false, 1};
  }

  piece read_parentheses(int depth) {
    if (depth == deepest)
      fail("is nested deeper than " + std::to_string(deepest));
    if (more() && text_[at_] == '?') {
      if (!text_.substr(at_).starts_with("?:"))
        fail("has a group of a kind that can't be held to");
      at_ += 2;
    }
    const auto inside = read_group(depth + 1);
    if (!more() || text_[at_] != ')')
      fail("has a ( that is not closed");
    ++at_;
    return inside;
  }

  /// Single characters and ranges, none of which would have to be escaped in JSON.
  piece read_class() {
    const auto end = text_.find(']', at_);
    const auto inside = text_.substr(at_, end == std::string_view::npos ? 0 : end - at_);
    if (inside.empty() || inside.front() == '^')
      fail("has a class that is empty, negated or not closed");
    for (std::size_t i = 0; i != inside.size(); ++i) {
      const auto c = static_cast<unsigned char>(inside[i]);
      const bool range = c == '-' && i != 0 && i + 1 != inside.size();
      if (range && !same_kind(inside[i - 1], inside[i + 1]))
        fail("has a range that is not from a letter or digit to a later one of its kind");
      if (c == '\\' || c == '"' || c == '[' || c < 0x20 || c > 0x7E)
        fail("has a class with a character that can't be held to");
    }
    at_ = end + 1;
    return {false, false, 1};
  }

  static bool same_kind(unsigned char from, unsigned char to) {
    return from <= to && ((std::isdigit(from) && std::isdigit(to)) || (std::islower(from) && std::islower(to)) ||
                          (std::isupper(from) && std::isupper(to)));
  }

  /// Punctuation only: `\d` and its like are no words of the engine's.
  piece read_escape() {
    const auto next = more() ? text_[at_++] : '\0';
    if (std::string_view{"^$.[]()|{}*+?"}.find(next) == std::string_view::npos || next == '\0')
      fail(std::string{"has \\"} + next + ", which can't be held to");
    if (more() && std::string_view{"?*+{"}.find(text_[at_]) != std::string_view::npos)
      // The engine would repeat what stands before it, too.
      fail("repeats an escaped character: put it into a class");
    return {false, false, 1};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string why_;
};

}  // namespace

std::string pattern_problem(std::string_view pattern) {
  return pattern_reader{pattern}.problem();
}

}  // namespace troupe
