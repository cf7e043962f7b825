#include "apps/troupe/embed.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/format.hpp"
#include "apps/troupe/interrupt.hpp"
#include "apps/troupe/line_reader.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/response.hpp"
#include "apps/troupe/session.hpp"
#include "apps/troupe/task.hpp"
#include "inference/grpc_service.pb.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>
#include <span>
#include <utility>

namespace troupe::cli {
namespace {

namespace wire = inference;
using texts = std::vector<std::string>;
using vector = std::vector<float>;

/// A table of more rows helps nobody, and grows with the square.
constexpr std::size_t most_compared = 1000;

/// Gives the texts of the command line in batches; none at the end.
class argument_source {
 public:
  explicit argument_source(const texts& all) : rest_(all) {}

  expected<texts> operator()() {
    const batch_limits limits;
    texts batch;
    for (std::size_t bytes = 0; !rest_.empty() && batch.size() < limits.lines && bytes < limits.bytes;) {
      batch.push_back(rest_.front());
      bytes += batch.back().size();
      rest_ = rest_.subspan(1);
    }
    return batch;
  }

 private:
  std::span<const std::string> rest_;
};

std::function<expected<texts>()> source_of(const session& with, const embed_options& options) {
  if (options.texts == texts{"-"})
    return [reader = line_reader{STDIN_FILENO, with.signals.descriptor()}]() mutable { return reader.next(); };
  return argument_source{options.texts};
}

/// One vector a text, and how many texts the model had to cut.
struct embedded {
  std::vector<vector> vectors;
  std::int64_t cut = 0;
};

expected<embedded> read_vectors(const wire::ModelInferResponse& response, std::size_t count) {
  const auto outputs = read_outputs(response);
  if (!outputs)
    return outputs.error();
  const auto output =
      std::find_if(outputs->begin(), outputs->end(), [](const auto& o) { return o.name == text_embedding.output; });
  if (output == outputs->end() || output->type != datatype::fp32 || output->shape.size() != 2 ||
      static_cast<std::size_t>(output->shape[0]) != count)
    return make_error(status_code::internal,
                      "the node's answer holds no vectors for " + std::to_string(count) + " texts",
                      "see that --model names a model that embeds texts");
  embedded result;
  const auto width = static_cast<std::size_t>(output->shape[1]);
  for (std::size_t i = 0; i != count; ++i) {
    result.vectors.emplace_back(width);
    if (width != 0)
      std::memcpy(result.vectors.back().data(), output->data.bytes().data() + i * width * sizeof(float),
                  width * sizeof(float));
  }
  const auto& parameters = response.parameters();
  if (const auto cut = parameters.find("truncated_texts"); cut != parameters.end())
    result.cut = cut->second.int64_param();
  return result;
}

expected<embedded> embed_batch(client& node, const std::string& model, const texts& batch) {
  wire::ModelInferRequest request;
  request.set_model_name(model);
  auto& input = *request.add_inputs();
  input.set_name(std::string{text_embedding.input});
  input.set_datatype(std::string{text_embedding.input_type});
  input.add_shape(static_cast<std::int64_t>(batch.size()));
  auto& data = *request.add_raw_input_contents();
  for (const auto& text : batch)
    append_bytes(data, text);
  request.add_outputs()->set_name(std::string{text_embedding.output});
  const auto response = node.infer(request);
  if (!response)
    return response.error();
  return read_vectors(*response, batch.size());
}

void append_vector(std::string& line, const vector& numbers, bool json) {
  const std::string_view separator = json ? "," : " ";
  for (std::size_t i = 0; i != numbers.size(); ++i) {
    if (i != 0)
      line += separator;
    json ? append_json_number(line, numbers[i]) : append_number(line, numbers[i]);
  }
}

std::string vector_line(const std::string& text, const vector& numbers, bool json) {
  std::string line;
  if (json) {
    line += R"({"text":)";
    append_json_text(line, text);
    line += R"(,"embedding":[)";
  }
  append_vector(line, numbers, json);
  return line += json ? "]}\n" : "\n";
}

float cosine(const vector& a, const vector& b) {
  const auto dot = [](const vector& x, const vector& y) {
    return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
  };
  return static_cast<float>(dot(a, b) / std::sqrt(dot(a, a) * dot(b, b)));
}

std::string similarity_table(const texts& all, const std::vector<vector>& vectors) {
  constexpr std::size_t text_width = 50;
  std::vector<std::vector<std::string>> rows(1, {"", ""});
  for (std::size_t i = 0; i != all.size(); ++i) {
    rows.front().push_back(" " + std::to_string(i + 1));
    rows.push_back({std::to_string(i + 1), ellipsis(all[i], text_width)});
    for (const auto& other : vectors) {
      char number[16];
      std::snprintf(number, sizeof number, "% .3f", static_cast<double>(cosine(vectors[i], other)));
      rows.back().emplace_back(number);
    }
  }
  return format_table(rows);
}

std::string similarity_json(const texts& all, const std::vector<vector>& vectors) {
  std::string line = R"({"texts":[)";
  for (const auto& text : all) {
    line += line.back() == '[' ? "" : ",";
    append_json_text(line, text);
  }
  line += R"(],"similarity":[)";
  for (const auto& one : vectors) {
    vector row;
    for (const auto& other : vectors)
      row.push_back(cosine(one, other));
    line += line.back() == '[' ? "[" : ",[";
    append_vector(line, row, true);
    line += ']';
  }
  return line + "]}\n";
}

}  // namespace

expected<void> embed(session& with, const embed_options& options) {
  const auto model =
      options.model.empty() ? find_model(with.node, text_embedding) : expected<std::string>{options.model};
  if (!model)
    return model.error();
  const auto next = source_of(with, options);
  texts compared;
  std::vector<vector> vectors;
  std::int64_t cut = 0;
  for (;;) {
    const auto batch = next();
    if (!batch)
      return batch.error();
    if (batch->empty())
      break;
    auto answer = embed_batch(with.node, *model, *batch);
    if (!answer)
      return answer.error();
    cut += answer->cut;
    if (options.similarity) {
      compared.insert(compared.end(), batch->begin(), batch->end());
      std::move(answer->vectors.begin(), answer->vectors.end(), std::back_inserter(vectors));
      if (compared.size() > most_compared)
        return make_error(status_code::invalid_argument,
                          "--similarity compares at most " + std::to_string(most_compared) + " texts");
      continue;
    }
    for (std::size_t i = 0; i != batch->size(); ++i)
      with.out.print(vector_line((*batch)[i], answer->vectors[i], with.json));
    // Whoever reads line by line has the answers before the next batch is asked for.
    if (!with.out.flush())
      return {};
  }
  if (options.similarity)
    with.out.print(with.json ? similarity_json(compared, vectors) : similarity_table(compared, vectors));
  if (cut > 0)
    complain(std::to_string(cut) + (cut == 1 ? " text was" : " texts were") + " longer than the model takes and cut");
  return {};
}

}  // namespace troupe::cli
