#include "apps/troupe/format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>

namespace troupe::cli {
namespace {

using namespace std::string_literals;

constexpr auto infinity = std::numeric_limits<double>::infinity();
constexpr auto nan = std::numeric_limits<double>::quiet_NaN();

/// What a function that appends makes of `values`.
template <class... Parameters, class... Values>
std::string appended(void (*append)(std::string&, Parameters...), Values... values) {
  std::string out = "=";  // what stands there already must stay
  append(out, values...);
  EXPECT_EQ(out[0], '=');
  return out.substr(1);
}

std::string number(double value) {
  return appended<double>(append_number, value);
}

std::string number(float value) {
  return appended<float>(append_number, value);
}

std::string short_number(double value) {
  return appended(append_short_number, value);
}

std::string json_text(const std::string& bytes) {
  return appended<std::string_view>(append_json_text, bytes);
}

std::string in_quotes(const std::string& bytes) {
  return appended<std::string_view>(append_quoted, bytes);
}

/// A code point with as many bytes as asked for, whether that is right or not.
std::string encoded(std::uint32_t code_point, int length) {
  if (length == 1)
    return {static_cast<char>(code_point)};
  std::string bytes;
  for (int i = 0; i != length - 1; ++i, code_point >>= 6)
    bytes.insert(bytes.begin(), static_cast<char>(0x80 | (code_point & 0x3F)));
  const std::uint32_t lead = 0xF00u >> length & 0xFF;
  bytes.insert(bytes.begin(), static_cast<char>(lead | code_point));
  return bytes;
}

template <class T, class Bits>
void check_round_trips() {
  std::mt19937_64 random{1};
  for (int i = 0; i != 20'000; ++i) {
    const auto bits = static_cast<Bits>(random());
    T value;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value))
      continue;
    const auto text = number(value);
    T back{};
    const auto end = std::from_chars(text.data(), text.data() + text.size(), back).ptr;
    ASSERT_EQ(end, text.data() + text.size()) << text;
    ASSERT_EQ(back, value) << text;
    ASSERT_TRUE(nlohmann::json::parse(text).is_number()) << text;
  }
}

TEST(is_utf8, accepts_every_code_point_in_its_shortest_form_alone) {
  for (std::uint32_t c = 0; c <= 0x1F'FFFF && !HasFailure(); ++c) {
    const int shortest = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x1'0000 ? 3 : 4;
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    ASSERT_EQ(is_utf8(encoded(c, shortest)), !surrogate && c <= 0x10'FFFF) << std::hex << c;
    for (int length = shortest + 1; length <= 4; ++length)
      ASSERT_FALSE(is_utf8(encoded(c, length))) << "overlong " << std::hex << c;
  }
}

TEST(is_utf8, refuses_what_is_cut_off_or_stray) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("\0"s));
  EXPECT_TRUE(is_utf8("a\u00e9\u20ac\U0001f3ad"));
  const std::string mask = "\U0001f3ad";
  for (std::size_t length = 1; length != mask.size(); ++length) {
    EXPECT_FALSE(is_utf8("a" + mask.substr(0, length)));
    EXPECT_FALSE(is_utf8(mask.substr(0, length) + "a"));
    EXPECT_FALSE(is_utf8(mask.substr(length)));
  }
  for (int byte = 0x80; byte <= 0xFF; ++byte)
    EXPECT_FALSE(is_utf8(std::string{static_cast<char>(byte)})) << byte;
  EXPECT_FALSE(is_utf8("\xf8\x88\x80\x80\x80")) << "five bytes";
  EXPECT_FALSE(is_utf8(std::string(1 << 20, 'a') + '\xff'));
}

TEST(append_number, is_the_shortest_that_reads_back) {
  EXPECT_EQ(number(0.1), "0.1");
  EXPECT_EQ(number(0.1F), "0.1");
  EXPECT_EQ(number(static_cast<double>(0.1F)), "0.10000000149011612");
  EXPECT_EQ(number(1.0), "1");
  EXPECT_EQ(number(-0.0), "-0");
  EXPECT_EQ(number(1e300), "1e+300");
  EXPECT_EQ(number(std::numeric_limits<double>::denorm_min()), "5e-324");
  EXPECT_EQ(number(std::numeric_limits<double>::lowest()), "-1.7976931348623157e+308");
  check_round_trips<double, std::uint64_t>();
  check_round_trips<float, std::uint32_t>();
}

