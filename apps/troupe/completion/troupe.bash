# bash completion for troupe: source <(troupe completion bash)

_troupe() {
  local words IFS=$' \t\n'
  # Not COMP_WORDS, which are cut at the colon of a target.
  read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
  if [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]]; then words+=(''); fi
  mapfile -t COMPREPLY < <(troupe __complete "${words[@]:1}" 2>/dev/null)
}

complete -o default -F _troupe troupe
