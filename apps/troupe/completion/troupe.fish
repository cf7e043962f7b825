# fish completion for troupe: troupe completion fish | source

complete -c troupe -f -a '(troupe __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