TEST(append_number, names_what_is_not_finite) {
  EXPECT_EQ(number(nan), "NaN");
  EXPECT_EQ(number(-nan), "NaN");
  EXPECT_EQ(number(infinity), "Infinity");
  EXPECT_EQ(number(-std::numeric_limits<float>::infinity()), "-Infinity");
}

TEST(append_json_number, makes_strings_of_what_json_cannot_say) {
  EXPECT_EQ(appended<double>(append_json_number, 0.5), "0.5");
  EXPECT_EQ(appended<double>(append_json_number, nan), "\"NaN\"");
  EXPECT_EQ(appended<double>(append_json_number, infinity), "\"Infinity\"");
  EXPECT_EQ(appended<float>(append_json_number, -std::numeric_limits<float>::infinity()), "\"-Infinity\"");
}

TEST(append_short_number, has_six_digits_at_most) {
  EXPECT_EQ(short_number(0.1F), "0.1");
  EXPECT_EQ(short_number(1.0 / 3), "0.333333");
  EXPECT_EQ(short_number(-123456789), "-1.23457e+08");
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(nan), "NaN");
  EXPECT_EQ(short_number(-infinity), "-Infinity");
  EXPECT_EQ(short_number(std::numeric_limits<double>::lowest()), "-1.79769e+308");
}

TEST(append_json_text, is_a_string_that_a_parser_reads_back) {
  std::string all;
  for (int c = 0; c <= 0x7F; ++c)
    all += static_cast<char>(c);
  for (const auto& text : {all, ""s, "\"\\/"s, "\u00e9\u20ac\U0001f3ad\u2028"s}) {
    const auto written = json_text(text);
    EXPECT_EQ(nlohmann::json::parse(written).get<std::string>(), text);
    for (const auto c : written)
      EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) << "a control character in " << written;
  }
  EXPECT_EQ(json_text("a\n\x1b\x7f\0"s), R"("a\n\u001b\u007f\u0000")");
}

TEST(append_json_text, wraps_bytes_that_are_no_text) {
  EXPECT_EQ(json_text("\xff"), R"({"b64":"/w=="})");
  EXPECT_EQ(json_text("text \xc3"), R"({"b64":"dGV4dCDD"})");
}

