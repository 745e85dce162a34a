# Shared by the *.bats files: the program, a tiny training run, and the files two runs must share.
# Test: the files that load it.
: "${CUPEL:?set CUPEL to the program}" "${CUPEL_SOURCE_DIR:?}"
RECIPES=$CUPEL_SOURCE_DIR/recipes/vae-anomaly
SAMPLE=$RECIPES/sample
TINY=$CUPEL_SOURCE_DIR/tests/support/tiny.yaml
bats_require_minimum_version 1.5.0

tiny() { # FOLDER [option...]: trains quietly
    local out=$1
    shift
    "$CUPEL" train "$TINY" --data "$RECIPES" --out "$out" --quiet "$@"
}

# metrics.jsonl without what depends on the clock.
timeless() {
    sed 's/, "seconds": .*//' "$1/metrics.jsonl"
}

same_run() { # A B
    for file in state last best; do
        cmp "$1/$file.safetensors" "$2/$file.safetensors" || return 1
    done
    [ "$(timeless "$1")" = "$(timeless "$2")" ] || { echo "metrics.jsonl differ"; return 1; }
}

preloaded() { # COMMAND...: runs it with tests/support/interpose.c in it
    # A sanitizer's runtime wants to be the first library, and need not be.
    LD_PRELOAD=${CUPEL_INTERPOSE:?} \
        ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 "$@"
}

# Runs a program in the German locale, which it is made to switch on. env: not for this shell.
in_german() { # COMMAND...
    local locale=$BATS_FILE_TMPDIR/german
    [ -d "$locale" ] || "$CUPEL_SOURCE_DIR/tests/support/make-german" "$locale" || return 1
    preloaded env LOCPATH="$locale" LC_ALL=de_DE.UTF-8 CUPEL_LOCALE=1 "$@"
}

fails_with() { # CODE COMMAND...: runs it, checks the exit code; stderr is in $output
    local want=$1
    shift
    run "$@"
    [ "$status" -eq "$want" ] || { echo "exit code $status, not $want: $output"; return 1; }
}

says() { # TEXT: the output holds it
    case $output in *"$1"*) ;; *) echo "\"$1\" is not in: $output"; return 1 ;; esac
}

# Every weight becomes 1e30 or the given bytes: finite, but no arithmetic with it is.
overflowing() { # IN OUT [HEX]
    perl -e 'local $/; open my $in, "<:raw", $ARGV[0] or die; my $file = <$in>;
        my $head = 8 + unpack("Q<", $file); my $count = (length($file) - $head) / 4;
        open my $out, ">:raw", $ARGV[1] or die;
        print $out substr($file, 0, $head), pack("H8", $ARGV[2]) x $count;' \
        "$1" "$2" "${3:-caf24971}"
}

# Waits up to a minute, however busy the machine is, until the command succeeds.
wait_until() {
    local turn
    for turn in $(seq 6000); do
        "$@" && return
        sleep 0.01
    done
    echo "not within $((turn / 100)) s: $*"
    return 1
}

# Locks a folder as another process would, until $holder is killed.
is_locked() { ! flock -n "$1" true; }
hold_lock() {
    flock --no-fork -x "$1" sleep 600 3>&- 7>&- &
    holder=$!
    wait_until is_locked "$1"
}
