#include "apps/troupe/complete.hpp"

#include "apps/troupe/interrupt.hpp"
#include "apps/troupe/line_reader.hpp"
#include "apps/troupe/session.hpp"
#include "apps/troupe/text_printer.hpp"
#include "inference/grpc_service.pb.h"

#include <unistd.h>

namespace troupe::cli {

expected<void> complete(session& with, const complete_options& options) {
  const auto text = options.text == "-" ? line_reader{STDIN_FILENO, with.signals.descriptor()}.rest()
                                        : expected<std::string>{options.text};
  if (!text)
    return text.error();
  const auto request = generation_request(options.model, *text, prompt_format::text, options.generation);
  if (!request)
    return request.error();
  generated added;
  text_printer print{with};
  const auto done = generate(with.node, *request, {}, added, print.sink());
  print.end(added);
  return done;
}

}  // namespace troupe::cli
