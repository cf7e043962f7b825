#include "apps/troupe/text_printer.hpp"

#include "apps/troupe/format.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"

#include <unistd.h>

namespace troupe::cli {

text_printer::text_printer(session& with) : with_(with), terminal_(::isatty(STDOUT_FILENO) == 1) {}

text_sink text_printer::sink() {
  return [this](std::string_view text, bool reasoning) { return with_.json || print(text, reasoning); };
}

bool text_printer::print(std::string_view text, bool reasoning) {
  if (reasoning && !terminal_)
    return true;
  dim(reasoning);
  with_.out.print(terminal_ ? harmless(text) : std::string{text});
  line_open_ = !text.ends_with('\n');
  return with_.out.flush();
}

void text_printer::dim(bool on) {
  if (on == dim_)
    return;
  with_.out.print(on ? "\x1b[2m" : "\x1b[0m\n");
  dim_ = on;
}

void text_printer::end(const generated& all) {
  dim(false);
  if (with_.json && !all.finish_reason.empty())
    with_.out.print(to_json(all));
  if (line_open_)
    with_.out.print("\n");
  line_open_ = false;
  if (with_.out.flush() && all.finish_reason == "length")
    complain("the text ends where --max-tokens, or the model's context, has its end");
}

}  // namespace troupe::cli
