# The manual page and the completions: whole, readable by their readers, and true to --help.

load support/cli.bash
COMMANDS=$("$CUPEL" help | sed -n "/^  cupel/d; s/^  \([a-z]*\) .*/\1/p")

@test "the manual page has every command, option, recipe key and exit code" {
    "$CUPEL" help --man >"$BATS_TEST_TMPDIR/cupel.1"
    sed 's/\\-/-/g; s/\\f[BIR]//g' "$BATS_TEST_TMPDIR/cupel.1" >"$BATS_TEST_TMPDIR/plain"
    for command in $COMMANDS; do
        grep -q "^.SS cupel $command " "$BATS_TEST_TMPDIR/plain"
        for option in $("$CUPEL" help "$command" | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p'); do
            sed -n "/^.SS cupel $command /,/^.S[SH] /p" "$BATS_TEST_TMPDIR/plain" |
                grep -q -- "^$option\( \|$\)" || { echo "$command $option"; false; }
        done
    done
    grep -q "^train.epochs (10)" "$BATS_TEST_TMPDIR/plain"
    grep -q "^7$" "$BATS_TEST_TMPDIR/plain"
    # no line is a request that was not meant as one
    [ -z "$(grep "^[.']" "$BATS_TEST_TMPDIR/cupel.1" | grep -v '^\.\(TH\|SH\|SS\|TP\)')" ]
}

@test "groff reads the manual page without a warning" {
    "$CUPEL" help --man | groff -man -Tutf8 -ww >"$BATS_TEST_TMPDIR/page" 2>"$BATS_TEST_TMPDIR/warnings"
    [ ! -s "$BATS_TEST_TMPDIR/warnings" ]
    grep -q "representative" "$BATS_TEST_TMPDIR/page"
}

complete_words() { # WORDS...: what bash would offer for the last one
    bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cupel
        printf "%s\n" "${COMPREPLY[@]}"' - "$BATS_TEST_TMPDIR/cupel.bash" "$@"
}

@test "bash completes commands, their options, and choices" {
    "$CUPEL" help --completion bash >"$BATS_TEST_TMPDIR/cupel.bash"
    bash -n "$BATS_TEST_TMPDIR/cupel.bash"
    [ "$(complete_words cupel sc)" = score ]
    [ "$(complete_words cupel help ev)" = eval ]
    [ "$(complete_words cupel train --ep)" = --epochs ]
    [ -z "$(complete_words cupel score --ep)" ]
    [ "$(complete_words cupel eval run --split rep | wc -l)" -eq 2 ]
    [ "$(complete_words cupel score run --weights b)" = best ]
    for command in $COMMANDS; do
        [ "$(complete_words cupel "$command" -- | sort)" = \
            "$("$CUPEL" help "$command" | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p' | sort)" ]
    done
}

@test "fish has a line for each option" {
    "$CUPEL" help --completion fish >"$BATS_TEST_TMPDIR/cupel.fish"
    for command in $COMMANDS; do
        [ "$(grep -c "seen_subcommand_from $command' -l" "$BATS_TEST_TMPDIR/cupel.fish")" -eq \
            "$("$CUPEL" help "$command" | grep -c '^  --')" ]
    done
    fails_with 2 "$CUPEL" help --completion tcsh
    says "bash or fish"
}
