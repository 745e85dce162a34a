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
    # every variable that the sources read
    for variable in $(grep -rhoE 'getenv\("(CUPEL_[A-Z]+|NO_COLOR)"' "$CUPEL_SOURCE_DIR/src" | cut -d'"' -f2 | sort -u); do
        grep -q "^$variable" "$BATS_TEST_TMPDIR/plain" || { echo "$variable"; false; }
    done
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
    [ "$(complete_words cupel data g)" = get ]
    [ "$(complete_words cupel data "" | sort | tr '\n' ' ')" = "check get synth " ]
    [ "$(complete_words cupel data get m)" = mnist ]
    [ -z "$(complete_words cupel data check m)" ] # files
    [ "$(complete_words cupel bench step c)" = conv-vae ]
    [ "$(complete_words cupel bench sc)" = score ]
    [ "$(complete_words cupel data --qu)" = --quiet ]
    [ "$(complete_words cupel train r.yaml --set model.la)" = model.latent= ]
    [ "$(complete_words cupel train r.yaml --set mo | grep -c '^model\..*=$')" -eq \
        "$("$CUPEL" help --man | sed 's/\\f[BR]//g' | grep -c '^model\.')" ]
    [ -z "$(complete_words cupel train r)" ]
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
    says "bash, fish or zsh"
}

# What it does was tried in zsh; here is that it has everything and the form that _arguments takes.
@test "zsh has a line for each option, the words of operands, and the recipe's keys" {
    "$CUPEL" help --completion zsh >"$BATS_TEST_TMPDIR/_cupel"
    [ "$(head -n 1 "$BATS_TEST_TMPDIR/_cupel")" = "#compdef cupel" ]
    for command in $COMMANDS; do
        sed -n "/^    $command)/,/;;/p" "$BATS_TEST_TMPDIR/_cupel" >"$BATS_TEST_TMPDIR/part"
        for option in $("$CUPEL" help "$command" | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p'); do
            grep -q "^            '\*\?$option\[[^]]*\]\(:[^:]*:[^:]*\)\?' \\\\$" "$BATS_TEST_TMPDIR/part" ||
                { echo "$command $option"; false; }
        done
    done
    grep -q "'1:what:(get check synth)'" "$BATS_TEST_TMPDIR/_cupel"
    grep -q "'--weights\[.*\]:WHICH:(best last)'" "$BATS_TEST_TMPDIR/_cupel"
    grep -q "'--sheet\[.*\]:FILE:_files'" "$BATS_TEST_TMPDIR/_cupel"
    grep -q " model.latent= " "$BATS_TEST_TMPDIR/_cupel"
    # quotes and brackets are closed: bash reads the same words
    bash -n "$BATS_TEST_TMPDIR/_cupel"
}
