# bash completion for ilsvrc; needs bash 4.4

_ilsvrc() {
    # Bash cuts words at = and :, which a request has whole.
    local words=() word glued=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        word=${word//\\/}
        if [[ (-n $glued || $word == [=:]*) && ${#words[@]} -gt 0 ]]; then words[-1]+=$word; else words+=("$word"); fi
        if [[ $word == *[=:] ]]; then glued=1; else glued=; fi
    done

    local answer directive
    answer=$(@COMMAND@ complete -- "${words[@]}" 2>/dev/null) || return
    directive=${answer##*:}

    # Of a value bash replaces only what stands after the last of its cuts.
    local value=${words[-1]} typed=${COMP_WORDS[COMP_CWORD]//\\/} suggestion
    [[ $value == --*=* ]] && value=${value#*=}
    [[ $typed == [=:] ]] && typed=
    local kept=${value%"$typed"}
    COMPREPLY=()
    while IFS=$'\t' read -r suggestion _; do
        if [[ -n $suggestion && $suggestion != :* && $suggestion == "$value"* ]]; then
            COMPREPLY+=("$(printf %q "${suggestion#"$kept"}")")
        fi
    done <<<"$answer"

    if ((directive & 32)); then compopt -o nosort; fi
    if ((directive & 4)); then compopt +o default +o bashdefault; fi
    if ((directive & 16)); then compopt -o dirnames +o default +o bashdefault; fi
}

complete -o default -o bashdefault -F _ilsvrc ilsvrc
