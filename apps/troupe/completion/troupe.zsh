#compdef troupe
# zsh completion for troupe: source <(troupe completion zsh)

_troupe() {
  local -a found
  found=("${(@f)$(troupe __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n $found ]]; then compadd -- $found; else _files; fi
}

if [[ $funcstack[1] == _troupe ]]; then _troupe "$@"; else compdef _troupe troupe; fi
