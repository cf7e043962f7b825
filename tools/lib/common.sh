# What the steps of tools/setup share: saying what is done, the lock file, and the cache.
# shellcheck shell=bash disable=SC2154  # $root is tools/setup's

cache=${XDG_CACHE_HOME:-$HOME/.cache}/troupe
quiet=${quiet:-}
offline=${offline:-}

# --- saying -----------------------------------------------------------------------------------------------------------

# begin NAME … note TEXT … finish TEXT: a step's lines, the last with the seconds that it took.
begin() {
  step=$1
  step_began=${EPOCHREALTIME/[.,]/}
}
note() { [[ $quiet ]] || printf '%-10s %s …\n' "$step" "$*"; }
finish() {
  [[ $quiet ]] && return
  local took=$(((${EPOCHREALTIME/[.,]/} - step_began) / 1000))
  printf '%-10s %s (%d.%02d s)\n' "$step" "$*" $((took / 1000)) $((took % 1000 / 10))
}
warn() { printf 'tools/setup: %s\n' "$*" >&2; }
die() {
  warn "$*"
  exit 1
}

# logged COMMAND…: keeps its output in the step's log and shows the end of it when the command fails.
logged() {
  local log=$cache/log/$step.log
  mkdir -p "$cache/log"
  printf '\n$ %s\n' "$*" >>"$log"
  if ! "$@" >>"$log" 2>&1; then
    tail -n 25 "$log" >&2
    die "$step failed; the whole log is $log. Running tools/setup again goes on from here"
  fi
}

# network WHAT: stops here when WHAT would have to come from the network and must not.
network() { [[ ! $offline ]] || die "$1 would have to be downloaded, and --offline forbids it"; }

# --- tools/downloads.lock ---------------------------------------------------------------------------------------------

# locked GROUP: "name version sha256 file" of each download in the group.
locked() { awk -v group="$1" '$1 == group { print $2, $3, $4, $5 }' "$root/tools/downloads.lock"; }

# downloaded SHA256 FILE: whether that file is in the cache and has that hash. A file with another hash is removed.
downloaded() {
  local path=$cache/downloads/$1/$2
  [[ -f $path ]] || return 1
  has_hash "$1" "$path" && return
  warn "$path is damaged and will be fetched again"
  rm -f "$path"
  return 1
}

# keep_download SHA256 FILE FOLDER: takes what was just downloaded into FOLDER over into the cache, if it is the right one.
keep_download() {
  local found
  [[ -f $3/$2 ]] || die "$2, which tools/downloads.lock names, was not among the files downloaded to $3"
  found=$(sha256sum "$3/$2")
  [[ ${found%% *} == "$1" ]] || die "$2 has sha256 ${found%% *}, but tools/downloads.lock wants $1: not used"
  mkdir -p "$cache/downloads/$1"
  mv -f "$3/$2" "$cache/downloads/$1/$2"
}

has_hash() { sha256sum --status --check <<<"$1  $2"; }
short_hash() { sha256sum | cut -c1-16; }

# --- the cache --------------------------------------------------------------------------------------------------------
# An entry is a folder that is there whole or not at all: it is made as NAME.partial, sealed, and renamed. The seal is
# a hash over the names, sizes and times of its files, which is as good as instant to check.

fingerprint() {
  find "$1" -type f ! -name .seal -printf '%P %s %T@\n' | LC_ALL=C sort | sha256sum
}
whole() { [[ -f $1/.seal ]] && [[ $(<"$1/.seal") == "$(fingerprint "$1")" ]]; }

# must_make ENTRY: whether it is missing or damaged. If so, this process now holds the cache's lock and an empty
# ENTRY.partial is there to be filled; commit_entry makes it the entry.
must_make() {
  ! whole "$1" || return
  lock_cache
  ! whole "$1" || return # another run made it while this one waited
  if [[ -d $1 ]]; then warn "$1 was changed since it was made, and is made anew"; fi
  rm -rf "$1" "$1.partial"
  mkdir -p "$1.partial"
}

commit_entry() {
  fingerprint "$1.partial" >"$1.partial/.seal"
  mv -T "$1.partial" "$1"
}

# One tools/setup at a time changes the cache.
lock_cache() {
  [[ ! ${cache_locked:-} ]] || return 0
  exec 9>"$cache/.lock"
  if ! flock --nonblock 9; then
    note "waiting for another tools/setup to finish"
    flock 9
  fi
  cache_locked=1
}

# write_if_changed FILE: standard input becomes the file, which keeps its time when it says that already.
write_if_changed() {
  local new=$1.partial
  cat >"$new"
  if cmp -s "$new" "$1"; then rm -f "$new"; else mv -f "$new" "$1"; fi
}