TEST(append_quoted, shows_text_as_it_is) {
  EXPECT_EQ(in_quotes(""), "\"\"");
  EXPECT_EQ(in_quotes("caf\u00e9 \U0001f3ad"), "\"caf\u00e9 \U0001f3ad\"");
  EXPECT_EQ(in_quotes(R"(a"b\c)"), R"("a\"b\\c")");
}

TEST(append_quoted, escapes_what_terminals_obey) {
  EXPECT_EQ(in_quotes("a\tb\r\n\b\f"), R"("a\tb\r\n\b\f")");
  EXPECT_EQ(in_quotes("\x1b[31m\x7f\0"s), R"("\x1b[31m\x7f\x00")");
  EXPECT_EQ(in_quotes("\u0085\u009b"), R"("\xc2\x85\xc2\x9b")") << "C1 control characters";
  EXPECT_EQ(in_quotes("\u00a0"), "\"\u00a0\"") << "the first that is none";
}

TEST(append_quoted, escapes_bytes_that_are_no_text) {
  EXPECT_EQ(in_quotes("a\xff\xc3"), R"("a\xff\xc3")");
  EXPECT_EQ(in_quotes("\xed\xa0\x80"), R"("\xed\xa0\x80")") << "a surrogate";
}

TEST(one_line, has_no_control_characters) {
  EXPECT_EQ(one_line("a\r\n\tb\x1b[2J\x7f\0"s), "a   b [2J  ");
  EXPECT_EQ(one_line("\u009b31m"), " 31m") << "the C1 form of ESC [";
  EXPECT_EQ(one_line("caf\u00e9 \U0001f3ad"), "caf\u00e9 \U0001f3ad");
  EXPECT_EQ(one_line(""), "");
}

TEST(harmless, keeps_lines_and_columns) {
  EXPECT_EQ(harmless("a\r\n\tb\x1b[2J\u009b\xff"), "a \n\tb [2J ?");
}

TEST(one_line, is_utf8_whatever_comes_in) {
  EXPECT_EQ(one_line("a\xff\xc3"), "a??");
  std::mt19937 random{1};
  for (int i = 0; i != 2000; ++i) {
    std::string noise(random() % 40, '\0');
    for (auto& c : noise)
      c = static_cast<char>(random());
    EXPECT_TRUE(is_utf8(one_line(noise)));
    EXPECT_TRUE(is_utf8(ellipsis(noise, random() % 20)));
    EXPECT_TRUE(is_utf8(in_quotes(noise)));
    EXPECT_TRUE(nlohmann::json::accept(json_text(noise)));
  }
}

TEST(ellipsis, marks_that_something_is_missing) {
  EXPECT_EQ(ellipsis("abc", 3), "abc");
  EXPECT_EQ(ellipsis("abcd", 3), "ab…");
  EXPECT_EQ(ellipsis("abcd", 1), "…");
  EXPECT_EQ(ellipsis("", 1), "");
  EXPECT_EQ(ellipsis("a\nb", 3), "a b");
}

TEST(ellipsis, counts_code_points) {
  EXPECT_EQ(ellipsis("\U0001f3ad\U0001f3ad\U0001f3ad", 3), "\U0001f3ad\U0001f3ad\U0001f3ad");
  EXPECT_EQ(ellipsis("\U0001f3ad\U0001f3ad\U0001f3ad", 2), "\U0001f3ad…");
  EXPECT_EQ(ellipsis("a\U0001f3ad\U0001f3ad\U0001f3ad\U0001f3ad", 3), "a\U0001f3ad…");
  EXPECT_EQ(ellipsis("\xff\xff\xff", 2), "?…");
}

TEST(ellipsis, keeps_to_absurd_widths) {
  EXPECT_EQ(ellipsis("abc", 0), "");
  EXPECT_EQ(ellipsis("", 0), "");
  EXPECT_EQ(ellipsis("abc", std::numeric_limits<std::size_t>::max()), "abc");
  EXPECT_EQ(ellipsis("abc", std::numeric_limits<std::size_t>::max() / 4), "abc");
}

TEST(base64, has_the_test_vectors_of_rfc_4648) {
  const std::pair<const char*, const char*> vectors[]{{"", ""},
                                                      {"f", "Zg=="},
                                                      {"fo", "Zm8="},
                                                      {"foo", "Zm9v"},
                                                      {"foob", "Zm9vYg=="},
                                                      {"fooba", "Zm9vYmE="},
                                                      {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(to_base64(plain), text);
    EXPECT_EQ(from_base64(text), plain);
  }
  EXPECT_EQ(to_base64("\xfb\xff\xfe"), "+//+");
}

TEST(base64, round_trips_bytes_of_every_kind_and_length) {
  std::mt19937 random{1};
  for (std::size_t length = 0; length != 600; ++length) {
    std::string bytes(length, '\0');
    for (auto& c : bytes)
      c = static_cast<char>(random());
    ASSERT_EQ(from_base64(to_base64(bytes)), bytes) << length;
  }
}

TEST(base64, refuses_what_is_malformed) {
  for (const auto* bad : {"Z", "Zg", "Zg=", "Zg===", "=", "==", "====", "=Zg=", "Zg=v", "Zm9v=", "Zm9vY===", "Zm9\n",
                          "Zm 9", "Zm-_", "Zg==Zg==", "\xff\xff\xff\xff"})
    EXPECT_EQ(from_base64(bad), std::nullopt) << bad;
  EXPECT_EQ(from_base64("Zm9\0"s), std::nullopt);
}

TEST(format_table, aligns_columns) {
  EXPECT_EQ(format_table({{"name", "n"}, {"a", "10"}, {"longer", ""}}),
            "name    n\n"
            "a       10\n"
            "longer\n");
}

TEST(format_table, counts_code_points_and_not_bytes) {
  EXPECT_EQ(format_table({{"\u00e9\u00e9", "x"}, {"abc", "y"}}), "\u00e9\u00e9   x\nabc  y\n");
}

TEST(format_table, may_be_empty) {
  EXPECT_EQ(format_table({}), "");
  EXPECT_EQ(format_table({{}}), "\n");
  EXPECT_EQ(format_table({{"", ""}, {"", "x"}}), "\n  x\n");
}

}  // namespace
}  // namespace troupe::cli
