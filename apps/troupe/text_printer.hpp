#pragma once

#include "apps/troupe/fwd.hpp"
#include "apps/troupe/generation.hpp"

#include <string_view>

namespace troupe::cli {

/// Prints generated text while it comes: to a terminal without what would command it, and with the model's thoughts
/// dimmed; elsewhere the text alone, as it is. With `--json` one line when all is there.
class text_printer {
 public:
  explicit text_printer(session& with);

  /// Prints pieces; false once nobody reads them. Views this.
  text_sink sink();

  /// Ends the line, and says on standard error when the text is not whole.
  void end(const generated& all);

 private:
  bool print(std::string_view text, bool reasoning);
  void dim(bool on);

  session& with_;
  bool terminal_;
  bool dim_ = false;
  bool line_open_ = false;
};

}  // namespace troupe::cli
