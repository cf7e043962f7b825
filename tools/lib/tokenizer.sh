# The Rust crate tokenizers behind its C interface, as one static library.
# shellcheck shell=bash disable=SC2154

crate=$root/skillsets/text_embedding/tokenizer

# Keyed by what the crate says and the compiler that reads it.
tokenizer_entry() {
  local content
  content=$(cd "$crate" && find Cargo.toml Cargo.lock src -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
  printf '%s' "$cache/tokenizer-$(printf '%s\n' "$content" "$rust_version" | short_hash)"
}

step_tokenizer() {
  begin tokenizer
  local target
  [[ -f $crate/Cargo.lock ]] || die "there is no $crate/Cargo.lock, which tools/downloads.lock names"
  tokenizer=$(tokenizer_entry)
  # Kept between builds: a break, or a change of the crate, doesn't compile its dependencies again.
  target=$cache/tokenizer-target-$(short_hash <<<"$rust_version")
  if must_make "$tokenizer"; then
    note "building with $rust_version"
    PATH=$rust_bin:$PATH logged "$rust_bin/cargo" build --release --locked ${offline:+--offline} \
      --manifest-path "$crate/Cargo.toml" --target-dir "$target"
    cp "$target/release/libtroupe_tokenizer.a" "$tokenizer.partial/"
    commit_entry "$tokenizer"
  fi
  finish "libtroupe_tokenizer.a"
}
